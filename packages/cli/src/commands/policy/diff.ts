/**
 * `driver policy diff`: decides the recorded tool calls of a goal again, and lists
 * those that would be decided otherwise.
 *
 * A file is read as a stream, so that its length does not matter. Where the goal's
 * workspace is still there, the links in it are followed as they are now; where it is
 * gone, paths are taken as they are written.
 */
import { GoalId } from "@driver/domain/Goal"
import { type Decision, PermissionRequest, ToolInput } from "@driver/domain/Permission"
import type { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { type Expected, type Programs, verdictOf } from "@driver/permission/Policy"
import { makeJudge } from "@driver/permission/RulesDecider"
import { BindingStore } from "@driver/runtime/BindingStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { EndWith } from "../../exitCode.js"
import { findGoal } from "../../GoalNames.js"
import { Host } from "../../Host.js"
import { fileError } from "../../InputError.js"
import { plural } from "../../Render.js"
import { loadSettings, type Settings } from "../../Settings.js"
import { printable } from "../../Text.js"
import { type PolicyArguments, policyOf } from "./policyOf.js"

export interface DiffArguments extends PolicyArguments {
  /** A goal, or a file of events. */
  readonly against: string
  readonly cwd: Option.Option<string>
  readonly exitCode: boolean
  readonly json: boolean
}

interface Needed<E, R> {
  readonly analyzer: (programs: Programs) => Layer.Layer<CommandAnalyzer, E, R>
  readonly decisions: (settings: Settings) => Layer.Layer<DecisionStore | BindingStore, E, R>
}

export const diff = <E, R>(args: DiffArguments, composition: Needed<E, R>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { directory, stdout } = yield* Host
    const file = path.resolve(directory, args.against)
    const isFile = yield* Effect.orElseSucceed(fs.exists(file), () => false)
    const settings = yield* loadSettings({ config: args.config })
    const policy = yield* policyOf(args)
    const recorded = isFile
      ? { decisions: ofFile(fs, file), workspaces: new Map<GoalId, string>() }
      : yield* Effect.provide(ofGoal(args.against), composition.decisions(settings))
    const given = Option.map(args.cwd, (it) => path.resolve(directory, it))
    const workspaceOf = (goalId: GoalId): string =>
      Option.getOrElse(given, () => recorded.workspaces.get(goalId) ?? path.join(settings.worktreeRoot, goalId))

    const judges = yield* Effect.provide(
      Effect.gen(function* () {
        const make = (links: "follow" | "text") =>
          makeJudge({ ...policy, links }).pipe(Effect.provideService(FileSystem.FileSystem, rememberLinks(fs, path)))
        return { follow: yield* make("follow"), text: yield* make("text") }
      }),
      composition.analyzer(policy.programs)
    )

    const gone = new Map<string, boolean>()
    const isGone = (workspace: string) =>
      Effect.suspend(() => {
        const known = gone.get(workspace)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.map(
          Effect.orElseSucceed(fs.exists(workspace), () => false),
          (exists) => {
            if (gone.size < mostRemembered) gone.set(workspace, !exists)
            return !exists
          }
        )
      })

    // Calls repeat, and nothing changes while this runs: each is judged once.
    const judged = new Map<string, Again>()
    const judgeOnce = (call: RecordedCall): Effect.Effect<Again> =>
      Effect.suspend(() => {
        const workspace = workspaceOf(call.goalId)
        const key = `${isCriterion(call)}\n${workspace}\n${call.tool}\n${JSON.stringify(call.input)}`
        const known = judged.get(key)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.gen(function* () {
          const judge = (yield* isGone(workspace)) ? judges.text : judges.follow
          const { evaluation } = yield* judge(requestOf(call, workspace), criteriaOf(call))
          const again = { verdict: verdictOf(evaluation), rule: evaluation.rule, rationale: evaluation.rationale }
          if (judged.size >= mostRemembered) judged.clear()
          if (key.length <= longestRemembered) judged.set(key, again)
          return again
        })
      })

    const counts = { decisions: 0, skipped: 0, flips: 0 }
    const decideAgain = (call: RecordedCall): Effect.Effect<string> => {
      const was = recordedVerdict(call)
      if (was === undefined) {
        counts.skipped++
        return Effect.succeed("")
      }
      counts.decisions++
      return Effect.map(judgeOnce(call), (again) => {
        if (!isFlip(was, again.verdict, call)) return ""
        counts.flips++
        return args.json ? jsonOf(call, was, again) : textOf(call, was, again)
      })
    }

    yield* recorded.decisions.pipe(
      Stream.mapChunksEffect((chunk) => Effect.map(Effect.forEach(chunk, decideAgain), Chunk.fromIterable)),
      Stream.runForEachChunk((texts) => {
        const text = Chunk.toReadonlyArray(texts).join("")
        return text === "" ? Effect.void : stdout.write(text)
      })
    )

    const lexical = [...gone.values()].some((it) => it)
    if (args.json) {
      yield* stdout.write(`${JSON.stringify({ ...counts, links: lexical ? "text" : "follow" })}\n`)
    } else {
      yield* stdout.write(
        `${plural(counts.decisions, "decision")} again with ${describe(policy)}: ${counts.flips === 0 ? "none" : counts.flips} would be another one` +
          `${counts.skipped === 0 ? "" : `; ${counts.skipped} were not made by a policy`}\n`
      )
      if (lexical) {
        yield* stdout.write("The workspace is gone: paths were taken as they are written, and no link was followed.\n")
      }
    }
    if (args.exitCode && counts.flips > 0) return yield* new EndWith({ code: 1 })
  })

const describe = (policy: { readonly preset: string; readonly rules: ReadonlyArray<unknown> }): string =>
  `${policy.rules.length === 0 ? "" : `${plural(policy.rules.length, "rule")} and `}the preset ${policy.preset}`

/** What is remembered of one kind at most; then it is forgotten. */
const mostRemembered = 20_000

/** UTF-16 units of a call that is remembered: whole files come once. */
const longestRemembered = 4_096

/** A decision as far as it has to be known to be made again. */
interface RecordedCall {
  readonly id: string
  readonly goalId: GoalId
  readonly turn: number
  readonly tool: string
  readonly input: ToolInput
  readonly choice: "allow" | "deny" | "observe"
  readonly rationale: string
}

/** What the policy says now. */
interface Again {
  readonly verdict: Expected
  readonly rule: string
  readonly rationale: string
}

/** Paths share directories: each is looked at once, by one call to the system. */
const rememberLinks = (fs: FileSystem.FileSystem, path: Path.Path): FileSystem.FileSystem => {
  const once = <E>(look: (path: string) => Effect.Effect<string, E>) => {
    const known = new Map<string, Either.Either<string, E>>()
    return (name: string): Effect.Effect<string, E> =>
      Effect.suspend(() => {
        const found = known.get(name)
        if (found !== undefined) return found
        return Effect.flatMap(Effect.either(look(name)), (result) => {
          if (known.size >= mostRemembered) known.clear()
          known.set(name, result)
          return result
        })
      })
  }
  const readLink = once(fs.readLink)
  const realPath = once((name: string): Effect.Effect<string, PlatformError> => {
    const parent = path.dirname(name)
    if (parent === name) return fs.realPath(name)
    return Effect.flatMap(realPath(parent), (real) => {
      const there = path.join(real, path.basename(name))
      return Effect.matchEffect(readLink(there), {
        onSuccess: () => fs.realPath(name),
        // Of what is there and no link, the system only says that it cannot be read as one.
        onFailure: (error) =>
          error._tag === "SystemError" && error.reason === "Unknown"
            ? Effect.succeed(there)
            : error._tag === "SystemError" && error.reason === "NotFound"
              ? Effect.fail(error)
              : fs.realPath(name)
      })
    })
  })
  return { ...fs, realPath, readLink }
}

type Recorded = "allow" | "deny"

/** What was recorded, when rules, a model or a person said it. */
const recordedVerdict = ({ choice, rationale }: RecordedCall): Recorded | undefined =>
  // The gate's own answers, whatever the policy: trouble, deadlines, questions that were withdrawn.
  choice === "observe" || /^(?:gate|unavailable|cancelled): /.test(rationale) ? undefined : choice

/** Handed on is no other decision where it was handed on before. */
const isFlip = (was: Recorded, now: Expected, { rationale }: RecordedCall): boolean => {
  if (now === "ask" || now === "llm") return !/^(?:ask|llm)\b/.test(rationale)
  return (now === "deny") !== (was === "deny")
}

/** The goal is not recorded with its decisions, but whether the command was one of its criteria is. */
const isCriterion = ({ rationale }: RecordedCall): boolean => rationale.startsWith("criterion: ")

const criteriaOf = (call: RecordedCall): ReadonlyArray<string> => {
  const { command } = call.input
  return isCriterion(call) && typeof command === "string" ? [command] : []
}

const requestOf = ({ goalId, input, tool, turn }: RecordedCall, workspace: string): PermissionRequest =>
  new PermissionRequest(
    {
      goalId,
      turn,
      workspace,
      tool,
      input,
      toolUseId: Option.none(),
      agentId: Option.none(),
      advisories: []
    },
    // It was decoded as a decision.
    { disableValidation: true }
  )

const jsonOf = ({ goalId, id, input, rationale, tool, turn }: RecordedCall, was: Recorded, now: Again): string =>
  `${JSON.stringify({
    id,
    goal_id: goalId,
    turn,
    tool,
    input,
    was,
    was_because: rationale,
    now: now.verdict,
    now_because: now.rationale,
    rule: now.rule
  })}\n`

const textOf = ({ input, rationale, tool, turn }: RecordedCall, was: Recorded, now: Again): string => {
  const [first] = Object.values(input)
  const what = typeof first === "string" ? first : JSON.stringify(input)
  return [
    `turn ${turn}  ${was} → ${now.verdict}  ${printable(tool)}  ${printable(what.slice(0, 200))}\n`,
    `  was  ${printable(rationale)}\n`,
    `  now  ${printable(now.rationale)}\n`
  ].join("")
}

const ofDecision = ({ choice, goalId, id, input, rationale, tool, turn }: Decision): RecordedCall => ({
  id,
  goalId,
  turn,
  tool,
  input,
  choice: choice._tag === "Allow" ? "allow" : choice._tag === "Deny" ? "deny" : "observe",
  rationale
})

const ofGoal = (name: string) =>
  Effect.gen(function* () {
    const decisions = yield* DecisionStore
    const bindings = yield* (yield* BindingStore).listAll
    const goalId = yield* findGoal(
      name,
      bindings.map((it) => it.goalId)
    )
    return {
      decisions: Stream.map(Stream.fromIterable(yield* decisions.list(goalId)), ofDecision),
      workspaces: new Map(bindings.map((it) => [it.goalId, it.workspace] as const))
    }
  })

/** A stored event of a decision, without what is not needed: a long file is read faster. */
const Line = Schema.Struct({
  event: Schema.Struct({
    kind: Schema.Literal("decision"),
    decision: Schema.Struct({
      id: Schema.String,
      goal_id: GoalId,
      turn: Schema.Number,
      tool: Schema.String,
      input: ToolInput,
      choice: Schema.Struct({ kind: Schema.Literal("allow", "deny", "observe") }),
      rationale: Schema.String
    })
  })
})
const decodeLine = Schema.decodeUnknownEither(Line)

/** Lines that are no decisions are passed over, as are lines that a crash has torn. */
const ofFile = (fs: FileSystem.FileSystem, file: string) =>
  fs.stream(file, { chunkSize: 256 * 1024 }).pipe(
    Stream.mapError((error) => fileError(file, `cannot be read: ${error.message}`)),
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapChunks((lines) =>
      Chunk.filterMap(lines, (line) => {
        if (!line.includes('"decision"')) return Option.none()
        const decoded = Option.flatMap(parse(line), (value) => Either.getRight(decodeLine(value)))
        return Option.map(decoded, ({ event: { decision } }): RecordedCall => {
          const { choice, goal_id: goalId, id, input, rationale, tool, turn } = decision
          return { id, goalId, turn, tool, input, choice: choice.kind, rationale }
        })
      })
    )
  )

const parse = (line: string): Option.Option<unknown> => Either.getRight(Either.try((): unknown => JSON.parse(line)))
