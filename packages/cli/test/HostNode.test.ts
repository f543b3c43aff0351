import { readdirSync, readFileSync } from "node:fs"
import { Host } from "@driver/cli/Host"
import * as HostNode from "@driver/cli/HostNode"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Schedule } from "effect"

const capture = (program: string, args: ReadonlyArray<string>, timeout = Duration.seconds(20)) =>
  Effect.flatMap(Host, (host) =>
    host.capture(program, args, { timeout, environment: { PATH: process.env["PATH"] ?? "" } })
  )

const node = (source: string, timeout?: Duration.Duration) => capture(process.execPath, ["-e", source], timeout)

describe("Host on Node", () => {
  it.live("captures what a program says and how it ends", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* node("console.log('ä'); console.error('no'); process.exit(3)"), {
        exitCode: 3,
        stdout: "ä\n",
        stderr: "no\n"
      })
      assert.strictEqual((yield* node("process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 1e6)")).exitCode, -1)
    }).pipe(Effect.provide(HostNode.layer))
  )

  it.live("gives a program that asks for input the end of it", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* capture("cat", [])).exitCode, 0)
    }).pipe(Effect.provide(HostNode.layer))
  )

  it.live("passes the given environment and nothing else", () =>
    Effect.gen(function* () {
      const { stdout } = yield* node(
        "console.log(Object.keys(process.env).filter((it) => !it.startsWith('__')).join())"
      )
      assert.strictEqual(stdout.trim(), "PATH")
    }).pipe(Effect.provide(HostNode.layer))
  )

  it.live("tells a missing program, one that may not be run and one that does not end apart", () =>
    Effect.gen(function* () {
      const reason = (effect: ReturnType<typeof capture>) => Effect.map(Effect.flip(effect), (error) => error.reason)
      assert.strictEqual(yield* reason(capture("no-such-program-here", [])), "not_found")
      assert.strictEqual(yield* reason(capture("/etc/passwd", [])), "not_executable")
      assert.strictEqual(
        yield* reason(node("process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6)", Duration.millis(300))),
        "timeout"
      )
    }).pipe(Effect.provide(HostNode.layer))
  )

  it.live("kills the program when it is interrupted", () =>
    Effect.gen(function* () {
      const token = `token-${yield* Effect.flatMap(Host, (host) => host.uuid)}`
      const runs = Effect.sync(() =>
        readdirSync("/proc").some((name) => {
          try {
            return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, "utf8").includes(token)
          } catch {
            // It ended while we looked.
            return false
          }
        })
      )
      const until = (wanted: boolean) =>
        runs.pipe(
          Effect.repeat({ until: (is) => is === wanted, schedule: Schedule.spaced("10 millis") }),
          Effect.timeout("1 minute")
        )
      const fiber = yield* Effect.fork(node(`"${token}"; setInterval(() => {}, 1e6)`, Duration.minutes(5)))
      yield* until(true)
      yield* Fiber.interrupt(fiber)
      yield* until(false)
    }).pipe(Effect.provide(HostNode.layer))
  )

  it.live("knows ids, hashes and free space", () =>
    Effect.gen(function* () {
      const host = yield* Host
      assert.match(yield* host.uuid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.notStrictEqual(yield* host.uuid, yield* host.uuid)
      assert.strictEqual(host.sha256("").slice(0, 8), "e3b0c442")
      assert.isTrue(Option.exists(yield* host.freeBytes("/tmp"), (bytes) => bytes > 0))
      assert.isTrue(Option.isNone(yield* host.freeBytes("/no/such/place")))
    }).pipe(Effect.provide(HostNode.layer))
  )
})
