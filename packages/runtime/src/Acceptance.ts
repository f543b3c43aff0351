/**
 * Decides whether a goal has been reached, by running its acceptance criteria
 * against the workspace. The agent's word counts for nothing here.
 *
 * A criterion that fails is a result; an evaluator that cannot evaluate is an
 * `AcceptanceError`. Commands may change the workspace, as tests do that write
 * files, and run in the sandbox. So that a verdict does not hang on who is faster, criteria run in three
 * groups, each of them concurrently: first those that look at what the agent left
 * (`Custom`, `LlmJudge`), then the commands, then the files, which a command may have made.
 */
import { Sandbox } from "@driver/agent/Sandbox"
import * as Subprocess from "@driver/agent/Subprocess"
import {
  type AcceptanceCriterion,
  type Custom,
  describeCriterion,
  type FileMatches,
  type Goal,
  type LlmJudge,
  type Shell
} from "@driver/domain/Goal"
import { redact } from "@driver/domain/Redaction"
import { content, SpanAttribute, SpanContentAttribute, SpanName } from "@driver/domain/Spans"
import { nearest } from "@driver/domain/StrictDecode"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ParentSpan } from "effect/Tracer"
import { type BoundedRegex, compile } from "./BoundedRegex.js"
import { CriterionRegistry } from "./CriterionRegistry.js"
import { cutHead, ofOutput, plain } from "./Evidence.js"
import { makeByteTail } from "./internal/byteTail.js"
import { Judge } from "./Judge.js"
import { Workspace, type WorkspaceInfo } from "./Workspace.js"

/** The criteria could not be evaluated: no shell, no workspace, an invalid pattern. Says nothing about the work. */
export class AcceptanceError extends Schema.TaggedError<AcceptanceError>()("AcceptanceError", {
  /** Position of the criterion, from 0. */
  index: Schema.NonNegativeInt,
  criterion: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `Acceptance criterion ${this.index + 1} (${this.criterion}) could not be evaluated: ${this.detail}`
  }
}

export interface AcceptanceSettings {
  /** The complete environment of commands: nothing is inherited. It holds no keys, since the agent decides what its tests print. */
  readonly env: { readonly [name: string]: string }
  /** Values that may appear in no evidence. */
  readonly secrets: ReadonlyArray<Redacted.Redacted<string>>
  /** Criteria of one group that run at a time. 1: in the order of the goal. Default 4: most of them wait for a process. */
  readonly concurrency: number
  /** For criteria without a timeout of their own. A command that takes longer has failed. Default 300 s. */
  readonly timeout: Duration.Duration
  /** From SIGTERM to SIGKILL for a command that took too long. Default 2 s. */
  readonly killAfter: Duration.Duration
  /** Bytes of evidence per criterion. Default 4 KiB: three failures fit into a prompt. */
  readonly evidenceBytes: number
  /** Bytes at the end of standard output in which `stdoutMustMatch` is looked for. Default 1 MiB. */
  readonly searchedBytes: number
  /** Bytes of a file that `FileMatches` reads; a longer one fails. Default 4 MiB: more is no text that somebody wrote. */
  readonly fileBytes: number
  /** Bytes of the diff that a judge is shown. Default 64 KiB. */
  readonly diffBytes: number
}

export const defaults: Omit<AcceptanceSettings, "env"> = {
  secrets: [],
  concurrency: 4,
  timeout: Duration.seconds(300),
  killAfter: Duration.seconds(2),
  evidenceBytes: 4 * 1024,
  searchedBytes: 1024 * 1024,
  fileBytes: 4 * 1024 * 1024,
  diffBytes: 64 * 1024
}

/** `true`: every criterion passes; a text: the first one fails with it; an error: they cannot be evaluated. */
export type ScriptedVerdict = true | string | AcceptanceError

export interface EvaluateOptions {
  /** Called as each criterion ends, one call at a time. */
  readonly onResult?: (result: CriterionResult) => Effect.Effect<void>
}

export class Acceptance extends Context.Tag("@driver/runtime/Acceptance")<
  Acceptance,
  {
    /**
     * Runs all criteria, some at a time; the verdict has them in the order of the
     * goal. Without criteria it is met. Interrupting it leaves no process behind.
     */
    readonly evaluate: (
      goal: Goal,
      workspace: WorkspaceInfo,
      options?: EvaluateOptions
    ) => Effect.Effect<AcceptanceVerdict, AcceptanceError>
  }
>() {
  static readonly layer = (
    settings: Partial<AcceptanceSettings> & Pick<AcceptanceSettings, "env">
  ): Layer.Layer<
    Acceptance,
    never,
    CriterionRegistry | FileSystem.FileSystem | Judge | Path.Path | Sandbox | Subprocess.Containment | Workspace
  > =>
    Layer.effect(
      Acceptance,
      Effect.map(Effect.context<Evaluators>(), (built) => {
        // A span that was open when this was built has nothing to do with the goals.
        const context = Context.omit(ParentSpan)(built)
        const all: AcceptanceSettings = { ...defaults, ...settings }
        return {
          evaluate: Effect.fn("Acceptance.evaluate")(
            (goal: Goal, workspace: WorkspaceInfo, options?: EvaluateOptions) =>
              Effect.provide(evaluate(goal, workspace, all, options?.onResult ?? (() => Effect.void)), context)
          )
        }
      })
    )

  /** Answers in turn; when the script has run out, everything passes. */
  static readonly layerScripted = (verdicts: ReadonlyArray<ScriptedVerdict>): Layer.Layer<Acceptance> =>
    Layer.effect(
      Acceptance,
      Effect.map(Ref.make(verdicts), (rest) => ({
        evaluate: (goal, _, options) =>
          Effect.gen(function* () {
            const next = yield* Ref.modify(rest, (all) => [all[0] ?? true, all.slice(1)] as const)
            if (next instanceof AcceptanceError) return yield* next
            const results = goal.acceptance.map((criterion, index) => {
              const passed = next === true || index > 0
              return new CriterionResult({
                index,
                criterion: describeCriterion(criterion),
                passed,
                message: passed ? "passed" : String(next),
                evidence: Option.none(),
                elapsed: Duration.zero
              })
            })
            yield* Effect.forEach(results, (result) => options?.onResult?.(result) ?? Effect.void, { discard: true })
            return yield* verdictOf(results, Duration.zero)
          })
      }))
    )
}

type Evaluators =
  | CriterionRegistry
  | FileSystem.FileSystem
  | Judge
  | Path.Path
  | Sandbox
  | Subprocess.Containment
  | Workspace

/** What one criterion says, before it is put into a `CriterionResult`. */
interface Finding {
  readonly passed: boolean
  /** The same finding gives the same sentence, so that repetition is noticed: no times in it. A judge's is the model's own. */
  readonly message: string
  readonly evidence?: string
}

/** One criterion, ready to run. */
interface Task {
  readonly index: number
  readonly criterion: AcceptanceCriterion
  readonly pattern: Option.Option<BoundedRegex>
}

const evaluate = (
  goal: Goal,
  workspace: WorkspaceInfo,
  settings: AcceptanceSettings,
  onResult: (result: CriterionResult) => Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const started = yield* Clock.currentTimeMillis
    // A goal that nobody can pass is told before its first command has run for minutes.
    const tasks = yield* Effect.forEach(goal.acceptance, prepare)
    const [first] = tasks
    if (first !== undefined) yield* requireWorkspace(workspace, failing(first))
    const telling = yield* Effect.makeSemaphore(1)
    const results: Array<CriterionResult> = []
    for (const group of groupsOf(tasks)) {
      const ended = yield* Effect.forEach(
        group,
        (task) =>
          findingOf(task, goal, workspace, settings).pipe(
            Effect.timed,
            Effect.map(([elapsed, finding]) => resultOf(task, finding, elapsed, settings)),
            (it) => inSpan(task, goal, it),
            Effect.tap((result) => telling.withPermits(1)(onResult(result)))
          ),
        { concurrency: settings.concurrency }
      )
      results.push(...ended)
    }
    const elapsed = Duration.millis(Math.max(0, (yield* Clock.currentTimeMillis) - started))
    return yield* verdictOf(
      results.sort((a, b) => a.index - b.index),
      elapsed
    )
  })

const verdictOf = (results: ReadonlyArray<CriterionResult>, elapsed: Duration.Duration) =>
  Effect.map(
    DateTime.now,
    (evaluatedAt) =>
      new AcceptanceVerdict({ met: results.every((result) => result.passed), results, evaluatedAt, elapsed })
  )

const groupOf = { Custom: 0, LlmJudge: 0, Shell: 1, FileMatches: 2 } as const

const groupsOf = (tasks: ReadonlyArray<Task>): ReadonlyArray<ReadonlyArray<Task>> =>
  [0, 1, 2].map((group) => tasks.filter((task) => groupOf[task.criterion._tag] === group))

const failing =
  ({ criterion, index }: Pick<Task, "criterion" | "index">) =>
  (detail: string) =>
    new AcceptanceError({ index, criterion: describeCriterion(criterion), detail })

const prepare = (criterion: AcceptanceCriterion, index: number): Effect.Effect<Task, AcceptanceError> =>
  Option.match(patternOf(criterion), {
    onNone: () => Effect.succeed({ index, criterion, pattern: Option.none() }),
    onSome: (pattern) =>
      compile(pattern).pipe(
        Effect.mapBoth({
          onFailure: (error) => failing({ criterion, index })(error.message),
          onSuccess: (regex) => ({ index, criterion, pattern: Option.some(regex) })
        })
      )
  })

const patternOf = (criterion: AcceptanceCriterion): Option.Option<string> => {
  switch (criterion._tag) {
    case "Shell":
      return criterion.stdoutMustMatch
    case "FileMatches":
      return Option.some(criterion.regex)
    default:
      return Option.none()
  }
}

const requireWorkspace = (workspace: WorkspaceInfo, fail: (detail: string) => AcceptanceError) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const info = yield* Effect.option(fs.stat(workspace.path))
    if (!Option.exists(info, (it) => it.type === "Directory")) {
      return yield* fail(`the workspace ${workspace.path} is not there`)
    }
  })

const findingOf = (
  task: Task,
  goal: Goal,
  workspace: WorkspaceInfo,
  settings: AcceptanceSettings
): Effect.Effect<Finding, AcceptanceError, Evaluators> => {
  const fail = failing(task)
  switch (task.criterion._tag) {
    case "Shell":
      return ofShell(task.criterion, task.pattern, workspace, settings, fail)
    case "FileMatches":
      return ofFile(task.criterion, task.pattern, workspace, settings, fail)
    case "Custom":
      return answered(ofCustom(task.criterion, goal, workspace, fail), settings, fail)
    case "LlmJudge":
      return answered(ofJudge(task.criterion, goal, settings, fail), settings, fail)
  }
}

const kinds = { Custom: "custom", FileMatches: "file_matches", LlmJudge: "llm_judge", Shell: "shell" } as const

const inSpan = <E, R>(
  { criterion, index }: Task,
  goal: Goal,
  evaluation: Effect.Effect<CriterionResult, E, R>
): Effect.Effect<CriterionResult, E, R> =>
  Effect.useSpan(
    SpanName.criterion,
    {
      captureStackTrace: false,
      attributes: {
        [SpanAttribute.goalId]: goal.id,
        [SpanAttribute.criterionIndex]: index,
        [SpanAttribute.criterionKind]: kinds[criterion._tag],
        [SpanContentAttribute.criterion]: content(() => describeCriterion(criterion))
      }
    },
    (span) =>
      Effect.tap(Effect.withParentSpan(evaluation, span), (result) =>
        Effect.sync(() => {
          span.attribute(SpanAttribute.criterionPassed, result.passed)
          span.attribute(
            SpanAttribute.criterionEvidence,
            Option.match(result.evidence, { onNone: () => 0, onSome: (text) => text.length })
          )
          span.attribute(
            SpanContentAttribute.criterionMessage,
            content(() => result.message)
          )
        })
      )
  )

const resultOf = (
  { criterion, index }: Task,
  { evidence, message, passed }: Finding,
  elapsed: Duration.Duration,
  { secrets }: AcceptanceSettings
): CriterionResult =>
  new CriterionResult({
    index,
    criterion: redact(describeCriterion(criterion), secrets),
    passed,
    message: cutHead(redact(message, secrets), 1_000),
    evidence: Option.filter(Option.fromNullable(evidence), (text) => text !== ""),
    elapsed
  })

/** Others' code: it has a time limit, and what it throws is its trouble and not the goal's. */
const answered = <R>(
  answer: Effect.Effect<Finding, AcceptanceError, R>,
  settings: AcceptanceSettings,
  fail: (detail: string) => AcceptanceError
): Effect.Effect<Finding, AcceptanceError, R> =>
  answer.pipe(
    Effect.catchAllDefect((defect) =>
      Effect.fail(fail(`it broke: ${Cause.pretty(Cause.die(defect)).split("\n", 1)[0]}`))
    ),
    Effect.timeoutFail({
      duration: settings.timeout,
      onTimeout: () => fail(`it did not answer within ${Duration.format(settings.timeout)}`)
    }),
    Effect.map(({ evidence, ...finding }) =>
      evidence === undefined
        ? finding
        : { ...finding, evidence: cutHead(redact(plain(evidence), settings.secrets), settings.evidenceBytes) }
    )
  )

// --- commands --------------------------------------------------------------------------------------------------------

const ofShell = (
  criterion: Shell,
  pattern: Option.Option<BoundedRegex>,
  workspace: WorkspaceInfo,
  settings: AcceptanceSettings,
  fail: (detail: string) => AcceptanceError
): Effect.Effect<Finding, AcceptanceError, Sandbox | Subprocess.Containment> =>
  Effect.gen(function* () {
    const timeout = Option.getOrElse(criterion.timeout, () => settings.timeout)
    const process = yield* startShell(criterion.command, workspace, settings, fail)
    const tail = makeByteTail(settings.searchedBytes)
    const reader = yield* process.stdout.pipe(
      Stream.runForEach((bytes) => Effect.sync(() => tail.add(bytes))),
      Effect.forkScoped
    )
    // The end of the output comes after the exit; whoever holds the pipe longer than a moment is not waited for.
    const exit = yield* Effect.zipRight(Fiber.join(reader), process.exit).pipe(
      Effect.timeoutOption(timeout),
      Effect.mapError((error) => fail(`its output could not be read: ${error.message}`))
    )
    const stdout = new TextDecoder().decode(tail.bytes())
    const stderr = yield* process.stderrTail
    const evidence = ofOutput(
      {
        stdout: { text: stdout, truncated: tail.truncated() },
        stderr: { text: stderr, truncated: stderr.length >= stderrKept }
      },
      settings.evidenceBytes,
      settings.secrets
    )
    const problem = Option.match(exit, {
      onNone: () => Option.some(`did not end within ${Duration.format(timeout)} and was killed`),
      onSome: (it) =>
        Option.orElse(problemOfExit(it, criterion.expectedExit), () =>
          problemOfOutput(stdout, tail.truncated(), pattern, settings)
        )
    })
    return Option.match(problem, {
      onNone: () => ({ passed: true, message: `exited with ${criterion.expectedExit}` }),
      onSome: (message) => ({ passed: false, message, evidence })
    })
  }).pipe(Effect.scoped)

/** From this length on, in UTF-16 units, `Subprocess` may have dropped the beginning of standard error: it keeps 16 KiB. */
const stderrKept = 4 * 1024

/** `bash`, or `/bin/sh` where there is none, in the sandbox. */
const startShell = (
  command: string,
  workspace: WorkspaceInfo,
  settings: AcceptanceSettings,
  fail: (detail: string) => AcceptanceError
) => {
  const { env, killAfter } = settings
  const { goalId, path: cwd } = workspace
  const start = (shell: string) =>
    Effect.flatMap(Sandbox, ({ wrap }) => wrap({ argv: [shell, "-c", command], env, workspace: cwd, goalId })).pipe(
      Effect.flatMap((confined) => Subprocess.start({ ...confined, cwd, killAfter, owner: goalId }))
    )
  return start("bash").pipe(
    Effect.catchIf(
      (error) => error.reason === "not_found",
      () => start("/bin/sh")
    ),
    Effect.mapError((error) => fail(error.message))
  )
}

const problemOfExit = (exit: Subprocess.SubprocessExit, expected: number): Option.Option<string> => {
  if (exit._tag === "Signaled") return Option.some(`was ended by ${exit.signal}, expected exit code ${expected}`)
  return exit.code === expected ? Option.none() : Option.some(`exited with ${exit.code}, expected ${expected}`)
}

const problemOfOutput = (
  stdout: string,
  truncated: boolean,
  pattern: Option.Option<BoundedRegex>,
  settings: AcceptanceSettings
): Option.Option<string> =>
  Option.flatMap(pattern, (regex) => {
    const where = truncated ? ` in the last ${bytes(settings.searchedBytes)} of it` : ""
    switch (regex.search(stdout)) {
      case "match":
        return Option.none()
      case "too_costly":
        return Option.some(`printed too much to look for /${regex.pattern}/ in it: print less, or simplify the pattern`)
      case "no_match":
        return Option.some(`standard output has no match of /${regex.pattern}/${where}${hintOn(regex, stdout)}`)
    }
  })

/** The end of the text is after the last line break: what people write for "the last line" often misses that. */
const hintOn = (regex: BoundedRegex, text: string): string =>
  regex.pattern.endsWith("$") && text.endsWith("\n") && regex.search(text.slice(0, -1)) === "match"
    ? ": $ is the end of the text, after its last line break; begin with (?m) for the end of a line"
    : ""

// --- files -----------------------------------------------------------------------------------------------------------

const ofFile = (
  criterion: FileMatches,
  pattern: Option.Option<BoundedRegex>,
  workspace: WorkspaceInfo,
  settings: AcceptanceSettings,
  fail: (detail: string) => AcceptanceError
): Effect.Effect<Finding, AcceptanceError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const read = yield* readInside(criterion.path, workspace, settings, fail)
    switch (read._tag) {
      case "Refused":
        return { passed: false, message: read.message }
      case "Missing":
        return criterion.required
          ? { passed: false, message: `${criterion.path} does not exist` }
          : { passed: true, message: `${criterion.path} does not exist, and need not` }
      case "Text":
        return Option.match(pattern, {
          onNone: () => ({ passed: true, message: "exists" }),
          onSome: (regex) => {
            switch (regex.search(read.text)) {
              case "match":
                return { passed: true, message: `${criterion.path} has a match` }
              case "too_costly":
                return { passed: false, message: `${criterion.path} is too long to look for /${regex.pattern}/ in it` }
              case "no_match":
                return {
                  passed: false,
                  message: `${criterion.path} has no match of /${regex.pattern}/${hintOn(regex, read.text)}`
                }
            }
          }
        })
    }
  })

type FileRead =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Missing" }
  /** About the work: it made the path something that is not read. */
  | { readonly _tag: "Refused"; readonly message: string }

const refused = (message: string): FileRead => ({ _tag: "Refused", message })

/** Reads a file whose real path lies in the workspace. What it links to decides, not what it is called. */
const readInside = (
  name: string,
  workspace: WorkspaceInfo,
  settings: AcceptanceSettings,
  fail: (detail: string) => AcceptanceError
): Effect.Effect<FileRead, AcceptanceError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = yield* Effect.mapError(fs.realPath(workspace.path), (error) => fail(error.message))
    const isInside = (target: string) =>
      target === root || target.startsWith(root.endsWith(path.sep) ? root : root + path.sep)
    const named = path.resolve(root, name)
    if (!isInside(named)) return refused(`${name} lies outside of the workspace`)
    return yield* Effect.gen(function* () {
      const real = yield* fs.realPath(named)
      if (!isInside(real)) return refused(`${name} leads out of the workspace, by a symbolic link`)
      const info = yield* fs.stat(real)
      if (info.type === "Directory") return refused(`${name} is a directory`)
      // A pipe or a device would be read for ever.
      if (info.type !== "File") return refused(`${name} is no regular file`)
      const content = yield* readUpTo(fs, real, settings.fileBytes + 1)
      return content.length > settings.fileBytes
        ? refused(`${name} is larger than ${bytes(settings.fileBytes)}, and is not searched`)
        : ({ _tag: "Text", text: new TextDecoder().decode(content) } satisfies FileRead)
    }).pipe(
      Effect.catchAll((error) =>
        Option.match(trouble(error), {
          onNone: () => Effect.fail(fail(error.message)),
          onSome: (what) =>
            Effect.succeed<FileRead>(what === "missing" ? { _tag: "Missing" } : refused(`${name} ${what}`))
        })
      )
    )
  })

/** Never more than `limit` bytes, also of a file that grows meanwhile. */
const readUpTo = (fs: FileSystem.FileSystem, file: string, limit: number) =>
  Effect.map(Stream.runCollect(fs.stream(file, { bytesToRead: limit })), (chunks) => {
    const parts = Arr.fromIterable(chunks)
    const content = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
    let offset = 0
    for (const part of parts) {
      content.set(part, offset)
      offset += part.length
    }
    return content
  })

/** Errors that say something about the work. None: about the machine. */
const trouble = (error: PlatformError.PlatformError): Option.Option<string> => {
  if (error._tag === "BadArgument") return Option.some("is no name that a file can have")
  switch (error.reason) {
    case "NotFound":
      return Option.some("missing")
    case "PermissionDenied":
      return Option.some("may not be read: its permissions forbid it")
    case "BadResource":
      if (error.message.includes("ELOOP")) return Option.some("is a circle of symbolic links")
      // A file stands where a directory would have to.
      return Option.some(error.message.includes("ENOTDIR") ? "missing" : "is no file that can be read")
    default:
      return error.message.includes("ENAMETOOLONG") ? Option.some("missing") : Option.none()
  }
}

// --- registered criteria and judges ----------------------------------------------------------------------------------

const ofCustom = (
  criterion: Custom,
  goal: Goal,
  workspace: WorkspaceInfo,
  fail: (detail: string) => AcceptanceError
): Effect.Effect<Finding, AcceptanceError, CriterionRegistry> =>
  Effect.gen(function* () {
    const registry = yield* CriterionRegistry
    const found = registry.find(criterion.name)
    if (Option.isNone(found)) {
      const meant = Option.match(nearest(criterion.name, registry.names), {
        onNone: () => "",
        onSome: (name) => `; did you mean ${name}?`
      })
      const known = registry.names.length === 0 ? "none is" : `registered are ${registry.names.join(", ")}`
      return { passed: false, message: `no criterion is registered as ${criterion.name}: ${known}${meant}` }
    }
    const answer = yield* found
      .value({ args: criterion.args, goal, workspace })
      .pipe(Effect.mapError((error) => fail(error.detail)))
    const { evidence, message, passed } = answer
    return { passed, message, ...(Option.isSome(evidence) ? { evidence: evidence.value } : {}) }
  })

const ofJudge = (
  { criterion }: LlmJudge,
  goal: Goal,
  { diffBytes, secrets }: AcceptanceSettings,
  fail: (detail: string) => AcceptanceError
): Effect.Effect<Finding, AcceptanceError, Judge | Workspace> =>
  Effect.gen(function* () {
    const judge = yield* Judge
    const workspace = yield* Workspace
    // More than is shown is asked for, so that no secret is cut in two before it is seen.
    const raw = yield* Effect.mapError(workspace.diff(goal.id, diffBytes + 4_096), (error) => fail(error.message))
    const clean = redact(raw, secrets)
    const diff = cutHead(clean, diffBytes)
    const { passed, reason } = yield* judge
      .judge({
        criterion,
        description: redact(goal.description, secrets),
        diff,
        truncated: diff.length < clean.length
      })
      .pipe(Effect.mapError((error) => fail(error.message)))
    return { passed, message: reason }
  })

const bytes = (count: number): string => {
  if (count % (1024 * 1024) === 0) return `${count / (1024 * 1024)} MiB`
  return count % 1024 === 0 ? `${count / 1024} KiB` : `${count} bytes`
}
