/** Whether somebody accepts connections on a unix socket. A file that a dead daemon has left is nobody. */
import { connect } from "node:net"
import * as Effect from "effect/Effect"
import { ServeError } from "./Serving.js"

export const isListening = (socket: string): Effect.Effect<boolean, ServeError> =>
  Effect.async((resume) => {
    const connection = connect({ path: socket })
    connection.once("connect", () => {
      connection.destroy()
      resume(Effect.succeed(true))
    })
    connection.once("error", (error) =>
      resume(
        "code" in error && /^(ENOENT|ECONNREFUSED|ENOTSOCK|ENOTDIR)$/.test(String(error.code))
          ? Effect.succeed(false)
          : Effect.fail(new ServeError({ detail: `The daemon's socket ${socket} cannot be asked: ${error.message}` }))
      )
    )
    return Effect.sync(() => connection.destroy())
  })
