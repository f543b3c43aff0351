import * as fs from "node:fs"
import * as path from "node:path"
import { decodeName, encodeRecords, fromBinary, Git, records, text, toBinary } from "@driver/runtime/Git"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, FastCheck, Fiber, Layer, Schedule } from "effect"
import { layerGit, makePlace, makeRepository } from "./support/repositories.js"

// Real processes on a machine that may be busy.
vi.setConfig({ testTimeout: 30_000 })

/** A `git` that is this script. The call that asks for the user's ignore file is answered with nothing. */
const layerScript = (directory: string, body: string) => {
  const file = path.join(directory, "git.sh")
  fs.writeFileSync(file, `#!/bin/sh\ncase "$*" in *core.excludesFile) exit 1;; esac\n${body}\n`, { mode: 0o755 })
  return Git.layer({ program: file }).pipe(Layer.provide(NodeContext.layer))
}

const isAlive = (pid: string): boolean => {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (met: boolean) => met, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout("1 minute")
  )

/** A script whose child ignores SIGTERM; both write down who they are. */
const stubborn = `sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 0.1; done' &
echo $$ > leader
wait`

const pidsIn = (directory: string): ReadonlyArray<string> =>
  ["leader", "child"].flatMap((name) => {
    const file = path.join(directory, name)
    return fs.existsSync(file) && fs.readFileSync(file, "utf8").trim() !== ""
      ? [fs.readFileSync(file, "utf8").trim()]
      : []
  })

describe("Git", () => {
  it.scopedLive("gives what git printed, names as bytes", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository({ 'a\nb"c.txt': "1", "-ü.txt": "2" })
      const { run } = yield* Git
      const output = yield* run({ args: ["ls-files", "-z"], cwd: place.repository })
      assert.deepStrictEqual(records(output).map(decodeName), ["-ü.txt", 'a\nb"c.txt'])
    }).pipe(Effect.provide(layerGit))
  )

  it.scopedLive("passes nothing of the driver's environment but paths, and a fixed one of its own", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      process.env["GIT_DIR"] = "/somewhere/else"
      process.env["GIT_CONFIG_PARAMETERS"] = "'core.fsmonitor=evil'"
      process.env["SECRET_KEY"] = "s"
      const output = yield* Effect.flatMap(Git, ({ run }) =>
        run({ args: ["x"], cwd: place.directory, env: { GIT_INDEX_FILE: "i" } })
      ).pipe(
        Effect.provide(layerScript(place.directory, "env | sort")),
        Effect.ensuring(
          Effect.sync(() => {
            delete process.env["GIT_DIR"]
            delete process.env["GIT_CONFIG_PARAMETERS"]
            delete process.env["SECRET_KEY"]
          })
        )
      )
      const variables = Object.fromEntries(
        text(output)
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])
      )
      assert.strictEqual(variables["PATH"], process.env["PATH"])
      assert.strictEqual(variables["GIT_INDEX_FILE"], "i")
      assert.strictEqual(variables["GIT_TERMINAL_PROMPT"], "0")
      assert.strictEqual(variables["GIT_CONFIG_GLOBAL"], "/dev/null")
      assert.strictEqual(variables["LC_ALL"], "C")
      assert.notProperty(variables, "GIT_DIR")
      assert.notProperty(variables, "GIT_CONFIG_PARAMETERS")
      assert.notProperty(variables, "SECRET_KEY")
    })
  )

  it.scopedLive("honours the user's own list of ignored files, and nothing else of the user's configuration", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      const home = path.join(place.directory, "home")
      fs.mkdirSync(home)
      fs.writeFileSync(path.join(home, "ignore"), "*.log\n")
      fs.writeFileSync(path.join(home, ".gitconfig"), "[core]\n\texcludesFile = ~/ignore\n\tbigFileThreshold = 7\n")
      fs.writeFileSync(path.join(place.repository, "x.log"), "")
      const before = process.env["HOME"]
      process.env["HOME"] = home
      const layer = Git.layer().pipe(Layer.provide(NodeContext.layer))
      yield* Effect.gen(function* () {
        const { run } = yield* Git
        const others = yield* run({ args: ["ls-files", "-z", "-o", "--exclude-standard"], cwd: place.repository })
        assert.deepStrictEqual(records(others), [])
        const setting = yield* run({
          args: ["config", "core.bigFileThreshold"],
          cwd: place.repository,
          answers: [0, 1]
        })
        assert.strictEqual(setting.exitCode, 1)
      }).pipe(
        Effect.provide(layer),
        Effect.ensuring(
          Effect.sync(() => {
            process.env["HOME"] = before
          })
        )
      )
    })
  )

  it.scopedLive("says what git said when it fails, and where", () =>
    Effect.gen(function* () {
      const place = yield* makeRepository()
      const { run } = yield* Git
      const error = yield* Effect.flip(run({ args: ["rev-parse", "--verify", "nothing"], cwd: place.repository }))
      assert.strictEqual(error.reason, "exit")
      assert.strictEqual(error.exitCode, 128)
      assert.strictEqual(
        error.message,
        `\`git rev-parse --verify nothing\` in ${place.repository} failed with 128: fatal: Needed a single revision`
      )
      const answer = yield* run({
        args: ["rev-parse", "--verify", "nothing"],
        cwd: place.repository,
        answers: [0, 128]
      })
      assert.strictEqual(answer.exitCode, 128)
    }).pipe(Effect.provide(layerGit))
  )

  it.scopedLive("says so when there is no git", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const layer = Git.layer({ program: path.join(place.directory, "no-such-git") }).pipe(
        Layer.provide(NodeContext.layer)
      )
      const error = yield* Effect.flatMap(Git, ({ run }) => run({ args: ["version"], cwd: place.directory })).pipe(
        Effect.provide(layer),
        Effect.flip
      )
      assert.strictEqual(error.reason, "spawn")
    })
  )

  it.scopedLive("says so when a signal ended it", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const error = yield* Effect.flatMap(Git, ({ run }) => run({ args: ["x"], cwd: place.directory })).pipe(
        Effect.provide(layerScript(place.directory, "kill -9 $$")),
        Effect.flip
      )
      assert.strictEqual(error.reason, "killed")
    })
  )

  it.scopedLive("kills the whole group at its time limit, a child that ignores SIGTERM included", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const error = yield* Effect.flatMap(Git, ({ run }) =>
        run({ args: ["slow"], cwd: place.directory, timeout: "400 millis" })
      ).pipe(Effect.provide(layerScript(place.directory, stubborn)), Effect.flip)
      assert.strictEqual(error.reason, "timeout")
      const pids = pidsIn(place.directory)
      assert.lengthOf(pids, 2)
      yield* until(() => !pids.some(isAlive))
    })
  )

  it.scopedLive("kills the whole group when interrupted", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const fiber = yield* Effect.flatMap(Git, ({ run }) => run({ args: ["slow"], cwd: place.directory })).pipe(
        Effect.provide(layerScript(place.directory, stubborn)),
        Effect.fork
      )
      yield* until(() => pidsIn(place.directory).length === 2)
      yield* Fiber.interrupt(fiber)
      const pids = pidsIn(place.directory)
      yield* until(() => !pids.some(isAlive))
    })
  )

  it.scopedLive("drains both outputs and keeps a bounded part of them", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const flood = "head -c 3000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o"
      const output = yield* Effect.flatMap(Git, ({ run }) =>
        run({ args: ["x"], cwd: place.directory, maxOutputBytes: 1000 })
      ).pipe(Effect.provide(layerScript(place.directory, flood)))
      assert.strictEqual(text(output), "o".repeat(1000))
      assert.isTrue(output.truncated)
      assert.strictEqual(output.stderr, "e".repeat(64 * 1024))
    })
  )

  it.scopedLive("feeds its input whole, and an end of file when there is none", () =>
    Effect.gen(function* () {
      const place = yield* makePlace
      const input = "ä\0".repeat(200_000)
      yield* Effect.gen(function* () {
        const { run } = yield* Git
        const echoed = yield* run({ args: ["x"], cwd: place.directory, stdin: new TextEncoder().encode(input) })
        assert.strictEqual(text(echoed), input)
        assert.strictEqual(text(yield* run({ args: ["x"], cwd: place.directory })), "")
      }).pipe(Effect.provide(layerScript(place.directory, "exec cat")))
    })
  )

  it("keeps every byte of a name", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 20_000, size: "max" }), (bytes) => {
        assert.deepStrictEqual(fromBinary(toBinary(bytes)), bytes)
      })
    )
    assert.deepStrictEqual(encodeRecords(["a", "\xff"]), new Uint8Array([97, 0, 255, 0]))
  })
})
