// Both bridges, in a network namespace of their own as in a sandbox, to a real unix socket outside.
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as SandboxBridge from "../src/internal/sandboxBridge.js"

vi.setConfig({ testTimeout: 30_000 })

const bwrap = ["/usr/bin/bwrap", "/bin/bwrap"].find((it) => existsSync(it)) ?? "bwrap"
const apart = [
  "--unshare-user",
  "--unshare-all",
  "--die-with-parent",
  "--bind",
  "/",
  "/",
  "--dev",
  "/dev",
  "--proc",
  "/proc",
  "--"
]

const works = (() => {
  try {
    execFileSync(bwrap, [...apart, "true"], { stdio: "pipe" })
    return true
  } catch (error) {
    if (process.env["DRIVER_TEST_REQUIRE_SANDBOX"] === "1") throw error
    console.warn("skipped: bubblewrap does not work here")
    return false
  }
})()

/** A socket that sends back what it gets, in capitals, until whoever writes has ended. */
const echo = Effect.acquireRelease(
  Effect.async<{ readonly socket: string; readonly close: () => void }>((resume) => {
    const directory = mkdtempSync(join(tmpdir(), "bridge-"))
    const socket = join(directory, "s")
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      connection.on("data", (bytes) => connection.write(String(bytes).toUpperCase()))
      connection.on("end", () => connection.end())
      connection.on("error", () => {})
    })
    server.listen(socket, () =>
      resume(
        Effect.succeed({
          socket,
          close: () => {
            server.close()
            rmSync(directory, { recursive: true, force: true })
          }
        })
      )
    )
  }),
  ({ close }) => Effect.sync(close)
)

const run = (argv: ReadonlyArray<string>) =>
  Effect.async<{ readonly code: number | null; readonly output: string }>((resume) => {
    const child = spawn(bwrap, [...apart, ...argv], { stdio: ["ignore", "pipe", "inherit"] })
    let output = ""
    child.stdout.on("data", (bytes) => (output += String(bytes)))
    child.on("close", (code) => resume(Effect.succeed({ code, output })))
  })

const client = (text: string) =>
  `const s = require("net").connect({ port: 3128, host: "127.0.0.1", allowHalfOpen: true }); let got = ""
   s.on("data", (d) => (got += d)); s.on("end", () => { console.log(got.length, got.slice(0, 5)); process.exit(7) })
   s.end(${text})`

const found = SandboxBridge.find()

for (const [name, bridge] of [
  ["socat", "socat" in found ? found : undefined],
  ["node", { node: process.execPath }]
] as const) {
  describe.skipIf(!works || bridge === undefined)(`the bridge by ${name}`, () => {
    const command = (socket: string) => (bridge === undefined ? [] : SandboxBridge.command(bridge, socket))

    it.scopedLive("listens when the program starts, carries bytes both ways, and keeps the exit code", () =>
      Effect.gen(function* () {
        const { socket } = yield* echo
        const ran = yield* run([...command(socket), process.execPath, "-e", client('"hello".repeat(100000)')])
        assert.deepStrictEqual(ran, { code: 7, output: "500000 HELLO\n" })
      })
    )

    it.scopedLive("serves one connection after another, and is gone with the program", () =>
      Effect.gen(function* () {
        const { socket } = yield* echo
        const twice = `"${process.execPath}" -e '${client('"a"')}'; "${process.execPath}" -e '${client('"b"')}'; exit 3`
        const ran = yield* run([...command(socket), "bash", "-c", twice])
        assert.deepStrictEqual(ran, { code: 3, output: "1 A\n1 B\n" })
      })
    )

    it.scopedLive("passes words on as they are, and says when there is no such program", () =>
      Effect.gen(function* () {
        const { socket } = yield* echo
        const words = ["a b", "$HOME", "'", '"', "*", ""]
        const ran = yield* run([...command(socket), "printf", "%s|", ...words])
        assert.deepStrictEqual(ran, { code: 0, output: `${words.join("|")}|` })
        assert.strictEqual((yield* run([...command(socket), "/no/such/program"])).code, 127)
      })
    )
  })
}
