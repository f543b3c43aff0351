/** The commands on goals: what they take. What they do is in `goals/`, loaded when they are called. */

import type { Goals } from "@driver/runtime/Goals"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Composition } from "../Cli.js"
import { argument, config, json, wholeNumber } from "../CommonOptions.js"
import type { DaemonSocket } from "../DaemonSocket.js"
import type { Settings } from "../Settings.js"

/** A goal's id or the beginning of it. */
export const goalName = argument("goal").pipe(Args.withDescription("A goal's id, or the beginning of it"))

const after = wholeNumber("after", 0).pipe(
  Options.withDescription("Only those with a greater sequence number"),
  Options.optional
)

const done = json("what was done")

export const makeGoalCommands = <E extends { readonly message: string }, R>(load: Effect.Effect<Composition<E, R>>) => {
  /** Through the daemon when one listens, else on the stores alone. */
  const withGoals = <M, A, E2, R2>(
    file: Option.Option<string>,
    module: () => Promise<M>,
    body: (it: M, settings: Settings, composition: Composition<E, R>) => Effect.Effect<A, E2, R2 | Goals | DaemonSocket>
  ) =>
    Effect.gen(function* () {
      const [composition, it, commands] = yield* Effect.all([
        load,
        Effect.promise(() => import("../Settings.js")),
        Effect.promise(module)
      ])
      const settings = yield* it.loadSettings({ config: file })
      return yield* Effect.provide(body(commands, settings, composition), composition.operator(settings))
    })

  const control = () => import("./goals/control.js")

  const submit = Command.make(
    "submit",
    {
      files: Args.atLeast(argument("goal.yaml"), 1).pipe(
        Args.withDescription("Goal files. They are taken all, or none is")
      ),
      config,
      priority: Options.integer("priority").pipe(
        Options.withAlias("p"),
        Options.withDescription("Higher ones begin first. Default: 0"),
        Options.withDefault(0)
      ),
      after: Options.text("after").pipe(
        Options.withDescription(
          "A goal, or one of these files, that must have been accepted before; can be given several times"
        ),
        Options.repeated
      ),
      account: Options.text("account").pipe(
        Options.withDescription("Whose usage limits they share. Default: what the configuration says"),
        Options.optional
      ),
      json: json("the goals")
    },
    (args) =>
      withGoals(
        args.config,
        () => import("./goals/submit.js"),
        (it, settings) => it.submit(args, settings)
      )
  ).pipe(Command.withDescription("Put goals into the queue: `driver serve` works on them when it is their turn"))

  const list = Command.make(
    "list",
    {
      config,
      all: Options.boolean("all").pipe(Options.withAlias("a"), Options.withDescription("Also those that have ended")),
      json: json("the goals")
    },
    (args) =>
      withGoals(
        args.config,
        () => import("./list.js"),
        (it) => it.list(args)
      )
  ).pipe(Command.withDescription("List the goals: how far they are, and what they wait for"))

  const show = Command.make("show", { goal: goalName, config, json: json("the goal") }, (args) =>
    withGoals(
      args.config,
      () => import("./goals/show.js"),
      (it) => it.show(args)
    )
  ).pipe(Command.withDescription("Show all that is known of a goal"))

  const logs = Command.make(
    "logs",
    {
      goal: goalName,
      config,
      follow: Options.boolean("follow").pipe(
        Options.withAlias("f"),
        Options.withDescription("Go on until the goal has ended")
      ),
      after,
      json: json("the events, one a line,")
    },
    (args) =>
      withGoals(
        args.config,
        () => import("./goals/logs.js"),
        (it) => it.logs(args)
      )
  ).pipe(Command.withDescription("Print what happened to a goal"))

  const pause = Command.make("pause", { goal: goalName, config, json: done }, (args) =>
    withGoals(args.config, control, (it) => it.pause(args))
  ).pipe(Command.withDescription("Hold a goal before its next turn; the one in flight goes on"))

  const resume = Command.make(
    "resume",
    {
      goals: Args.repeated(goalName),
      config,
      all: Options.boolean("all").pipe(
        Options.withAlias("a"),
        Options.withDescription("Every goal that has not ended")
      ),
      json: json("what was done, or each outcome,")
    },
    (args) =>
      withGoals(
        args.config,
        () => import("./goals/resume.js"),
        (it, settings, composition) => it.resume(args, settings, composition)
      )
  ).pipe(
    Command.withDescription(
      "Let paused goals go on; without a daemon, go on here with goals that a driver left, until they end"
    )
  )

  const cancel = Command.make("cancel", { goal: goalName, config, json: done }, (args) =>
    withGoals(args.config, control, (it) => it.cancel(args))
  ).pipe(Command.withDescription("End a goal; its worktree and branch stay"))

  const wake = Command.make("wake", { goal: goalName, config, json: done }, (args) =>
    withGoals(args.config, control, (it) => it.wake(args))
  ).pipe(Command.withDescription("End a goal's sleep early"))

  const steer = Command.make(
    "steer",
    {
      goal: goalName,
      message: Args.text({ name: "message" }).pipe(Args.withDescription("What the agent is told")),
      config,
      now: Options.boolean("now").pipe(
        Options.withDescription("In the running turn, where the agent can take it. Default: with the next prompt")
      ),
      redirect: Options.boolean("redirect").pipe(
        Options.withDescription("End the running turn, and begin the next one with the message")
      ),
      json: done
    },
    (args) => withGoals(args.config, control, (it) => it.steer(args))
  ).pipe(Command.withDescription("Tell a goal's agent something"))

  const budget = Command.make(
    "budget",
    {
      goal: goalName,
      config,
      maxTurns: wholeNumber("max-turns", 1).pipe(
        Options.withDescription("The limit on turns, from 1; it is never lowered")
      ),
      json: done
    },
    (args) => withGoals(args.config, control, (it) => it.budget(args))
  ).pipe(Command.withDescription("Raise a goal's limit on turns"))

  const deliver = Command.make("deliver", { goal: goalName, config, json: done }, (args) =>
    withGoals(args.config, control, (it) => it.deliver(args))
  ).pipe(Command.withDescription("Hand over the work of a goal that has ended, as its configuration says"))

  const questions = () => import("./approvals.js")

  const approvalId = argument("id").pipe(Args.withDescription("The question's id, or the beginning of it"))

  const approvals = Command.make(
    "approvals",
    {
      config,
      watch: Options.boolean("watch").pipe(Options.withDescription("Go on, and print each question as it comes")),
      json: json("the questions")
    },
    (args) => withGoals(args.config, questions, (it) => it.approvals(args))
  ).pipe(Command.withDescription("List the tool calls that wait for a person's approval"))

  const approve = Command.make(
    "approve",
    {
      id: approvalId,
      config,
      session: Options.boolean("session").pipe(
        Options.withDescription("Also the same call for the rest of the agent's session")
      ),
      json: json("what was done")
    },
    (args) => withGoals(args.config, questions, (it) => it.approve(args))
  ).pipe(Command.withDescription("Allow a tool call that waits for approval"))

  const deny = Command.make(
    "deny",
    {
      id: approvalId,
      config,
      message: Options.text("message").pipe(
        Options.withAlias("m"),
        Options.withDescription("What the agent is told: what to do instead"),
        Options.optional
      ),
      json: json("what was done")
    },
    (args) => withGoals(args.config, questions, (it) => it.deny(args))
  ).pipe(Command.withDescription("Deny a tool call that waits for approval, and say what to do instead"))

  const journal = Command.make(
    "journal",
    {
      goal: goalName,
      config,
      verify: Options.boolean("verify").pipe(
        Options.withDescription("Fold all of it and check what must hold; ends with 1 when something does not")
      ),
      after,
      json: json("the records, one a line, or what was found,")
    },
    (args) =>
      Effect.gen(function* () {
        const [{ journals, verify }, it, commands] = yield* Effect.all([
          load,
          Effect.promise(() => import("../Settings.js")),
          Effect.promise(() => import("./goals/journal.js"))
        ])
        const settings = yield* it.loadSettings({ config: args.config })
        return yield* Effect.provide(commands.journal(args, yield* verify), journals(settings))
      })
  ).pipe(Command.withDescription("Show the records that a goal's state is made of"))

  const serve = Command.make(
    "serve",
    {
      config,
      socket: Options.text("socket").pipe(
        Options.withDescription("The socket to listen on. Default: what the configuration says"),
        Options.optional
      ),
      listen: Options.text("listen").pipe(
        Options.withDescription("An address of the loopback to listen on as well: 127.0.0.1:7717"),
        Options.optional
      ),
      tokenFile: Options.text("token-file").pipe(
        Options.withDescription("The file with the token that clients show there. Made when absent"),
        Options.optional
      ),
      maxConcurrent: wholeNumber("max-concurrent", 1).pipe(
        Options.withDescription("How many goals work at the same time. Default: what the configuration says"),
        Options.optional
      ),
      perRepository: wholeNumber("per-repository", 0).pipe(
        Options.withDescription("How many of them on one repository, 0 for any. Default: what the configuration says"),
        Options.optional
      )
    },
    (args) =>
      Effect.gen(function* () {
        const [composition, it, commands] = yield* Effect.all([
          load,
          Effect.promise(() => import("../Settings.js")),
          Effect.promise(() => import("./goals/serve.js"))
        ])
        const settings = yield* it.loadSettings({ config: args.config })
        return yield* commands.serve(args, settings, composition.serve)
      })
  ).pipe(Command.withDescription("Work on the goals of the queue, and answer the commands, until it is stopped"))

  return {
    submit,
    list,
    show,
    logs,
    pause,
    resume,
    cancel,
    wake,
    steer,
    budget,
    deliver,
    approvals,
    approve,
    deny,
    journal,
    serve
  }
}
