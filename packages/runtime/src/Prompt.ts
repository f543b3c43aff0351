/**
 * What the agent is told at the start of a turn. Pure: the loop says what there is
 * to say, this module in which order and form.
 */
import type { CriterionResult } from "@driver/domain/Verdict"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

export interface PromptParts {
  /** The operator's messages, oldest first. */
  readonly operatorMessages: ReadonlyArray<string>
  /** The driver's own remarks: a turn that was cut off, a repetition that was noticed. */
  readonly notices: ReadonlyArray<string>
  /** Says how long the goal slept and why. */
  readonly tick: Option.Option<string>
  /** What an earlier session of this goal had come to; only for a session that is new. */
  readonly summary: Option.Option<string>
  readonly description: string
  readonly failures: ReadonlyArray<CriterionResult>
  /** What the last turn changed; empty when nothing. */
  readonly diffStat: string
  readonly turn: number
  readonly maxTurns: number
}

/** Blocks separated by blank lines, in a fixed order; absent parts leave no trace. */
export const attemptPrompt = (parts: PromptParts): string =>
  [
    block("OPERATOR INTERRUPT", parts.operatorMessages),
    block("DRIVER NOTICE", parts.notices),
    Option.getOrElse(parts.tick, () => ""),
    Option.match(parts.summary, {
      onNone: () => "",
      onSome: (summary) => `Summary of the work in an earlier session:\n${summary}`
    }),
    parts.description,
    failureBlock(parts.failures),
    parts.diffStat === "" ? "" : `What the last turn changed:\n${parts.diffStat}`,
    `[Turn ${parts.turn}/${parts.maxTurns}]`
  ]
    .filter((part) => part !== "")
    .join("\n\n")

/** How a goal that slept is woken. */
export const tickPrompt = (slept: Duration.Duration, reason: string): string =>
  `You slept for ${Duration.format(slept)} (${reason}). Look at what has changed, then go on.`

/** Said after the driver went away in the middle of a turn. */
export const cutOffNotice =
  "The previous turn was cut off before it ended. Its work is still in the directory: look at what is there before you go on."

/** Said with messages of the operator that were told to a turn that was cut off: whether it got them is not known. */
export const saidAgainNotice =
  "The previous turn may have got the operator's messages above: what was done about them already need not be done again."

/** Said after the operator ended a turn to give the work another direction. */
export const redirectedNotice =
  "The operator ended the previous turn. What the operator says above goes before what you were doing."

const block = (title: string, lines: ReadonlyArray<string>): string =>
  lines.length === 0 ? "" : `[${title}]\n${lines.join("\n")}\n[END ${title}]`

const failureBlock = (failures: ReadonlyArray<CriterionResult>): string =>
  failures.length === 0
    ? ""
    : `Previous attempt failed:\n${failures.map((failure, index) => `${index + 1}. ${failureText(failure)}`).join("\n")}`

const failureText = (failure: CriterionResult): string => {
  const head = `${failure.criterion}: ${failure.message}`
  return Option.match(failure.evidence, {
    onNone: () => head,
    onSome: (evidence) => (evidence.trim() === "" ? head : `${head}\n${indent(evidence.trimEnd())}`)
  })
}

const indent = (text: string): string =>
  text
    .split("\n")
    .map((line) => `   | ${line}`)
    .join("\n")

/** The agent's way to ask for a pause: a result text that is this JSON object and nothing else. */
export const parseSleepSentinel = (text: string): Option.Option<{ duration: Duration.Duration; reason: string }> => {
  const source = unfence(text.trim())
  if (!source.startsWith("{") || source.length > 10_000) return Option.none()
  let value: unknown
  try {
    value = JSON.parse(source)
  } catch {
    return Option.none()
  }
  if (typeof value !== "object" || value === null) return Option.none()
  const marked =
    ("__driver_sleep__" in value && value.__driver_sleep__ === true) ||
    ("__nexo_sleep__" in value && value.__nexo_sleep__ === true)
  if (!marked || !("duration_ms" in value)) return Option.none()
  const millis = value.duration_ms
  if (typeof millis !== "number" || !Number.isFinite(millis) || millis < 0) return Option.none()
  const reason = "reason" in value && typeof value.reason === "string" ? value.reason : "no reason given"
  return Option.some({ duration: Duration.millis(Math.min(Math.round(millis), Number.MAX_SAFE_INTEGER)), reason })
}

const unfence = (text: string): string => /^```(?:json)?\s*\n([\s\S]*?)\n```$/.exec(text)?.[1]?.trim() ?? text
