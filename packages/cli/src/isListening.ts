/** Whether somebody accepts connections: on a unix socket, where a file that a dead daemon has left is nobody, or elsewhere. */
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

/** Connects and hangs up, without a word. Fails with why that did not work, within five seconds. */
export const tryConnecting = (host: string, port: number): Effect.Effect<void, string> =>
  Effect.async<void, string>((resume) => {
    const connection = connect({ host, port })
    connection.once("connect", () => {
      connection.destroy()
      resume(Effect.void)
    })
    connection.once("error", (error) =>
      resume(Effect.fail("code" in error ? String(error.code) : "the connection failed"))
    )
    return Effect.sync(() => connection.destroy())
  }).pipe(Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => "no answer within 5 seconds" }))
