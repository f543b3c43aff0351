/** `driver policy report`: what the shadow decider would have decided, beside what was decided. */
import { DecisionMade } from "@driver/domain/DriverEvent"
import { Decision } from "@driver/domain/Permission"
import { type Agreement, type Difference, makeAgreement, type Said } from "@driver/permission/Shadow"
import { BindingStore } from "@driver/runtime/BindingStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { findGoal } from "../../GoalNames.js"
import { Host } from "../../Host.js"
import { fileError } from "../../InputError.js"
import { argumentOf, plural, withoutWorkspace } from "../../Render.js"
import { loadSettings, type Settings } from "../../Settings.js"
import { table as tableOf } from "../../Table.js"
import { fit, printable } from "../../Text.js"

export interface ReportArguments {
  /** A goal, or a file of events. */
  readonly of: string
  readonly config: Option.Option<string>
  readonly json: boolean
}

interface Needed<E, R> {
  readonly decisions: (settings: Settings) => Layer.Layer<DecisionStore | BindingStore, E, R>
}

const encode = Schema.encodeSync(Decision)

export const report = <E, R>(args: ReportArguments, composition: Needed<E, R>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { directory, stdout } = yield* Host
    const file = path.resolve(directory, args.of)
    const isFile = yield* Effect.orElseSucceed(fs.exists(file), () => false)
    const settings = yield* loadSettings({ config: args.config })
    const recorded = isFile ? ofFile(fs, file) : yield* Effect.provide(ofGoal(args.of), composition.decisions(settings))
    const { add, result } = makeAgreement()
    yield* Stream.runForEach(recorded, (decision) => Effect.sync(() => add(decision)))
    const agreement = result()
    yield* stdout.write(args.json ? jsonOf(agreement) : textOf(agreement))
  })

const ofGoal = (name: string) =>
  Effect.gen(function* () {
    const bindings = yield* (yield* BindingStore).listAll
    const goalId = yield* findGoal(
      name,
      bindings.map((it) => it.goalId)
    )
    return Stream.fromIterable(yield* (yield* DecisionStore).list(goalId))
  })

const decodeLine = Schema.decodeUnknownOption(Schema.parseJson(Schema.Struct({ event: DecisionMade })))

/** Lines that are no decisions are passed over, as are lines that a crash has torn. */
const ofFile = (fs: FileSystem.FileSystem, file: string) =>
  fs.stream(file).pipe(
    Stream.mapError((error) => fileError(file, `cannot be read: ${error.message}`)),
    Stream.decodeText(),
    Stream.splitLines,
    Stream.filterMap((line) =>
      line.includes('"decision"') ? Option.map(decodeLine(line), ({ event }) => event.decision) : Option.none()
    )
  )

const said: ReadonlyArray<Said> = ["allow", "deny", "ask", "nothing"]

const observedOf = ({ table }: Agreement): number =>
  (["allow", "deny"] as const).reduce((sum, did) => sum + said.reduce((row, it) => row + table[did][it], 0), 0)

const jsonOf = (agreement: Agreement): string =>
  `${JSON.stringify(
    {
      observed: observedOf(agreement),
      table: agreement.table,
      unobserved: agreement.unobserved,
      undecided: agreement.undecided,
      differences: agreement.differences.map(({ decided, observed, said }) => ({
        said,
        decided: encode(decided),
        observed: encode(observed)
      }))
    },
    null,
    2
  )}\n`

const textOf = (agreement: Agreement): string => {
  const { differences, table, undecided, unobserved } = agreement
  const observed = observedOf(agreement)
  if (observed === 0) {
    return `No shadow has observed any of ${plural(unobserved, "decision")}: set \`permission.shadow\` in driver.yaml before a run.\n`
  }
  const agreed = table.allow.allow + table.deny.deny
  return [
    tableOf(
      ["DECIDED", "WOULD ALLOW", "WOULD DENY", "WOULD ASK", "NO ANSWER"],
      (["allow", "deny"] as const).map((did) => [did, ...said.map((it) => String(table[did][it]))])
    ),
    `\nThe shadow agrees on ${agreed} of ${plural(observed, "call")}.\n`,
    ...(unobserved > 0
      ? [`It has not seen ${plural(unobserved, "decision")}: remembered answers, or it had too much to do.\n`]
      : []),
    ...(undecided > 0 ? [`${plural(undecided, "observation")} without a decision.\n`] : []),
    ...differences.map(differenceText)
  ].join("")
}

/** Longer calls are cut: `--json` has them whole. */
const longestCall = 200

const differenceText = ({ decided, observed, said }: Difference): string => {
  const call = withoutWorkspace(decided.goalId, printable(`${decided.tool} ${argumentOf(decided.input)}`.trim()))
  const would = { allow: "would allow", deny: "would deny", ask: "would ask", nothing: "has no answer" }[said]
  return [
    `\nturn ${decided.turn}  ${decided.choice._tag === "Allow" ? "allowed" : "denied"}, the shadow ${would}  ${fit(call, longestCall)}\n`,
    `  decided  ${printable(decided.rationale)}\n`,
    `  shadow   ${printable(observed.rationale.replace(/^shadow: /, ""))}\n`
  ].join("")
}
