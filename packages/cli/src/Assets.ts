/** Files that are shipped beside the program: the gate, the stand-in agent, the demo's scenario. */
import { fileURLToPath } from "node:url"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The installation is not whole. */
export class MissingAsset extends Data.TaggedError("MissingAsset")<{ readonly looked: ReadonlyArray<string> }> {
  override get message() {
    return `A file that comes with driver is missing (looked for ${this.looked.join(", ")}): install driver again, or run \`npm run build\` in its sources`
  }
}

/** Beside the bundle, else where the sources have it. */
const places = {
  "driver-gate.mjs": ["./driver-gate.mjs", "../../permission/dist/driver-gate.mjs"],
  "driver-stub.mjs": ["./driver-stub.mjs", "../../stub/dist/driver-stub.mjs"],
  "demo.yaml": ["./scenarios/demo.yaml", "../../stub/scenarios/demo.yaml"]
} as const

/** The absolute path of the file. */
export const assetPath = (name: keyof typeof places): Effect.Effect<string, MissingAsset, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const looked = places[name].map((place) => fileURLToPath(new URL(place, import.meta.url)))
    for (const path of looked) {
      if (yield* Effect.orElseSucceed(fs.exists(path), () => false)) return path
    }
    return yield* new MissingAsset({ looked })
  })
