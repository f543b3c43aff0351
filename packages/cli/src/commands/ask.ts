/**
 * `driver ask`: from a message to a verdict. It asks what has to be asked, shows what
 * would be done, has it done, and says what came of it.
 *
 * The state of it all is in the session: whatever ends this process, the next one goes
 * on with `--session`.
 */
import { Goal } from "@driver/domain/Goal"
import { DelegationStore } from "@driver/intent/DelegationStore"
import { Answer, IntentSessionId, type Question, type Scope } from "@driver/intent/Directive"
import { type HandleOptions, Intent } from "@driver/intent/Intent"
import type { IntentEvent } from "@driver/intent/IntentEvents"
import { IntentResponse, isAccepted, type Plan, type TaskResult } from "@driver/intent/IntentResponse"
import { IntentStore } from "@driver/intent/IntentStore"
import { Registry } from "@driver/intent/Registry"
import { cutText } from "@driver/intent/WorkspaceContext"
import { type Delivery, Workspace } from "@driver/runtime/Workspace"
import type * as CliPrompt from "@effect/cli/Prompt"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import type * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type { AskOptions, AskServices } from "../Cli.js"
import type { AgentKind } from "../Config.js"
import { EndWith, outcomeCode } from "../exitCode.js"
import { Host, type Output } from "../Host.js"
import { fileError } from "../InputError.js"
import type { Line } from "../Render.js"
import { phaseText, planLines, questionLines, replyLines, resultLines, runText } from "../RenderIntent.js"
import { loadSettings, requireRepository, resolvePath, type Settings } from "../Settings.js"
import { printable } from "../Text.js"
import { paint, plainText, themeOf } from "../Theme.js"
import { makeGoalsRenderer } from "./askRenderer.js"
import { findNamed, NameError } from "./mount.js"

export interface AskArguments {
  readonly message: Option.Option<string>
  readonly config: Option.Option<string>
  readonly session: Option.Option<string>
  /** `id=value` */
  readonly answers: ReadonlyArray<string>
  readonly mounts: ReadonlyArray<string>
  readonly project: Option.Option<string>
  /** Nobody is asked before something runs. */
  readonly yes: boolean
  /** Nothing runs. */
  readonly plan: boolean
  /** Where the goal file of a plan goes. */
  readonly out: Option.Option<string>
  /** Nobody answers questions: what is open is assumed. */
  readonly assume: boolean
  readonly agent: Option.Option<AgentKind>
  readonly events: Option.Option<string>
  readonly json: boolean
}

export const ask = <E extends { readonly message: string }, R>(
  args: AskArguments,
  layer: (settings: Settings, options: AskOptions) => Layer.Layer<AskServices, E, R>
) =>
  Effect.gen(function* () {
    const host = yield* Host
    const answers = yield* Effect.forEach(args.answers, parseAnswer)
    if (Option.isNone(args.message) && answers.length === 0 && Option.isNone(args.session)) {
      return yield* new NameError({ detail: "Say what you want: driver ask MESSAGE. See driver ask --help" })
    }
    if (Option.isSome(args.out) && !args.plan) {
      return yield* new NameError({ detail: "--out says where the goal file of --plan goes: give both, or neither" })
    }
    const settings = yield* loadSettings({ config: args.config, agent: args.agent, events: args.events })
    if (settings.config.workspace === "git") yield* requireRepository(settings)
    const sessionId = yield* Option.match(args.session, {
      onNone: () => Effect.map(host.uuid, (id) => IntentSessionId.make(id)),
      onSome: (text) =>
        Effect.mapError(
          Schema.decodeUnknown(SessionName)(text),
          () =>
            new NameError({
              detail: `${JSON.stringify(cutText(text, 100))} cannot be a session: letters, digits and . _ : @ + -, at most 100 of them`
            })
        )
    })
    // At once: whoever ends this by force can go on with it.
    if (Option.isNone(args.session)) yield* host.stderr.write(`session ${sessionId}\n`)
    yield* Effect.gen(function* () {
      const goals = yield* makeGoalsRenderer(args.json ? host.stderr : host.stdout)
      const program = converse(args, settings, sessionId, answers)
      const onIntentEvent = yield* makeTellPhase(host.stderr)
      yield* Effect.provide(program, layer(settings, { onEvent: goals.onEvent, onIntentEvent }))
    }).pipe(
      Effect.scoped,
      Effect.onInterrupt(() => host.stderr.write(`Stopped. To go on: driver ask --session ${sessionId}\n`))
    )
  })

/** A person can type it, and commands that are shown can be copied. */
const SessionName = IntentSessionId.pipe(Schema.pattern(/^[\p{L}\p{M}\p{N}._:@+-]{1,100}$/u))

const makeTellPhase = (output: Output) =>
  Effect.map(
    Ref.make<Option.Option<Scope>>(Option.none()),
    (scope) =>
      (event: IntentEvent): Effect.Effect<void> =>
        Effect.gen(function* () {
          if (event._tag === "RecordWritten" && event.record._tag === "Assessed") {
            const { assessment } = event.record
            yield* Ref.set(scope, assessment._tag === "Task" ? Option.some(assessment.scope) : Option.none())
          }
          const text = event._tag === "PhaseStarted" ? phaseText(event.phase, yield* Ref.get(scope)) : runText(event)
          if (text !== undefined) yield* output.write(`${printable(text)} …\n`)
        })
  )

const parseAnswer = (text: string): Effect.Effect<Answer, NameError> => {
  const at = text.indexOf("=")
  return at > 0
    ? Effect.succeed(new Answer({ question: text.slice(0, at).trim(), value: text.slice(at + 1).trim() }))
    : new NameError({ detail: `${JSON.stringify(text)} is no answer: --answer question=value` })
}

const converse = (args: AskArguments, settings: Settings, sessionId: IntentSessionId, answers: ReadonlyArray<Answer>) =>
  Effect.gen(function* () {
    const host = yield* Host
    const intent = yield* Intent
    const mayAsk = host.isInteractive && !args.json
    const options: HandleOptions = { ...(yield* hintsOf(args)), sessionId, planOnly: true, canAsk: !args.assume }
    const message = Option.getOrElse(args.message, () => "")

    let response = yield* Option.isNone(args.message) && answers.length === 0
      ? goOn(sessionId)
      : intent.handle(message, { ...options, answers })
    while (response._tag === "ClarifyResponse" && mayAsk) {
      const given = yield* promptFor(response.questions)
      response = yield* intent.handle("", { ...options, answers: given })
    }
    switch (response._tag) {
      case "Reply":
        return yield* args.json
          ? printJson(response)
          : printLines(host.stdout, replyLines(response.text, response.degradations))
      case "ClarifyResponse": {
        yield* printJson(response)
        yield* host.stderr.write(hintToAnswer(sessionId, response.questions))
        return yield* new EndWith({ code: 3 })
      }
      case "TaskResult":
        return yield* conclude(args, settings, response)
      case "Plan":
        break
    }
    const plan = response
    // Standard output belongs to the one value that was asked for.
    yield* printLines(args.json ? host.stderr : host.stdout, planLines(plan))
    if (args.plan) return yield* writePlan(args, plan)
    const goes = yield* mayRun(args, plan, mayAsk)
    if (!goes) return yield* new EndWith({ code: mayAsk ? 1 : 3 })
    const result = yield* intent.resume(sessionId)
    return result._tag === "TaskResult"
      ? yield* conclude(args, settings, result)
      : yield* Effect.dieMessage("what was planned has a result")
  })

const hintsOf = ({ mounts, project }: AskArguments) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const knownMounts = mounts.length === 0 ? [] : yield* registry.mounts
    const mountHints = yield* Effect.forEach(mounts, (name) =>
      Effect.map(findNamed("mount", knownMounts, name), ({ id }) => id)
    )
    if (Option.isNone(project)) return { mountHints }
    const found = yield* findNamed("project", yield* registry.projects, project.value)
    return { mountHints, projectHint: found.id }
  })

/**
 * Without a word: what waits in the session is gone on with. Where nothing does, its last answer is given again: open
 * questions, or a result that whoever asked has not seen, since the process died of something with its last write.
 */
const goOn = (sessionId: IntentSessionId) =>
  Effect.gen(function* () {
    const intent = yield* Intent
    const store = yield* IntentStore
    const session = yield* store.session(sessionId)
    const isActive = Option.exists(session, ({ activeIntent }) => Option.isSome(activeIntent))
    const last = isActive ? undefined : (yield* store.messages(sessionId, 1))[0]
    const records = last === undefined ? [] : yield* store.records(last.intentId)
    const answered = records.flatMap(({ record }) => (record._tag === "Finished" ? [record.response] : []))[0]
    return answered ?? (yield* intent.resume(sessionId, { planOnly: true }))
  })

const mayRun = (args: AskArguments, plan: Plan, mayAsk: boolean) =>
  Effect.gen(function* () {
    const { stderr } = yield* Host
    // What was said is what runs, and nothing had to be guessed.
    const isPlain = plan.scope === "trivial" && plan.degradations.length === 0 && plan.assumptions.length === 0
    if (args.yes || isPlain) return true
    const toGo = `driver ask --session ${plan.sessionId} --yes`
    if (!mayAsk) {
      if (args.json) yield* printJson(plan)
      yield* stderr.write(`Nothing has run yet. To run it: ${toGo}\n`)
      return false
    }
    const Prompt = yield* Effect.promise(() => import("@effect/cli/Prompt"))
    const goes = yield* orCancelled(Prompt.confirm({ message: "Run it?", initial: true }))
    if (!goes) yield* stderr.write(`Nothing has run. To run it after all: ${toGo}\n`)
    return goes
  })

const promptFor = (questions: ReadonlyArray<Question>) =>
  Effect.gen(function* () {
    const Prompt = yield* Effect.promise(() => import("@effect/cli/Prompt"))
    const answers = yield* Effect.forEach(questions, ({ id, kind, options, text }) => {
      const message = printable(text)
      const choices = options.map(({ label, value }) => ({ title: printable(label), value }))
      const values = (): Effect.Effect<ReadonlyArray<string>, Terminal.QuitException, CliPrompt.Prompt.Environment> => {
        switch (kind) {
          case "free_text":
            return Effect.map(Prompt.text({ message, validate: someText }), (it) => [it])
          case "yes_no":
            return Effect.map(Prompt.confirm({ message, initial: true }), (it) => [it ? "yes" : "no"])
          case "single_choice":
            return Effect.map(Prompt.select({ message, choices }), (it) => [it])
          case "multi_choice":
            return Prompt.multiSelect({ message, choices, min: 1 })
        }
      }
      return Effect.map(values(), (all) => all.map((value) => new Answer({ question: id, value })))
    })
    return answers.flat()
  }).pipe(orCancelled)

const someText = (text: string): Effect.Effect<string, string> =>
  text.trim() === "" ? Effect.fail("Some text is needed; Ctrl-C leaves the question open") : Effect.succeed(text)

/** Ctrl-C in a prompt is a cancel like any other. */
const orCancelled = <A, R>(prompt: Effect.Effect<A, Terminal.QuitException, R>): Effect.Effect<A, never, R> =>
  Effect.catchAll(prompt, () => Effect.interrupt)

const hintToAnswer = (sessionId: IntentSessionId, questions: ReadonlyArray<Question>): string => {
  const lines = questionLines(questions).map(({ indent, text }) => `${"  ".repeat(indent)}${text}\n`)
  const [first] = questions
  return `${lines.join("")}To answer: driver ask --session ${sessionId} --answer ${first?.id ?? "question"}=…\n`
}

const writePlan = (args: AskArguments, plan: Plan) =>
  Effect.gen(function* () {
    const host = yield* Host
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const name = Option.getOrElse(args.out, () => `goal-${plan.goal.id.slice(0, 8)}.yaml`)
    const file = resolvePath(path, host.home, host.directory, name)
    const yaml = yield* Effect.promise(() => import("../yamlWriter.js"))
    yield* Effect.mapError(fs.writeFileString(file, goalFileText(plan, yaml.stringify), { flag: "wx" }), (error) =>
      fileError(
        file,
        error._tag === "SystemError" && error.reason === "AlreadyExists"
          ? "it is there already: name another file with --out"
          : `it cannot be written: ${error.message}`
      )
    )
    if (args.json) yield* printJson(plan)
    const say = (args.json ? host.stderr : host.stdout).write
    yield* say(`Written: ${file}\nTo run it: driver run ${name}, or driver ask --session ${plan.sessionId} --yes\n`)
  })

const encodeGoal = Schema.encodeSync(Goal)

/** A goal file, with what it is made of as comments. */
export const goalFileText = (plan: Plan, stringify: (value: unknown) => string): string => {
  const comments = planLines(plan).map(({ indent, text }) => `# ${"  ".repeat(indent)}${printable(text)}\n`)
  return `${comments.join("")}\n${stringify(encodeGoal(plan.goal))}`
}

/** Delivers accepted work, and says how it all ended. */
const conclude = (args: AskArguments, settings: Settings, result: TaskResult) =>
  Effect.gen(function* () {
    const host = yield* Host
    const store = yield* DelegationStore
    const delivered = isAccepted(result) ? yield* deliver(settings, result) : Option.none()
    const { goalId } = result.result.outcome
    const ended = yield* store.results(goalId)
    const order = Option.match(yield* store.plan(goalId), {
      onNone: () => [],
      onSome: ({ subtasks }) => subtasks.map(({ id }) => id)
    })
    const parts = order.flatMap((id) => ended.find((it) => it.id === id) ?? [])
    if (args.json) yield* printJson(result)
    else yield* printLines(host.stdout, resultLines(result, parts))
    if (Option.isSome(delivered)) {
      yield* (args.json ? host.stderr : host.stdout).write(`${printable(delivered.value)}\n`)
    }
    if (isAccepted(result)) return
    const code = outcomeCode(result.result.outcome.outcome)
    // What the goal loop accepts and the review does not is not accepted.
    return yield* new EndWith({ code: code === 0 ? 1 : code })
  })

/** Work that was reviewed goes where the configuration wants it; what is in the way is said, and the branch stays. */
const deliver = (settings: Settings, { directive, env, result }: TaskResult) =>
  Effect.gen(function* () {
    if (settings.deliver.mode === "branch") return Option.none()
    const workspace = yield* Workspace
    const [path] = env.paths
    const goal = new Goal({
      id: result.outcome.goalId,
      description: directive.goal,
      metadata: path === undefined ? {} : { "worktree.source_repo": path }
    })
    const message = printable(directive.goal).slice(0, 72)
    const delivery: Delivery = settings.deliver.mode === "patch" ? settings.deliver : { ...settings.deliver, message }
    return yield* workspace.deliver(goal, delivery).pipe(
      Effect.map(({ summary }) => Option.some(summary)),
      Effect.catchAll((error) => Effect.succeed(Option.some(`Not delivered: ${error.message}`)))
    )
  })

const encodeResponse = Schema.encodeSync(Schema.parseJson(IntentResponse))

const printJson = (response: IntentResponse) =>
  Effect.flatMap(Host, ({ stdout }) => stdout.write(`${encodeResponse(response)}\n`))

const printLines = (output: Output, lines: ReadonlyArray<Line>) =>
  Effect.flatMap(Host, ({ environment }) => {
    const theme = themeOf(environment, output.isTerminal)
    return output.write(lines.map((it) => `${paint(theme, it.tone, plainText(theme, it))}\n`).join(""))
  })
