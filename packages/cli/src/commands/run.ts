/**
 * `driver run`: the main job. Reads the goal and the configuration, hands both to
 * `RunGoal`, shows what happens, and says how it ended.
 */
import type { Goal } from "@driver/domain/Goal"
import { GoalOutcome } from "@driver/domain/Outcome"
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { agentOf } from "../agentOfGoal.js"
import type { AgentKind } from "../Config.js"
import { EndWith, outcomeCode } from "../exitCode.js"
import { loadGoal } from "../Goals.js"
import { Host, type Output } from "../Host.js"
import { describeIssue, fileError, type InputError } from "../InputError.js"
import { outcomeLines, type Renderer } from "../Render.js"
import { type RunError, RunGoal } from "../RunGoal.js"
import { type LoadOptions, loadSettings, type Settings } from "../Settings.js"
import { printable } from "../Text.js"
import { paint, plainText, themeOf } from "../Theme.js"

export interface RunArguments {
  /** The goal file. */
  readonly goal: string
  readonly config: Option.Option<string>
  readonly events: Option.Option<string>
  readonly agent: Option.Option<AgentKind>
  readonly json: boolean
}

export const run = <E, R>(args: RunArguments, layer: (settings: Settings) => Layer.Layer<RunGoal, E, R>) =>
  Effect.gen(function* () {
    const host = yield* Host
    const options: LoadOptions = { config: args.config, agent: args.agent, events: args.events }
    const configured = yield* loadSettings(options)
    const { file, goal, warnings } = yield* loadGoal(args.goal, configured)
    for (const warning of warnings) yield* host.stderr.write(`warning: ${printable(describeIssue(warning))}\n`)
    const settings = yield* withAgentOf(goal, file, options, configured)
    yield* checkScenario(settings)
    const program = Effect.scoped(drive(goal, { json: args.json, transient: false }))
    yield* Effect.provide(program, layer(settings))
  })

/** Before a turn is spent on it. */
const checkScenario = ({ agent, file }: Settings): Effect.Effect<void, InputError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    if (agent.kind !== "stub" || Option.isNone(agent.scenario)) return
    const fs = yield* FileSystem.FileSystem
    if (yield* Effect.orElseSucceed(fs.exists(agent.scenario.value), () => false)) return
    const where = Option.getOrElse(file, () => "the configuration")
    yield* fileError(where, `agent.scenario: there is no file ${agent.scenario.value}`)
  })

/** The goal names its agent; the command line has the last word. */
const withAgentOf = (
  goal: Goal,
  file: string,
  options: LoadOptions,
  settings: Settings
): Effect.Effect<Settings, InputError, FileSystem.FileSystem | Path.Path | Host> =>
  Option.isSome(options.agent ?? Option.none())
    ? Effect.succeed(settings)
    : Effect.flatMap(agentOf(goal, file), (wanted) =>
        Option.isNone(wanted) || wanted.value === settings.agent.kind
          ? Effect.succeed(settings)
          : loadSettings({ ...options, agent: wanted })
      )

export interface DriveOptions {
  /** Standard output gets the outcome as JSON and nothing else. */
  readonly json: boolean
  /** Branch and worktree are gone when it is over: there is no use in naming them. */
  readonly transient: boolean
}

const withoutPlaces = (outcome: GoalOutcome): GoalOutcome =>
  new GoalOutcome({ ...outcome, branch: Option.none(), worktree: Option.none() })

/**
 * Runs the goal with its events on the screen and prints the outcome, also that of a
 * goal that was cancelled by interrupting this. Ends with the outcome's exit code.
 */
export const drive = (
  goal: Goal,
  { json, transient }: DriveOptions
): Effect.Effect<void, EndWith | RunError, RunGoal | Host | Scope.Scope> =>
  Effect.gen(function* () {
    const host = yield* Host
    const service = yield* RunGoal
    const noting = yield* service.notes.pipe(
      Effect.flatMap(Effect.forEach((note) => host.stderr.write(`warning: ${printable(note)}\n`))),
      Effect.forkScoped
    )
    const renderer = yield* makeRenderer(json ? host.stderr : host.stdout)
    const ended = yield* Ref.make(Option.none<GoalOutcome>())
    const report = (outcome: GoalOutcome) =>
      Effect.zipRight(renderer.finish, printOutcome(transient && !json ? withoutPlaces(outcome) : outcome, json))
    const outcome = yield* service
      .run(goal, {
        onEvent: (stored) =>
          Effect.zipRight(
            renderer.onEvent(stored),
            stored.event._tag === "GoalCompleted" ? Ref.set(ended, Option.some(stored.event.outcome)) : Effect.void
          )
      })
      .pipe(
        Effect.onInterrupt(() =>
          Effect.flatMap(Ref.get(ended), Option.match({ onNone: () => renderer.finish, onSome: report }))
        ),
        Effect.onError(() => renderer.finish)
      )
    yield* Fiber.join(noting)
    yield* Effect.uninterruptible(report(outcome))
    const code = outcomeCode(outcome.outcome)
    if (code !== 0) return yield* new EndWith({ code })
  })

/** A screen that is redrawn on a terminal, lines anywhere else. */
export const makeRenderer = (output: Output): Effect.Effect<Renderer, never, Host | Scope.Scope> =>
  Effect.gen(function* () {
    const { environment } = yield* Host
    const theme = themeOf(environment, output.isTerminal)
    if (output.isTerminal && environment["TERM"] !== "dumb") {
      const terminal = yield* Effect.promise(() => import("../RenderTerminal.js"))
      return yield* terminal.make(output, theme)
    }
    const plain = yield* Effect.promise(() => import("../RenderPlain.js"))
    return yield* plain.make(output, theme)
  })

const encodeOutcome = Schema.encodeSync(GoalOutcome.FromJson)

/** With `json` one line on standard output and nothing else; without, sentences. */
export const printOutcome = (outcome: GoalOutcome, json: boolean): Effect.Effect<void, never, Host> =>
  Effect.gen(function* () {
    const { environment, stdout } = yield* Host
    if (json) return yield* stdout.write(`${encodeOutcome(outcome)}\n`)
    const theme = themeOf(environment, stdout.isTerminal)
    const lines = outcomeLines(outcome).map((line) => `${paint(theme, line.tone, plainText(theme, line))}\n`)
    yield* stdout.write(lines.join(""))
  })
