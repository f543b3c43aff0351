/**
 * Reading and removing what an agent may have written.
 *
 * Only regular files are read: opening a pipe would wait for ever. A directory tree goes whatever was left in it:
 * directories that may not be written (module caches are made so) are opened first. Symlinks are removed, not followed.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"

/** Bytes. A HEAD, a reference or a `.git` file is far shorter. */
const maxNoteSize = 64 * 1024

export const makeDirectories = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path

  const openUp = (directory: string): Effect.Effect<void, PlatformError> =>
    Effect.gen(function* () {
      yield* fs.chmod(directory, 0o700)
      for (const name of yield* fs.readDirectory(directory)) {
        const child = path.join(directory, name)
        const link = yield* Effect.isSuccess(fs.readLink(child))
        if (!link && (yield* fs.stat(child)).type === "Directory") {
          yield* openUp(child)
        }
      }
    })

  const removeTree = (directory: string) => fs.remove(directory, { force: true, recursive: true })

  return {
    /** The text of a small regular file; empty when there is none. */
    readNote: (file: string): Effect.Effect<string> =>
      fs.stat(file).pipe(
        Effect.flatMap((info) =>
          info.type === "File" && info.size <= maxNoteSize ? fs.readFileString(file) : Effect.succeed("")
        ),
        Effect.orElseSucceed(() => "")
      ),
    /** Resolves when nothing is left, at once when there was nothing. */
    remove: (directory: string): Effect.Effect<void, PlatformError> =>
      removeTree(directory).pipe(
        Effect.catchAll((error) =>
          Effect.ignore(openUp(directory)).pipe(
            Effect.zipRight(removeTree(directory)),
            Effect.mapError(() => error)
          )
        )
      )
  }
})
