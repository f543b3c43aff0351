/** `driver submit`: puts goals into the queue. A daemon begins them when it is their turn. */
import type { GoalId } from "@driver/domain/Goal"
import { GoalSummary, Goals, Submission } from "@driver/runtime/Goals"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { agentOf } from "../../agentOfGoal.js"
import { DaemonSocket } from "../../DaemonSocket.js"
import { type LoadedGoal, loadGoal } from "../../Goals.js"
import { Host } from "../../Host.js"
import { describeIssue } from "../../InputError.js"
import { requireRepository, type Settings } from "../../Settings.js"
import { fit, printable } from "../../Text.js"
import { named, shortId } from "./named.js"

export interface SubmitArguments {
  /** Goal files, at least one. */
  readonly files: ReadonlyArray<string>
  /** Higher first. */
  readonly priority: number
  /** Goals by id, or files among `files`: these must have been accepted before the others begin. */
  readonly after: ReadonlyArray<string>
  readonly account: Option.Option<string>
  readonly json: boolean
}

const encode = Schema.encodeSync(GoalSummary)

export const submit = ({ account, after, files, json, priority }: SubmitArguments, settings: Settings) =>
  Effect.gen(function* () {
    const host = yield* Host
    const path = yield* Path.Path
    const { listening, socket } = yield* DaemonSocket
    if (settings.config.workspace === "git") yield* requireRepository(settings)
    const loaded = yield* Effect.forEach(files, (file) => loadGoal(file, settings))
    for (const { file, goal, warnings } of loaded) {
      for (const warning of warnings) yield* host.stderr.write(`warning: ${printable(describeIssue(warning))}\n`)
      yield* agentOf(goal, file)
    }
    const fileOf = (name: string) => {
      const absolute = path.resolve(host.directory, name)
      return loaded.find(({ file }) => file === absolute || path.basename(file) === name)
    }
    const isFirst = ({ file }: LoadedGoal) => after.some((name) => fileOf(name)?.file === file)
    const dependencies = yield* Effect.forEach(after, (name): Effect.Effect<GoalId, EffectError, Goals> => {
      const among = fileOf(name)
      return among === undefined ? named(name) : Effect.succeed(among.goal.id)
    })
    const own = new Set(loaded.filter(isFirst).map(({ goal }) => goal.id))
    const summaries = yield* (yield* Goals).submit(
      loaded.map(
        (it) =>
          new Submission({
            goal: it.goal,
            repository: repositoryOf(it, settings, host.directory),
            config: settings.file,
            priority,
            // Those that the others wait for wait only for what was there before.
            dependsOn: isFirst(it) ? dependencies.filter((id) => !own.has(id)) : dependencies,
            account: Option.getOrElse(account, () => settings.config.account)
          })
      )
    )
    if (json) {
      return yield* host.stdout.write(
        `${JSON.stringify(
          summaries.map((it) => encode(it)),
          null,
          2
        )}\n`
      )
    }
    for (const { description, goalId, waitsFor } of summaries) {
      const waits = Option.match(waitsFor, { onNone: () => "", onSome: (it) => ` (waits for ${printable(it)})` })
      yield* host.stdout.write(`submitted ${goalId}: ${fit(printable(description), 60)}${waits}\n`)
    }
    const [first] = summaries
    yield* host.stdout.write(
      listening
        ? `driver logs -f ${first === undefined ? "<goal>" : shortId(first.goalId)} follows it; driver list shows all.\n`
        : `No daemon listens on ${socket}: the goals wait until \`driver serve\` runs, or \`driver resume\` takes them up.\n`
    )
  })

type EffectError = Effect.Effect.Error<ReturnType<typeof named>>

/** Limits per repository count by it. */
const repositoryOf = ({ goal }: LoadedGoal, settings: Settings, directory: string): string => {
  const own = goal.metadata["worktree.source_repo"]
  return typeof own === "string" && own !== "" ? own : Option.getOrElse(settings.repository, () => directory)
}
