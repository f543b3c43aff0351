// Real sockets on loopback: what is allowed gets through byte for byte, the rest gets an answer and nothing else.
import { mkdtempSync, rmSync, statSync } from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { serve } from "@driver/cli/AllowListProxyNode"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "proxy-"))),
  (it) => Effect.sync(() => rmSync(it, { recursive: true, force: true }))
)

/** An origin that answers HTTP with the path and host it was asked for, and counts who connects. */
const origin = Effect.acquireRelease(
  Effect.async<{ readonly port: number; readonly connections: () => number; readonly server: http.Server }>(
    (resume) => {
      let connections = 0
      const server = http.createServer((request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part) => parts.push(part))
        request.on("end", () => response.end(`${request.url} ${request.headers.host} ${Buffer.concat(parts).length}`))
      })
      server.on("connection", () => connections++)
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ port, connections: () => connections, server }))
      })
    }
  ),
  ({ server }) => Effect.sync(() => server.close())
)

/** Sends bytes and resolves with all that comes back until the end. */
const send = (socket: string, bytes: string | Buffer): Effect.Effect<string> =>
  Effect.async<string>((resume) => {
    const client = net.connect(socket)
    let read = ""
    client.on("data", (part) => (read += part.toString("latin1")))
    client.on("close", () => resume(Effect.succeed(read)))
    client.on("error", () => {})
    client.write(bytes)
  })

const proxy = (hosts: (port: number) => ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { connections, port } = yield* origin
    const socket = join(yield* directory, "p.sock")
    yield* serve({ socket, hosts: hosts(port) })
    return { socket, port, connections }
  })

describe("the proxy of the sandbox", () => {
  it.scopedLive("tunnels to what is listed", () =>
    Effect.gen(function* () {
      const { port, socket } = yield* proxy((it) => [`127.0.0.1:${it}`])
      const answer = yield* send(
        socket,
        `CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\nGET /inside HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`
      )
      assert.match(answer, /^HTTP\/1\.1 200 Connection established\r\n\r\nHTTP\/1\.1 200 OK/)
      assert.include(answer, "/inside h 0")
    })
  )

  it.scopedLive("forwards plain HTTP with a body, to the host that was allowed", () =>
    Effect.gen(function* () {
      const { port, socket } = yield* proxy((it) => [`127.0.0.1:${it}`])
      const body = "x".repeat(300_000)
      const answer = yield* send(
        socket,
        `POST http://127.0.0.1:${port}/p HTTP/1.1\r\nHost: evil\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      )
      assert.include(answer, `/p 127.0.0.1:${port} 300000`)
    })
  )

  it.scopedLive("refuses what is not listed, and connects to nobody", () =>
    Effect.gen(function* () {
      const { connections, port, socket } = yield* proxy(() => ["example.org"])
      for (const target of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, "example.org:22"]) {
        assert.match(yield* send(socket, `CONNECT ${target} HTTP/1.1\r\n\r\n`), /^HTTP\/1\.1 403 /, target)
      }
      assert.match(yield* send(socket, `GET http://127.0.0.1:${port}/ HTTP/1.1\r\n\r\n`), /^HTTP\/1\.1 403 /)
      assert.strictEqual(connections(), 0)
    })
  )

  it.scopedLive("refuses a listed name that leads to this machine", () =>
    Effect.gen(function* () {
      // The resolver of every machine knows a name with an address on loopback.
      const { connections, port, socket } = yield* proxy((it) => [
        `ip6-localhost:${it}`,
        `*.localhost.localdomain:${it}`
      ])
      const answer = yield* send(socket, `CONNECT ip6-localhost:${port} HTTP/1.1\r\n\r\n`)
      assert.match(answer, /^HTTP\/1\.1 (403|502) /)
      assert.strictEqual(connections(), 0)
    })
  )

  it.scopedLive("answers garbage, a head without end, and who hangs up, and goes on", () =>
    Effect.gen(function* () {
      const { port, socket } = yield* proxy((it) => [`127.0.0.1:${it}`])
      assert.match(yield* send(socket, "\0\xff\r\n\r\n"), /^HTTP\/1\.1 400 /)
      assert.match(yield* send(socket, "A".repeat(100_000)), /^HTTP\/1\.1 431 /)
      yield* Effect.sync(() =>
        net.connect(socket).on("connect", function (this: net.Socket) {
          this.destroy()
        })
      )
      const answer = yield* send(
        socket,
        `CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\nGET /after HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`
      )
      assert.include(answer, "/after")
    })
  )

  it.live("ends every connection with its scope, and its socket is for its owner alone", () =>
    Effect.gen(function* () {
      const closed = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        const { port, socket } = yield* proxy((it) => [`127.0.0.1:${it}`])
        assert.strictEqual(statSync(socket).mode & 0o777, 0o600)
        yield* Effect.async<void>((resume) => {
          const client = net.connect(socket)
          client.on("data", () => resume(Effect.void))
          client.on("error", () => {})
          client.on("close", () => Effect.runSync(Deferred.succeed(closed, undefined)))
          client.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\n`)
        })
      }).pipe(Effect.scoped)
      yield* Deferred.await(closed)
    })
  )
})
