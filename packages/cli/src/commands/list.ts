/** `driver list`: the goals, how far they are, and what they wait for. */
import { GoalSummary, Goals } from "@driver/runtime/Goals"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { shortIds } from "../GoalNames.js"
import { Host } from "../Host.js"
import { agoText, usageTexts } from "../Render.js"
import { table } from "../Table.js"
import { fit, printable } from "../Text.js"

export interface ListArguments {
  /** Also those that have ended. */
  readonly all: boolean
  readonly json: boolean
}

const encode = Schema.encodeSync(GoalSummary)

/** In cells: the whole text is in `driver show`. */
const longestDescription = 48

export const list = ({ all, json }: ListArguments) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const summaries = yield* (yield* Goals).list({ all })
    if (json) {
      return yield* stdout.write(
        `${JSON.stringify(
          summaries.map((it) => encode(it)),
          null,
          2
        )}\n`
      )
    }
    if (summaries.length === 0) {
      return yield* stdout.write(
        all
          ? "There are no goals: `driver submit goal.yaml` adds one.\n"
          : "No goal waits or works (--all shows the others).\n"
      )
    }
    const now = yield* Clock.currentTimeMillis
    const short = shortIds(summaries.map(({ goalId }) => goalId))
    yield* stdout.write(
      table(
        ["GOAL", "STATE", "TURNS", "COST", "AGE", "WAITS FOR", "DESCRIPTION"],
        summaries.map((it) => [
          short.get(it.goalId) ?? it.goalId,
          stateText(it),
          `${it.turns}/${it.maxTurns}`,
          usageTexts(it.usage, 0)[1] ?? "-",
          agoText(now, DateTime.toEpochMillis(it.submittedAt)),
          Option.getOrElse(it.waitsFor, () => "-"),
          fit(printable(it.description), longestDescription)
        ])
      )
    )
  })

const phases: { readonly [phase: string]: string } = {
  Registered: "begins",
  Ready: "between turns",
  Working: "working",
  Compacting: "compacting",
  Sleeping: "sleeping"
}

/** What the goal is doing, or how it ended, in a word or two. */
export const stateText = ({ outcome, paused, phase, state }: GoalSummary): string => {
  switch (state) {
    case "queued":
      return paused ? "queued, paused" : "queued"
    case "skipped":
      return "skipped"
    case "running":
      // The turn in flight goes on when a goal is paused.
      return `${phases[phase] ?? phase.toLowerCase()}${paused ? ", paused" : ""}`
    case "ended":
      return Option.match(outcome, { onNone: () => "ended", onSome: ({ outcome }) => endings[outcome._tag] })
  }
}

const endings = {
  Done: "accepted",
  Cancelled: "cancelled",
  BudgetExhausted: "not accepted: budget",
  Escalate: "a person has to look",
  NeedsRetry: "not accepted",
  Continue: "not accepted",
  Sleep: "not accepted"
}
