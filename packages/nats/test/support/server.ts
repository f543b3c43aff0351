/**
 * A NATS server of the test's own, with JetStream in a directory of its own, that can be killed and started again at
 * the same address. Where there is no `nats-server` on the PATH, tests are skipped with the reason printed, unless
 * DRIVER_TEST_REQUIRE_SERVICES=1: then they fail.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect as connectSocket, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { jetstreamManager } from "@nats-io/jetstream"
import { type ConnectionOptions, connect } from "@nats-io/transport-node"
import { Effect, Schedule } from "effect"

export const hasServer = spawnSync("nats-server", ["--version"]).status === 0

if (!hasServer) {
  const reason = "no nats-server on the PATH"
  if (process.env["DRIVER_TEST_REQUIRE_SERVICES"] === "1") throw new Error(reason)
  console.warn(`skipped: ${reason}`)
}

/** Removed with the scope. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "driver-nats-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
)

const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** Resolves when something at the port sends the first line of the protocol. */
const ready = (port: number) =>
  Effect.async<void, "not yet">((resume) => {
    const socket = connectSocket(port, "127.0.0.1")
    socket.once("data", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", () => resume(Effect.fail("not yet")))
  }).pipe(Effect.retry(Schedule.spaced("20 millis")))

export interface ServerOptions {
  /** Lines of the configuration file. */
  readonly config?: string
  /** How tests connect to look into it. */
  readonly login?: ConnectionOptions
  /** Default true. */
  readonly jetstream?: boolean
}

/** Not started yet. Killed with the scope, and its directory removed. */
export const makeServer = Effect.fnUntraced(function* ({
  config = "",
  jetstream = true,
  login = {}
}: ServerOptions = {}) {
  const port = yield* freePort
  const home = yield* directory
  const file = join(home, "server.conf")
  writeFileSync(
    file,
    [
      `listen: "127.0.0.1:${port}"`,
      jetstream ? `jetstream { store_dir: ${JSON.stringify(join(home, "js"))} }` : "",
      config
    ].join("\n")
  )
  let child: ChildProcess | undefined

  const kill = Effect.async<void>((resume) => {
    const running = child
    child = undefined
    if (running === undefined || running.exitCode !== null) return resume(Effect.void)
    running.once("exit", () => resume(Effect.void))
    running.kill("SIGKILL")
  })
  yield* Effect.addFinalizer(() => kill)

  const options = { servers: [`127.0.0.1:${port}`], ...login }
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    start: Effect.suspend(() => {
      child = spawn("nats-server", ["-c", file], { stdio: "ignore" })
      return ready(port)
    }),
    /** kill -9. */
    kill,
    /** It keeps its connections, takes new ones, and answers nothing. */
    freeze: Effect.sync(() => child?.kill("SIGSTOP")),
    thaw: Effect.sync(() => child?.kill("SIGCONT")),
    manager: Effect.acquireRelease(
      Effect.promise(async () => connect(options)),
      (connection) => Effect.promise(() => connection.close())
    ).pipe(Effect.flatMap((connection) => Effect.promise(() => jetstreamManager(connection)))),
    /** All messages of a stream, oldest first. */
    read: (stream: string) =>
      Effect.promise(async () => {
        const connection = await connect(options)
        const manager = await jetstreamManager(connection)
        const { state } = await manager.streams.info(stream)
        const messages: Array<StoredMessage> = []
        for (let seq = state.first_seq; seq > 0 && seq <= state.last_seq; seq++) {
          const found = await manager.streams.getMessage(stream, { seq })
          if (found === null) continue
          const header = (name: string) => found.header?.get(name) ?? ""
          messages.push({
            subject: found.subject,
            id: header("Nats-Msg-Id"),
            goalId: header("Driver-Goal-Id"),
            sequence: header("Driver-Sequence"),
            cut: header("Driver-Cut"),
            text: new TextDecoder().decode(found.data)
          })
        }
        await connection.close()
        return messages
      })
  }
})

/** A certificate for localhost that signs itself, in PEM; undefined where there is no `openssl`. */
export const selfSigned = (directory: string) => {
  const cert = join(directory, "cert.pem")
  const key = join(directory, "key.pem")
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...names],
    ...["-keyout", key, "-out", cert]
  ])
  return made.status === 0 ? { cert, key, text: readFileSync(cert, "utf8") } : undefined
}

export interface StoredMessage {
  readonly subject: string
  readonly id: string
  readonly goalId: string
  readonly sequence: string
  readonly cut: string
  readonly text: string
}
