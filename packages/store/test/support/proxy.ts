import { once } from "node:events"
import { createServer, connect as dial, type Server, type Socket } from "node:net"
import { Effect } from "effect"

/** Passes connections on to a server, and can drop them all, or fall silent. */
export const makeProxy = (port: number, host: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<Socket>()
      let own = 0
      let server: Server | undefined
      const start = async () => {
        server = createServer((inner) => {
          const outer = dial(port, host)
          for (const socket of [inner, outer]) {
            sockets.add(socket)
            socket.on("error", () => socket.destroy())
            socket.on("close", () => sockets.delete(socket))
          }
          inner.pipe(outer).pipe(inner)
        }).listen(own, "127.0.0.1")
        await once(server, "listening")
        const address = server.address()
        own = typeof address === "object" && address !== null ? address.port : 0
      }
      const stop = async () => {
        const closed = server === undefined ? undefined : once(server, "close")
        server?.close()
        server = undefined
        for (const socket of sockets) socket.destroy()
        await closed
      }
      await start()
      /** Nothing gets through any more, and nobody is told. */
      const stall = () => {
        for (const socket of sockets) socket.pause()
      }
      const resume = () => {
        for (const socket of sockets) socket.resume()
      }
      return {
        port: own,
        start: Effect.promise(start),
        stop: Effect.promise(stop),
        stall: Effect.sync(stall),
        resume: Effect.sync(resume)
      }
    }),
    (proxy) => proxy.stop
  )
