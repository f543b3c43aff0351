/**
 * Where a path that an agent named really leads: symbolic links followed, also
 * those whose target does not exist yet, and what does not exist placed under its
 * deepest ancestor that does.
 *
 * What is true now may be false a moment later: this is an early refusal with a
 * reason, not a confinement.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"

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
  | { readonly _tag: "Outside" }
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
  if (raw.startsWith("~")) return Effect.succeed({ _tag: "Outside" })
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
    if (relative === undefined) return { _tag: "Outside" } as const
    return {
      _tag: "Inside",
      real: relative,
      named: below(path, root.named, absolute) ?? below(path, root.real, absolute) ?? relative,
      protected: root.protected.some((it) => below(path, it, real) !== undefined)
    } as const
  }).pipe(Effect.catchTag("Unresolvable", ({ why }) => unclear(why)))
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

const realOf = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  absolute: string,
  links: number
): Effect.Effect<string, Unresolvable> =>
  fs.realPath(absolute).pipe(
    Effect.catchAll((error) => {
      if (error._tag !== "SystemError" || error.reason !== "NotFound") {
        return Effect.fail(new Unresolvable("it cannot be followed to its end"))
      }
      const parent = path.dirname(absolute)
      if (parent === absolute) return Effect.fail(new Unresolvable("there is no such root"))
      return Effect.gen(function* () {
        const name = path.join(yield* realOf(fs, path, parent, links), path.basename(absolute))
        const target = yield* Effect.option(fs.readLink(name))
        if (target._tag === "None") return name
        // A link to nothing: whoever writes to it makes the file that it points to.
        if (links >= mostLinks) return yield* Effect.fail(new Unresolvable("it runs through too many symbolic links"))
        return yield* realOf(fs, path, path.resolve(path.dirname(name), target.value), links + 1)
      })
    })
  )
