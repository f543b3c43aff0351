/** A peer of the gate's socket that can do everything a proper one does not. */
import { connect, type Socket } from "node:net"
import { Effect, Schedule, type Scope } from "effect"

export type Frame = Readonly<Record<string, unknown>>

export interface Client {
  readonly socket: Socket
  readonly send: (...frames: ReadonlyArray<Frame>) => Effect.Effect<void>
  readonly write: (text: string | Uint8Array) => Effect.Effect<void>
  /** The next frame that matches and was not taken yet; waits for it. Dies when the connection ends first. */
  readonly take: (matches: (frame: Frame) => boolean) => Effect.Effect<Frame>
  /** Everything that came, also what was taken. */
  readonly received: () => ReadonlyArray<Frame>
  /** Resolves when the gate has closed the connection. */
  readonly closed: Effect.Effect<void>
}

export const byId = (id: unknown) => (frame: Frame) => frame["id"] === id

export const connectClient = (
  path: string,
  options: { readonly allowHalfOpen?: boolean } = {}
): Effect.Effect<Client, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Socket, Error>((resume) => {
      const socket = connect({ path, ...options })
      socket.once("connect", () => resume(Effect.succeed(socket)))
      socket.once("error", (error) => resume(Effect.fail(error)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  ).pipe(
    // Too many peers at once for the queue of the system.
    Effect.retry({
      while: (error) => "code" in error && error.code === "EAGAIN",
      schedule: Schedule.spaced("2 millis")
    }),
    Effect.map(clientOf)
  )

const clientOf = (socket: Socket): Client => {
  let text = ""
  let ended = false
  const all: Array<Frame> = []
  let open: Array<Frame> = []
  const changed = new Set<() => void>()
  const tell = () => {
    for (const it of [...changed]) it()
  }
  socket.setEncoding("utf8")
  socket.on("data", (chunk: string) => {
    text += chunk
    const lines = text.split("\n")
    text = lines.pop() ?? ""
    for (const line of lines) {
      const frame = JSON.parse(line)
      all.push(frame)
      open.push(frame)
    }
    tell()
  })
  socket.on("error", () => undefined)
  socket.on("close", () => {
    ended = true
    tell()
  })
  const until = <A>(look: () => A | undefined): Effect.Effect<A> =>
    Effect.async<A>((resume) => {
      const check = () => {
        const found = look()
        if (found !== undefined) {
          changed.delete(check)
          resume(Effect.succeed(found))
        }
      }
      changed.add(check)
      check()
      return Effect.sync(() => changed.delete(check))
    })
  const write = (text: string | Uint8Array) => Effect.sync(() => void socket.write(text))
  return {
    socket,
    write,
    send: (...frames) => write(frames.map((it) => `${JSON.stringify(it)}\n`).join("")),
    take: (matches) =>
      Effect.flatMap(
        until(() => {
          const found = open.find(matches)
          open = open.filter((it) => it !== found)
          return found ?? (ended ? "ended" : undefined)
        }),
        (it) => (typeof it === "string" ? Effect.dieMessage("the gate closed the connection") : Effect.succeed(it))
      ),
    received: () => all,
    closed: Effect.asVoid(until(() => (ended ? true : undefined)))
  }
}
