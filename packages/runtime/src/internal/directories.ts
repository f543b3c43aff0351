/**
 * Removing a directory tree whatever an agent left in it: directories that may not be
 * written (module caches are made so) are opened first. Symlinks are removed, not followed.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"

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
