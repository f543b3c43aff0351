/**
 * `driver policy classify`: what the analyzer says about commands. One command as an
 * argument, or lines of JSON `{id, command}` on standard input, answered line by line.
 */
import { type Analysis, type AnalyzeOptions, CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import type { Programs } from "@driver/permission/Policy"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Host } from "../../Host.js"
import { fileError } from "../../InputError.js"
import { policyOf } from "./policyOf.js"

export interface ClassifyArguments {
  /** None: lines on standard input. */
  readonly command: Option.Option<string>
  readonly config: Option.Option<string>
  readonly policy: Option.Option<string>
  /** The workspace. Default: the current directory. */
  readonly cwd: Option.Option<string>
  /** What `~` stands for. Default: the user's own. */
  readonly home: Option.Option<string>
}

const Line = Schema.parseJson(
  Schema.Struct({
    id: Schema.Union(Schema.String, Schema.Number),
    command: Schema.String,
    /** Absolute path in which the command starts. */
    cwd: Schema.optional(Schema.String.pipe(Schema.startsWith("/")))
  })
)

const decodeLine = Schema.decodeUnknownEither(Line)

const answer = (id: string | number | undefined, analysis: Analysis): string =>
  `${JSON.stringify(id === undefined ? analysis : { id, ...analysis })}\n`

/** Lines of `{id, command}` to lines of answers. Fails at the first line that is no such thing. */
const answers = (
  analyze: (command: string, options: AnalyzeOptions) => Analysis,
  options: AnalyzeOptions,
  lines: Chunk.Chunk<string>,
  before: number
) => {
  let text = ""
  let number = before
  for (const line of lines) {
    number++
    if (line.trim() === "") continue
    const decoded = decodeLine(line)
    if (Either.isLeft(decoded)) {
      return {
        text,
        error: fileError("<stdin>", "expected a JSON object with `id` and `command`", { line: number, column: 1 })
      }
    }
    const { command, cwd, id } = decoded.right
    text += answer(id, analyze(command, cwd === undefined ? options : { ...options, cwd, workspace: cwd }))
  }
  return { text, error: undefined }
}

export const classify = <E, R>(
  args: ClassifyArguments,
  analyzer: (programs: Programs) => Layer.Layer<CommandAnalyzer, E, R>
) =>
  Effect.gen(function* () {
    const { directory, home, stdin, stdout } = yield* Host
    const { programs } = yield* policyOf({ config: args.config, policy: args.policy, preset: Option.none() })
    const options: AnalyzeOptions = {
      cwd: Option.getOrElse(args.cwd, () => directory),
      home: Option.getOrElse(args.home, () => home)
    }
    yield* Effect.gen(function* () {
      const { analyze } = yield* CommandAnalyzer
      if (Option.isSome(args.command)) {
        return yield* stdout.write(answer(undefined, analyze(args.command.value, options)))
      }
      yield* stdin.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.chunks,
        Stream.mapAccum(0, (before, lines) => {
          return [before + Chunk.size(lines), answers(analyze, options, lines, before)] as const
        }),
        Stream.runForEach(({ error, text }) =>
          stdout.write(text).pipe(Effect.zipRight(error === undefined ? Effect.void : Effect.fail(error)))
        )
      )
    }).pipe(Effect.provide(analyzer(programs)))
  })
