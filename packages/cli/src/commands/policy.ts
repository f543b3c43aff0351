/** `driver policy`: what agents may do, and why. The subcommands are loaded when they are called. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import type { Composition } from "../Cli.js"
import { argument, config, json } from "../CommonOptions.js"

const presetNames = ["strict", "default", "open"] as const

const policy = Options.file("policy").pipe(
  Options.withDescription("A policy file, instead of what the configuration says"),
  Options.optional
)

const preset = Options.choice("preset", presetNames).pipe(
  Options.withDescription("The rules that come last, instead of the preset that is configured"),
  Options.optional
)

const tool = argument("tool").pipe(Args.withDescription("The agent's name of the tool: Bash, Write, mcp__github__*"))

const input = Args.text({ name: "json" }).pipe(
  Args.withDescription('The tool\'s arguments: \'{"command": "npm test"}\'')
)

export const makePolicy = <E extends { readonly message: string }, R>(load: Effect.Effect<Composition<E, R>>) => {
  const check = Command.make(
    "check",
    {
      tool,
      input,
      config,
      policy,
      preset,
      cwd: Options.directory("cwd").pipe(
        Options.withDescription("The workspace. Default: the current directory"),
        Options.optional
      ),
      criterion: Options.text("criterion").pipe(
        Options.withDescription("A command of the goal's own criteria; can be given several times"),
        Options.repeated
      ),
      json: json("what was found")
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./policy/check.js"))]), ([{ analyzer }, it]) =>
        it.check(args, analyzer)
      )
  ).pipe(Command.withDescription("Say which rule decides about a tool call, and why"))

  const test = Command.make(
    "test",
    {
      file: argument("cases.yaml").pipe(Args.withDescription("A policy file with cases, or a file of cases alone")),
      config,
      policy,
      preset,
      json: json("the results")
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./policy/test.js"))]), ([{ analyzer }, it]) =>
        it.test(args, analyzer)
      )
  ).pipe(Command.withDescription("Run the cases of a policy file; ends with 1 when one does not hold"))

  const show = Command.make(
    "show",
    {
      name: Args.choice<(typeof presetNames)[number]>(
        presetNames.map((it) => [it, it] as const),
        { name: "preset" }
      ).pipe(Args.withDescription("A preset. Default: what is in force here"), Args.optional),
      config,
      policy,
      json: json("the policy")
    },
    (args) =>
      Effect.flatMap(
        Effect.promise(() => import("./policy/show.js")),
        (it) => it.show(args)
      )
  ).pipe(Command.withDescription("Print the policy in force, or a preset, as a policy file"))

  const diff = Command.make(
    "diff",
    {
      against: Options.text("against").pipe(
        Options.withDescription("A goal's id, or the beginning of it, or a file of events (events: jsonl)")
      ),
      config,
      policy,
      preset,
      cwd: Options.text("cwd").pipe(
        Options.withDescription("The workspace that paths of the recorded calls were in. Default: the goal's"),
        Options.optional
      ),
      exitCode: Options.boolean("exit-code").pipe(
        Options.withDescription("End with 1 when a decision would be another one")
      ),
      json: Options.boolean("json").pipe(Options.withDescription("Print one line of JSON for each, and one in the end"))
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./policy/diff.js"))]), ([composition, it]) =>
        it.diff(args, composition)
      )
  ).pipe(Command.withDescription("Decide past tool calls again, and list those that would be decided otherwise"))

  const report = Command.make(
    "report",
    {
      of: argument("of").pipe(
        Args.withDescription("A goal's id, or the beginning of it, or a file of events (events: jsonl)")
      ),
      config,
      json: json("the comparison")
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./policy/report.js"))]), ([composition, it]) =>
        it.report(args, composition)
      )
  ).pipe(Command.withDescription("Compare what the shadow decider would have decided with what was decided"))

  const classify = Command.make(
    "classify",
    {
      command: Args.text({ name: "command" }).pipe(
        Args.withDescription("A shell command. Without it: lines of JSON, { id, command }, on standard input"),
        Args.optional
      ),
      config,
      policy,
      cwd: Options.text("cwd").pipe(
        Options.withDescription("The workspace in which the commands start. Default: the current directory"),
        Options.optional
      ),
      home: Options.text("home").pipe(
        Options.withDescription("The directory that ~ stands for. Default: the user's own"),
        Options.optional
      )
    },
    (args) =>
      Effect.flatMap(Effect.all([load, Effect.promise(() => import("./policy/classify.js"))]), ([{ analyzer }, it]) =>
        it.classify(args, analyzer)
      )
  ).pipe(Command.withDescription("Say what shell commands would do, without running them: one line of JSON for each"))

  return Command.make("policy").pipe(
    Command.withDescription("Explain, test and compare what agents may do"),
    Command.withSubcommands([check, classify, test, show, diff, report])
  )
}
