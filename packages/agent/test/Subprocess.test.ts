import * as ChildProcess from "node:child_process"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  type Layer,
  ManagedRuntime,
  Option,
  Scope,
  Stream,
  Supervisor,
  TestClock
} from "effect"
import * as Subprocess from "../src/Subprocess.js"

const { Containment } = Subprocess

const offered = await Effect.runPromise(
  Effect.flatMap(Containment, ({ state }) => state).pipe(Effect.provide(Containment.layer))
)
const hasNamespaces = offered.kind === "namespace"
const isRoot = process.getuid?.() === 0

const env = { PATH: "/usr/bin:/bin" }
const sh = (script: string) => ["/bin/sh", "-c", script] as const
const utf8 = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** Living processes that were given this marker. */
const survivors = (marker: string): ReadonlyArray<number> =>
  Fs.readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const isMarked = Fs.readFileSync(`/proc/${name}/environ`, "utf8")
        .split("\0")
        .includes(`DRIVER_PROCESS_ID=${marker}`)
      return isMarked && !Fs.readFileSync(`/proc/${name}/stat`, "utf8").includes(") Z ") ? [Number(name)] : []
    } catch {
      return []
    }
  })

const isAlive = (pid: number): boolean => {
  try {
    return !Fs.readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/** Waits until something holds. What never does fails the test by its time limit. */
const until = (holds: () => boolean) =>
  Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => holds() }), Effect.asVoid)

const text = (stream: Subprocess.Subprocess["stdout"]) =>
  stream.pipe(
    Stream.decodeText(),
    Stream.runFold("", (all, part) => all + part)
  )

/** Reads until `wanted` was printed, and leaves the rest. */
const printed = (child: Subprocess.Subprocess, wanted: string) =>
  child.stdout.pipe(
    Stream.decodeText(),
    Stream.scan("", (all, part) => all + part),
    Stream.takeUntil((all) => all.includes(wanted)),
    Stream.runDrain
  )

const temporary = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "subprocess-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

const driverProgram = fileURLToPath(new URL("../../../build/test-programs/agent/driver.mjs", import.meta.url))

/** What a process may leave behind. Each prints "ready" once all of it stands. */
const trees = {
  "a program that ignores SIGTERM": `trap "" TERM; echo ready; while :; do sleep 1; done`,
  "a grandchild in a session of its own": `setsid sh -c 'echo ready; exec sleep 1000' & wait`,
  "a daemon that forked twice": `(setsid sh -c 'sleep 1000 & echo ready' &); exec sleep 1000`,
  "a grandchild under nohup": `nohup sh -c 'echo ready; exec sleep 1000' & wait`,
  "stubborn grandchildren everywhere": `trap "" TERM HUP INT
    setsid nohup sh -c 'while :; do sleep 1; done' &
    (sh -c 'while :; do sleep 1; done' &)
    echo ready; while :; do sleep 1; done`
}

/** What is left when the program itself ends before its scope. */
const leftovers = {
  "a grandchild in the group of a program that exits 0": `sleep 1000 & echo ready; exit 0`,
  "a daemon of a program that exits 0": `(setsid sh -c 'sleep 1000 & echo ready' &); exit 0`,
  "a grandchild of a program that is killed": `sleep 1000 & echo ready; kill -KILL $$`
}

const boom = new Error("boom")

/** Every way in which a scope ends, around `use`. */
const endings: Readonly<
  Record<string, <A, R>(use: Effect.Effect<A, unknown, R | Scope.Scope>) => Effect.Effect<unknown, unknown, R>>
> = {
  success: (use) => Effect.scoped(use),
  failure: (use) =>
    Effect.scoped(Effect.zipRight(use, Effect.fail(boom))).pipe(
      Effect.flip,
      Effect.map((error) => assert.strictEqual(error, boom))
    ),
  interruption: (use) =>
    Effect.gen(function* () {
      const used = yield* Deferred.make<void>()
      const fiber = yield* Effect.scoped(
        use.pipe(Effect.zipRight(Deferred.succeed(used, undefined)), Effect.zipRight(Effect.never))
      ).pipe(
        Effect.onError((cause) => Deferred.failCause(used, Cause.die(cause))),
        Effect.fork
      )
      yield* Deferred.await(used)
      yield* Fiber.interrupt(fiber)
    }),
  "a finalizer of its parent": (use) =>
    Effect.gen(function* () {
      const inner = yield* Scope.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => Scope.close(inner, Exit.void))
          yield* Scope.extend(use, inner)
        })
      )
    })
}

const kinds: ReadonlyArray<readonly [Subprocess.ContainmentKind, Layer.Layer<Subprocess.Containment>]> = [
  ["namespace", Containment.layer],
  ["process_group", Containment.layerProcessGroup]
]

describe.each(kinds)("Subprocess in a %s", (kind, layer) => {
  const live = <A, E>(name: string, test: () => Effect.Effect<A, E, Subprocess.Containment | Scope.Scope>) =>
    it.scopedLive.skipIf(kind === "namespace" && !hasNamespaces)(name, () => Effect.provide(test(), layer), 60_000)

  it.live.skipIf(kind === "namespace" && !hasNamespaces)(
    "belongs to the scope of whoever started it, also of a fiber that has nothing to do with the layer's",
    () =>
      Effect.acquireUseRelease(
        Effect.sync(() => ManagedRuntime.make(layer)),
        (runtime) =>
          Effect.gen(function* () {
            const started = Effect.map(Subprocess.start({ argv: sh("sleep 60"), env }), ({ marker }) => marker)
            const markers = yield* Effect.forEach(
              [1, 2],
              () => Effect.promise(() => runtime.runPromise(Effect.scoped(started))),
              { concurrency: 2 }
            )
            assert.deepStrictEqual(markers.flatMap(survivors), [])
          }),
        (runtime) => Effect.promise(() => runtime.dispose())
      )
  )

  live("is in that kind", () =>
    Effect.gen(function* () {
      const state = yield* (yield* Containment).state
      assert.strictEqual(state.kind, kind)
      assert.strictEqual(Option.isNone(state.reason), kind === "namespace")
    })
  )

  for (const [ending, around] of Object.entries(endings)) {
    for (const [tree, script] of Object.entries(trees)) {
      live(`leaves nothing of ${tree} when its scope ends by ${ending}`, () =>
        Effect.gen(function* () {
          let marker = ""
          yield* around(
            Effect.gen(function* () {
              const child = yield* Subprocess.start({ argv: sh(script), env, killAfter: "100 millis" })
              marker = child.marker
              yield* printed(child, "ready")
              assert.isNotEmpty(survivors(marker))
            })
          )
          assert.deepStrictEqual(survivors(marker), [])
        })
      )
    }
    for (const [tree, script] of Object.entries(leftovers)) {
      live(`leaves nothing of ${tree} when its scope ends by ${ending}`, () =>
        Effect.gen(function* () {
          let marker = ""
          yield* around(
            Effect.gen(function* () {
              const child = yield* Subprocess.start({ argv: sh(script), env })
              marker = child.marker
              yield* printed(child, "ready")
            })
          )
          assert.deepStrictEqual(survivors(marker), [])
        })
      )
    }
  }

  live("kills what a program left without waiting for the scope, and ends stdout though somebody held it", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({
        argv: sh(`setsid sleep 1000 & sleep 1000 & echo last; exit 3`),
        env
      })
      assert.strictEqual(yield* text(child.stdout), "last\n")
      assert.deepStrictEqual(yield* child.exit, Subprocess.SubprocessExit.Exited({ code: 3 }))
      yield* until(() => survivors(child.marker).length === 0)
    })
  )

  live("kills what cleared its environment and left its parents, but not its group", () =>
    Effect.gen(function* () {
      const token = `token-${Crypto.randomUUID()}`
      const carriers = () =>
        Fs.readdirSync("/proc").filter((pid) => {
          try {
            return Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").at(-2) === token
          } catch {
            return false
          }
        })
      const directory = yield* temporary
      const daemon = `trap "" TERM; touch ${directory}/up; while :; do sleep 1000; done`
      const script = `(env -i PATH=$PATH /bin/sh -c '${daemon}' ${token} &); while [ ! -e ${directory}/up ]; do :; done
        echo ready; exec sleep 1000`
      yield* Effect.gen(function* () {
        const child = yield* Subprocess.start({ argv: sh(script), env })
        yield* printed(child, "ready")
        assert.isNotEmpty(carriers())
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(carriers(), [])
    })
  )

  live("does not wait for longer than it was told before it kills", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const child = yield* Scope.extend(
        Subprocess.start({ argv: sh(trees["a program that ignores SIGTERM"]), env, killAfter: "50 millis" }),
        scope
      )
      yield* printed(child, "ready")
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(elapsed), 1900)
      assert.isAtLeast(Duration.toMillis(elapsed), 50)
      assert.deepStrictEqual(yield* child.exit, Subprocess.SubprocessExit.Signaled({ signal: "SIGKILL" }))
    })
  )

  live("ends stdout though a stranger holds the pipe", () =>
    Effect.gen(function* () {
      // A process with another environment and no parents of ours stands for one that cannot be found or killed.
      const directory = yield* temporary
      const child = yield* Subprocess.start({
        argv: sh(
          `(setsid env -i /bin/sh -c 'echo $$ > ${directory}/pid; exec sleep 1000' &); while [ ! -s ${directory}/pid ]; do :; done; echo x; exit 0`
        ),
        env
      })
      assert.strictEqual(yield* text(child.stdout), "x\n")
      if (kind === "process_group") process.kill(Number(Fs.readFileSync(`${directory}/pid`, "utf8")), "SIGKILL")
    })
  )

  live("finds descendants by a marker that was added later", () =>
    Effect.gen(function* () {
      const id = Crypto.randomUUID()
      const directory = yield* temporary
      const script = `(setsid env -i SESSION=${id} /bin/sh -c 'sleep 1000 & echo $! > ${directory}/pid' &)
        while [ ! -s ${directory}/pid ]; do :; done; echo ready; exec sleep 1000`
      yield* Effect.gen(function* () {
        const child = yield* Subprocess.start({ argv: sh(script), env })
        yield* child.addMarker(`SESSION=${id}`)
        yield* printed(child, "ready")
      }).pipe(Effect.scoped)
      const found = Fs.readdirSync("/proc").filter((pid) => {
        try {
          return Fs.readFileSync(`/proc/${pid}/environ`, "utf8").includes(id)
        } catch {
          return false
        }
      })
      assert.deepStrictEqual(found, [])
    })
  )

  live("lets a program end itself after SIGTERM, and hears its last words", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({
        argv: sh(`trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done`),
        env
      })
      const output = yield* Effect.fork(text(child.stdout))
      yield* Effect.sleep("10 millis") // the signal may come at any moment of its start: then there are no words
      yield* until(() => survivors(child.marker).length > 0)
      const other = yield* Subprocess.start({
        argv: sh(`trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done`),
        env
      })
      yield* printed(other, "ready")
      yield* other.signal("SIGTERM")
      assert.strictEqual(yield* text(other.stdout), "bye\n")
      assert.deepStrictEqual(yield* other.exit, Subprocess.SubprocessExit.Exited({ code: 7 }))
      yield* child.signal("SIGKILL")
      yield* Fiber.join(output)
      assert.deepStrictEqual(yield* child.exit, Subprocess.SubprocessExit.Signaled({ signal: "SIGKILL" }))
    })
  )

  live("lets a program say its last words when its scope closes though nobody reads", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      // More than what the pipe and the driver hold, so that it can only end when somebody takes it.
      const script = `trap 'head -c 4000000 /dev/zero; echo done > ${directory}/done; exit 0' TERM
        echo ready; while :; do sleep 0.02; done`
      yield* Effect.gen(function* () {
        const child = yield* Subprocess.start({ argv: sh(script), env, killAfter: "10 seconds" })
        yield* printed(child, "ready")
      }).pipe(Effect.scoped)
      assert.strictEqual(Fs.readFileSync(`${directory}/done`, "utf8"), "done\n")
    })
  )

  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    live(`reaches the whole group with ${signal}`, () =>
      Effect.gen(function* () {
        const child = yield* Subprocess.start({ argv: sh(`sh -c 'echo ready; exec sleep 1000'; exit 9`), env })
        yield* printed(child, "ready")
        yield* child.signal(signal)
        assert.deepStrictEqual(yield* child.exit, Subprocess.SubprocessExit.Signaled({ signal }))
      })
    )
  }

  live("tells an exit with a high code from a death by a signal", () =>
    Effect.gen(function* () {
      const exits = yield* Effect.forEach(
        [
          "exit 0",
          "exit 1",
          "exit 143",
          "exit 255",
          "kill -TERM $$",
          "kill -KILL $$",
          "kill -SEGV $$",
          "kill -PIPE $$"
        ],
        (script) => Effect.map(Subprocess.run({ argv: sh(script), env }), ({ exit }) => exit)
      )
      const { Exited, Signaled } = Subprocess.SubprocessExit
      assert.deepStrictEqual(exits, [
        Exited({ code: 0 }),
        Exited({ code: 1 }),
        Exited({ code: 143 }),
        Exited({ code: 255 }),
        Signaled({ signal: "SIGTERM" }),
        Signaled({ signal: "SIGKILL" }),
        Signaled({ signal: "SIGSEGV" }),
        Signaled({ signal: "SIGPIPE" })
      ])
    })
  )

  live("reads stderr that nobody asks for, and keeps its last 16 KiB from a whole character on", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({
        argv: sh(`i=0; while [ $i -lt 160 ]; do head -c 65536 /dev/zero | tr '\\0' e >&2; i=$((i+1)); done
          i=0; while [ $i -lt 6000 ]; do printf '漢' >&2; i=$((i+1)); done; printf 'zz' >&2; echo done`),
        env
      })
      assert.strictEqual(yield* text(child.stdout), "done\n")
      yield* child.exit
      const tail = yield* child.stderrTail
      assert.strictEqual(tail, "漢".repeat(5460) + "zz") // of 16,384 bytes the first two are the end of a character
    })
  )

  live("tells what stderr held so far while the program runs", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({ argv: sh(`echo oops >&2; exec sleep 1000`), env })
      yield* Effect.sleep("5 millis").pipe(
        Effect.zipRight(child.stderrTail),
        Effect.repeat({ until: (tail) => tail === "oops\n" })
      )
    })
  )

  live("keeps every byte for a reader that is slower than the program", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({ argv: sh(`head -c 3000000 /dev/zero`), env })
      const size = yield* child.stdout.pipe(
        Stream.rechunk(1),
        Stream.mapEffect((bytes) =>
          Effect.as(Effect.sleep(bytes.length > 60_000 ? "20 millis" : "1 millis"), bytes.length)
        ),
        Stream.runSum
      )
      assert.strictEqual(size, 3_000_000)
    })
  )

  live("waits with its output until somebody reads", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const child = yield* Subprocess.start({
        argv: sh(`head -c 20000000 /dev/zero; echo done > ${directory}/done`),
        env
      })
      yield* child.stdout.pipe(Stream.take(1), Stream.runDrain)
      yield* Effect.sleep("200 millis") // it would be done long ago
      assert.isFalse(Fs.existsSync(`${directory}/done`))
      const rest = yield* child.stdout.pipe(Stream.runFold(0, (size, bytes) => size + bytes.length))
      assert.isAtLeast(rest, 19_000_000)
      assert.isTrue(Fs.existsSync(`${directory}/done`))
    })
  )

  live("gives characters whole though they come in parts", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({
        argv: sh(`printf '\\346\\274'; sleep 0.05; printf '\\242 \\360\\237'; sleep 0.05; printf '\\230\\200'`),
        env
      })
      assert.strictEqual(yield* text(child.stdout), "漢 😀")
    })
  )

  live("writes to stdin, waits for a slow reader, and ends it", () =>
    Effect.gen(function* () {
      const child = yield* Subprocess.start({ argv: sh(`sleep 0.2; wc -c; echo end`), env, stdin: "pipe" })
      const big = new Uint8Array(5_000_000).fill(120)
      yield* child.write("漢")
      yield* child.write(big)
      yield* child.endStdin
      assert.strictEqual((yield* text(child.stdout)).trim(), "5000003\nend")
      yield* child.endStdin
    })
  )

  live("feeds stdin from a stream", () =>
    Effect.gen(function* () {
      const bytes = Stream.make("one ", "two").pipe(Stream.encodeText)
      const { stdout } = yield* Subprocess.run({ argv: ["cat"], env, stdin: bytes })
      assert.strictEqual(utf8(stdout), "one two")
      const endless = Stream.repeatValue(new Uint8Array(100_000))
      const { exit } = yield* Subprocess.run({ argv: sh("exit 4"), env, stdin: endless })
      assert.deepStrictEqual(exit, Subprocess.SubprocessExit.Exited({ code: 4 }))
    })
  )

  live("gives nothing to read by default", () =>
    Effect.gen(function* () {
      const { exit, stdout } = yield* Subprocess.run({ argv: ["cat"], env })
      assert.deepStrictEqual([exit, stdout.length], [Subprocess.SubprocessExit.Exited({ code: 0 }), 0])
      const child = yield* Subprocess.start({ argv: ["cat"], env })
      assert.strictEqual((yield* Effect.flip(child.write("x")))._tag, "SubprocessStdinClosed")
    })
  )

  live("says that stdin is closed when the program has ended or closed it, whatever is still under way", () =>
    Effect.gen(function* () {
      const gone = yield* Subprocess.start({ argv: sh("exit 0"), env, stdin: "pipe" })
      yield* gone.exit
      const error = yield* Effect.flip(gone.write("x"))
      assert.strictEqual(error._tag, "SubprocessStdinClosed")
      assert.include(error.message, "/bin/sh")

      // In a namespace `nsenter` holds the pipe too, and only the end of the program closes it.
      const script = kind === "namespace" ? "exit 0" : "exec 0<&-; echo ready; exec sleep 1000"
      const closed = yield* Subprocess.start({ argv: sh(script), env, stdin: "pipe" })
      yield* closed.stdout.pipe(Stream.take(1), Stream.runDrain)
      const bytes = new Uint8Array(1_000_000)
      // The first bytes may still go into the pipe.
      yield* Effect.repeat(Effect.either(closed.write(bytes)), { until: Either.isLeft })

      const killed = Effect.gen(function* () {
        const deaf = yield* Subprocess.start({ argv: ["sleep", "1000"], env, stdin: "pipe" })
        const writer = yield* Effect.fork(Effect.flip(deaf.write(new Uint8Array(5_000_000))))
        const interrupted = yield* Effect.fork(deaf.write(new Uint8Array(5_000_000)))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(interrupted)
        yield* deaf.signal("SIGKILL")
        assert.strictEqual((yield* Fiber.join(writer))._tag, "SubprocessStdinClosed")
      })
      yield* Effect.replicateEffect(Effect.scoped(killed), 20)
    })
  )

  live("gives the child exactly the environment that was given, and the marker", () =>
    Effect.gen(function* () {
      const given = {
        PATH: "/usr/bin:/bin",
        "npm_config_//host/:token": "x=y",
        "": "",
        LANG: "C",
        EMPTY: "",
        ü: "漢 😀"
      }
      const { "": _, ...wanted } = given
      const child = yield* Subprocess.start({ argv: ["env", "-0"], env: wanted, owner: "goal-7" })
      const entries = (yield* text(child.stdout)).split("\0").filter((entry) => entry !== "")
      assert.sameMembers(
        entries,
        [...Object.entries(wanted), ["DRIVER_PROCESS_ID", child.marker]].map(([name, value]) => `${name}=${value}`)
      )
      assert.match(child.marker, /^goal-7:/)
      const other = yield* Subprocess.start({ argv: ["true"], env })
      assert.notStrictEqual(other.marker, child.marker)
    })
  )

  live("runs in the directory that was given, also when its name is strange", () =>
    Effect.gen(function* () {
      const directory = Fs.realpathSync(Path.join(yield* temporary))
      const strange = Path.join(directory, "--wd= ü\n漢'$HOME")
      Fs.mkdirSync(strange)
      const { stdout } = yield* Subprocess.run({ argv: sh('pwd -P; printf %s "$1"'), env, cwd: strange })
      assert.strictEqual(utf8(stdout), `${strange}\n`)
      const plain = yield* Subprocess.run({ argv: ["pwd"], env })
      assert.strictEqual(utf8(plain.stdout).trim(), process.cwd())
    })
  )

  live("passes arguments as they are", () =>
    Effect.gen(function* () {
      const args = ["", "--", "-x", "a b", "$HOME", "'\"\\", "漢\n"]
      const { stdout } = yield* Subprocess.run({ argv: ["printf", "%s\\0", ...args], env })
      assert.deepStrictEqual(utf8(stdout).split("\0").slice(0, -1), args)
    })
  )

  live("leads a session and a process group of its own, in which it finds itself", () =>
    Effect.gen(function* () {
      const { stdout } = yield* Subprocess.run({
        argv: sh(
          `read -r pid name state parent group session rest < /proc/self/stat; echo $pid $group $session; sh -c 'echo $PPID'; echo $$`
        ),
        env
      })
      const [self = "", parent = "", leader = ""] = utf8(stdout).trim().split("\n")
      assert.strictEqual(self, `${leader} ${leader} ${leader}`)
      assert.strictEqual(parent, leader)
    })
  )

  live("has no file of the driver open", () =>
    Effect.gen(function* () {
      const { stdout } = yield* Subprocess.run({ argv: ["ls", "/proc/self/fd"], env })
      const inherited = utf8(stdout)
        .trim()
        .split("\n")
        .filter((fd) => Number(fd) > 3)
      // What a shell above the test leaves open for all of its children is not ours.
      const bare = ChildProcess.spawnSync("/bin/ls", ["/proc/self/fd"]).stdout.toString().trim().split("\n")
      assert.deepStrictEqual(
        inherited,
        bare.filter((fd) => Number(fd) > 3)
      )
    })
  )

  describe("which cannot be started", () => {
    const failure = (options: Omit<Subprocess.SubprocessOptions, "env">, PATH = env.PATH) =>
      Effect.map(Effect.flip(Subprocess.run({ env: { PATH }, ...options })), (error) => error)

    live("says that the program is missing", () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        Fs.writeFileSync(`${directory}/script`, "#!/no/such/interpreter -x\n", { mode: 0o755 })
        Fs.writeFileSync(`${directory}/here`, "#!/bin/sh\n", { mode: 0o755 })
        for (const options of [
          { argv: ["no-such-program", "secret"] },
          { argv: ["/no/such/program"] },
          { argv: [`${directory}/script`] },
          { argv: ["/bin/sh/x"] },
          { argv: [""] },
          { argv: [] },
          { argv: ["here"], cwd: directory }
        ]) {
          const error = yield* failure(options, `.::${env.PATH}`)
          assert.deepStrictEqual([error.reason, error.program], ["not_found", options.argv[0] ?? ""])
          assert.notInclude(error.message, "secret")
        }
        assert.strictEqual((yield* failure({ argv: ["env"] }, "/nonexistent")).reason, "not_found")
        const found = yield* Subprocess.run({ argv: ["./here"], env, cwd: directory })
        assert.deepStrictEqual(found.exit, Subprocess.SubprocessExit.Exited({ code: 0 }))
      })
    )

    live("says that the program is not executable", () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        Fs.writeFileSync(`${directory}/data`, "x", { mode: 0o644 })
        for (const argv of [[`${directory}/data`], [directory], ["data"]]) {
          const error = yield* failure({ argv }, directory)
          assert.deepStrictEqual([error.reason, error.program], ["not_executable", argv[0]])
        }
      })
    )

    live("says that the directory is wrong", () =>
      Effect.gen(function* () {
        for (const cwd of ["/no/such/directory", "/bin/sh"]) {
          const error = yield* failure({ argv: ["true"], cwd })
          assert.deepStrictEqual([error.reason, error.cwd, error.program], ["bad_cwd", cwd, "true"])
          assert.include(error.message, cwd)
        }
      })
    )

    live("says that the arguments are too long", () =>
      Effect.gen(function* () {
        const error = yield* failure({ argv: ["true", "x".repeat(200_000)] })
        assert.strictEqual(error.reason, "argument_list_too_long")
        const many = yield* failure({ argv: ["true", ...Array.from({ length: 100 }, () => "x".repeat(100_000))] })
        assert.strictEqual(many.reason, "argument_list_too_long")
        assert.isBelow(many.message.length, 400)
      })
    )

    live("says that too many files are open", () =>
      Effect.gen(function* () {
        const before = /Max open files +(\w+)/.exec(Fs.readFileSync("/proc/self/limits", "utf8"))?.[1] ?? "1024"
        const lowest = Fs.openSync("/dev/null", "r")
        Fs.closeSync(lowest)
        // Started beforehand: under the limit nothing can be started that would lift it.
        const prlimit = (files: number | string) => `prlimit --pid ${process.pid} --nofile=${files}:; echo $?`
        const limiter = ChildProcess.spawn("/bin/sh", ["-c", `${prlimit(lowest + 6)}; read x; ${prlimit(before)}`], {
          stdio: ["pipe", "pipe", "inherit"]
        })
        const done = Effect.async<void>((resume) => {
          limiter.stdout.once("data", () => resume(Effect.void))
        })
        const errors = yield* Effect.acquireUseRelease(
          done,
          // One that is ready may be used up first.
          () => Effect.all([Effect.either(Subprocess.run({ argv: ["true"], env })), failure({ argv: ["true"] })]),
          () =>
            Effect.zipRight(
              Effect.sync(() => limiter.stdin.end("\n")),
              done
            )
        )
        assert.strictEqual(errors[1].reason, "too_many_files")
      })
    )

    live("says that a NUL byte cannot be passed", () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* failure({ argv: ["true", "a\0b"] })).reason, "other")
      })
    )
  })

  live("runs a program to its end and keeps the tail, or the head, of what it prints", () =>
    Effect.gen(function* () {
      const script = `printf first; head -c 10485760 /dev/zero; printf last; printf err >&2; exit 2`
      const tail = yield* Subprocess.run({ argv: sh(script), env, maxOutputBytes: 1000 })
      assert.deepStrictEqual(tail.exit, Subprocess.SubprocessExit.Exited({ code: 2 }))
      assert.deepStrictEqual([tail.stdout.length, tail.truncated, utf8(tail.stderr)], [1000, true, "err"])
      assert.isTrue(utf8(tail.stdout).endsWith("\0last"))
      const head = yield* Subprocess.run({ argv: sh(script), env, maxOutputBytes: 1000, keep: "head" })
      assert.deepStrictEqual([head.stdout.length, head.truncated], [1000, true])
      assert.isTrue(utf8(head.stdout).startsWith("first\0"))
      const exact = yield* Subprocess.run({ argv: sh("printf 12345"), env, maxOutputBytes: 5 })
      assert.deepStrictEqual([utf8(exact.stdout), exact.truncated], ["12345", false])
      for (const keep of ["head", "tail"] as const) {
        const small = yield* Subprocess.run({ argv: sh("printf 12345"), env, maxOutputBytes: 4, keep })
        assert.deepStrictEqual([utf8(small.stdout), small.truncated], [keep === "head" ? "1234" : "2345", true])
      }
      const all = yield* Subprocess.run({ argv: sh("head -c 700000 /dev/zero"), env })
      assert.deepStrictEqual([all.stdout.length, all.truncated], [700_000, false])
    })
  )

  live("has killed everything when a run has timed out", () =>
    Effect.gen(function* () {
      const owner = `timeout-${Crypto.randomUUID()}`
      const ours = () =>
        Fs.readdirSync("/proc").filter((pid) => {
          try {
            return Fs.readFileSync(`/proc/${pid}/environ`, "utf8").includes(owner)
          } catch {
            return false
          }
        })
      const directory = yield* temporary
      const script = `trap "" TERM; setsid sleep 1000 & yes & touch ${directory}/up; while :; do sleep 1; done`
      const fiber = yield* Effect.fork(Subprocess.run({ argv: sh(script), env, owner, killAfter: "50 millis" }))
      yield* until(() => Fs.existsSync(`${directory}/up`))
      assert.isNotEmpty(ours())
      const result = yield* Effect.timeoutOption(Fiber.join(fiber), "10 millis")
      assert.isTrue(Option.isNone(result))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(ours(), [])
    })
  )

  live("leaves nothing when it is interrupted at any moment of its start", () =>
    Effect.gen(function* () {
      const owner = `interrupt-${Crypto.randomUUID()}`
      for (let yields = 0; yields < 40; yields++) {
        const fiber = yield* Effect.fork(
          Effect.scoped(
            Effect.zipRight(Subprocess.start({ argv: sh("setsid sleep 1000 & sleep 1000"), env, owner }), Effect.never)
          )
        )
        for (let i = 0; i < yields; i++) yield* Effect.yieldNow()
        if (yields % 4 === 0) yield* Effect.sleep("2 millis")
        yield* Fiber.interrupt(fiber)
      }
      const left = Fs.readdirSync("/proc").filter((pid) => {
        try {
          return Fs.readFileSync(`/proc/${pid}/environ`, "utf8").includes(owner)
        } catch {
          return false
        }
      })
      assert.deepStrictEqual(left, [])
    })
  )

  live("leaks no files, fibers or processes over many starts", () =>
    Effect.gen(function* () {
      const one = Subprocess.run({ argv: ["true"], env })
      const fds = () => Fs.readdirSync("/proc/self/fd").length
      const kids = () => Fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").match(/\d+/g)?.length ?? 0
      yield* Effect.replicateEffect(one, 5)
      // The next namespace is made a moment after the last one was taken.
      yield* until(() => kids() === (kind === "namespace" ? 1 : 0))
      const before = [fds(), kids()]
      const handles = process.getActiveResourcesInfo().length
      const supervisor = yield* Supervisor.track
      yield* Effect.supervised(Effect.replicateEffect(one, 200), supervisor)
      yield* until(() => fds() <= (before[0] ?? 0) && kids() <= (before[1] ?? 0))
      assert.isAtMost(process.getActiveResourcesInfo().length, handles + 2)
      // The one that keeps a namespace ready, and those that are ending now.
      assert.isAtMost((yield* supervisor.value).length, 4)
    })
  )

  live("starts many at once", () =>
    Effect.gen(function* () {
      const outputs = yield* Effect.forEach(
        Array.from({ length: 30 }, (_, i) => `${i}`),
        (i) => Effect.map(Subprocess.run({ argv: ["echo", i], env }), ({ stdout }) => utf8(stdout).trim()),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        outputs,
        Array.from({ length: 30 }, (_, i) => `${i}`)
      )
    })
  )

  it.scoped.skipIf(kind === "namespace" && !hasNamespaces)(
    "keeps its own time when the test's clock stands still",
    () =>
      Effect.gen(function* () {
        const child = yield* Effect.scoped(
          Effect.gen(function* () {
            const child = yield* Subprocess.start({
              argv: sh(`trap "" TERM; echo ready; sleep 1000 & while :; do sleep 1; done`),
              env,
              killAfter: "50 millis"
            })
            yield* printed(child, "ready")
            return child
          })
        )
        assert.deepStrictEqual(survivors(child.marker), [])
        yield* TestClock.adjust("1 second")
      }).pipe(Effect.provide(layer))
  )

  it.scopedLive.skipIf(kind === "namespace" && !hasNamespaces)(
    "dies with a driver that is killed by kill -9, or is swept by the next one",
    () =>
      Effect.gen(function* () {
        const owner = `orphan-${Crypto.randomUUID()}`
        const script = `trap "" TERM; setsid sh -c 'sleep 1000 & sleep 1000' & (setsid nohup sleep 1000 &)
          env -i sleep 1000 & sleep 1000 & sleep 0.1; echo ready; while :; do sleep 1; done`
        const driver = yield* startDriver([kind, owner, script], {})
        assert.strictEqual(driver.said.kind, kind)
        const inside = survivors(driver.said.marker)
        assert.isAtLeast(inside.length, 4)
        assert.strictEqual(yield* Subprocess.sweepOrphans({ markers: [owner] }), 0, "its driver lives")
        assert.isAtLeast(survivors(driver.said.marker).length, 4)
        driver.process.kill("SIGKILL")
        yield* until(() => driver.process.signalCode !== null)
        if (kind === "namespace") {
          yield* until(() => survivors(driver.said.marker).length === 0)
          assert.strictEqual(yield* Subprocess.sweepOrphans({ markers: [owner] }), 0)
        } else {
          assert.isNotEmpty(survivors(driver.said.marker))
          assert.strictEqual(yield* Subprocess.sweepOrphans({ markers: ["another-owner", "X=y"] }), 0)
          assert.isAtLeast(yield* Subprocess.sweepOrphans({ markers: [owner] }), inside.length)
          assert.deepStrictEqual(survivors(driver.said.marker), [])
          assert.isFalse(isAlive(driver.said.pid))
        }
      })
  )
})

interface Said {
  readonly kind: string
  readonly reason: string | null
  readonly marker: string
  readonly pid: number
}

/** A driver in a process of its own, and what it said once its children stood. */
const startDriver = (args: ReadonlyArray<string>, options: ChildProcess.SpawnOptions) =>
  Effect.acquireRelease(
    Effect.async<{ readonly process: ChildProcess.ChildProcess; readonly said: Said }>((resume) => {
      const child = ChildProcess.spawn(process.execPath, [driverProgram, ...args], {
        stdio: ["ignore", "pipe", "inherit"],
        ...options
      })
      child.stdout?.once("data", (data) => resume(Effect.succeed({ process: child, said: JSON.parse(String(data)) })))
      child.once("exit", (code) => resume(Effect.die(new Error(`the driver exited with ${code}`))))
    }),
    ({ process: child, said }) =>
      Effect.sync(() => {
        child.kill("SIGKILL")
        for (const pid of survivors(said.marker)) process.kill(pid, "SIGKILL")
      })
  )

describe("Containment", () => {
  it("uses namespaces where the system makes them", () => {
    const works = [["--pid"], ["--user", "--map-current-user", "--pid"]].some(
      (flags) => ChildProcess.spawnSync("unshare", [...flags, "--fork", "--mount-proc", "true"]).status === 0
    )
    assert.strictEqual(
      hasNamespaces,
      works,
      Option.getOrElse(offered.reason, () => "no reason")
    )
  })

  it.scopedLive.skipIf(!hasNamespaces || !isRoot)("contains what a user without rights starts", () =>
    Effect.gen(function* () {
      const script = `setsid sleep 1000 & (setsid sleep 1000 &); id -u; while :; do sleep 1; done`
      const driver = yield* startDriver(["namespace", "unprivileged", script], { uid: 65534, gid: 65534 })
      assert.deepStrictEqual([driver.said.kind, driver.said.reason], ["namespace", null])
      assert.isNotEmpty(survivors(driver.said.marker))
      driver.process.kill("SIGKILL")
      yield* until(() => survivors(driver.said.marker).length === 0)
    })
  )

  it.scopedLive.skipIf(!hasNamespaces)("shows a program only what it started", () =>
    Effect.gen(function* () {
      const { stdout } = yield* Subprocess.run({ argv: sh("cd /proc; echo [0-9]*"), env })
      assert.strictEqual(utf8(stdout).trim().split(" ").length, 2) // the first process of all, and itself
      const outside = process.pid
      const { exit } = yield* Subprocess.run({ argv: sh(`kill -0 ${outside}`), env })
      assert.notDeepEqual(exit, Subprocess.SubprocessExit.Exited({ code: 0 }))
    }).pipe(Effect.provide(Containment.layer))
  )

  it.scopedLive.skipIf(!hasNamespaces)("reaps what dies inside", () =>
    Effect.gen(function* () {
      const script = `for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.01 & exit' &); done; sleep 0.2; cat /proc/[0-9]*/stat`
      const { stdout } = yield* Subprocess.run({ argv: sh(script), env })
      assert.notInclude(utf8(stdout), ") Z ")
    }).pipe(Effect.provide(Containment.layer))
  )

  it.scopedLive.skipIf(!hasNamespaces)("leaves nothing of itself", () =>
    Effect.gen(function* () {
      const kids = () => Fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ")
      const before = kids()
      yield* Effect.provide(Subprocess.run({ argv: ["true"], env }), Containment.layer)
      yield* until(() => kids().every((pid) => before.includes(pid)))
    })
  )
})
