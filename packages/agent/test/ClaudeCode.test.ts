import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { AgentEvent } from "@driver/agent/Agent"
import type { ToolCall } from "@driver/agent/PermissionGate"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import { TokenUsage } from "@driver/domain/Usage"
import { describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Ref, Schedule, Scope, Stream } from "effect"
import { assert } from "./support/assert.js"
import * as captures from "./support/captures.js"
import {
  ask,
  collect,
  endOf,
  eventually,
  gate,
  isAlive,
  makeWorld,
  openSession,
  replay,
  resultOf,
  said,
  stub,
  type World
} from "./support/claude.js"

const turns = (...all: ReadonlyArray<ReadonlyArray<unknown>>) => ({ turns: all.map((steps) => ({ steps })) })

const flagOf = (argv: ReadonlyArray<string> | undefined, flag: string) => argv?.[argv.indexOf(flag) + 1]

/** A session of the program that prints captures. */
const openReplay = (
  world: World,
  capture: string,
  options?: { readonly env?: Record<string, string>; readonly settings?: Parameters<typeof openSession>[1] }
) => {
  const file = join(world.root, `${capture}.jsonl`)
  // It says which server it has: with the control protocol that is of no interest.
  writeFileSync(file, captures.text(capture))
  return openSession(world, {
    ...options?.settings,
    settings: { binary: replay, ...options?.settings?.settings },
    env: { REPLAY: file, ...options?.env }
  })
}

const reading = (session: Parameters<typeof ask>[0], prompt: string) =>
  Effect.gen(function* () {
    const events = yield* Ref.make<ReadonlyArray<AgentEvent>>([])
    const fiber = yield* session.turn({ prompt, turn: 1 }).pipe(
      Stream.runForEach((event) => Ref.update(events, (all) => [...all, event])),
      Effect.zipRight(Ref.get(events)),
      Effect.fork
    )
    const until = (holds: (events: ReadonlyArray<AgentEvent>) => boolean) =>
      Ref.get(events).pipe(
        Effect.repeat({ until: holds, schedule: Schedule.spaced("5 millis") }),
        Effect.zipRight(Ref.get(events)),
        Effect.timeoutFail({ duration: "1 minute", onTimeout: () => new Error("the event did not come") })
      )
    return { fiber, until }
  })

const hasSaid = (text: string) => (events: ReadonlyArray<AgentEvent>) => said(events).includes(text)

describe("ClaudeCode, warm", () => {
  it.scopedLive("runs all turns of a session on one process, which it starts before the first", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "one" }], [{ say: "two" }]))
      const session = yield* openSession(world, { settings: { model: "claude-stub-1" } })
      yield* eventually("the process has started", () => world.starts().length === 1)
      const first = yield* ask(session, "do it", 1)
      const second = yield* ask(session, "--again, with a dash", 2)
      assert.deepStrictEqual([endOf(first), endOf(second)], ["completed: one", "completed: two"])
      assert.deepStrictEqual(
        [first, second].map((events) => events.filter(AgentEvent.$is("SessionStarted")).length),
        [1, 0]
      )
      assert.strictEqual(world.starts().length, 1)
      assert.deepStrictEqual(
        world.log().flatMap(({ prompt }) => (prompt === undefined ? [] : [prompt])),
        ["do it", "--again, with a dash"]
      )
      assert.isTrue(Option.isSome(resultOf(second).costUsd))
      assert.deepStrictEqual(resultOf(second).sessionId, resultOf(first).sessionId)
      assert.strictEqual(flagOf(world.starts()[0], "--model"), "claude-stub-1")
    })
  )

  it.scopedLive("opens at once, whatever time the program takes", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ startup: { delay: "forever" }, ...turns([{ say: "one" }]) })
      const opened = yield* Effect.timeoutOption(openSession(world), "1 minute")
      assert.isTrue(Option.isSome(opened))
    })
  )

  it.scopedLive("resumes a session by its id, in another process", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "one" }], [{ say: "two" }]))
      const id = yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* openSession(world)
          return Option.getOrThrow(resultOf(yield* ask(session, "do it")).sessionId)
        })
      )
      const session = yield* openSession(world, { resume: id })
      const events = yield* ask(session, "go on")
      assert.strictEqual(endOf(events), "completed: two")
      assert.deepStrictEqual(resultOf(events).sessionId, Option.some(id))
      assert.strictEqual(flagOf(world.starts()[1], "--resume"), id)
    })
  )

  it.scopedLive("says that a session is dead which the program does not know, and that it cost nothing", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "one" }]))
      const session = yield* openSession(world, { resume: "00000000-0000-4000-8000-000000000000" })
      const events = yield* ask(session, "go on")
      assert.strictEqual(endOf(events), "failed: session_dead")
      assert.deepStrictEqual(resultOf(events).costUsd, Option.some(0))
    })
  )

  it.scopedLive("runs one turn at a time", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ delay: "200ms" }, { say: "one" }], [{ say: "two" }]))
      const session = yield* openSession(world)
      const [first, second] = yield* Effect.all([ask(session, "a", 1), ask(session, "b", 2)], { concurrency: 2 })
      assert.deepStrictEqual([endOf(first), endOf(second)].sort(), ["completed: one", "completed: two"])
    })
  )

  it.scopedLive("takes a message in the middle of a turn, and none between turns", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([{ say: "listening" }, { steer_echo: { within: "10s" } }, { say: "done" }], [{ say: "next" }])
      )
      const session = yield* openSession(world)
      assert.isFalse(yield* session.steer("too early"))
      const { fiber, until } = yield* reading(session, "do it")
      yield* until(hasSaid("listening"))
      assert.isTrue(yield* session.steer("use tabs"))
      const events = yield* Fiber.join(fiber)
      assert.isTrue(
        said(events).some((text) => text.includes("use tabs")),
        said(events).join()
      )
      assert.isFalse(yield* session.steer("too late"))
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
      assert.strictEqual(world.starts().length, 1)
    })
  )

  it.scopedLive("ends a turn with Interrupted, and keeps the process", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "working" }, { hang: "forever" }], [{ say: "next" }]))
      const session = yield* openSession(world)
      yield* session.interrupt
      const { fiber, until } = yield* reading(session, "do it")
      yield* until(hasSaid("working"))
      yield* session.interrupt
      assert.strictEqual(endOf(yield* Fiber.join(fiber)), "interrupted")
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
      assert.strictEqual(world.starts().length, 1)
    })
  )

  it.scopedLive("ends a turn at once that is interrupted before the program is ready, and keeps the process", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ startup: { delay: "700ms" }, ...turns([{ say: "one" }]) })
      const session = yield* openSession(world)
      const { fiber } = yield* reading(session, "do it")
      yield* Effect.repeat(session.interrupt, {
        until: () => Effect.map(Fiber.status(fiber), (status) => status._tag === "Done"),
        schedule: Schedule.spaced("5 millis")
      })
      const events = yield* Fiber.join(fiber)
      assert.strictEqual(endOf(events), "interrupted")
      assert.deepStrictEqual(resultOf(events).costUsd, Option.some(0))
      yield* Fiber.interrupt((yield* reading(session, "do it")).fiber)
      assert.strictEqual(endOf(yield* ask(session, "do it", 2)), "completed: one")
      assert.strictEqual(world.starts().length, 1)
      assert.strictEqual(world.log().filter((entry) => "prompt" in entry).length, 1)
    })
  )

  it.scopedLive("stops the work when the reader goes, and keeps the process", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns(
          [{ say: "working" }, { tool: "Bash", input: { command: "tail -f /dev/null & echo $! > pid; wait" } }],
          [{ say: "next" }]
        )
      )
      const session = yield* openSession(world)
      const { fiber } = yield* reading(session, "do it")
      yield* eventually("the command runs", () => world.has("pid") && readFileSync(world.path("pid"), "utf8") !== "")
      const pid = Number(readFileSync(world.path("pid"), "utf8"))
      yield* Fiber.interrupt(fiber)
      yield* eventually("the command is gone", () => !isAlive(pid))
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
      assert.strictEqual(world.starts().length, 1)
    })
  )

  it.scopedLive("kills a program that does not let itself be interrupted, and resumes its session", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const session = yield* openReplay(world, "kill9-during-api-call", {
        settings: { settings: { interruptGrace: "200 millis" } }
      })
      const { fiber, until } = yield* reading(session, "do it")
      const events = yield* until((all) => all.length > 0)
      const id = events.flatMap((event) => (event._tag === "SessionStarted" ? [event.sessionId] : []))[0]
      yield* Fiber.interrupt(fiber)
      const again = yield* reading(session, "do it again")
      yield* eventually("a new process", () => world.starts().length === 2)
      assert.strictEqual(flagOf(world.starts()[1], "--resume"), id)
      yield* session.interrupt
      assert.strictEqual(endOf(yield* Fiber.join(again.fiber)), "interrupted")
    })
  )

  it.scopedLive("starts another process when the last one has died between two turns", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const session = yield* openReplay(world, "stream-resume-a", { env: { REPLAY_EXIT: "0" } })
      const first = yield* ask(session, "do it", 1)
      const second = yield* ask(session, "go on", 2)
      assert.deepStrictEqual([endOf(first), endOf(second)], ["completed: one", "completed: one"])
      assert.deepStrictEqual(
        world.starts().map((argv) => argv.includes("--resume")),
        [false, true]
      )
    })
  )

  it.scopedLive("gives the prompt to another process when the last one dies of it before its first word", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const session = yield* openReplay(world, "stream-resume-a", { env: { REPLAY_DIES: "1" } })
      yield* ask(session, "do it", 1)
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: one")
      assert.strictEqual(world.starts().length, 2)
      // But a first process that does so is not worth a second.
      const other = yield* makeWorld()
      const dead = yield* openReplay(other, "stdin-empty", { env: { REPLAY_EXIT: "1" } })
      assert.strictEqual((yield* Effect.flip(ask(dead, "do it")))._tag, "AgentExited")
      assert.strictEqual(other.starts().length, 1)
    })
  )

  it.scopedLive("closes a process that works although nobody asked it to", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const extra = captures.lines("stream-resume-a").slice(0, 2).join("\n")
      const env = { REPLAY_TAIL: `${extra}\n`, REPLAY_TAIL_WHEN: world.path("now") }
      const session = yield* openReplay(world, "stream-resume-a", { env })
      yield* ask(session, "do it", 1)
      const [pid] = world.log().flatMap((entry) => (typeof entry["pid"] === "number" ? [entry["pid"]] : []))
      assert.isTrue(isAlive(pid ?? -1))
      world.write("now", "")
      yield* eventually("the process is gone", () => !isAlive(pid ?? -1))
      rmSync(world.path("now"))
      yield* ask(session, "go on", 2)
      assert.strictEqual(world.starts().length, 2)
    })
  )

  it.scopedLive("leaves no process behind when its scope closes", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "working" }, { hang: "forever" }]))
      const scope = yield* Scope.make()
      const session = yield* Scope.extend(openSession(world), scope)
      const { fiber, until } = yield* reading(session, "do it")
      yield* until(hasSaid("working"))
      const pids = world.log().flatMap(({ pid }) => (typeof pid === "number" ? [pid] : []))
      assert.strictEqual(pids.filter(isAlive).length, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(pids.filter(isAlive), [])
      assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "AgentExited" })
    })
  )

  it.scopedLive("compacts, and starts another process after a compaction that failed", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({
        compact: [
          { result: "success", summary: "All is well." },
          { result: "failed", error: "no room" }
        ],
        ...turns([{ say: "one" }], [{ say: "two" }], [{ say: "three" }])
      })
      const session = yield* openSession(world)
      yield* ask(session, "do it", 1)
      const compacted = (events: ReadonlyArray<AgentEvent>) => events.filter(AgentEvent.$is("Compacted"))
      const good = compacted(yield* collect(session.compact("keep the names")))
      assert.strictEqual(good.length, 1)
      assert.isTrue(
        Option.exists(good[0]?.result.summary ?? Option.none(), (summary) => summary.includes("All is well."))
      )
      yield* ask(session, "go on", 2)
      assert.strictEqual(world.starts().length, 1)
      const bad = compacted(yield* collect(session.compact("keep the names")))
      assert.deepInclude(bad[0]?.result, { succeeded: false, error: Option.some("no room") })
      assert.strictEqual(endOf(yield* ask(session, "go on", 3)), "completed: three")
      assert.strictEqual(world.starts().length, 2)
    })
  )
})

describe("ClaudeCode, one-shot", () => {
  const oneShot = { mode: "one_shot" } as const

  it.scopedLive("starts a process for each turn, gives the prompt on standard input, and resumes", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "one" }], [{ say: "two" }]))
      const session = yield* openSession(world, {
        settings: { ...oneShot, permissionDoor: "socket" },
        gate: world.socketGate()
      })
      assert.strictEqual(world.starts().length, 0)
      const first = yield* ask(session, "--help me", 1)
      const second = yield* ask(session, "go on", 2)
      assert.deepStrictEqual([endOf(first), endOf(second)], ["completed: one", "completed: two"])
      const [before, after] = world.starts()
      assert.isFalse(
        before?.includes("--input-format") || before?.includes("--help me") || before?.includes("--resume")
      )
      assert.strictEqual(flagOf(after, "--resume"), Option.getOrThrow(resultOf(first).sessionId))
      assert.isFalse(yield* session.steer("too late"))
    })
  )

  it.scopedLive("asks by the control protocol as well", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([{ tool: "Write", input: { file_path: "a.txt", content: "x" } }, { say: "one" }])
      )
      const session = yield* openSession(world, { settings: oneShot })
      assert.strictEqual(endOf(yield* ask(session, "do it")), "completed: one")
      assert.isTrue(world.has("a.txt"))
    })
  )

  it.scopedLive("interrupts a turn", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "working" }, { hang: "forever" }], [{ say: "next" }]))
      const session = yield* openSession(world, {
        settings: { ...oneShot, permissionDoor: "socket" },
        gate: world.socketGate()
      })
      const { fiber, until } = yield* reading(session, "do it")
      yield* until(hasSaid("working"))
      assert.isFalse(yield* session.steer("no"))
      yield* session.interrupt
      assert.strictEqual(endOf(yield* Fiber.join(fiber)), "interrupted")
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
    })
  )

  it.scopedLive("stops a process that goes on after its result", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const session = yield* openReplay(world, "stdin-prompt", {
        settings: {
          settings: { ...oneShot, permissionDoor: "socket", exitGrace: "100 millis" },
          gate: world.socketGate()
        }
      })
      const answered = yield* Effect.timeoutOption(ask(session, "do it"), "1 minute")
      assert.deepStrictEqual(Option.map(answered, endOf), Option.some("completed: one"))
    })
  )
})

describe("ClaudeCode and the gate", () => {
  const write = { tool: "Write", input: { file_path: "a.txt", content: "x" } }

  it.scopedLive("lets the gate's own server decide", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([write, { tool: "Write", input: { file_path: "b.txt", content: "x" } }, { say: "done" }])
      )
      const session = yield* openSession(world, {
        settings: { permissionDoor: "socket" },
        gate: world.socketGate([["b.txt", { behavior: "deny", message: "not that one" }]])
      })
      const events = yield* ask(session, "do it")
      assert.deepStrictEqual([world.has("a.txt"), world.has("b.txt")], [true, false])
      assert.deepStrictEqual(
        events.filter(AgentEvent.$is("ToolEnded")).map(({ denied, failed }) => ({ denied, failed })),
        [
          { denied: false, failed: false },
          { denied: true, failed: true }
        ]
      )
    })
  )

  it.scopedLive("decides in this process, with the gate's input and the gate's reason", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([write, { tool: "Write", input: { file_path: "b.txt", content: "x" } }, { say: "done" }])
      )
      const calls = yield* Ref.make<ReadonlyArray<ToolCall>>([])
      const session = yield* openSession(world, {
        gate: gate((call) =>
          Effect.as(
            Ref.update(calls, (all) => [...all, call]),
            String(call.input["file_path"]).includes("b.txt")
              ? new Deny({ message: "not that one", rationale: "test" })
              : new AllowOnce({ updatedInput: Option.some({ ...call.input, content: "y" }), rationale: "test" })
          )
        )
      })
      const events = yield* ask(session, "do it")
      assert.strictEqual(readFileSync(world.path("a.txt"), "utf8"), "y")
      assert.isFalse(world.has("b.txt"))
      const ended = events.filter(AgentEvent.$is("ToolEnded"))
      assert.deepInclude(ended[1], { denied: true, text: "not that one" })
      const asked = yield* Ref.get(calls)
      assert.deepStrictEqual(
        asked.map(({ tool, toolUseId }) => [tool, Option.isSome(toolUseId)]),
        [
          ["Write", true],
          ["Write", true]
        ]
      )
    })
  )

  it.scopedLive("withdraws a question when the turn is interrupted", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([write, { say: "done" }], [{ say: "next" }]))
      const asked = yield* Deferred.make<void>()
      const withdrawn = yield* Deferred.make<void>()
      const session = yield* openSession(world, {
        gate: gate(() =>
          Deferred.succeed(asked, undefined).pipe(
            Effect.zipRight(Effect.never),
            Effect.onInterrupt(() => Deferred.succeed(withdrawn, undefined))
          )
        )
      })
      const { fiber } = yield* reading(session, "do it")
      yield* Deferred.await(asked)
      yield* session.interrupt
      yield* Deferred.await(withdrawn)
      assert.strictEqual(endOf(yield* Fiber.join(fiber)), "interrupted")
      assert.isFalse(world.has("a.txt"))
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
    })
  )

  it.scopedLive("does not take time to decide for silence", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([write, { say: "done" }]))
      const session = yield* openSession(world, {
        settings: { idleLimit: "500 millis" },
        gate: gate(() =>
          Effect.delay(Effect.succeed(new AllowOnce({ updatedInput: Option.none(), rationale: "test" })), "1500 millis")
        )
      })
      assert.strictEqual(endOf(yield* ask(session, "do it")), "completed: done")
    })
  )

  it.scopedLive("stops the turn before any tool runs when the program would not ask", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({
        startup: { permission_mode: "acceptEdits" },
        ...turns([write, { say: "done" }])
      })
      const session = yield* openSession(world)
      const error = yield* Effect.flip(ask(session, "do it"))
      assert.deepInclude(error, { _tag: "AgentUnsafe", problem: "permission_mode" })
      assert.include(error.message, "acceptEdits")
      assert.isFalse(world.has("a.txt"))
    })
  )

  it.scopedLive("stops the turn when the program has nobody to ask", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ startup: { gate_status: "failed" }, ...turns([write, { say: "done" }]) })
      const session = yield* openSession(world, { settings: { permissionDoor: "socket" }, gate: world.socketGate() })
      const error = yield* Effect.flip(ask(session, "do it"))
      assert.deepInclude(error, { _tag: "AgentUnsafe", problem: "gate_not_connected" })
      const closed = yield* Effect.flip(openSession(world, { settings: { permissionDoor: "socket" }, gate: gate() }))
      assert.deepInclude(closed, { _tag: "AgentUnsafe", problem: "gate_not_connected" })
    })
  )

  it.scopedLive("stops the turn when the mode changes in the middle of it", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([
          { print_event: { type: "system", subtype: "status", status: null, permissionMode: "plan" } },
          { hang: "forever" }
        ])
      )
      const error = yield* Effect.flip(ask(yield* openSession(world), "do it"))
      assert.deepInclude(error, { _tag: "AgentUnsafe", problem: "permission_mode" })
    })
  )

  it.scopedLive("asks again for a gate that is still pending, and goes on when it is connected", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const pending = captures.text("stdin-prompt").replace('"status":"connected"', '"status":"pending"')
      const file = world.write("../pending.jsonl", pending)
      const session = yield* openSession(world, {
        settings: { binary: replay, permissionDoor: "socket" },
        gate: world.socketGate(),
        env: { REPLAY: file }
      })
      assert.strictEqual(endOf(yield* ask(session, "do it")), "completed: one")
      yield* eventually("it was asked for", () => world.log().some(({ line }) => String(line).includes("mcp_status")))
    })
  )

  it.scopedLive("shields the program from the settings of a hostile repository", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([write, { say: "done" }]))
      const hook = { hooks: [{ type: "command", command: `touch ${world.path("hooked")}` }] }
      world.write(
        ".claude/settings.json",
        JSON.stringify({
          permissions: { defaultMode: "acceptEdits" },
          hooks: { SessionStart: [hook], PreToolUse: [{ matcher: "*", ...hook }] },
          apiKeyHelper: `touch ${world.path("helped")}`
        })
      )
      const session = yield* openSession(world, {
        gate: gate(() => Effect.succeed(new Deny({ message: "no", rationale: "test" })))
      })
      yield* ask(session, "do it")
      assert.deepStrictEqual(["hooked", "helped", "a.txt"].filter(world.has), [])
    })
  )
})

describe("ClaudeCode and background work", () => {
  it.scopedLive("waits for it, and ends the turn with what it brings", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([{ background: { command: "sh -c 'sleep 0.3'", then: [{ say: "all done" }] } }, { say: "started" }])
      )
      const session = yield* openSession(world)
      const events = yield* ask(session, "do it")
      assert.include(said(events), "all done")
      assert.strictEqual(resultOf(events).abandonedTasks, 0)
    })
  )

  it.scopedLive("abandons it after the deadline: counted, killed, and resumed in a new process", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns(
          [{ background: { command: "echo $$ > pid; exec tail -f /dev/null" } }, { say: "started" }],
          [{ say: "next" }]
        )
      )
      const session = yield* openSession(world, { settings: { backgroundDeadline: "500 millis" } })
      const events = yield* ask(session, "do it")
      assert.strictEqual(endOf(events), "completed: started")
      assert.strictEqual(resultOf(events).abandonedTasks, 1)
      const pid = Number(readFileSync(world.path("pid"), "utf8"))
      assert.isFalse(isAlive(pid))
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
      assert.strictEqual(world.starts().length, 2)
    })
  )

  it.scopedLive("holds the turn until a background subagent has reported", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([
          {
            subagent: {
              description: "sub",
              prompt: "do",
              background: true,
              steps: [{ delay: "200ms" }, { say: "sub done" }],
              then: [{ say: "all done" }]
            }
          },
          { say: "main done" }
        ])
      )
      const events = yield* ask(yield* openSession(world), "do it")
      assert.strictEqual(endOf(events), "completed: all done")
    })
  )
})

describe("ClaudeCode, when things go wrong", () => {
  const failing = (scenario: Record<string, unknown>, options?: Parameters<typeof openSession>[1]) =>
    Effect.gen(function* () {
      const world = yield* makeWorld(scenario)
      const session = yield* openSession(world, options)
      return yield* Effect.flip(ask(session, "do it"))
    })

  it.scopedLive("names a program that is not there, and what to do", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const error = yield* Effect.flip(openSession(world, { settings: { binary: "no-such-claude" } }))
      assert.deepInclude(error, { _tag: "AgentUnavailable", reason: "not_found", program: "no-such-claude" })
      assert.include(error.message, "Install it")
    })
  )

  it.scopedLive("names a program that may not be executed", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const file = world.write("claude", "no program")
      const error = yield* Effect.flip(openSession(world, { settings: { binary: file } }))
      assert.deepInclude(error, { _tag: "AgentUnavailable", reason: "not_executable" })
    })
  )

  it.scopedLive("names a workspace that is not there", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const error = yield* Effect.flip(openSession(world, { workspace: world.path("gone") }))
      assert.deepInclude(error, { _tag: "AgentUnavailable", reason: "bad_workspace" })
      assert.include(error.message, world.path("gone"))
    })
  )

  it.scopedLive("names a version that it does not support", () =>
    Effect.gen(function* () {
      const error = yield* failing({ startup: { version: "1.0.128" }, ...turns([{ say: "one" }]) })
      assert.deepInclude(error, { _tag: "AgentUnavailable", reason: "wrong_version" })
      assert.include(error.message, "1.0.128")
      assert.include(error.message, "npm install")
    })
  )

  it.scopedLive("says that nobody is logged in, and what to do", () =>
    Effect.gen(function* () {
      const error = yield* failing({ startup: { not_logged_in: true }, ...turns([{ say: "one" }]) })
      assert.deepInclude(error, { _tag: "AgentUnavailable", reason: "not_logged_in" })
      assert.include(error.message, "/login")
    })
  )

  it.scopedLive("stops at once when the provider refuses the login, instead of ten retries", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([{ api_retry: { error: "authentication_failed", error_status: 401 } }, { hang: "forever" }])
      )
      const session = yield* openSession(world)
      const events = yield* ask(session, "do it")
      assert.strictEqual(endOf(events), "failed: auth")
    })
  )

  it.scopedLive("reports a failed call of the provider as the end of the turn, with the reset of a limit", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({
        turns: [{ steps: [], error: { class: "rate_limit", resets_at: "1h" } }, { steps: [{ say: "next" }] }]
      })
      const session = yield* openSession(world)
      const { end } = resultOf(yield* ask(session, "do it"))
      assert.deepInclude(end._tag === "Failed" ? end.failure : {}, { class: "usage_limit", status: Option.some(429) })
      assert.isTrue(end._tag === "Failed" && Option.isSome(end.failure.resetsAt))
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
      assert.strictEqual(world.starts().length, 1)
    })
  )

  it.scopedLive("fails when the program prints nothing for the idle limit, and resumes its session", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "working" }, { hang: "forever" }], [{ say: "next" }]))
      const session = yield* openSession(world, { settings: { idleLimit: "1 second" } })
      const error = yield* Effect.flip(ask(session, "do it"))
      assert.strictEqual(error._tag, "AgentStalled")
      assert.strictEqual(endOf(yield* ask(session, "go on", 2)), "completed: next")
    })
  )

  it.scopedLive("does not take the work of a tool for silence", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(
        turns([{ tool: "Bash", input: { command: "sh -c 'sleep 1.5'" } }, { say: "done" }])
      )
      const session = yield* openSession(world, { settings: { idleLimit: "700 millis" } })
      assert.strictEqual(endOf(yield* ask(session, "do it")), "completed: done")
    })
  )

  it.scopedLive("fails when the program ends in mid-turn, with its code and its last words", () =>
    Effect.gen(function* () {
      const error = yield* failing(turns([{ say: "working" }, { exit: { code: 7, stderr: "boom" } }]))
      assert.deepInclude(error, { _tag: "AgentExited", exit: "code 7" })
      assert.include(error.message, "boom")
    })
  )

  it.scopedLive("fails when the program is killed", () =>
    Effect.gen(function* () {
      const error = yield* failing(turns([{ say: "working" }, { kill: "SIGKILL" }]))
      assert.isTrue(error._tag === "AgentExited" && error.exit.includes("SIGKILL"), error.message)
    })
  )

  it.scopedLive("fails at a line that is not JSON", () =>
    Effect.gen(function* () {
      const error = yield* failing(turns([{ print_raw: "npm warn old lockfile" }, { hang: "forever" }]))
      assert.deepInclude(error, { _tag: "AgentNotJson", excerpt: "npm warn old lockfile" })
    })
  )

  it.scopedLive("fails at a line that is torn off", () =>
    Effect.gen(function* () {
      const error = yield* failing(turns([{ say: "working" }, { torn: true }]))
      assert.strictEqual(error._tag, "AgentTornLine")
    })
  )

  it.scopedLive("fails at a line that does not end", () =>
    Effect.gen(function* () {
      const endless = { print_raw_repeat: { text: "x".repeat(1_000), times: 1_000 } }
      const error = yield* failing(turns([endless, { hang: "forever" }]), { settings: { maxLineBytes: 100_000 } })
      assert.deepInclude(error, { _tag: "AgentLineTooLong", limit: 100_000 })
    })
  )

  it.scopedLive("reads a line of 10 MB, and a flood on standard error", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ flood_stderr: 3_000_000 }, { huge_line: 10_000_000 }, { say: "done" }]))
      const session = yield* openSession(world)
      const events = yield* Effect.timeout(ask(session, "do it"), "1 minute")
      assert.strictEqual(endOf(events), "completed: done")
      assert.isTrue(events.some((event) => event._tag === "Said" && event.text.length >= 10_000_000))
    })
  )

  it.scopedLive("ignores and counts what it does not know", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ print_event: { type: "brand_new", some: "field" } }, { say: "done" }]))
      const events = yield* ask(yield* openSession(world), "do it")
      assert.isTrue(events.some((event) => event._tag === "Ignored" && event.type === "brand_new"))
      assert.strictEqual(endOf(events), "completed: done")
    })
  )

  it.scopedLive("never shows a secret of the environment in an error", () =>
    Effect.gen(function* () {
      const secret = "sk-ant-very-secret-0123456789"
      const env = { ANTHROPIC_API_KEY: secret }
      const errors = [
        yield* failing(turns([{ exit: { code: 1, stderr: `bad key ${secret} refused` } }]), { env }),
        yield* failing(turns([{ print_raw: `key=${secret}` }]), { env }),
        yield* failing({ startup: { exit: { code: 1, stderr: `Not logged in with ${secret}` } } }, { env })
      ]
      assert.deepStrictEqual(
        errors.map(({ _tag }) => _tag),
        ["AgentExited", "AgentNotJson", "AgentUnavailable"]
      )
      for (const error of errors) {
        assert.notInclude(JSON.stringify(error) + error.message, secret)
        assert.include(JSON.stringify(error), "[redacted]")
      }
      const world = yield* makeWorld({
        turns: [{ steps: [], error: { class: "invalid_request", text: `refused: ${secret}` } }]
      })
      const events = yield* ask(yield* openSession(world, { env }), "do it")
      assert.notInclude(JSON.stringify(resultOf(events)), secret)
    })
  )

  const ends: ReadonlyArray<readonly [string, string, Record<string, unknown>]> = [
    ["sigterm-midstream", "143", { _tag: "AgentExited", exit: "code 143 (SIGTERM)" }],
    ["sighup-bash-sleep", "129", { _tag: "AgentExited", exit: "code 129 (SIGHUP)" }],
    ["kill9-during-api-call", "SIGKILL", { _tag: "AgentExited", exit: "signal SIGKILL" }],
    ["sigterm-bash-sleep", "137", { _tag: "AgentExited", exit: "code 137 (SIGKILL)" }],
    ["stdin-empty", "1", { _tag: "AgentExited", exit: "code 1" }],
    ["session-id-flag-reuse", "1", { _tag: "AgentExited", exit: "code 1" }],
    ["argv-dash-prompt", "1", { _tag: "AgentUnavailable", reason: "wrong_version" }]
  ]
  for (const [capture, exit, expected] of ends) {
    it.scopedLive(`makes an error of the end of ${capture}`, () =>
      Effect.gen(function* () {
        const world = yield* makeWorld()
        const session = yield* openReplay(world, capture, {
          env: { REPLAY_EXIT: exit, REPLAY_STDERR: captures.exits[capture]?.stderr ?? "" }
        })
        assert.deepInclude(yield* Effect.flip(ask(session, "do it")), expected)
      })
    )
  }

  it.scopedLive("takes a program that cannot find the gate's tool for unsafe", () =>
    Effect.gen(function* () {
      const capture = "permission-tool-name-wrong"
      const world = yield* makeWorld()
      const session = yield* openReplay(world, capture, {
        env: { REPLAY_EXIT: "1", REPLAY_STDERR: captures.exits[capture]?.stderr ?? "" }
      })
      const error = yield* Effect.flip(ask(session, "do it"))
      assert.deepInclude(error, { _tag: "AgentUnsafe", problem: "gate_not_connected" })
    })
  )

  it.scopedLive("takes the result and not the exit code for the end", () =>
    Effect.gen(function* () {
      for (const [capture, exit, end] of [
        ["sigint-midstream", "0", "interrupted"],
        ["api-529-exhausted", "1", "failed: transient"],
        ["stream-bad-json-line", "1", "completed: one"]
      ] as const) {
        const world = yield* makeWorld()
        const session = yield* openReplay(world, capture, { env: { REPLAY_EXIT: exit } })
        assert.strictEqual(endOf(yield* ask(session, "do it")), end, capture)
      }
    })
  )

  it.scopedLive("has metered what a turn without a result has used", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const session = yield* openReplay(world, "sigterm-bash-sleep", { env: { REPLAY_EXIT: "143" } })
      const events = yield* Ref.make<ReadonlyArray<AgentEvent>>([])
      yield* session.turn({ prompt: "do it", turn: 1 }).pipe(
        Stream.runForEach((event) => Ref.update(events, (all) => [...all, event])),
        Effect.flip
      )
      const metered = (yield* Ref.get(events)).filter(AgentEvent.$is("Metered"))
      assert.deepStrictEqual(
        metered.map(({ tokens }) => tokens),
        [new TokenUsage({ input: 10, output: 1, cacheRead: metered[0]?.tokens.cacheRead ?? 0, cacheCreation: 0 })]
      )
      assert.isAbove(metered[0]?.tokens.cacheRead ?? 0, 13_000)
    })
  )
})

describe("ClaudeCode and the project's instructions", () => {
  it.scopedLive("gives CLAUDE.md to the program, which is told to ignore the project's settings", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "one" }]))
      world.write("CLAUDE.md", "Use tabs. Žádné mezery.")
      world.write(".claude/CLAUDE.md", "And no semicolons.")
      const session = yield* openSession(world)
      yield* eventually("the process has started", () => world.starts().length === 1)
      const [argv] = world.starts()
      const given = readFileSync(flagOf(argv, "--append-system-prompt-file") ?? "", "utf8")
      assert.include(given, "Use tabs. Žádné mezery.")
      assert.include(given, "And no semicolons.")
      assert.isFalse(flagOf(argv, "--append-system-prompt-file")?.startsWith(world.workspace))
      assert.strictEqual(flagOf(argv, "--setting-sources"), "user")
      yield* ask(session, "do it")
    })
  )

  it.scopedLive("gives no file that a link brings in from outside, and not more than the limit of a large one", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(turns([{ say: "one" }]))
      writeFileSync(join(world.root, "private"), "a private key")
      symlinkSync(join(world.root, "private"), world.path("CLAUDE.md"))
      yield* openSession(world)
      yield* eventually("the process has started", () => world.starts().length === 1)
      assert.notInclude(world.starts()[0] ?? [], "--append-system-prompt-file")
      world.write(".claude/CLAUDE.md", "y".repeat(10_000))
      yield* openSession(world, { settings: { maxPromptFileBytes: 100 } })
      yield* eventually("another has started", () => world.starts().length === 2)
      const given = readFileSync(flagOf(world.starts()[1], "--append-system-prompt-file") ?? "", "utf8")
      assert.strictEqual(given.split("y").length - 1, 100)
      assert.notInclude(given, "private")
    })
  )
})

describe("the stand-in", () => {
  it("is there", () => {
    assert.include(readFileSync(stub, "utf8").slice(0, 200), "node")
  })
})
