/** The gate program as a process, seen as its agent sees it; and a driver that answers whatever a test wants. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { execPath } from "node:process"
import { Effect, type Scope } from "effect"
import { gateProgram } from "./doors.js"

export type Message = Readonly<Record<string, unknown>>

export interface Program {
  readonly child: ChildProcessWithoutNullStreams
  readonly write: (text: string | Uint8Array) => Effect.Effect<void>
  readonly send: (message: Message) => Effect.Effect<void>
  /** The next message that matches; waits for it. Dies when the program ends first. */
  readonly take: (matches: (message: Message) => boolean) => Effect.Effect<Message>
  readonly received: () => ReadonlyArray<Message>
  /** Asks and resolves with the reply that the agent would read. */
  readonly ask: (id: unknown, input: Message, more?: Message) => Effect.Effect<Message>
  /** Exit code, or the signal. */
  readonly exited: Effect.Effect<number | string>
}

export const call = (id: unknown, input: Message, more: Message = {}): Message => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: {
    name: "permission_prompt",
    arguments: { tool_name: "Bash", input, tool_use_id: `toolu_${String(id)}` },
    ...more
  }
})

/** What the agent reads in the result of a tool call. */
export const replyOf = (message: Message): Message => {
  const { content } = message["result"] as { readonly content: ReadonlyArray<{ readonly text: string }> }
  return JSON.parse(content[0]?.text ?? "")
}

export const startProgram = (
  env: Readonly<Record<string, string>>,
  command: readonly [string, ...ReadonlyArray<string>] = [execPath, gateProgram]
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(command[0], command.slice(1), { env, stdio: "pipe" })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  ).pipe(Effect.map(programOf))

const programOf = (child: ChildProcessWithoutNullStreams): Program => {
  let text = ""
  let ended: number | string | undefined
  const all: Array<Message> = []
  let open: Array<Message> = []
  const changed = new Set<() => void>()
  const tell = () => {
    for (const it of [...changed]) it()
  }
  child.stdout.setEncoding("utf8")
  child.stdout.on("data", (chunk: string) => {
    text += chunk
    const lines = text.split("\n")
    text = lines.pop() ?? ""
    for (const line of lines) {
      const message = JSON.parse(line)
      all.push(message)
      open.push(message)
    }
    tell()
  })
  child.stdin.on("error", () => undefined)
  child.on("close", (code, signal) => {
    ended = code ?? signal ?? "unknown"
    tell()
  })
  const until = <A>(look: () => A | undefined): Effect.Effect<A> =>
    Effect.async<A>((resume) => {
      const check = () => {
        const found = look()
        if (found === undefined) return
        changed.delete(check)
        resume(Effect.succeed(found))
      }
      changed.add(check)
      check()
      return Effect.sync(() => changed.delete(check))
    })
  const write = (chunk: string | Uint8Array) => Effect.sync(() => void child.stdin.write(chunk))
  const send = (message: Message) => write(`${JSON.stringify(message)}\n`)
  const take = (matches: (message: Message) => boolean) =>
    Effect.flatMap(
      until(() => {
        const found = open.find(matches)
        open = open.filter((it) => it !== found)
        return found ?? (ended === undefined ? undefined : "ended")
      }),
      (it) => (typeof it === "string" ? Effect.dieMessage("the gate program has ended") : Effect.succeed(it))
    )
  return {
    child,
    write,
    send,
    take,
    received: () => all,
    ask: (id, input, more) =>
      Effect.zipRight(
        send(call(id, input, more)),
        Effect.map(
          take((it) => it["id"] === id),
          replyOf
        )
      ),
    exited: until(() => ended)
  }
}

export interface FakeDriver {
  readonly env: Readonly<Record<string, string>>
  /** Takes the driver away, with its connections and its socket. */
  readonly die: Effect.Effect<void>
}

/** A driver that does with each line what the test says. */
export const fakeDriver = (
  path: string,
  onFrame: (frame: Message, socket: Socket, say: (frame: Message | string) => void) => void
): Effect.Effect<FakeDriver, never, Scope.Scope> => {
  const sockets = new Set<Socket>()
  const stop = (server: Server) =>
    Effect.async<void>((resume) => {
      for (const it of sockets) it.destroy()
      rmSync(path, { force: true })
      server.close(() => resume(Effect.void))
    })
  return Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const server = createServer((socket) => {
        sockets.add(socket)
        let text = ""
        socket.setEncoding("utf8")
        socket.on("error", () => undefined)
        socket.on("close", () => sockets.delete(socket))
        socket.on("data", (chunk: string) => {
          text += chunk
          const lines = text.split("\n")
          text = lines.pop() ?? ""
          for (const line of lines) {
            onFrame(JSON.parse(line), socket, (frame) =>
              socket.write(typeof frame === "string" ? frame : `${JSON.stringify(frame)}\n`)
            )
          }
        })
      })
      server.listen(path, () => resume(Effect.succeed(server)))
    }),
    (server) => (server.listening ? stop(server) : Effect.void)
  ).pipe(
    Effect.map((server) => ({
      env: { DRIVER_GATE_SOCKET: path, DRIVER_GATE_TOKEN: "secret", DRIVER_GATE_SERVER: "driver" },
      die: stop(server)
    }))
  )
}
