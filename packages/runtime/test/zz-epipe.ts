import { Git } from "@driver/runtime/Git"
import { NodeContext } from "@effect/platform-node"
import { Effect, Layer } from "effect"
const size = Number(process.argv[2])
Effect.gen(function* () {
  const { run } = yield* Git
  for (let i = 0; i < 300; i++) {
    const r = yield* run({ args: ["x"], cwd: "/", ...(size < 0 ? {} : { stdin: new Uint8Array(size) }), answers: [0, 1] }).pipe(Effect.either)
    if (r._tag === "Left") console.log(r.left.message)
  }
  console.log("ok", size)
}).pipe(Effect.provide(Git.layer({ program: "/bin/false" }).pipe(Layer.provide(NodeContext.layer))), Effect.runPromise)
