/** Temporary directories with files in them. */
import { FileSystem, Path } from "@effect/platform"
import { Effect } from "effect"

/** A directory, its links resolved, with these files; gone when the scope closes. */
export const directoryWith = (files: Record<string, string | Uint8Array>) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = yield* fs.realPath(yield* fs.makeTempDirectoryScoped({ prefix: "driver-cli-" }))
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(root, name)
      yield* fs.makeDirectory(path.dirname(file), { recursive: true })
      if (name.endsWith("/")) yield* fs.makeDirectory(file, { recursive: true })
      else if (typeof content === "string") yield* fs.writeFileString(file, content)
      else yield* fs.writeFile(file, content)
    }
    return root
  })
