import { Agent, AgentEvent, AgentStalled, TurnEnd } from "@driver/agent/Agent"
import {
  type AgentScript,
  asks,
  awaitsSteer,
  compacted,
  ended,
  failed,
  fails,
  hangs,
  limited,
  runs,
  ScriptedAgentLog,
  type ScriptedAgentOptions,
  said
} from "@driver/agent/AgentScripted"
import type { GateTicket, ToolCall } from "@driver/agent/PermissionGate"
import { SessionId } from "@driver/domain/Binding"
import { GoalId } from "@driver/domain/Goal"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import { describe, it } from "@effect/vitest"
import { Chunk, Duration, Effect, Exit, Fiber, Option, Ref, Schema, Scope, Stream, TestClock } from "effect"
import { assert } from "./support/assert.js"

const goalId = (n: number) => Schema.decodeSync(GoalId)(`00000000-0000-4000-8000-00000000000${n}`)
const sessionId = (id: string) => Schema.decodeSync(SessionId)(id)

const gate = (decide: GateTicket["decide"] = () => Effect.dieMessage("nobody should ask")): GateTicket => ({
  program: Option.none(),
  socket: Option.none(),
  decide,
  startTurn: () => Effect.void,
  startSession: Effect.void
})

const openSession = (options?: { goal?: number; resume?: string; decide?: GateTicket["decide"] }) =>
  Effect.flatMap(Agent, (agent) =>
    agent.open({
      goalId: goalId(options?.goal ?? 1),
      workspace: "/workspace",
      resume: Option.map(Option.fromNullable(options?.resume), sessionId),
      gate: gate(options?.decide)
    })
  )

const collect = <E>(events: Stream.Stream<AgentEvent, E>) =>
  Effect.map(Stream.runCollect(events), (chunk) => Chunk.toReadonlyArray(chunk))

const started = (id: string) =>
  AgentEvent.SessionStarted({ sessionId: sessionId(id), model: Option.none(), version: Option.none() })

const test = (
  name: string,
  script: AgentScript,
  body: Effect.Effect<void, unknown, Agent | ScriptedAgentLog | Scope.Scope>,
  options?: ScriptedAgentOptions
) => it.scoped(name, () => body.pipe(Effect.provide(Agent.layerScripted(script, options))))

describe("AgentScripted", () => {
  test(
    "plays one turn after the other, begins the session once, and fills its id into results",
    [[said("one"), ended({ text: "done", costUsd: 0.5 })], [ended()]],
    Effect.gen(function* () {
      const session = yield* openSession()
      const first = yield* collect(session.turn({ prompt: "go", turn: 1 }))
      const second = yield* collect(session.turn({ prompt: "again", turn: 2 }))
      const id = sessionId("scripted-session-1")
      assert.deepStrictEqual(first, [
        started("scripted-session-1"),
        said("one"),
        ended({ text: "done", costUsd: 0.5, sessionId: id })
      ])
      assert.deepStrictEqual(second, [ended({ sessionId: id })])
      const log = yield* ScriptedAgentLog
      assert.deepStrictEqual((yield* log.current).prompts, [
        { goalId: goalId(1), turn: 1, prompt: "go" },
        { goalId: goalId(1), turn: 2, prompt: "again" }
      ])
    })
  )

  test(
    "resumes under the id it was given",
    [[ended()]],
    Effect.gen(function* () {
      const session = yield* openSession({ resume: "abc" })
      const events = yield* collect(session.turn({ prompt: "go", turn: 1 }))
      assert.deepStrictEqual(events, [started("abc"), ended({ sessionId: sessionId("abc") })])
    })
  )

  test(
    "takes over a session id that its script announces",
    [[started("new"), ended()]],
    Effect.gen(function* () {
      const session = yield* openSession({ resume: "old" })
      const events = yield* collect(session.turn({ prompt: "go", turn: 1 }))
      assert.deepStrictEqual(events, [started("new"), ended({ sessionId: sessionId("new") })])
    })
  )

  test(
    "waits on the Clock, and on nothing else",
    [
      [
        ["1 minute", said("later")],
        ["1 minute", ended()]
      ]
    ],
    Effect.gen(function* () {
      const session = yield* openSession()
      const seen = yield* Ref.make<ReadonlyArray<string>>([])
      const fiber = yield* session.turn({ prompt: "go", turn: 1 }).pipe(
        Stream.runForEach((event) => Ref.update(seen, (all) => [...all, event._tag])),
        Effect.fork
      )
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* Ref.get(seen), ["SessionStarted"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Ref.get(seen), ["SessionStarted", "Said"])
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Ref.get(seen), ["SessionStarted", "Said", "TurnEnded"])
    })
  )

  it.scoped("asks the gate, runs what is allowed with the gate's input, and tells the answer", () =>
    Effect.gen(function* () {
      const written = yield* Ref.make<ReadonlyArray<unknown>>([])
      const calls = yield* Ref.make<ReadonlyArray<ToolCall>>([])
      const write = (id: string) =>
        asks(
          "Write",
          { file: id },
          {
            toolUseId: id,
            run: (input, { workspace }) =>
              Effect.as(
                Ref.update(written, (all) => [...all, { input, workspace }]),
                "written"
              )
          }
        )
      const events = yield* openSession({
        decide: (call) =>
          Effect.as(
            Ref.update(calls, (all) => [...all, call]),
            Option.contains(call.toolUseId, "a")
              ? new AllowOnce({ updatedInput: Option.some({ file: "other" }), rationale: "test" })
              : new Deny({ message: "not there", rationale: "test" })
          )
      }).pipe(
        Effect.flatMap((session) => collect(session.turn({ prompt: "go", turn: 1 }))),
        Effect.provide(Agent.layerScripted([[write("a"), write("b"), ended()]]))
      )
      const none = Option.none<string>()
      assert.deepStrictEqual(events.slice(1, -1), [
        AgentEvent.ToolCalled({ toolUseId: "a", name: "Write", input: { file: "a" }, parentToolUseId: none }),
        AgentEvent.ToolEnded({ toolUseId: "a", failed: false, text: "written", denied: false }),
        AgentEvent.ToolCalled({ toolUseId: "b", name: "Write", input: { file: "b" }, parentToolUseId: none }),
        AgentEvent.ToolEnded({ toolUseId: "b", failed: true, text: "not there", denied: true })
      ])
      assert.deepStrictEqual(yield* Ref.get(written), [{ input: { file: "other" }, workspace: "/workspace" }])
      assert.deepStrictEqual(
        (yield* Ref.get(calls)).map((call) => [call.tool, call.input, call.toolUseId]),
        [
          ["Write", { file: "a" }, Option.some("a")],
          ["Write", { file: "b" }, Option.some("b")]
        ]
      )
    })
  )

  it.scoped("runs effects, and fails as its script says", () =>
    Effect.gen(function* () {
      const ran = yield* Ref.make("")
      const error = new AgentStalled({ idleFor: Duration.minutes(7) })
      const script = [[runs(({ workspace }) => Ref.set(ran, workspace)), fails(error)], [ended()]]
      yield* Effect.gen(function* () {
        const session = yield* openSession()
        const exit = yield* Effect.exit(collect(session.turn({ prompt: "go", turn: 1 })))
        assert.deepStrictEqual(exit, Exit.fail(error))
        assert.strictEqual(yield* Ref.get(ran), "/workspace")
        assert.deepStrictEqual(yield* collect(session.turn({ prompt: "go on", turn: 2 })), [
          ended({ sessionId: sessionId("scripted-session-1") })
        ])
        assert.strictEqual((yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)).abandoned, 0)
      }).pipe(Effect.provide(Agent.layerScripted(script)))
    })
  )

  test(
    "takes a message in the middle of a turn, and none between turns",
    [[awaitsSteer, ended()]],
    Effect.gen(function* () {
      const session = yield* openSession()
      const log = yield* ScriptedAgentLog
      assert.isFalse(yield* session.steer("too early"))
      const fiber = yield* Effect.fork(collect(session.turn({ prompt: "go", turn: 1 })))
      yield* log.until(({ prompts }) => prompts.length === 1)
      assert.isTrue(yield* session.steer("use tabs"))
      assert.deepStrictEqual((yield* Fiber.join(fiber))[1], said("use tabs"))
      assert.isFalse(yield* session.steer("too late"))
      assert.deepStrictEqual((yield* log.current).steers, [{ goalId: goalId(1), message: "use tabs" }])
    })
  )

  test(
    "takes no message when it is told that it cannot be steered",
    [[hangs]],
    Effect.gen(function* () {
      const session = yield* openSession()
      const log = yield* ScriptedAgentLog
      yield* Effect.fork(collect(session.turn({ prompt: "go", turn: 1 })))
      yield* log.until(({ prompts }) => prompts.length === 1)
      assert.isFalse(yield* session.steer("use tabs"))
    }),
    { steerable: false }
  )

  test(
    "ends an interrupted turn with Interrupted, and plays the next",
    [[said("one"), hangs], [ended()]],
    Effect.gen(function* () {
      const session = yield* openSession()
      const log = yield* ScriptedAgentLog
      yield* session.interrupt
      const fiber = yield* Effect.fork(collect(session.turn({ prompt: "go", turn: 1 })))
      yield* log.until(({ prompts }) => prompts.length === 1)
      yield* session.interrupt
      const last = (yield* Fiber.join(fiber)).at(-1)
      assert.deepStrictEqual(last?._tag === "TurnEnded" ? last.result.end : undefined, TurnEnd.Interrupted())
      assert.deepStrictEqual((yield* collect(session.turn({ prompt: "on", turn: 2 }))).at(-1)?._tag, "TurnEnded")
      const { abandoned, interrupts } = yield* log.current
      assert.deepStrictEqual({ abandoned, interrupts }, { abandoned: 0, interrupts: 1 })
    })
  )

  test(
    "counts a turn that its reader gave up, and plays the next",
    [[hangs], [ended()]],
    Effect.gen(function* () {
      const session = yield* openSession()
      const log = yield* ScriptedAgentLog
      const fiber = yield* Effect.fork(collect(session.turn({ prompt: "go", turn: 1 })))
      yield* log.until(({ prompts }) => prompts.length === 1)
      yield* Fiber.interrupt(fiber)
      yield* collect(session.turn({ prompt: "on", turn: 2 }))
      const { abandoned, interrupts } = yield* log.current
      assert.deepStrictEqual({ abandoned, interrupts }, { abandoned: 1, interrupts: 0 })
    })
  )

  test(
    "compacts as its script of compactions says, and successfully after that",
    [],
    Effect.gen(function* () {
      const session = yield* openSession({ resume: "abc" })
      const failing = yield* collect(session.compact("keep names"))
      const good = yield* collect(session.compact("keep types"))
      assert.deepStrictEqual(failing.slice(1, -1), compacted({ error: "exhausted" }).slice(0, -1))
      assert.deepStrictEqual(good.slice(0, -1), compacted().slice(0, -1))
      assert.deepStrictEqual(
        (yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)).compactions.map(({ focus }) => focus),
        ["keep names", "keep types"]
      )
    }),
    { compactions: [compacted({ error: "exhausted" })] }
  )

  test(
    "gives each goal its own turns, which go on in later sessions",
    ({ goalId: id }) => [[ended({ text: `${id} first` })], ({ prompt }) => [ended({ text: `${id} ${prompt}` })]],
    Effect.gen(function* () {
      const texts = Effect.fn(function* (goal: number, prompt: string) {
        const session = yield* openSession({ goal })
        const last = (yield* collect(session.turn({ prompt, turn: 1 }))).at(-1)
        return last?._tag === "TurnEnded" && last.result.end._tag === "Completed" ? last.result.end.text : undefined
      })
      assert.strictEqual(yield* Effect.scoped(texts(1, "x")), `${goalId(1)} first`)
      assert.strictEqual(yield* Effect.scoped(texts(2, "x")), `${goalId(2)} first`)
      assert.strictEqual(yield* Effect.scoped(texts(1, "y")), `${goalId(1)} y`)
    })
  )

  test(
    "says which sessions were opened, and how many are closed",
    [],
    Effect.gen(function* () {
      const log = yield* ScriptedAgentLog
      const scope = yield* Scope.make()
      yield* Scope.extend(openSession({ resume: "abc" }), scope)
      assert.strictEqual((yield* log.current).closed, 0)
      yield* Scope.close(scope, Exit.void)
      const { closed, opened } = yield* log.current
      assert.strictEqual(closed, 1)
      assert.deepStrictEqual(opened, [
        { goalId: goalId(1), resume: Option.some(sessionId("abc")), workspace: "/workspace" }
      ])
    })
  )

  test(
    "dies when a turn is asked for that the script does not have",
    [],
    Effect.gen(function* () {
      const session = yield* openSession()
      const exit = yield* Effect.exit(collect(session.turn({ prompt: "build it", turn: 3 })))
      assert.include(String(exit), "no turn for the prompt of turn 3: build it")
    })
  )

  it("writes results with all that is unknown left open", () => {
    const unknown = {
      sessionId: Option.none(),
      usage: Option.none(),
      costUsd: Option.none(),
      contextTokens: Option.none(),
      contextWindow: Option.none(),
      abandonedTasks: 0
    }
    const failure = {
      class: "transient",
      message: "transient",
      status: Option.some(529),
      resetsAt: Option.none()
    } as const
    assert.deepStrictEqual(
      failed({ class: "transient", status: Option.some(529) }),
      AgentEvent.TurnEnded({ result: { ...unknown, end: TurnEnd.Failed({ failure }) } })
    )
    assert.deepStrictEqual(
      limited("max_turns", { abandonedTasks: 2 }),
      AgentEvent.TurnEnded({
        result: { ...unknown, abandonedTasks: 2, end: TurnEnd.LimitReached({ limit: "max_turns" }) }
      })
    )
  })
})
