/**
 * Sockets of the machine, by path. The platform has both halves, and only the
 * composition knows the platform:
 *
 *     Layer.succeed(UnixSockets, {
 *       listen: (path) => NodeSocketServer.make({ path }),
 *       connect: (path) => NodeSocket.makeNet({ path })
 *     })
 */
import type * as Socket from "@effect/platform/Socket"
import type * as SocketServer from "@effect/platform/SocketServer"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export class UnixSockets extends Context.Tag("@driver/permission/UnixSockets")<
  UnixSockets,
  {
    /** Makes the socket file and listens until the scope closes, which removes the file. Fails when the file exists. */
    readonly listen: (
      path: string
    ) => Effect.Effect<SocketServer.SocketServer["Type"], SocketServer.SocketServerError, Scope.Scope>
    /** A client that connects when it is run. */
    readonly connect: (path: string) => Effect.Effect<Socket.Socket, Socket.SocketError>
  }
>() {}
