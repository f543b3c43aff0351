/**
 * Where a path that an agent named really leads: symbolic links followed, also
 * those whose target does not exist yet, and what does not exist placed under its
 * deepest ancestor that does.
 *
 * What is true now may be false a moment later: this is an early refusal with a
 * reason, not a confinement.
 */
import type { PlatformError } from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import { matchesWord } from "./glob.js"
import { isSecret, specialBecause } from "./sensitivePaths.js"

export type PathFact =
  | {
      readonly _tag: "Inside"
      /** Relative to the workspace, with `/`; empty for the workspace itself. Links followed. */
      readonly real: string
      /** The same, as it was named. */
      readonly named: string
      /** It lies in a directory that belongs to the driver. */
      readonly protected: boolean
    }
  | {
      readonly _tag: "Outside"
      /** Absolute, links followed; absent when it begins with `~`. */
      readonly real?: string
      /** As it was named: relative to the workspace when that is where it seems to lie, else absolute. */
      readonly named: string
    }
  | { readonly _tag: "Unclear"; readonly why: string }

/** The workspace and what in it nobody may touch. Absolute, links followed. */
export interface Root {
  readonly named: string
  readonly real: string
  readonly protected: ReadonlyArray<string>
}

/** As on Linux: more links than this are a loop. */
const mostLinks = 40
const longestPath = 4_096
const mostSegments = 256

class Unresolvable {
  readonly _tag = "Unresolvable"
  constructor(readonly why: string) {}
}

/** Resolves with what is known; never fails. */
export const resolvePath = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  root: Root,
  raw: string
): Effect.Effect<PathFact> => {
  if (raw === "") return unclear("it is empty")
  if (raw.includes("\0")) return unclear("it contains a null character")
  if (raw.length > longestPath || raw.split(path.sep).length > mostSegments) return unclear("it is too long")
  if (raw.startsWith("~")) return Effect.succeed({ _tag: "Outside", named: raw })
  const segments = (path.isAbsolute(raw) ? raw : `${root.named}${path.sep}${raw}`).split(path.sep)
  const absolute = path.normalize(segments.join(path.sep))
  return Effect.gen(function* () {
    // `link/..` is not the directory that the link stands in: only where no link is passed do both readings agree.
    for (const [index, segment] of segments.entries()) {
      if (segment !== "..") continue
      const before = path.normalize(segments.slice(0, index).join(path.sep) || path.sep)
      const real = yield* realOf(fs, path, before, 0)
      if (real !== before && real !== replaceRoot(path, root, before)) {
        return { _tag: "Unclear", why: "it goes up by `..` from behind a symbolic link" } as const
      }
    }
    const real = yield* realOf(fs, path, absolute, 0)
    const relative = below(path, root.real, real)
    if (relative === undefined) {
      return { _tag: "Outside", real, named: below(path, root.named, absolute) ?? absolute } as const
    }
    return {
      _tag: "Inside",
      real: relative,
      named: below(path, root.named, absolute) ?? below(path, root.real, absolute) ?? relative,
      protected: root.protected.some((it) => below(path, it, real) !== undefined)
    } as const
  }).pipe(Effect.catchTag("Unresolvable", ({ why }) => unclear(why)))
}

const hasPattern = /[*?[]/

/** Files that a pattern is compared with at most. */
const mostMatches = 2_000

/**
 * Where a path leads that may be a pattern of the shell: that of the files it stands for of which most has to be said.
 * Without any it is taken as it is written, as the shell does.
 */
export const resolvePattern = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  root: Root,
  raw: string
): Effect.Effect<PathFact> =>
  Effect.gen(function* () {
    const literal = yield* resolvePath(fs, path, root, raw)
    if (!hasPattern.test(raw) || literal._tag !== "Inside") return literal
    const files = yield* filesOf(fs, path, raw.startsWith(path.sep) ? raw : path.join(root.named, raw))
    if (files === undefined) return { _tag: "Unclear", why: "it stands for too many files" } as const
    const facts = yield* Effect.forEach(files, (it) => resolvePath(fs, path, root, it))
    const worst =
      facts.find((it) => it._tag === "Unclear") ??
      facts.find((it) => it._tag === "Outside") ??
      facts.find((it) => it._tag === "Inside" && (isSpecial(it.real) || it.protected)) ??
      facts.find((it) => it._tag === "Inside" && it.real !== it.named && isSecret(it.real))
    return worst ?? literal
  })

const isSpecial = (relative: string): boolean => relative === "" || specialBecause(relative) !== undefined

/** The files that a pattern stands for; none when they are too many. What cannot be listed has none. */
const filesOf = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  pattern: string
): Effect.Effect<ReadonlyArray<string> | undefined> =>
  Effect.gen(function* () {
    let found: ReadonlyArray<string> = [path.sep]
    for (const segment of pattern.split(path.sep).filter((it) => it !== "")) {
      if (!hasPattern.test(segment)) {
        found = found.map((it) => path.join(it, segment))
        continue
      }
      // As `matchesWord`; what stands in brackets is any one character here.
      const word = segment.replace(/\[[!^]?\]?[^\]]*\]/g, "?").replace(/\*+/g, "*")
      const listed = yield* Effect.forEach(found, (directory) =>
        Effect.map(
          Effect.orElseSucceed(fs.readDirectory(directory), (): ReadonlyArray<string> => []),
          (names) =>
            names
              .filter((it) => (segment.startsWith(".") || !it.startsWith(".")) && matchesWord(word, it))
              .map((it) => path.join(directory, it))
        )
      )
      found = listed.flat()
      if (found.length > mostMatches) return undefined
    }
    return found
  })

/** Where a path leads as its text has it, for a workspace that is no longer there: no link is followed. */
export const readPath = (path: Path.Path, workspace: string, raw: string): PathFact => {
  if (raw === "") return { _tag: "Unclear", why: "it is empty" }
  if (raw.includes("\0")) return { _tag: "Unclear", why: "it contains a null character" }
  if (raw.startsWith("~")) return { _tag: "Outside", named: raw }
  const absolute = path.resolve(workspace, raw)
  const relative = below(path, workspace, absolute)
  return relative === undefined
    ? { _tag: "Outside", real: absolute, named: absolute }
    : { _tag: "Inside", real: relative, named: relative, protected: false }
}

/** The workspace's root as `resolvePath` needs it; none when it cannot be read. */
export const resolveRoot = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  workspace: string,
  protectedPaths: ReadonlyArray<string>
): Effect.Effect<Root | undefined> =>
  Effect.gen(function* () {
    const real = yield* fs.realPath(workspace)
    const owned = yield* Effect.forEach(protectedPaths, (it) => realOf(fs, path, path.normalize(it), 0))
    // A workspace may well lie in the driver's own directory; what matters is what lies in the workspace.
    return { named: path.normalize(workspace), real, protected: owned.filter((it) => below(path, real, it)) }
  }).pipe(Effect.orElseSucceed(() => undefined))

/** The path from `directory` to `it` when it lies at or below. */
export const below = (path: Path.Path, directory: string, it: string): string | undefined => {
  const relative = path.relative(directory, it)
  return relative === ".." || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative)
    ? undefined
    : relative.split(path.sep).join("/")
}

const unclear = (why: string): Effect.Effect<PathFact> => Effect.succeed({ _tag: "Unclear", why })

const replaceRoot = (path: Path.Path, root: Root, absolute: string): string | undefined => {
  const relative = below(path, root.named, absolute)
  return relative === undefined ? undefined : path.join(root.real, relative)
}

const isNotFound = (error: PlatformError) => error._tag === "SystemError" && error.reason === "NotFound"

const realOf = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  absolute: string,
  links: number
): Effect.Effect<string, Unresolvable> =>
  fs.realPath(absolute).pipe(
    Effect.catchAll((error) => {
      if (!isNotFound(error)) {
        return Effect.fail(new Unresolvable("it cannot be followed to its end"))
      }
      const parent = path.dirname(absolute)
      if (parent === absolute) return Effect.fail(new Unresolvable("there is no such root"))
      return Effect.gen(function* () {
        const name = path.join(yield* realOf(fs, path, parent, links), path.basename(absolute))
        const target = yield* Effect.asSome(fs.readLink(name)).pipe(
          Effect.catchIf(isNotFound, () => Effect.succeedNone),
          Effect.mapError(() => new Unresolvable("it cannot be followed to its end"))
        )
        if (target._tag === "None") return name
        // A link to nothing: whoever writes to it makes the file that it points to.
        if (links >= mostLinks) return yield* Effect.fail(new Unresolvable("it runs through too many symbolic links"))
        return yield* realOf(fs, path, path.resolve(path.dirname(name), target.value), links + 1)
      })
    })
  )
