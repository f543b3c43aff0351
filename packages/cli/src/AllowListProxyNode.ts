/**
 * The proxy by which confined programs reach what the configuration lists, and nothing else: CONNECT and plain HTTP, on
 * a unix socket. What is allowed is decided by `AllowList`; here are the sockets.
 *
 * Bytes flow from socket to socket, so that whoever reads slowly is waited for. Bounded in connections, in the size of
 * a request's head and in the time it may take. It keeps nothing and writes no log of what it carries.
 */
import type { LookupAddress } from "node:dns"
import { lookup } from "node:dns/promises"
import { chmodSync, rmSync } from "node:fs"
import { connect, createServer, isIP, type Server, type Socket } from "node:net"
import { type Destination, isAllowed, mayConnect, readRequest } from "@driver/agent/AllowList"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { RunError } from "./RunGoal.js"

export interface ProxyOptions {
  /** Absolute path of the socket, in a directory of ours. Made, and removed with the scope. */
  readonly socket: string
  /** Entries of an allow list. */
  readonly hosts: ReadonlyArray<string>
}

/** Serves until the scope closes, which ends every connection. Resolves when it listens. */
export const serve = ({ hosts, socket }: ProxyOptions): Effect.Effect<void, RunError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Server; readonly open: Set<Socket> }, RunError>((resume) => {
      const open = new Set<Socket>()
      const server = createServer({ allowHalfOpen: true }, (near) => {
        open.add(near)
        near.once("close", () => open.delete(near))
        near.on("error", () => near.destroy())
        attend(near, hosts, (far) => {
          open.add(far)
          far.once("close", () => open.delete(far))
        })
      })
      server.maxConnections = maxConnections
      server.once("error", (error) =>
        resume(Effect.fail(new RunError({ detail: `The proxy of the sandbox cannot listen: ${error.message}` })))
      )
      server.listen(socket, () => {
        chmodSync(socket, 0o600)
        resume(Effect.succeed({ server, open }))
      })
    }),
    ({ open, server }) =>
      Effect.sync(() => {
        server.close()
        for (const it of open) it.destroy()
        rmSync(socket, { force: true })
      })
  ).pipe(Effect.asVoid)

const maxConnections = 256
/** Bytes. */
const maxHead = 16 * 1024
/** Milliseconds, for the head of a request and for reaching where it wants to go. */
const patience = 30_000

/** Reads the head of the one request of this connection. */
const attend = (near: Socket, hosts: ReadonlyArray<string>, onFar: (far: Socket) => void) => {
  let read: Buffer = Buffer.alloc(0)
  near.setTimeout(patience, () => near.destroy())
  const onData = (bytes: Buffer) => {
    read = Buffer.concat([read, bytes])
    const end = read.indexOf("\r\n\r\n")
    if (end < 0) {
      if (read.length > maxHead) refuse(near, 431, "the head of the request is too long")
      return
    }
    near.off("data", onData)
    near.pause()
    near.setTimeout(0)
    const rest = read.subarray(end + 4)
    const request = readRequest(read.subarray(0, end).toString("latin1"))
    if (request._tag === "Unreadable") return refuse(near, 400, "this proxy takes CONNECT host:port and http://")
    if (!isAllowed(hosts, request.to)) {
      return refuse(near, 403, `${request.to.host}:${request.to.port} is not in sandbox.network of driver.yaml`)
    }
    reach(hosts, request.to).then(
      (far) => {
        if (far === undefined) return refuse(near, 403, `${request.to.host} leads to an address that is not public`)
        if (near.destroyed) return far.destroy()
        onFar(far)
        far.on("error", () => near.destroy())
        near.once("close", () => far.destroy())
        far.once("close", () => near.destroySoon())
        if (request._tag === "Tunnel") near.write("HTTP/1.1 200 Connection established\r\n\r\n")
        else far.write(`${request.head}\r\n\r\n`, "latin1")
        far.write(rest)
        near.pipe(far)
        far.pipe(near)
      },
      (error: unknown) =>
        refuse(near, 502, `${request.to.host} cannot be reached: ${error instanceof Error ? error.message : "?"}`)
    )
  }
  near.on("data", onData)
}

const refuse = (near: Socket, status: number, reason: string) => {
  near.removeAllListeners("data")
  const body = `${reason}\n`
  near.end(
    `HTTP/1.1 ${status} ${status === 403 ? "Forbidden" : "Not done"}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
  // What still comes is read and dropped, so that the answer arrives.
  near.resume()
  near.setTimeout(1_000, () => near.destroy())
}

/** A connection to one of the addresses that the name has now; undefined when none of them may be connected to. */
const reach = async (hosts: ReadonlyArray<string>, to: Destination): Promise<Socket | undefined> => {
  const family = isIP(to.host)
  const found: ReadonlyArray<LookupAddress> =
    family === 0 ? await lookup(to.host, { all: true }) : [{ address: to.host, family }]
  const allowed = found.filter(({ address }) => mayConnect(hosts, address, to))
  if (allowed.length === 0) return undefined
  let trouble: unknown
  for (const { address } of allowed) {
    try {
      return await connectTo(address, to.port)
    } catch (error) {
      trouble = error
    }
  }
  throw trouble
}

const connectTo = (host: string, port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true })
    const onError = (error: Error) => reject(error)
    socket.setTimeout(patience, () => socket.destroy(new Error("it does not answer")))
    socket.once("error", onError)
    socket.once("connect", () => {
      socket.off("error", onError)
      socket.setTimeout(0)
      resolve(socket)
    })
  })
