/**
 * The command tree. It says what each command takes and leaves what it does to
 * `commands/`, which is loaded when the command is called: `driver --help` costs the
 * parser and nothing else. Implementations come as layers from the caller.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { DelegationStore } from "@driver/intent/DelegationStore"
import type { Intent } from "@driver/intent/Intent"
import type { IntentEvent } from "@driver/intent/IntentEvents"
import type { IntentStore } from "@driver/intent/IntentStore"
import type { Registry } from "@driver/intent/Registry"
import type { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import type { Programs } from "@driver/permission/Policy"
import type { Acceptance } from "@driver/runtime/Acceptance"
import type { BindingStore } from "@driver/runtime/BindingStore"
import type { DecisionStore } from "@driver/runtime/DecisionStore"
import type { GoalStore } from "@driver/runtime/GoalStore"
import type { Goals } from "@driver/runtime/Goals"
import type { Journal } from "@driver/runtime/Journal"
import type { Outbox } from "@driver/runtime/Outbox"
import type { Workspace } from "@driver/runtime/Workspace"
import * as Args from "@effect/cli/Args"
import type * as CliApp from "@effect/cli/CliApp"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type { ValidationError } from "@effect/cli/ValidationError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { argument, config, json } from "./CommonOptions.js"
import { goalName, makeGoalCommands } from "./commands/goalCommands.js"
import type { Verify } from "./commands/goals/journal.js"
import { makePolicy } from "./commands/policy.js"
import { makeRegistryCommands } from "./commands/registryCommands.js"
import type { DaemonSocket } from "./DaemonSocket.js"
import type { EndWith } from "./exitCode.js"
import { Host, type Output } from "./Host.js"
import type { RunGoal } from "./RunGoal.js"
import type { ServeOptions, Serving } from "./Serving.js"
import type { Settings } from "./Settings.js"
import type { SystemProbes } from "./SystemProbes.js"
import { themeOf } from "./Theme.js"
import { version } from "./version.js"

/** What the commands are made to work with. Each layer is built only when a command that needs it runs. */
export interface Composition<E extends { readonly message: string }, R> {
  /** For the commands on goals: through the daemon when one listens, on the stores alone when none does. */
  readonly operator: (settings: Settings) => Layer.Layer<Goals | DaemonSocket, E, R | Host>
  /** For `journal`, and `prune --events-of`. */
  readonly journals: (settings: Settings) => Layer.Layer<Journal | GoalStore | Outbox, E, R>
  /** For `journal --verify`. */
  readonly verify: Effect.Effect<Verify>
  /** For `serve`. */
  readonly serve: (settings: Settings, options: ServeOptions) => Layer.Layer<Serving, E, R | Host>
  /** For `sessions`, `worktrees`, `rollback` and `prune`. */
  readonly goals: (settings: Settings) => Layer.Layer<Workspace | BindingStore | GoalStore, E, R>
  /** For `policy`. */
  readonly analyzer: (programs: Programs) => Layer.Layer<CommandAnalyzer, E, R>
  /** For `policy diff`. */
  readonly decisions: (settings: Settings) => Layer.Layer<DecisionStore | BindingStore, E, R>
  /** For `lint`: criteria run on the base. */
  readonly rehearsal: (settings: Settings) => Layer.Layer<Workspace | Acceptance, E, R>
  /** For `run` and `demo`. */
  readonly run: (settings: Settings) => Layer.Layer<RunGoal, E, R>
  /** For `ask`. */
  readonly ask: (settings: Settings, options: AskOptions) => Layer.Layer<AskServices, E, R | Host>
  /** For `mount` and `project`. */
  readonly registry: (settings: Settings) => Layer.Layer<Registry, E, R>
  /** For `doctor`. */
  readonly probes: (settings: Settings) => Layer.Layer<SystemProbes, never, R>
}

/** Who is told what happens while a message is taken care of. */
export interface AskOptions {
  /** Every event of every goal that runs for it. */
  readonly onEvent: (event: StoredEvent) => Effect.Effect<void>
  readonly onIntentEvent: (event: IntentEvent) => Effect.Effect<void>
}

export type AskServices = Intent | IntentStore | Registry | DelegationStore | Workspace

const goalFile = argument("goal.yaml").pipe(Args.withDescription("The goal file, YAML or JSON"))

/**
 * Takes `process.argv` as it is: node, script, then arguments. `load` gives the
 * composition; it is called by the commands that work with one, and only then.
 */
export const makeCli = <E extends { readonly message: string }, R>(
  load: Effect.Effect<Composition<E, R>>
): ((
  argv: ReadonlyArray<string>
) => Effect.Effect<
  void,
  ValidationError | EndWith | { readonly message: string },
  R | Host | CliApp.CliApp.Environment
>) => {
  const init = Command.make(
    "init",
    { force: Options.boolean("force").pipe(Options.withDescription("Overwrite what is there")) },
    (args) =>
      Effect.flatMap(
        Effect.promise(() => import("./commands/init.js")),
        (it) => it.init(args)
      )
  ).pipe(Command.withDescription("Write driver.yaml and an example goal with criteria that fit this repository"))

  const doctor = Command.make("doctor", { config, json: json("the checks") }, (args) =>
    Effect.flatMap(Effect.all([load, Effect.promise(() => import("./commands/doctor.js"))]), ([{ probes }, it]) =>
      it.doctor(args, probes)
    )
  ).pipe(
    Command.withDescription(
      "Check the agent, git, containment, database, sockets, the daemon and where events go, and say how to mend them"
    )
  )

  const run = Command.make(
    "run",
    {
      goal: goalFile,
      config,
      json: json("one outcome on standard output, and nothing else there,"),
      events: Options.file("events").pipe(
        Options.withDescription("Write the events to this file, one line of JSON each"),
        Options.optional
      ),
      agent: Options.choice("agent", ["claude-code", "stub"]).pipe(
        Options.withAlias("a"),
        Options.withDescription(
          "The agent that works. Default: what the goal or the configuration says, else claude-code"
        ),
        Options.optional
      )
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./commands/run.js"))]), ([composition, it]) =>
        it.run(args, composition.run)
      )
  ).pipe(Command.withDescription("Drive an agent until the goal's criteria pass, or the goal ends for another reason"))

  const ask = Command.make(
    "ask",
    {
      message: Args.text({ name: "message" }).pipe(
        Args.withDescription("What you want, in your words. Without it the session goes on"),
        Args.optional
      ),
      config,
      session: Options.text("session").pipe(
        Options.withAlias("s"),
        Options.withDescription("Go on with this session. Default: a new one"),
        Options.optional
      ),
      answers: Options.text("answer").pipe(
        Options.withDescription("An answer to a question of the session, as id=value; can be given several times"),
        Options.repeated
      ),
      mounts: Options.text("mount").pipe(
        Options.withDescription(
          "A mount that it is about, the first is where work is done; can be given several times"
        ),
        Options.repeated
      ),
      project: Options.text("project").pipe(Options.withDescription("The project that it is about"), Options.optional),
      yes: Options.boolean("yes").pipe(
        Options.withAlias("y"),
        Options.withDescription("Run what was planned without asking")
      ),
      plan: Options.boolean("plan").pipe(Options.withDescription("Write the goal file, and run nothing")),
      out: Options.file("out").pipe(
        Options.withDescription("Where the goal file goes. Default: goal-ID.yaml here"),
        Options.optional
      ),
      assume: Options.boolean("assume").pipe(
        Options.withDescription("Ask no questions: what is open is assumed, and said")
      ),
      agent: Options.choice("agent", ["claude-code", "stub"]).pipe(
        Options.withAlias("a"),
        Options.withDescription("The agent that works. Default: what the configuration says, else claude-code"),
        Options.optional
      ),
      events: Options.file("events").pipe(
        Options.withDescription("Write the goals' events to this file, one line of JSON each"),
        Options.optional
      ),
      json: json("one response on standard output, and nothing else there,")
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./commands/ask.js"))]), ([composition, it]) =>
        it.ask(args, composition.ask)
      )
  ).pipe(Command.withDescription("Say what you want in your words: it is made a goal with criteria, run and reviewed"))

  const { mount, project } = makeRegistryCommands(load)
  const goals = makeGoalCommands(load)

  const demo = Command.make(
    "demo",
    {
      json: json("one outcome on standard output, and nothing else there,"),
      keep: Options.boolean("keep").pipe(Options.withDescription("Leave the sample repository to be looked at"))
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./commands/demo.js"))]), ([composition, it]) =>
        it.demo(args, composition.run)
      )
  ).pipe(Command.withDescription("See a run on a sample repository with a stand-in agent: no keys, no network"))

  const lint = Command.make(
    "lint",
    {
      goal: goalFile,
      config,
      noRun: Options.boolean("no-run").pipe(Options.withDescription("Do not run the criteria on the base")),
      strict: Options.boolean("strict").pipe(Options.withDescription("End with 1 when there are warnings")),
      json: json("what was found")
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./commands/lint.js"))]), ([{ rehearsal }, it]) =>
        it.lint(args, rehearsal)
      )
  ).pipe(
    Command.withDescription("Say what is wrong with a goal file and the configuration, and what is probably not meant")
  )

  /** The commands on what goals have left. */
  const withWorkspaces = <A, E2, R2>(
    settingsFrom: Parameters<typeof import("./Settings.js")["loadSettings"]>[0],
    body: (settings: Settings) => Effect.Effect<A, E2, R2>
  ) =>
    Effect.gen(function* () {
      const [{ goals }, it] = yield* Effect.all([load, Effect.promise(() => import("./Settings.js"))])
      const settings = yield* it.loadSettings(settingsFrom)
      if (settings.config.workspace === "git") yield* it.requireRepository(settings)
      return yield* Effect.provide(body(settings), goals(settings))
    })

  const sessions = Command.make(
    "sessions",
    {
      config,
      all: Options.boolean("all").pipe(Options.withDescription("Also those that are never resumed again")),
      json: json("the bindings")
    },
    (args) =>
      withWorkspaces({ config: args.config }, () =>
        Effect.flatMap(
          Effect.promise(() => import("./commands/sessions.js")),
          (it) => it.sessions(args)
        )
      )
  ).pipe(Command.withDescription("List the goals' agent sessions and workspaces"))

  const worktrees = Command.make("worktrees", { config, json: json("the workspaces") }, (args) =>
    withWorkspaces({ config: args.config }, () =>
      Effect.flatMap(
        Effect.promise(() => import("./commands/worktrees.js")),
        (it) => it.worktrees(args)
      )
    )
  ).pipe(Command.withDescription("List the goals' worktrees, whether their work was delivered, and their checkpoints"))

  const rollback = Command.make(
    "rollback",
    {
      goal: goalName,
      config,
      to: Options.text("to").pipe(Options.withDescription("The checkpoint's number, as `driver worktrees` shows it")),
      json: json("what was done")
    },
    (args) =>
      Effect.gen(function* () {
        const [{ goals: workspaces, operator }, it, commands, { isListening }] = yield* Effect.all([
          load,
          Effect.promise(() => import("./Settings.js")),
          Effect.promise(() => import("./commands/rollback.js")),
          Effect.promise(() => import("./isListening.js"))
        ])
        const settings = yield* it.loadSettings({ config: args.config })
        if (yield* isListening(settings.daemon.socket)) {
          if (yield* Effect.provide(commands.rollbackRemote(args), operator(settings))) return
        }
        if (settings.config.workspace === "git") yield* it.requireRepository(settings)
        yield* Effect.provide(commands.rollback(args, settings.stateDirectory), workspaces(settings))
      })
  ).pipe(Command.withDescription("Put a goal's worktree back to a checkpoint; this can be undone"))

  const prune = Command.make(
    "prune",
    {
      goals: Args.repeated(goalName),
      config,
      force: Options.boolean("force").pipe(
        Options.withDescription("Remove undelivered work as well, and goals that have not ended when they are named")
      ),
      eventsOf: Options.text("events-of").pipe(
        Options.withDescription(
          "Forget the events that wait for this one, hook:NAME or nats, and remove nothing else; can be given several times"
        ),
        Options.repeated
      ),
      json: json("what was removed and what was kept")
    },
    (args) =>
      args.eventsOf.length > 0
        ? Effect.gen(function* () {
            const [{ journals }, { loadSettings }, { forget }, { consumersOf }] = yield* Effect.all([
              load,
              Effect.promise(() => import("./Settings.js")),
              Effect.promise(() => import("./commands/prune.js")),
              Effect.promise(() => import("./compositionEvents.js"))
            ])
            const settings = yield* loadSettings({ config: args.config })
            const configured = yield* consumersOf(settings)
            yield* Effect.provide(forget({ ...args, consumers: args.eventsOf }, configured), journals(settings))
          })
        : withWorkspaces({ config: args.config }, (settings) =>
            Effect.flatMap(
              Effect.promise(() => import("./commands/prune.js")),
              (it) => it.prune(args, settings.stateDirectory)
            )
          )
  ).pipe(
    Command.withDescription("Remove worktrees, branches and checkpoints of goals that are over, or events that wait")
  )

  const schema = Command.make(
    "schema",
    {
      of: Args.choice<"goal" | "config" | "policy">(
        [
          ["goal", "goal"],
          ["config", "config"],
          ["policy", "policy"]
        ],
        { name: "of" }
      ).pipe(Args.withDescription("goal: a goal file; config: driver.yaml; policy: a policy file"))
    },
    (args) =>
      Effect.flatMap(
        Effect.promise(() => import("./commands/schema.js")),
        (it) => it.schema(args)
      )
  ).pipe(
    Command.withDescription("Print the JSON Schema of a goal file, a policy file or the configuration, for editors")
  )

  const cli = Command.make("driver").pipe(
    Command.withDescription("Drive a coding agent until a goal's acceptance criteria pass"),
    Command.withSubcommands([
      run,
      ask,
      demo,
      init,
      lint,
      doctor,
      goals.serve,
      goals.submit,
      goals.list,
      goals.show,
      goals.logs,
      goals.pause,
      goals.resume,
      goals.cancel,
      goals.wake,
      goals.steer,
      goals.budget,
      goals.approvals,
      goals.approve,
      goals.deny,
      goals.deliver,
      goals.journal,
      sessions,
      worktrees,
      rollback,
      prune,
      makePolicy(load),
      mount,
      project,
      schema
    ]),
    Command.run({ name: "driver", version, executable: "driver" })
  )
  return (argv) => onHost(cli(argv))
}

/** The parser prints help and usage errors to the console, always in colours: here to the host, in colours where they are wanted. */
const onHost = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Host> =>
  Effect.flatMap(Host, ({ environment, stderr, stdout }) =>
    Console.consoleWith((console) => {
      const print =
        (output: Output) =>
        (...args: ReadonlyArray<unknown>) => {
          const text = args.map(String).join(" ").trimEnd()
          return output.write(`${themeOf(environment, output.isTerminal).color ? text : withoutColors(text)}\n`)
        }
      return Effect.withConsole(effect, { ...console, log: print(stdout), error: print(stderr) })
    })
  )

const withoutColors = (text: string): string => text.replace(/\x1b\[[0-9;]*m/g, "")
