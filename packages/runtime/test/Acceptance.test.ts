import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Sandbox } from "@driver/agent/Sandbox"
import { Containment } from "@driver/agent/Subprocess"
import { type AcceptanceCriterion, Custom, FileMatches, Goal, GoalId, LlmJudge, Shell } from "@driver/domain/Goal"
import type { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { Acceptance, AcceptanceError, type AcceptanceSettings } from "@driver/runtime/Acceptance"
import { CriterionError, CriterionRegistry, type CustomCriterion } from "@driver/runtime/CriterionRegistry"
import { Judge, JudgeError, type JudgeRequest } from "@driver/runtime/Judge"
import { Workspace, WorkspaceError, type WorkspaceInfo } from "@driver/runtime/Workspace"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Deferred, Duration, Effect, Either, Fiber, Layer, Option, Redacted, Ref } from "effect"

const goalId = GoalId.make("7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f")
const goalWith = (...acceptance: ReadonlyArray<AcceptanceCriterion>) =>
  new Goal({ id: goalId, description: "Grüße sagen", acceptance })

interface World {
  readonly directory: string
  readonly info: WorkspaceInfo
}

/** A directory with a space and an umlaut in its name, gone with the scope. */
const makeWorld = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "driver-äcceptance ")))),
    (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
  ),
  (directory): World => ({
    directory,
    info: {
      goalId,
      path: directory,
      branch: Option.none(),
      base: Option.none(),
      repository: Option.none(),
      reused: false
    }
  })
)

interface MockedWorkspace {
  readonly changedPaths: () => Effect.Effect<ReadonlyArray<string>, WorkspaceError>
  readonly isClean: () => Effect.Effect<boolean, WorkspaceError>
  readonly diff: (id: GoalId, maxBytes: number) => Effect.Effect<string, WorkspaceError>
}
interface Surroundings extends Partial<AcceptanceSettings> {
  readonly custom?: { readonly [name: string]: CustomCriterion }
  readonly judge?: Layer.Layer<Judge>
  readonly workspace?: Partial<MockedWorkspace>
  readonly containment?: Layer.Layer<Containment>
  readonly sandbox?: Layer.Layer<Sandbox>
}
const workspaceMock = (members: Partial<MockedWorkspace>) => Layer.mock(Workspace, members)

const layer = ({ containment, custom, judge, sandbox, workspace, ...settings }: Surroundings = {}) =>
  Acceptance.layer({ env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" }, ...settings }).pipe(
    Layer.provide(CriterionRegistry.layer(custom)),
    Layer.provide(workspaceMock(workspace ?? {})),
    Layer.provide(judge ?? Judge.layerNone),
    Layer.provide(sandbox ?? Sandbox.layerOff),
    Layer.provide(containment ?? Containment.layer),
    Layer.provide(NodeContext.layer)
  )

const evaluate = (world: World, goal: Goal, surroundings?: Surroundings) =>
  Effect.flatMap(Acceptance, (acceptance) => acceptance.evaluate(goal, world.info)).pipe(
    Effect.provide(layer(surroundings))
  )

const only = (verdict: AcceptanceVerdict): CriterionResult => {
  const [result, ...others] = verdict.results
  if (result === undefined || others.length > 0) return assert.fail(`${verdict.results.length} results`)
  return result
}

/** The one result of a goal with one criterion, in a fresh directory. */
const resultOf = (
  criterion: AcceptanceCriterion,
  prepare: (directory: string) => void = () => {},
  surroundings?: Surroundings
) =>
  Effect.gen(function* () {
    const world = yield* makeWorld
    prepare(world.directory)
    return only(yield* evaluate(world, goalWith(criterion), surroundings))
  }).pipe(Effect.scoped)

const evidenceOf = (result: CriterionResult): string => Option.getOrElse(result.evidence, () => "")
const shell = (command: string, fields: Partial<ConstructorParameters<typeof Shell>[0]> = {}) =>
  new Shell({ command, ...fields })

/** Living processes whose command line holds this text. */
const alive = (text: string): number =>
  fs.readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const line = fs.readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ")
      return line.includes(text) && !fs.readFileSync(`/proc/${name}/stat`, "utf8").includes(") Z ")
    } catch {
      return false
    }
  }).length

let stamp = 900_000_000 + (process.pid % 1_000_000) * 100
/** A number of seconds that no other process sleeps. */
const uniqueSleep = () => String(++stamp)

describe("Acceptance", () => {
  describe("with no criteria", () => {
    it.effect("is met, also without a workspace", () =>
      Effect.gen(function* () {
        const info: WorkspaceInfo = {
          goalId,
          path: "/nonexistent",
          branch: Option.none(),
          base: Option.none(),
          repository: Option.none(),
          reused: false
        }
        const verdict = yield* Effect.flatMap(Acceptance, (it) => it.evaluate(goalWith(), info))
        assert.isTrue(verdict.met)
        deepStrictEqual(verdict.results, [])
      }).pipe(Effect.provide(layer()))
    )
  })

  describe("of a command", () => {
    it.live("passes on the expected exit code, without evidence", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("echo hello"))
        assert.isTrue(result.passed)
        assert.strictEqual(result.message, "exited with 0")
        deepStrictEqual(result.evidence, Option.none())
        assert.strictEqual(result.criterion, "`echo hello`")
        assert.isTrue((yield* resultOf(shell("exit 3", { expectedExit: 3 }))).passed)
      })
    )

    it.live("fails on another one, with what it printed", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("echo out; echo err >&2; exit 7"))
        assert.isFalse(result.passed)
        assert.strictEqual(result.message, "exited with 7, expected 0")
        assert.strictEqual(evidenceOf(result), "out\n--- standard error ---\nerr")
        assert.isFalse((yield* resultOf(shell("true", { expectedExit: 1 }))).passed)
      })
    )

    it.live("fails when a signal ends it, and names the signal", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("kill -TERM $$; sleep 5"))
        assert.isFalse(result.passed)
        assert.strictEqual(result.message, "was ended by SIGTERM, expected exit code 0")
      })
    )

    it.live("fails when the program is not there, and says so in the evidence", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("no-such-program-here"))
        assert.strictEqual(result.message, "exited with 127, expected 0")
        assert.include(evidenceOf(result), "no-such-program-here")
      })
    )

    it.live("runs in the workspace's root, by bash, and may change files", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const command = '[[ $PWD == *" "* ]] && shopt -q extglob || true; pwd > here.txt'
        assert.isTrue((yield* evaluate(world, goalWith(shell(command)))).met)
        assert.strictEqual(fs.readFileSync(path.join(world.directory, "here.txt"), "utf8"), `${world.directory}\n`)
        assert.isTrue((yield* evaluate(world, goalWith(shell("[[ -n $BASH_VERSION ]]")))).met)
      }).pipe(Effect.scoped)
    )

    it.live("is run by /bin/sh where there is no bash", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const bin = path.join(world.directory, "bin")
        fs.mkdirSync(bin)
        const verdict = yield* evaluate(world, goalWith(shell("echo fine")), { env: { PATH: bin } })
        assert.isTrue(verdict.met)
      }).pipe(Effect.scoped)
    )

    it.live("gets the given environment and nothing of the driver's", () =>
      Effect.gen(function* () {
        process.env["ACCEPTANCE_TEST_KEY"] = "leaked"
        const result = yield* resultOf(shell("env; exit 1"), () => {}, {
          env: { PATH: process.env["PATH"] ?? "", GREETING: "grüße" }
        })
        const names = evidenceOf(result)
          .split("\n")
          .map((line) => line.split("=")[0])
        assert.include(evidenceOf(result), "GREETING=grüße")
        assert.notInclude(evidenceOf(result), "leaked")
        assert.sameMembers(
          names.filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name ?? "")),
          ["PATH", "GREETING", "DRIVER_PROCESS_ID"]
        )
      })
    )

    it.live("carries the goal's id, so that what it left can be found", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("echo $DRIVER_PROCESS_ID; exit 1"))
        assert.isTrue(evidenceOf(result).startsWith(`${goalId}:`))
      })
    )

    it.live("reads nothing from standard input", () =>
      Effect.gen(function* () {
        assert.isTrue((yield* resultOf(shell('test -z "$(cat)"'))).passed)
      })
    )

    it.live("looks for the pattern anywhere in standard output, and not in standard error", () =>
      Effect.gen(function* () {
        const stdoutMustMatch = Option.some("(?i)GRÜSSE|grüße")
        assert.isTrue((yield* resultOf(shell("echo viele Grüße hier", { stdoutMustMatch }))).passed)
        const result = yield* resultOf(shell("echo grüße >&2; echo nothing", { stdoutMustMatch }))
        assert.isFalse(result.passed)
        assert.strictEqual(result.message, "standard output has no match of /(?i)GRÜSSE|grüße/")
        assert.include(evidenceOf(result), "nothing")
      })
    )

    it.live("asks for both, exit code and pattern", () =>
      Effect.gen(function* () {
        const stdoutMustMatch = Option.some("ok")
        const result = yield* resultOf(shell("echo ok; exit 1", { stdoutMustMatch }))
        assert.strictEqual(result.message, "exited with 1, expected 0")
      })
    )

    it.live("explains a $ that misses because of the last line break", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("echo ok", { stdoutMustMatch: Option.some("^ok$") }))
        assert.isFalse(result.passed)
        assert.include(result.message, "begin with (?m)")
        assert.isTrue((yield* resultOf(shell("echo ok", { stdoutMustMatch: Option.some("(?m)^ok$") }))).passed)
        const other = yield* resultOf(shell("echo no", { stdoutMustMatch: Option.some("^ok$") }))
        assert.notInclude(other.message, "(?m)")
      })
    )

    it.live("searches a long line for a pattern that would hang others, at once", () =>
      Effect.gen(function* () {
        const started = performance.now()
        const command = "head -c 900000 /dev/zero | tr '\\0' a; echo -n '!'"
        const result = yield* resultOf(shell(command, { stdoutMustMatch: Option.some("(a+)+$") }))
        assert.isFalse(result.passed)
        assert.isBelow(performance.now() - started, 5_000)
      })
    )

    it.live("searches only the end of long output, and says so", () =>
      Effect.gen(function* () {
        const command = "echo needle; head -c 100000 /dev/zero | tr '\\0' x; echo end"
        const stdoutMustMatch = Option.some("needle")
        const result = yield* resultOf(shell(command, { stdoutMustMatch }), () => {}, { searchedBytes: 64 * 1024 })
        assert.strictEqual(result.message, "standard output has no match of /needle/ in the last 64 KiB of it")
        assert.isTrue((yield* resultOf(shell(command, { stdoutMustMatch }))).passed)
        assert.isTrue(
          (yield* resultOf(shell(command, { stdoutMustMatch: Option.some("end") }), () => {}, { searchedBytes: 16 }))
            .passed
        )
      })
    )

    it.live("kills the whole group when it takes too long, shows what it printed, and fails", () =>
      Effect.gen(function* () {
        const [one, two, three] = [uniqueSleep(), uniqueSleep(), uniqueSleep()]
        const command = `echo before; trap '' TERM; sleep ${one} & (setsid sleep ${two} &) ; nohup sleep ${three}`
        const result = yield* resultOf(shell(command, { timeout: Option.some(Duration.millis(700)) }), () => {}, {
          killAfter: Duration.millis(200)
        })
        assert.isFalse(result.passed)
        assert.strictEqual(result.message, "did not end within 700ms and was killed")
        assert.include(evidenceOf(result), "before")
        for (const it of [one, two, three]) assert.strictEqual(alive(`sleep ${it}`), 0)
      })
    )

    it.live("takes the settings' timeout when it has none of its own", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell(`sleep ${uniqueSleep()}`), () => {}, { timeout: Duration.millis(300) })
        assert.include(result.message, "did not end within 300ms")
      })
    )

    for (const [name, containment] of [
      ["in namespaces", Containment.layer],
      ["in process groups", Containment.layerProcessGroup]
    ] as const) {
      it.live(`does not wait for daemons that it leaves, and leaves none, ${name}`, () =>
        Effect.gen(function* () {
          const [one, two] = [uniqueSleep(), uniqueSleep()]
          const started = performance.now()
          const result = yield* resultOf(shell(`(setsid sleep ${one} &); sleep ${two} & echo started`), () => {}, {
            containment
          })
          assert.isTrue(result.passed)
          assert.isBelow(performance.now() - started, 5_000)
          assert.strictEqual(alive(`sleep ${one}`) + alive(`sleep ${two}`), 0)
        })
      )
    }

    it.live("ends what runs when it is interrupted", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const seconds = uniqueSleep()
        const fiber = yield* Effect.fork(evaluate(world, goalWith(shell(`touch started; sleep ${seconds}`))))
        const isStarted = Effect.sync(() => fs.existsSync(path.join(world.directory, "started")))
        yield* Effect.repeat(Effect.zipRight(Effect.sleep("5 millis"), isStarted), { until: (it) => it })
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(alive(`sleep ${seconds}`), 0)
      }).pipe(Effect.scoped)
    )

    it.live("stays small and ends on a gigabyte of output", () =>
      Effect.gen(function* () {
        const before = process.memoryUsage().rss
        let peak = before
        const watch = yield* Effect.fork(
          Effect.forever(
            Effect.zipRight(
              Effect.sync(() => {
                peak = Math.max(peak, process.memoryUsage().rss)
              }),
              Effect.sleep("20 millis")
            )
          )
        )
        const result = yield* resultOf(shell("yes | head -c 1000000000; echo; echo last words; exit 1"))
        yield* Fiber.interrupt(watch)
        assert.isFalse(result.passed)
        assert.isTrue(evidenceOf(result).endsWith("y\n\nlast words"))
        assert.isAtMost(new TextEncoder().encode(evidenceOf(result)).length, 4_096)
        assert.isBelow(peak - before, 150 * 1024 * 1024)
      })
    )

    it.live("drains a flooded standard error as well", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("yes e | head -c 20000000 >&2; echo done; exit 1"))
        assert.include(evidenceOf(result), "done\n--- standard error ---\n")
        assert.isAtMost(evidenceOf(result).length, 4_096)
      })
    )

    it.live("cuts evidence between characters, keeps its end, and fills the room", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("for i in $(seq 3000); do printf 'é😀'; done; exit 1"), () => {}, {
          evidenceBytes: 1_000
        })
        const length = new TextEncoder().encode(evidenceOf(result)).length
        assert.isAtMost(length, 1_000)
        assert.isAtLeast(length, 997)
        assert.match(evidenceOf(result), /^(é?😀)(é😀)+$/u)
      })
    )

    it.live("shows evidence without colours and control characters", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(shell("printf '\\033[31mred\\033[0m\\r\\nnext\\000\\007'; exit 1"))
        assert.strictEqual(evidenceOf(result), "red\nnext")
      })
    )

    it.live("takes secrets out of evidence, message and name", () =>
      Effect.gen(function* () {
        const secrets = [Redacted.make("tr0ub4dor&3")]
        const result = yield* resultOf(shell("echo 'tr0ub4dor&3'; echo MY_TOKEN=abcdefgh >&2; exit 1"), () => {}, {
          secrets
        })
        assert.notInclude(JSON.stringify(result), "tr0ub4dor")
        assert.include(evidenceOf(result), "MY_TOKEN=[redacted]")
      })
    )

    it.live("takes out a secret that is cut where the kept part of standard error begins", () =>
      Effect.gen(function* () {
        const secret = `begin-${"0123456789".repeat(20)}-end`
        const result = yield* resultOf(shell(`for i in $(seq 400); do echo '${secret}'; done >&2; exit 1`), () => {}, {
          secrets: [Redacted.make(secret)],
          evidenceBytes: 64 * 1024
        })
        assert.include(evidenceOf(result), "[redacted]")
        assert.notMatch(evidenceOf(result), /\d{4}/)
      })
    )

    it.live("takes out a secret that the cut goes through", () =>
      Effect.gen(function* () {
        const secret = `begin-${"0123456789".repeat(20)}-end`
        const secrets = [Redacted.make(secret)]
        for (const evidenceBytes of [50, 100, 210]) {
          const result = yield* resultOf(shell(`for i in $(seq 400); do echo '${secret}'; done; exit 1`), () => {}, {
            secrets,
            evidenceBytes,
            searchedBytes: 10_000 + evidenceBytes
          })
          assert.notMatch(evidenceOf(result), /\d{4}/)
        }
      })
    )
  })

  describe("of a file", () => {
    const greeting = (fields: Partial<ConstructorParameters<typeof FileMatches>[0]> = {}) =>
      new FileMatches({ path: "hello.txt", regex: "(?i)hello", ...fields })
    const file = (name: string, content: string | Uint8Array) => (directory: string) => {
      fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true })
      fs.writeFileSync(path.join(directory, name), content)
    }
    const link = (name: string, target: string) => (directory: string) =>
      fs.symlinkSync(target, path.join(directory, name))

    it.live.each<[string, FileMatches, (directory: string) => void, boolean, string]>([
      ["that matches", greeting(), file("hello.txt", "oh, HeLLo\n"), true, "hello.txt has a match"],
      ["that does not", greeting(), file("hello.txt", "bye"), false, "hello.txt has no match of /(?i)hello/"],
      ["that is empty", greeting(), file("hello.txt", ""), false, "hello.txt has no match of /(?i)hello/"],
      ["that is missing", greeting(), () => {}, false, "hello.txt does not exist"],
      [
        "that is missing, not required",
        greeting({ required: false }),
        () => {},
        true,
        "hello.txt does not exist, and need not"
      ],
      [
        "that is there, not required, and does not match",
        greeting({ required: false }),
        file("hello.txt", "bye"),
        false,
        "hello.txt has no match of /(?i)hello/"
      ],
      ["below another file", greeting({ path: "a/b" }), file("a", "x"), false, "a/b does not exist"],
      ["that is a directory", greeting({ path: "sub" }), file("sub/x", "hello"), false, "sub is a directory"],
      ["that is the workspace", greeting({ path: "." }), () => {}, false, ". is a directory"],
      [
        "that is a pipe",
        greeting({ path: "pipe" }),
        (directory) => execFileSync("mkfifo", [path.join(directory, "pipe")]),
        false,
        "pipe is no regular file"
      ],
      [
        "that is a device",
        greeting({ path: "zero" }),
        link("zero", "/dev/zero"),
        false,
        "zero leads out of the workspace, by a symbolic link"
      ],
      ["above the workspace", greeting({ path: "../x" }), () => {}, false, "../x lies outside of the workspace"],
      [
        "with an absolute path",
        greeting({ path: "/etc/passwd" }),
        () => {},
        false,
        "/etc/passwd lies outside of the workspace"
      ],
      [
        "that goes out and comes back",
        greeting({ path: "a/../hello.txt" }),
        file("hello.txt", "hello"),
        true,
        "a/../hello.txt has a match"
      ],
      [
        "that links out",
        greeting({ path: "out" }),
        link("out", "/etc/passwd"),
        false,
        "out leads out of the workspace, by a symbolic link"
      ],
      [
        "in a directory that links out",
        greeting({ path: "etc/passwd" }),
        link("etc", "/etc"),
        false,
        "etc/passwd leads out of the workspace, by a symbolic link"
      ],
      ["that links to nothing", greeting({ path: "gone" }), link("gone", "nowhere"), false, "gone does not exist"],
      [
        "that links to itself",
        greeting({ path: "loop" }),
        link("loop", "loop"),
        false,
        "loop is a circle of symbolic links"
      ],
      [
        "with a name that is too long",
        greeting({ path: "x".repeat(5_000) }),
        () => {},
        false,
        `${"x".repeat(5_000)} does not exist`
      ],
      [
        "that is binary",
        greeting({ path: "bin", regex: "hello" }),
        file("bin", new Uint8Array([0, 255, 254, 104, 101, 108, 108, 111, 0])),
        true,
        "bin has a match"
      ],
      [
        "with umlauts in name and text",
        greeting({ path: "grüße/ä ö.txt", regex: "^Grüße 👋$" }),
        file("grüße/ä ö.txt", "Grüße 👋"),
        true,
        "grüße/ä ö.txt has a match"
      ]
    ])("%s", ([, criterion, prepare, passed, message]) =>
      Effect.gen(function* () {
        const result = yield* resultOf(criterion, prepare)
        deepStrictEqual([result.passed, result.message], [passed, message.slice(0, 1_000)])
      })
    )

    it.live("that links to a file inside is read", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(greeting({ path: "alias" }), (directory) => {
          file("real.txt", "hello")(directory)
          link("alias", path.join(directory, "real.txt"))(directory)
        })
        assert.isTrue(result.passed)
      })
    )

    it.live("is found also when the workspace itself is reached by a link", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const target = path.join(world.directory, "target")
        file("target/hello.txt", "hello")(world.directory)
        link("workspace", target)(world.directory)
        const info = { ...world.info, path: path.join(world.directory, "workspace") }
        assert.isTrue((yield* evaluate({ ...world, info }, goalWith(greeting()))).met)
        const sibling = goalWith(greeting({ path: "../target-2/hello.txt" }))
        file("target-2/hello.txt", "hello")(world.directory)
        assert.isFalse((yield* evaluate({ ...world, info }, sibling)).met)
      }).pipe(Effect.scoped)
    )

    it.live("is read up to its limit, and fails above it", () =>
      Effect.gen(function* () {
        const exactly = yield* resultOf(greeting({ regex: "end$" }), file("hello.txt", `${"x".repeat(2_045)}end`), {
          fileBytes: 2_048
        })
        assert.isTrue(exactly.passed)
        const over = yield* resultOf(greeting({ regex: "x" }), file("hello.txt", "x".repeat(2_049)), {
          fileBytes: 2_048
        })
        assert.isFalse(over.passed)
        assert.strictEqual(over.message, "hello.txt is larger than 2 KiB, and is not searched")
        const sparse = yield* resultOf(greeting({ regex: "x" }), (directory) =>
          execFileSync("truncate", ["-s", "100G", path.join(directory, "hello.txt")])
        )
        assert.include(sparse.message, "larger than 4 MiB")
      })
    )

    it.live("in a long line for a pattern that would hang others is answered at once", () =>
      Effect.gen(function* () {
        const started = performance.now()
        const text = `${"a".repeat(4_000_000)}!`
        const result = yield* resultOf(greeting({ regex: "(a+)+$" }), file("hello.txt", text))
        assert.isFalse(result.passed)
        assert.isBelow(performance.now() - started, 5_000)
      })
    )

    it.live("is looked at after the commands, which may make it", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const goal = goalWith(greeting(), shell("sleep 0.1; echo hello > hello.txt"))
        const verdict = yield* evaluate(world, goal)
        assert.isTrue(verdict.met)
        deepStrictEqual(
          verdict.results.map((result) => result.index),
          [0, 1]
        )
      }).pipe(Effect.scoped)
    )
  })

  describe("of a registered criterion", () => {
    const custom = (name: string, args: Record<string, unknown> = {}) => new Custom({ name, args })
    const changed = (...paths: ReadonlyArray<string>): Surroundings => ({
      workspace: { changedPaths: () => Effect.succeed(paths) }
    })
    const away = new WorkspaceError({ operation: "x", reason: "git_failed", detail: "git is away" })

    it.live.each<[string, ReadonlyArray<string>, ReadonlyArray<string>, boolean]>([
      ["nothing changed", ["vendor"], [], true],
      ["something else changed", ["vendor"], ["src/a.ts"], true],
      ["a file below", ["vendor"], ["vendor/a.js"], false],
      ["the path itself", ["vendor"], ["vendor"], false],
      ["a name that only begins alike", ["vendor"], ["vendors/a.js", "vendor.txt"], true],
      ["a prefix with a slash", ["vendor/"], ["vendor/a/b.js"], false],
      ["a prefix with dots", ["./a/../vendor//"], ["vendor/b.js"], false],
      ["a deeper prefix", ["a/b"], ["a/c", "a"], true],
      ["one of several", ["x", "vendor"], ["vendor/a"], false],
      ["everything", ["."], ["any/thing"], false],
      ["another case", ["Vendor"], ["vendor/a"], true],
      ["both sides of a move: from", ["vendor"], ["src/a.js", "vendor/a.js"], false]
    ])("no_paths_touched: %s", ([, prefixes, paths, passed]) =>
      Effect.gen(function* () {
        const result = yield* resultOf(custom("no_paths_touched", { prefixes }), () => {}, changed(...paths))
        assert.strictEqual(result.passed, passed)
        assert.strictEqual(Option.isSome(result.evidence), !passed)
      })
    )

    it.live("no_paths_touched lists what was touched, and no more than fifty", () =>
      Effect.gen(function* () {
        const paths = Array.from({ length: 60 }, (_, index) => `vendor/${index}`)
        const result = yield* resultOf(
          custom("no_paths_touched", { prefixes: ["vendor"] }),
          () => {},
          changed(...paths)
        )
        assert.strictEqual(result.message, "60 paths were touched below vendor")
        assert.strictEqual(evidenceOf(result), [...paths.slice(0, 50), "and 10 more"].join("\n"))
      })
    )

    it.live.each<[string, Record<string, unknown>, string]>([
      ["no prefixes", {}, "args.prefixes is missing"],
      ["an empty list", { prefixes: [] }, "prefixes"],
      ["a text", { prefixes: "vendor" }, 'prefixes: expected a list, got "vendor"'],
      ["a misspelling", { prefix: ["vendor"] }, "did you mean prefixes?"]
    ])("no_paths_touched cannot be evaluated with %s", ([, args, expected]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(resultOf(custom("no_paths_touched", args), () => {}, changed()))
        assert.instanceOf(error, AcceptanceError)
        assert.include(error.message, expected.replace("args.", ""))
      })
    )

    it.live("git_clean asks the workspace", () =>
      Effect.gen(function* () {
        const answer = (isClean: boolean) =>
          resultOf(custom("git_clean"), () => {}, { workspace: { isClean: () => Effect.succeed(isClean) } })
        assert.isTrue((yield* answer(true)).passed)
        const dirty = yield* answer(false)
        assert.isFalse(dirty.passed)
        assert.include(dirty.message, "commit it or remove it")
      })
    )

    it.live("cannot be evaluated when the workspace cannot answer", () =>
      Effect.gen(function* () {
        for (const criterion of [custom("git_clean"), custom("no_paths_touched", { prefixes: ["a"] })]) {
          const error = yield* Effect.flip(
            resultOf(criterion, () => {}, {
              workspace: { isClean: () => Effect.fail(away), changedPaths: () => Effect.fail(away) }
            })
          )
          assert.include(error.message, "git is away")
        }
      })
    )

    it.live("fails under a name that nobody registered, and lists those that are", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(custom("git_claen"))
        assert.isFalse(result.passed)
        assert.strictEqual(
          result.message,
          "no criterion is registered as git_claen: registered are git_clean, no_paths_touched; did you mean git_clean?"
        )
        assert.isFalse((yield* resultOf(custom("toString"))).passed)
      })
    )

    it.live("is given its arguments, the goal and the workspace, and answers with evidence", () =>
      Effect.gen(function* () {
        const seen = yield* Ref.make<ReadonlyArray<unknown>>([])
        const result = yield* resultOf(custom("mine", { a: 1 }), () => {}, {
          secrets: [Redacted.make("hunter-two")],
          evidenceBytes: 40,
          custom: {
            mine: ({ args, goal, workspace }) =>
              Effect.as(Ref.set(seen, [args, goal.id, workspace.goalId]), {
                passed: false,
                message: "no, hunter-two",
                evidence: Option.some(`hunter-two ${"é".repeat(100)}`)
              })
          }
        })
        deepStrictEqual(yield* Ref.get(seen), [{ a: 1 }, goalId, goalId])
        assert.strictEqual(result.message, "no, [redacted]")
        assert.strictEqual(evidenceOf(result), `[redacted] ${"é".repeat(14)}`)
      })
    )

    it.live("takes the place of a built-in one of that name", () =>
      Effect.gen(function* () {
        const git_clean: CustomCriterion = () =>
          Effect.succeed({ passed: true, message: "mine", evidence: Option.none() })
        assert.strictEqual((yield* resultOf(custom("git_clean"), () => {}, { custom: { git_clean } })).message, "mine")
      })
    )

    it.live("cannot be evaluated when it fails, breaks or does not answer", () =>
      Effect.gen(function* () {
        const mine = (criterion: CustomCriterion) =>
          Effect.flip(
            resultOf(custom("mine"), () => {}, { custom: { mine: criterion }, timeout: Duration.millis(100) })
          )
        const failed = yield* mine(() => new CriterionError({ name: "mine", detail: "the service is away" }))
        assert.include(failed.message, "could not be evaluated: the service is away")
        assert.include((yield* mine(() => Effect.die(new Error("a bug")))).message, "it broke: Error: a bug")
        assert.include((yield* mine(() => Effect.never)).message, "did not answer within 100ms")
      })
    )
  })

  describe("of a judge", () => {
    const polite = new LlmJudge({ criterion: "It is polite." })

    it.live("fails when no model is configured, and says so", () =>
      Effect.gen(function* () {
        const result = yield* resultOf(polite, () => {}, { workspace: { diff: () => Effect.succeed("+hello") } })
        deepStrictEqual([result.passed, result.message], [false, "no language model is configured to judge it"])
      })
    )

    it.live("shows the judge the sentence, the description and the diff, without secrets", () =>
      Effect.gen(function* () {
        const asked = yield* Ref.make<ReadonlyArray<JudgeRequest>>([])
        const judge = Layer.succeed(Judge, {
          judge: (request) =>
            Effect.as(
              Ref.update(asked, (all) => [...all, request]),
              { passed: true, reason: "It says please." }
            )
        })
        const result = yield* resultOf(polite, () => {}, {
          judge,
          secrets: [Redacted.make("hunter-two")],
          workspace: { diff: () => Effect.succeed("+please hunter-two") }
        })
        deepStrictEqual([result.passed, result.message], [true, "It says please."])
        deepStrictEqual(yield* Ref.get(asked), [
          {
            criterion: "It is polite.",
            description: "Grüße sagen",
            diff: "+please [redacted]",
            truncated: false
          }
        ])
      })
    )

    it.live("bounds the diff, and says that it is cut", () =>
      Effect.gen(function* () {
        const asked = yield* Ref.make(Option.none<JudgeRequest>())
        const judge = Layer.succeed(Judge, {
          judge: (request) => Effect.as(Ref.set(asked, Option.some(request)), { passed: false, reason: "no" })
        })
        yield* resultOf(polite, () => {}, {
          judge,
          diffBytes: 1_001,
          workspace: { diff: (_, maxBytes) => Effect.succeed("é".repeat(5_000).slice(0, maxBytes / 2)) }
        })
        const request = Option.getOrThrow(yield* Ref.get(asked))
        deepStrictEqual([request.diff, request.truncated], ["é".repeat(500), true])
      })
    )

    it.live("cannot be evaluated when the judge or the diff is away", () =>
      Effect.gen(function* () {
        const diff = () => Effect.succeed("")
        const judge = Judge.layerScripted([new JudgeError({ detail: "overloaded", retryable: true })])
        const unreachable = yield* Effect.flip(resultOf(polite, () => {}, { judge, workspace: { diff } }))
        assert.include(unreachable.message, "overloaded")
        const noDiff = new WorkspaceError({ operation: "diff", reason: "git_failed", detail: "no git" })
        const error = yield* Effect.flip(resultOf(polite, () => {}, { workspace: { diff: () => Effect.fail(noDiff) } }))
        assert.include(error.message, "no git")
      })
    )

    it.effect("scripted, answers in turn and then the same again", () =>
      Effect.gen(function* () {
        const judge = yield* Judge
        const request = { criterion: "", description: "", diff: "", truncated: false }
        const reasons = yield* Effect.all([1, 2, 3].map(() => Effect.map(judge.judge(request), (it) => it.reason)))
        deepStrictEqual(reasons, ["a", "b", "b"])
      }).pipe(
        Effect.provide(
          Judge.layerScripted([
            { passed: false, reason: "a" },
            { passed: true, reason: "b" }
          ])
        )
      )
    )
  })

  describe("of several criteria", () => {
    it.live("gives the results in the order of the goal, whoever is faster, and tells each as it ends", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const told = yield* Ref.make<ReadonlyArray<number>>([])
        const goal = goalWith(
          new FileMatches({ path: "made.txt", regex: "x" }),
          shell("while ! test -e told; do sleep 0.01; done; echo x > made.txt"),
          shell("true"),
          new Custom({ name: "mine", args: {} })
        )
        const mine: CustomCriterion = () => Effect.succeed({ passed: false, message: "no", evidence: Option.none() })
        const verdict = yield* Effect.flatMap(Acceptance, (it) =>
          it.evaluate(goal, world.info, {
            // The first command waits until the second one has been told.
            onResult: (result) =>
              Effect.zipRight(
                Ref.update(told, (all) => [...all, result.index]),
                Effect.sync(() => result.index === 2 && fs.writeFileSync(path.join(world.directory, "told"), ""))
              )
          })
        ).pipe(Effect.provide(layer({ custom: { mine } })))
        assert.isFalse(verdict.met)
        deepStrictEqual(
          verdict.results.map((result) => [result.index, result.passed]),
          [
            [0, true],
            [1, true],
            [2, true],
            [3, false]
          ]
        )
        deepStrictEqual(yield* Ref.get(told), [3, 2, 1, 0])
      }).pipe(Effect.scoped)
    )

    it.live("runs as many at a time as it is set to", () =>
      Effect.gen(function* () {
        for (const concurrency of [1, 3]) {
          const running = yield* Ref.make(0)
          const most = yield* Ref.make(0)
          const everyone = yield* Deferred.make<void>()
          const mine: CustomCriterion = () =>
            Effect.gen(function* () {
              const now = yield* Ref.updateAndGet(running, (n) => n + 1)
              yield* Ref.update(most, (n) => Math.max(n, now))
              if (now >= concurrency) yield* Deferred.succeed(everyone, undefined)
              yield* Deferred.await(everyone)
              yield* Ref.update(running, (n) => n - 1)
              return { passed: true, message: "yes", evidence: Option.none() }
            })
          const world = yield* makeWorld
          const goal = goalWith(...Array.from({ length: 7 }, () => new Custom({ name: "mine", args: {} })))
          assert.isTrue((yield* evaluate(world, goal, { custom: { mine }, concurrency })).met)
          assert.strictEqual(yield* Ref.get(most), concurrency)
        }
      }).pipe(Effect.scoped)
    )

    it.live("is not met when one of them fails", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const verdict = yield* evaluate(world, goalWith(shell("true"), shell("false"), shell("true")))
        assert.isFalse(verdict.met)
        deepStrictEqual(
          verdict.results.map((result) => result.passed),
          [true, false, true]
        )
      }).pipe(Effect.scoped)
    )
  })

  describe("fails as an evaluator", () => {
    it.live("on an invalid pattern, before anything has run", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        const goal = goalWith(shell("touch ran"), new FileMatches({ path: "a", regex: "a(?=b)" }))
        const error = yield* Effect.flip(evaluate(world, goal))
        assert.strictEqual(error.index, 1)
        assert.include(error.message, "criterion 2 (a matches /a(?=b)/) could not be evaluated")
        assert.include(error.message, "look-ahead is not supported")
        assert.isFalse(fs.existsSync(path.join(world.directory, "ran")))
        const output = yield* Effect.flip(
          evaluate(world, goalWith(shell("true", { stdoutMustMatch: Option.some("(") })))
        )
        assert.include(output.message, "missing closing )")
      }).pipe(Effect.scoped)
    )

    it.live("when the workspace is gone, or is a file", () =>
      Effect.gen(function* () {
        const world = yield* makeWorld
        fs.writeFileSync(path.join(world.directory, "file"), "")
        for (const name of ["gone", "file"]) {
          const info = { ...world.info, path: path.join(world.directory, name) }
          for (const criterion of [shell("true"), new FileMatches({ path: "a", regex: "", required: false })]) {
            const error = yield* Effect.flip(evaluate({ ...world, info }, goalWith(criterion)))
            assert.include(error.message, `the workspace ${info.path} is not there`)
          }
        }
      }).pipe(Effect.scoped)
    )

    it.live("when no process can be started", () =>
      Effect.gen(function* () {
        const containment = Layer.succeed(Containment, {
          state: Effect.succeed({ kind: "process_group" as const, reason: Option.none() }),
          enclose: Effect.fail({ code: "EAGAIN", message: "no more processes" })
        })
        const error = yield* Effect.flip(resultOf(shell("true"), () => {}, { containment }))
        assert.include(error.message, "no more processes")
      })
    )
  })

  it.effect("scripted, answers in turn and then passes", () =>
    Effect.gen(function* () {
      const acceptance = yield* Acceptance
      const goal = goalWith(shell("true"), shell("false"))
      const told = yield* Ref.make<ReadonlyArray<boolean>>([])
      const ask = Effect.either(
        Effect.flatMap(makeWorld, (world) =>
          acceptance.evaluate(goal, world.info, { onResult: (it) => Ref.update(told, (all) => [...all, it.passed]) })
        )
      )
      const first = yield* ask
      deepStrictEqual(
        Either.map(first, (it) => [it.met, ...it.results.map((result) => result.message)]),
        Either.right([false, "not yet", "passed"])
      )
      assert.isTrue(Either.isLeft(yield* ask))
      deepStrictEqual(
        Either.map(yield* ask, (it) => it.met),
        Either.right(true)
      )
      deepStrictEqual(yield* Ref.get(told), [false, true, true, true])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Acceptance.layerScripted(["not yet", new AcceptanceError({ index: 0, criterion: "x", detail: "y" })])
      )
    )
  )
})
