/** `driver show`: all that is known of one goal. */
import { describeCriterion } from "@driver/domain/Goal"
import { GoalDetail, Goals } from "@driver/runtime/Goals"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Host } from "../../Host.js"
import { agoText, outcomeLines, plural, usageTexts } from "../../Render.js"
import { printable, printableLines } from "../../Text.js"
import { marks, plainText, type Theme, themeOf } from "../../Theme.js"
import { stateText } from "../list.js"
import type { GoalArguments } from "./control.js"
import { named, shortId } from "./named.js"

const encode = Schema.encodeSync(GoalDetail)

export const show = ({ goal, json }: GoalArguments) =>
  Effect.gen(function* () {
    const { environment, stdout } = yield* Host
    const detail = yield* (yield* Goals).show(yield* named(goal))
    if (json) return yield* stdout.write(`${JSON.stringify(encode(detail), null, 2)}\n`)
    const now = yield* Clock.currentTimeMillis
    const lines = linesOf(detail, now, themeOf(environment, stdout.isTerminal))
    yield* stdout.write(lines.map((it) => `${it}\n`).join(""))
  })

const linesOf = (detail: GoalDetail, now: number, theme: Theme): ReadonlyArray<string> => {
  const { branch, goal, head, owner, summary, verdict, worktree } = detail
  const field = (name: string, value: string) => `  ${name.padEnd(12)}${value}`
  const maybe = (name: string, value: Option.Option<string>) =>
    Option.match(value, { onNone: () => [], onSome: (it) => [field(name, printable(it))] })
  const ago = (name: string, at: DateTime.Utc) => field(name, agoText(now, DateTime.toEpochMillis(at)))
  const [first = "", ...rest] = printableLines(goal.description).filter((it) => it !== "")
  const results = Option.match(verdict, { onNone: () => [], onSome: (it) => it.results })
  const { ellipsis, failed, ok, waiting } = marks(theme)
  return [
    `goal ${goal.id}: ${first}${rest.length > 0 ? ` ${ellipsis}` : ""}`,
    field("state", stateText(summary)),
    ...maybe("waits for", summary.waitsFor),
    field("turns", `${summary.turns} of ${summary.maxTurns}`),
    ...usageTexts(summary.usage, 0).map((it, index) => field(index === 0 ? "used" : "", it)),
    ...(summary.queued === 0 ? [] : [field("messages", `${plural(summary.queued, "message")} for the agent`)]),
    ...(summary.priority === 0 ? [] : [field("priority", String(summary.priority))]),
    ...(summary.dependsOn.length === 0 ? [] : [field("after", summary.dependsOn.map(shortId).join(", "))]),
    field("repository", printable(summary.repository)),
    ...maybe("branch", branch),
    ...maybe("worktree", worktree),
    ago("submitted", summary.submittedAt),
    ...Option.match(summary.endedAt, { onNone: () => [], onSome: (it) => [ago("ended", it)] }),
    ...maybe("driver", owner),
    field("journal", plural(head, "record")),
    ...(goal.acceptance.length === 0 ? [] : ["  criteria"]),
    ...goal.acceptance.map((criterion, index) => {
      const result = results.find((it) => it.index === index)
      const mark = result === undefined ? waiting : result.passed ? ok : failed
      const why = result === undefined || result.passed ? "" : `: ${printable(result.message)}`
      return `    ${mark} ${printable(describeCriterion(criterion))}${why}`
    }),
    ...Option.match(summary.outcome, {
      onNone: () => [],
      onSome: (it) => outcomeLines(it).map((line) => plainText(theme, { ...line, indent: line.indent + 1 }))
    })
  ]
}
