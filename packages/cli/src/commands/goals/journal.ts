/** `driver journal`: what was written of a goal, one record a line, and whether it holds together. */
import type { GoalId } from "@driver/domain/Goal"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, JournalEntry, JournalRecord } from "@driver/runtime/Journal"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { EndWith } from "../../exitCode.js"
import { findGoal } from "../../GoalNames.js"
import { Host } from "../../Host.js"
import { plural } from "../../Render.js"
import { fit, printable } from "../../Text.js"
import type { GoalArguments } from "./control.js"

export interface JournalArguments extends GoalArguments {
  /** Folds the whole journal and checks what must hold. Ends with 1 when something does not. */
  readonly verify: boolean
  /** Only records with a greater sequence number. */
  readonly after: Option.Option<number>
}

/** What does not hold, a sentence each. */
export type Verify = (goalId: GoalId, records: ReadonlyArray<JournalRecord>) => ReadonlyArray<string>

const encodeRecord = Schema.encodeSync(JournalRecord.FromJson)
const encodeEntry = Schema.encodeSync(JournalEntry)

export const journal = ({ after, goal, json, verify }: JournalArguments, check: Verify) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const { read } = yield* Journal
    const { withPrefix } = yield* GoalStore
    const goalId = yield* findGoal(goal, yield* withPrefix(goal.trim().toLowerCase()))
    if (!verify) {
      const records = yield* read(goalId, { after: Option.getOrElse(after, () => 0) })
      if (json) return yield* stdout.write(records.map((it) => `${encodeRecord(it)}\n`).join(""))
      const width = String(records.at(-1)?.sequence ?? 0).length
      yield* stdout.write(records.map((it) => `${lineOf(it, width)}\n`).join(""))
      return
    }
    const records = yield* read(goalId)
    const offences = check(goalId, records)
    const said = [
      ...offences.map(printable),
      offences.length === 0
        ? `The journal of ${goalId} holds together: ${plural(records.length, "record")}.`
        : `The journal of ${goalId} does not hold together: ${plural(offences.length, "offence")} in ${plural(records.length, "record")}.`
    ]
    yield* stdout.write(
      json
        ? `${JSON.stringify({ goal_id: goalId, records: records.length, offences }, null, 2)}\n`
        : said.map((it) => `${it}\n`).join("")
    )
    if (offences.length > 0) return yield* new EndWith({ code: 1 })
  })

/** In cells: `--json` has the whole of it. */
const longestEntry = 120

const lineOf = ({ at, entry, epoch, sequence }: JournalRecord, width: number): string => {
  const { kind, goal_id: _, ...fields } = { goal_id: "", ...encodeEntry(entry) }
  const text = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  return `${String(sequence).padStart(width)}  ${DateTime.formatIso(at)}  ${epoch}  ${kind}${text.length === 0 ? "" : `  ${fit(printable(text.join(" ")), longestEntry)}`}`
}
