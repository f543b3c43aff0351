/**
 * What is in a mount, found out by looking: the beginning of its README, else the
 * description in its manifest. Nothing is run, and no more than some kilobytes are read.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Mount } from "./ExecEnv.js"
import { cutText } from "./WorkspaceContext.js"

/** The mount could not be looked at. It has no summary then, and is asked for another time. */
export class SummaryError extends Data.TaggedError("SummaryError")<{ readonly detail: string }> {
  override get message() {
    return `The mount could not be looked at: ${this.detail}`
  }
}

export class MountSummaries extends Context.Tag("@driver/intent/MountSummaries")<
  MountSummaries,
  {
    /** Some sentences; none when nothing there says what it is. */
    readonly summarize: (mount: Mount) => Effect.Effect<Option.Option<string>, SummaryError>
  }
>() {
  /** Reads README and manifest. */
  static readonly layer: Layer.Layer<MountSummaries, never, FileSystem.FileSystem | Path.Path> = Layer.effect(
    this,
    Effect.map(Effect.all([FileSystem.FileSystem, Path.Path]), ([fs, path]) => ({
      summarize: Effect.fn("MountSummaries.summarize")(function* (mount) {
        const names = yield* fs
          .readDirectory(mount.path)
          .pipe(Effect.mapError((error) => new SummaryError({ detail: error.message })))
        const found = names.flatMap((name) => {
          const at = sources.findIndex(({ pattern }) => pattern.test(name))
          const source = sources[at]
          return source === undefined ? [] : [{ name, at, read: source.read }]
        })
        for (const { name, read } of found.sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))) {
          const text = yield* beginning(fs, path.join(mount.path, name))
          const summary = Option.filter(Option.map(Option.flatMap(text, read), oneLine), (it) => it !== "")
          if (Option.isSome(summary)) return Option.some(cutText(summary.value, longestSummary))
        }
        return Option.none()
      })
    }))
  )

  /** Knows nothing of any mount. */
  static readonly layerNone: Layer.Layer<MountSummaries> = Layer.succeed(this, {
    summarize: () => Effect.succeed(Option.none())
  })
}

/** In characters. */
const longestSummary = 600

/** In bytes. */
const mostRead = 16 * 1024

/** None when it is no file, or may not be read: another source may say it. */
const beginning = (fs: FileSystem.FileSystem, file: string): Effect.Effect<Option.Option<string>> =>
  fs.stat(file).pipe(
    Effect.flatMap((info) =>
      // Not a pipe or a device: opening one may wait for ever.
      info.type === "File"
        ? Effect.asSome(Stream.mkString(Stream.decodeText(fs.stream(file, { bytesToRead: FileSystem.Size(mostRead) }))))
        : Effect.succeedNone
    ),
    Effect.catchAll(() => Effect.succeedNone)
  )

/** The first paragraph of prose of a Markdown text: no heading, picture, badge, markup or code. */
export const firstParagraph = (markdown: string): Option.Option<string> => {
  const paragraphs = markdown
    .replace(/^\ufeff/, "")
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, "")
    .replace(/<!--[\s\S]*?-->/g, "")
    .split(/\r?\n[ \t]*\r?\n/)
    .map((it) =>
      it
        .split(/\r?\n/)
        .filter((line) => !/^\s*(#|=+\s*$|-+\s*$|\||<|!\[|\[!\[)/.test(line))
        .join(" ")
        .trim()
    )
  return Option.fromNullable(paragraphs.find((it) => /\p{L}/u.test(it)))
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim()

const Manifest = Schema.parseJson(Schema.Struct({ description: Schema.String }))

const sources: ReadonlyArray<{
  readonly pattern: RegExp
  readonly read: (text: string) => Option.Option<string>
}> = [
  { pattern: /^readme(\.(md|markdown|txt|rst))?$/i, read: firstParagraph },
  {
    pattern: /^package\.json$/,
    read: (text) => Option.map(Schema.decodeUnknownOption(Manifest)(text), ({ description }) => description)
  },
  {
    pattern: /^(Cargo|pyproject)\.toml$/,
    read: (text) =>
      Option.fromNullable(/^description\s*=\s*"((?:[^"\\\n]|\\.)+)"/m.exec(text)?.[1]?.replace(/\\(.)/g, "$1"))
  }
]
