import { AgentEvent, AgentExited, AgentNotJson, AgentUnavailable } from "@driver/agent/Agent"
import { asks, compacted, ended, failed, fails, hangs, ScriptedAgentLog } from "@driver/agent/AgentScripted"
import type { ToolCall } from "@driver/agent/PermissionGate"
import { Budget, type Goal, LlmJudge } from "@driver/domain/Goal"
import { BudgetExhausted, Cancelled, Done, Escalate } from "@driver/domain/Outcome"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import { TokenUsage } from "@driver/domain/Usage"
import { AcceptanceError } from "@driver/runtime/Acceptance"
import { BindingStore } from "@driver/runtime/BindingStore"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { Driver } from "@driver/runtime/Driver"
import { decide as decideReplay, ReplayDecision, defaults as replayDefaults } from "@driver/runtime/ReplayPolicy"
import { StoreError } from "@driver/runtime/StoreError"
import { type CallInput, decideCall, StuckDecision, defaults as stuckDefaults } from "@driver/runtime/StuckPolicy"
import { WorkspaceError } from "@driver/runtime/Workspace"
import { WorkspaceLog } from "@driver/runtime/WorkspaceMemory"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Logger, Option, Ref, TestClock } from "effect"
import { goalId, goalWith, published, publishedTags, TestDriver, type World } from "./support/world.js"

const tokens = (input: number) => new TokenUsage({ input, output: 1, cacheRead: 2, cacheCreation: 3 })

/** Runs the goal to its end, letting virtual time pass as needed. */
const runGoal = (goal: Goal, patience: Duration.DurationInput = "3 hours") =>
  Effect.gen(function* () {
    const driver = yield* Driver
    const fiber = yield* Effect.fork(driver.run(goal))
    yield* TestClock.adjust(patience)
    return yield* Fiber.join(fiber)
  })

const prompts = Effect.flatMap(ScriptedAgentLog, (log) =>
  Effect.map(log.current, (record) => record.prompts.map((it) => it.prompt))
)
const opened = Effect.flatMap(ScriptedAgentLog, (log) => Effect.map(log.current, (record) => record.opened))

const denyingBash = (call: ToolCall) =>
  call.tool === "Bash"
    ? new Deny({ message: "no network", rationale: "rule" })
    : new AllowOnce({ updatedInput: Option.none(), rationale: "rule" })

describe("GoalLoop", () => {
  it.effect("accepts a goal when its criteria pass, and publishes what happened in order", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.strictEqual(outcome.totalTurns, 1)
      assert.strictEqual(
        outcome.acceptance.pipe(
          Option.map((it) => it.met),
          Option.getOrNull
        ),
        true
      )
      assert.deepStrictEqual(yield* publishedTags, [
        "GoalStarted",
        "AttemptStarted",
        "AcceptanceEvaluated",
        "AttemptCompleted",
        "GoalCompleted"
      ])
      assert.deepStrictEqual(yield* Ref.get(yield* WorkspaceLog), ["ensure", "checkpoint 1", "deliver branch"])
    }).pipe(Effect.provide(TestDriver({ script: [[ended({ text: "done" })]] })))
  )

  it.effect("puts the failures, their evidence and what changed into the next prompt", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.strictEqual(outcome.totalTurns, 2)
      const [, second] = yield* prompts
      assert.strictEqual(
        second,
        `Create hello.txt

Previous attempt failed:
1. criterion 0: it is empty
   | evidence of it is empty

What the last turn changed:
 hello.txt | 0

[Turn 2/5]`
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended()], [ended()]],
          verdicts: ["it is empty", true],
          diffs: [" hello.txt | 0"]
        })
      )
    )
  )

  it.effect("does not count the agent's word: a goal that never passes ends with the budget of turns", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith({ budget: new Budget({ maxTurns: 2 }) }))
      assert.deepStrictEqual(outcome.outcome, new BudgetExhausted({ axis: "turns" }))
      assert.strictEqual(outcome.totalTurns, 2)
      assert.include(yield* publishedTags, "BudgetExhausted")
    }).pipe(Effect.provide(TestDriver({ script: [[ended()], [ended()]], verdicts: ["no", "no"] })))
  )

  it.effect("charges all four classes of tokens, and shows a cost that was not reported as unknown", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(
        outcome.usage.tokens,
        new TokenUsage({ input: 300, output: 2, cacheRead: 4, cacheCreation: 6 })
      )
      assert.strictEqual(outcome.usage.costUsd, 0.5)
      assert.isFalse(outcome.usage.costComplete)
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended({ usage: tokens(100), costUsd: 0.5 })], [ended({ usage: tokens(200) })]],
          verdicts: ["no", true]
        })
      )
    )
  )

  it.effect("charges a turn that ends without a result with what was metered", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.strictEqual(outcome.usage.tokens.input, 70)
      assert.isFalse(outcome.usage.costComplete)
      assert.deepStrictEqual(outcome.outcome, new Done({}))
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [
              AgentEvent.Metered({ tokens: tokens(30), contextTokens: Option.some(30) }),
              AgentEvent.Metered({ tokens: tokens(40), contextTokens: Option.some(40) }),
              fails(new AgentExited({ exit: "signal SIGKILL", stderrTail: "" }))
            ],
            [ended({ usage: tokens(0), costUsd: 0 })]
          ]
        })
      )
    )
  )

  it.effect("stops a turn in its middle when the tokens are used up", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith({ budget: new Budget({ maxTokens: 50 }) }))
      assert.deepStrictEqual(outcome.outcome, new BudgetExhausted({ axis: "tokens" }))
      assert.strictEqual(outcome.usage.tokens.input, 60)
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[AgentEvent.Metered({ tokens: tokens(60), contextTokens: Option.none() }), hangs]]
        })
      )
    )
  )

  it.effect("stops a turn in its middle when the denials in a row are used up, and an allow ends the row", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith({ budget: new Budget({ maxConsecutiveDenies: 2 }) }))
      assert.deepStrictEqual(outcome.outcome, new BudgetExhausted({ axis: "consecutive_denies" }))
      const decisions = yield* Effect.flatMap(DecisionStore, (store) => store.list(goalId))
      assert.deepStrictEqual(
        decisions.map((it) => it.choice._tag),
        ["Deny", "Allow", "Deny", "Deny"]
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [
              asks("Bash", { command: "curl x" }),
              asks("Write", { file_path: "a" }),
              asks("Bash", { command: "curl x" }),
              asks("Bash", { command: "curl x" }),
              hangs
            ]
          ],
          answer: denyingBash
        })
      )
    )
  )

  it.effect("lets no call run whose decision the store did not take, and goes on", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* runGoal(goalWith())).outcome, new Done({}))
      const { outcomes } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      assert.deepStrictEqual(
        outcomes.map(({ outcome }) => outcome._tag),
        ["Unavailable"]
      )
      assert.notInclude(yield* publishedTags, "DecisionMade")
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[asks("Write", { file_path: "a" }), ended()]],
          decisions: Layer.succeed(DecisionStore, {
            record: () => new StoreError({ operation: "DecisionStore.record", detail: "disk full", retryable: false }),
            list: () => Effect.succeed([]),
            recall: () => Effect.succeed([])
          })
        })
      )
    )
  )

  it.effect("records a decision when the store is back, and lets the call wait for that, but not for long", () =>
    Effect.gen(function* () {
      const running = yield* Effect.fork(runGoal(goalWith()))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* Fiber.join(running)).outcome, new Done({}))
      const { outcomes } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      assert.deepStrictEqual(
        outcomes.map(({ outcome }) => outcome._tag),
        ["AllowOnce", "Unavailable"]
      )
    }).pipe(
      Effect.provide(
        Layer.unwrapEffect(
          Effect.gen(function* () {
            const asked = yield* Ref.make(0)
            const away = new StoreError({ operation: "DecisionStore.record", detail: "away", retryable: true })
            return TestDriver({
              script: [[asks("Write", { file_path: "a" }), asks("Write", { file_path: "b" }), ended()]],
              decisions: Layer.succeed(DecisionStore, {
                // Away for the first second of the first call, and all the time of the other one.
                record: ({ input }) =>
                  Effect.flatMap(
                    Ref.getAndUpdate(asked, (it) => it + 1),
                    (before) => (before < 10 || input["file_path"] === "b" ? away : Effect.void)
                  ),
                list: () => Effect.succeed([]),
                recall: () => Effect.succeed([])
              })
            })
          })
        )
      )
    )
  )

  it.effect("gives a message that waits to the agent with the next denied call, and in no prompt", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      const handle = yield* driver.spawn(goalWith())
      const log = yield* ScriptedAgentLog
      yield* log.until(({ prompts }) => prompts.length === 1)
      assert.strictEqual(yield* driver.steer(goalId, "be quick"), "queued")
      assert.strictEqual(yield* driver.steer(goalId, "and careful"), "queued")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* handle.await).outcome, new Done({}))
      const { outcomes, prompts } = yield* log.current
      assert.deepStrictEqual(
        outcomes.map(({ outcome }) => (outcome._tag === "Deny" ? outcome.message : outcome._tag)),
        [
          "AllowOnce",
          "no network\n\n[OPERATOR INTERRUPT]\nbe quick\nand careful\n[END OPERATOR INTERRUPT]",
          "no network"
        ]
      )
      assert.strictEqual(prompts.length, 2)
      assert.isFalse(prompts.some(({ prompt }) => prompt.includes("be quick")))
      const told = (yield* published).flatMap((it) => (it._tag === "OperatorMessage" ? [it] : []))
      assert.deepStrictEqual(
        told.map((it) => [it.delivery, it.message]),
        [
          ["queued", "be quick"],
          ["queued", "and careful"],
          ["gate", "be quick"],
          ["gate", "and careful"]
        ]
      )
      assert.deepStrictEqual(
        told.slice(2).map(({ messageId }) => messageId),
        told.slice(0, 2).map(({ messageId }) => messageId)
      )
      assert.strictEqual(new Set(told.map(({ messageId }) => Option.getOrThrow(messageId))).size, 2)
      assert.deepStrictEqual(told[2]?.toolUseId, Option.some(outcomes[1]?.toolUseId ?? ""))
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [
              ["1 minute", asks("Write", { file_path: "a" })],
              asks("Bash", { command: "curl x" }),
              asks("Bash", { command: "curl y" }),
              ended()
            ],
            [ended()]
          ],
          agent: { steerable: false },
          verdicts: ["no"],
          answer: denyingBash
        })
      )
    )
  )

  describe("within a turn", () => {
    const curls = (times: number) => Array.from({ length: times }, () => asks("Bash", { command: "curl x" }))
    const stuckCall = (input: CallInput) => decideCall(input, stuckDefaults)

    it.effect(
      "tells the agent that the same call is denied again and again, then the operator, then stops the turn",
      () =>
        Effect.gen(function* () {
          const outcome = yield* runGoal(goalWith())
          assert.match(
            JSON.stringify(outcome.outcome),
            /Stuck: the same call was denied 6 times in one turn: Bash curl x/
          )
          assert.strictEqual(outcome.outcome._tag, "Escalate")
          const { outcomes } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
          const messages = outcomes.flatMap(({ outcome }) => (outcome._tag === "Deny" ? [outcome.message] : []))
          assert.deepStrictEqual(messages.slice(0, 2), ["no network", "no network"])
          assert.match(messages[2] ?? "", /no network.*denied 3 times in this turn.*Do not make it again/s)
          assert.match(messages[3] ?? "", /denied 4 times/)
          const events = yield* published
          assert.deepStrictEqual(
            events.flatMap((it) => (it._tag === "LoopNoticed" ? [[it.loop, it.count, it.action, it.call]] : [])),
            [
              ["denied", 3, "told", "Bash curl x"],
              ["denied", 6, "stopped", "Bash curl x"]
            ]
          )
          assert.include(
            events.map((it) => it._tag),
            "Escalated"
          )
          // What the agent was told is what is recorded.
          const decisions = yield* Effect.flatMap(DecisionStore, (store) => store.list(goalId))
          assert.strictEqual(decisions.filter(({ choice }) => choice._tag === "Deny").length, 6)
          assert.match(JSON.stringify(decisions[3]?.choice), /denied 3 times/)
        }).pipe(
          Effect.provide(
            TestDriver({
              // An allowed call between them does not make them another call.
              script: [[...curls(2), asks("Write", { file_path: "a" }), ...curls(5), hangs]],
              answer: denyingBash,
              replay: (input) => decideReplay(input, replayDefaults),
              stuckCall
            })
          )
        )
    )

    it.effect("refuses every fifth of the same call in a row, so that the agent hears of it", () =>
      Effect.gen(function* () {
        yield* runGoal(goalWith())
        const { outcomes } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
        assert.deepStrictEqual(
          outcomes.map(({ outcome }) => outcome._tag),
          [..."aaaadaaaadaaaaa"].map((it) => (it === "a" ? "AllowOnce" : "Deny"))
        )
        assert.match(JSON.stringify(outcomes[4]?.outcome), /made 5 times in a row/)
        assert.deepStrictEqual(
          (yield* published).flatMap((it) => (it._tag === "LoopNoticed" ? [[it.loop, it.count, it.action]] : [])),
          [
            ["repeated", 5, "told"],
            ["repeated", 10, "told"]
          ]
        )
      }).pipe(
        Effect.provide(
          TestDriver({
            script: [
              [
                ...Array.from({ length: 11 }, () => asks("Bash", { command: "gh run view" })),
                ...Array.from({ length: 4 }, (_, n) => asks("Bash", { command: `ls ${n % 2}` })),
                ended()
              ]
            ],
            stuckCall
          })
        )
      )
    )

    it.effect("starts to count anew with each turn", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* runGoal(goalWith())).outcome, new Done({}))
        assert.notInclude(yield* publishedTags, "LoopNoticed")
      }).pipe(
        Effect.provide(
          TestDriver({
            script: [
              [...curls(2), ended()],
              [...curls(2), ended()],
              [...curls(2), ended()]
            ],
            verdicts: ["no", "no"],
            answer: denyingBash,
            stuckCall
          })
        )
      )
    )
  })

  it.effect("ends a turn at its time limit and asks the replay policy", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith(), "1 hour")
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      const replay = (yield* published).filter((it) => it._tag === "ReplayDecided")
      assert.deepStrictEqual(
        replay.map((it) => [it.decision, it.error]),
        [["next_turn", "turn timeout"]]
      )
    }).pipe(
      Effect.provide(TestDriver({ script: [[hangs], [ended()]], settings: { turnTimeout: Duration.minutes(10) } }))
    )
  )

  it.effect("charges active time only, and ends when it is used up", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith({ budget: new Budget({ maxWallTime: Duration.minutes(10) }) }))
      yield* TestClock.adjust("3 minutes")
      yield* driver.pause(goalId)
      yield* TestClock.adjust("1 hour")
      yield* driver.resume(goalId)
      yield* TestClock.adjust("1 hour")
      const outcome = yield* handle.await
      assert.deepStrictEqual(outcome.outcome, new BudgetExhausted({ axis: "wall_time" }))
      assert.deepStrictEqual(outcome.usage.wallTime, Duration.minutes(10))
      assert.isTrue(Duration.greaterThan(outcome.elapsed, Duration.hours(1)))
    }).pipe(
      Effect.provide(TestDriver({ script: [[["5 minutes", ended()]], [["1 hour", ended()]]], verdicts: ["no", "no"] }))
    )
  )

  it.effect("sleeps when the agent asks for it, and wakes it with how long and why", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.strictEqual(outcome.totalTurns, 2)
      const [, second] = yield* prompts
      assert.include(second ?? "", "You slept for 5m (CI runs). Look at what has changed, then go on.")
      assert.deepStrictEqual(outcome.usage.wallTime, Duration.zero)
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [ended({ text: `{"__driver_sleep__": true, "duration_ms": 300000, "reason": "CI runs"}` })],
            [ended()]
          ]
        })
      )
    )
  )

  it.effect("retries in a new session, rolled back, with the operator's message and the summary of the old one", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const summaries = yield* CompactSummaryStore
      yield* summaries.store(goalId, 1, "half of it is done")
      yield* driver.preRegister(goalId)
      yield* driver.interrupt(goalId, "be quick")
      const outcome = yield* runGoal(goalWith())
      assert.strictEqual(outcome.totalTurns, 1)
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      const [first, second] = yield* prompts
      assert.include(first ?? "", "[OPERATOR INTERRUPT]\nbe quick\n[END OPERATOR INTERRUPT]")
      assert.include(second ?? "", "be quick")
      assert.include(second ?? "", "The last turn failed and its changes were rolled back.")
      assert.include(second ?? "", "half of it is done")
      assert.include(second ?? "", "[Turn 1/5]")
      assert.include(yield* Ref.get(yield* WorkspaceLog), "rollback 1")
      assert.deepStrictEqual(
        (yield* opened).map((it) => Option.isNone(it.resume)),
        [true, true]
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[failed({ class: "session_dead", message: "No conversation found" })], [ended()]],
          replay: (input) =>
            ReplayDecision.FreshSessionRetry({ rollbackTo: input.checkpoint, delay: Duration.seconds(1) })
        })
      )
    )
  )

  it.effect("compacts first when the prompt was too long, and tries the same turn again", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.strictEqual(outcome.totalTurns, 1)
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.strictEqual(outcome.usage.tokens.input, 7)
      const record = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      assert.deepStrictEqual(record.compactions, [{ goalId, focus: "continue goal: Create hello.txt" }])
      assert.deepStrictEqual(yield* publishedTags, [
        "GoalStarted",
        "AttemptStarted",
        "AttemptCompleted",
        "ReplayDecided",
        "CompactRequested",
        "CompactSummaryStored",
        "CompactCompleted",
        "AttemptStarted",
        "AcceptanceEvaluated",
        "AttemptCompleted",
        "GoalCompleted"
      ])
      const stored = yield* Effect.flatMap(CompactSummaryStore, (store) => store.loadLatest(goalId))
      assert.deepStrictEqual(
        Option.map(stored, (it) => it.summary),
        Option.some("what was done")
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[failed({ class: "prompt_too_long" })], [ended({ usage: TokenUsage.zero, costUsd: 0 })]],
          agent: {
            compactions: [compacted({ summary: "what was done", after: 10, result: { usage: tokens(7), costUsd: 0 } })]
          },
          replay: () => ReplayDecision.CompactAndRetry()
        })
      )
    )
  )

  it.effect("ends when the prompt stays too long, as often as the budget allows", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new BudgetExhausted({ axis: "consecutive_prompt_too_long" }))
      assert.strictEqual(outcome.totalTurns, 0)
      const completed = (yield* published).filter((it) => it._tag === "CompactCompleted")
      assert.deepStrictEqual(
        completed.map((it) => it.succeeded),
        [false]
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[failed({ class: "prompt_too_long" })], [failed({ class: "prompt_too_long" })]],
          agent: { compactions: [compacted({ error: "exhausted" })] },
          replay: () => ReplayDecision.CompactAndRetry()
        })
      )
    )
  )

  it.effect("asks the compact policy with the size of the last context, never a sum", () =>
    Effect.gen(function* () {
      yield* runGoal(goalWith())
      const record = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      assert.deepStrictEqual(
        record.compactions.map((it) => it.focus),
        ["at 800 of 1000"]
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [ended({ usage: tokens(500), contextTokens: 500, contextWindow: 1000 })],
            [ended({ usage: tokens(800), contextTokens: 800 })],
            [ended({ usage: tokens(1), contextTokens: 100 })]
          ],
          verdicts: ["no", "no", true],
          compact: (input) =>
            Option.zipWith(input.contextTokens, input.contextWindow, (used, window) => [used, window] as const).pipe(
              Option.filter(([used, window]) => used >= 0.7 * window),
              Option.map(([used, window]) => ({ reason: "token_pressure", focus: `at ${used} of ${window}` }) as const)
            )
        })
      )
    )
  )

  it.effect("waits for the provider's limit and tries the same turn again", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith(), "2 hours")
      assert.strictEqual(outcome.totalTurns, 1)
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.isTrue(Duration.greaterThanOrEqualTo(outcome.elapsed, Duration.hours(1)))
      const [, second] = yield* prompts
      assert.notInclude(second ?? "", "You slept")
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[failed({ class: "usage_limit" })], [ended()]],
          replay: () => ReplayDecision.Sleep({ duration: Duration.hours(1), reason: "usage limit" })
        })
      )
    )
  )

  it.effect("ends with the policy's reason when it escalates", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Escalate({ reason: "log in first" }))
      assert.include(yield* publishedTags, "Escalated")
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[failed({ class: "auth" })]],
          replay: () => ReplayDecision.Escalate({ reason: "log in first" })
        })
      )
    )
  )

  it.effect("tells the policy which errors cannot pass by themselves", () =>
    Effect.gen(function* () {
      const hints = yield* Ref.make<ReadonlyArray<string>>([])
      const seen: Array<string> = []
      const world: World = {
        script: [
          [fails(new AgentNotJson({ excerpt: "<html>" }))],
          [fails(new AgentExited({ exit: "code 1", stderrTail: "boom" }))],
          [
            fails(
              new AgentUnavailable({
                program: "claude",
                reason: "not_found",
                detail: "it is not there",
                hint: "Install it."
              })
            )
          ],
          []
        ],
        replay: (input) => {
          seen.push(`${input.hint}: ${input.message}`)
          return ReplayDecision.NextTurn({ rollbackTo: Option.none() })
        }
      }
      yield* Effect.provide(runGoal(goalWith({ budget: new Budget({ maxTurns: 4 }) })), TestDriver(world))
      yield* Ref.set(hints, seen)
      assert.deepStrictEqual(yield* Ref.get(hints), [
        "Escalate: The agent printed a line that is not JSON: <html>",
        "Continue: The agent ended (code 1) in the middle of a turn; it said: boom",
        "Escalate: The agent program claude could not be used: it is not there. Install it.",
        "Continue: the agent's stream ended without a result"
      ])
    })
  )

  it.effect("ends after so many errors in a row", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith({ budget: new Budget({ maxConsecutiveErrors: 3 }) }))
      assert.deepStrictEqual(outcome.outcome, new BudgetExhausted({ axis: "consecutive_errors" }))
      assert.strictEqual(outcome.totalTurns, 3)
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[failed({ class: "unknown" })], [failed({ class: "unknown" })], [failed({ class: "unknown" })]]
        })
      )
    )
  )

  it.effect("saves the binding as soon as the session has an id, in mid-turn", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith({ metadata: { origin_channel: "cli", dispatcher: "ada" } }))
      yield* Effect.flatMap(ScriptedAgentLog, (log) => log.until((it) => it.prompts.length === 1))
      yield* TestClock.adjust("1 second")
      const binding = yield* Effect.flatMap(BindingStore, (store) => store.get(goalId))
      assert.deepStrictEqual(
        Option.map(binding, (it) => [it.sessionId, it.originChannel, it.dispatcher, it.live]),
        Option.some(["scripted-session-1", Option.some("cli"), Option.some("ada"), true] as never)
      )
      yield* handle.cancel
    }).pipe(Effect.provide(TestDriver({ script: [[["1 second", hangs]]] })))
  )

  it.effect("resumes the session of a live binding", () =>
    Effect.gen(function* () {
      yield* runGoal(goalWith({ budget: new Budget({ maxTurns: 1 }) }))
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.deepStrictEqual(
        (yield* opened).map((it) => Option.getOrNull(it.resume)),
        [null, "scripted-session-1"] as never
      )
    }).pipe(Effect.provide(TestDriver({ script: [[ended()], [ended()]], verdicts: ["no", true] })))
  )

  it.effect("judges again when files changed between the verdict and the end of the agent", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual([outcome.outcome, outcome.totalTurns], [new Done({}), 2])
      const verdicts = (yield* published).filter((it) => it._tag === "AcceptanceEvaluated")
      assert.deepStrictEqual(
        verdicts.map((it) => [it.turn, it.verdict.met]),
        [
          [1, true],
          [1, false],
          [2, true]
        ]
      )
      // The agent was ended for the second look, and resumed for the next turn.
      assert.deepStrictEqual(
        (yield* opened).map((it) => Option.isSome(it.resume)),
        [false, true]
      )
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended()], [ended()]],
          verdicts: [true, "something moved", true],
          diffs: [[" a | 1 +", " a | 2 +-"]]
        })
      )
    )
  )

  it.effect("judges once when nothing moved", () =>
    Effect.gen(function* () {
      yield* runGoal(goalWith())
      const evaluations = (yield* publishedTags).filter((it) => it === "AcceptanceEvaluated")
      assert.strictEqual(evaluations.length, 1)
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]], diffs: [" a | 1 +"] })))
  )

  it.effect("tries to evaluate again when the criteria could not be evaluated, then ends by the driver's fault", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      const reason = "Acceptance criterion 1 (`x`) could not be evaluated: no bash"
      assert.deepStrictEqual(outcome.outcome, new Escalate({ reason, by: "driver" }))
      assert.include(yield* publishedTags, "GoalCompleted")
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]], verdicts: [noBash, noBash, noBash] })))
  )

  it.effect("goes on when the second evaluation works", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* runGoal(goalWith())).outcome, new Done({}))
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]], verdicts: [noBash, true] })))
  )

  const judging = { inputTokens: Option.some(1_000), outputTokens: Option.some(10), costUsd: Option.some(0.5) }

  it.effect("charges the goal with what judging it cost, evaluations that could not be used included", () =>
    Effect.gen(function* () {
      const { usage } = yield* runGoal(goalWith())
      // Three evaluations: one that failed, one that said no, one that passed; and the agent's two turns.
      assert.deepStrictEqual([usage.tokens.input, usage.tokens.output], [3_200, 32])
      assert.deepStrictEqual([usage.costUsd, usage.costComplete, usage.turns], [1.75, true, 2])
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [1, 2].map(() => [ended({ usage: tokens(100), costUsd: 0.125 })]),
          verdicts: [noBash, "no", true],
          judging
        })
      )
    )
  )

  it.effect("charges a goal that is cancelled while it is judged with what agent and judge have cost so far", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      // The first evaluation has failed, the next one comes two seconds later.
      yield* TestClock.adjust("1 second")
      yield* driver.cancel(goalId)
      const { outcome, usage } = yield* handle.await
      assert.strictEqual(outcome._tag, "Cancelled")
      assert.deepStrictEqual([usage.tokens.input, usage.costUsd, usage.costComplete], [1_100, 0.625, true])
    }).pipe(
      Effect.provide(
        TestDriver({ script: [[ended({ usage: tokens(100), costUsd: 0.125 })]], verdicts: [noBash, true], judging })
      )
    )
  )

  it.effect("does not know what the goal cost when it does not know what judging it cost", () =>
    Effect.gen(function* () {
      const { usage } = yield* runGoal(goalWith())
      assert.deepStrictEqual([usage.costUsd, usage.costComplete], [0.125, false])
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended({ usage: tokens(100), costUsd: 0.125 })]],
          judging: { ...judging, costUsd: Option.none() }
        })
      )
    )
  )

  for (const [name, verdicts, turns] of [
    ["met", [true], 0],
    ["not met", ["no", true], 1]
  ] as const) {
    it.effect(`charges what judging cost before the first turn when the goal is ${name}`, () =>
      Effect.gen(function* () {
        const { usage } = yield* runGoal(goalWith())
        assert.deepStrictEqual([usage.costUsd, usage.turns], [0.5 * verdicts.length, turns])
      }).pipe(
        Effect.provide(
          TestDriver({
            script: [[ended({ usage: tokens(1), costUsd: 0 })]],
            verdicts,
            judging,
            settings: { preflight: true }
          })
        )
      )
    )
  }

  it.effect("is done before the first turn when preflight finds the goal met", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual([outcome.outcome, outcome.totalTurns], [new Done({}), 0])
      assert.deepStrictEqual(yield* prompts, [])
    }).pipe(Effect.provide(TestDriver({ verdicts: [true], settings: { preflight: true } })))
  )

  it.effect("works on when preflight finds work to do", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual([outcome.outcome, outcome.totalTurns], [new Done({}), 1])
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]], verdicts: ["no", true], settings: { preflight: true } })))
  )

  it.effect("passes a nudge of the stuck policy on, and ends when it gives up", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Escalate({ reason: "stuck for good" }))
      const [, second] = yield* prompts
      assert.include(second ?? "", "[DRIVER NOTICE]\nYou repeat yourself.\n[END DRIVER NOTICE]")
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended()], [ended()]],
          verdicts: ["no", "no"],
          stuck: ({ nudges }) =>
            nudges === 0
              ? StuckDecision.Nudge({ message: "You repeat yourself." })
              : StuckDecision.Escalate({ reason: "stuck for good" })
        })
      )
    )
  )

  it.effect("takes a judge that has other words each time for the same failure", () => {
    const seen: Array<ReadonlyArray<string>> = []
    return Effect.gen(function* () {
      yield* runGoal(goalWith({ acceptance: [new LlmJudge({ criterion: "It is friendly." })] }))
      assert.deepStrictEqual(seen, [["0 criterion 0"], ["0 criterion 0"]])
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended()], [ended()], [ended()]],
          verdicts: ["It is cold.", "One misses a kind word.", true],
          stuck: ({ turns }) => {
            seen.push(turns.at(-1)?.failures ?? [])
            return StuckDecision.Fine()
          }
        })
      )
    )
  })

  for (const [every, turns] of [
    [1, [1, 2, 3]],
    [2, [2]],
    [0, []]
  ] as const) {
    it.effect(`tells of its progress every ${every} turns`, () =>
      Effect.gen(function* () {
        yield* runGoal(goalWith())
        const told = (yield* published).flatMap((it) => (it._tag === "Progress" ? [it.turn] : []))
        assert.deepStrictEqual(told, [...turns])
      }).pipe(
        Effect.provide(
          TestDriver({
            script: [[ended()], [ended()], [ended()]],
            verdicts: ["no", "no", true],
            settings: { progressEveryTurns: every }
          })
        )
      )
    )
  }

  it.effect("works without a checkpoint that could not be made", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual([outcome.outcome, outcome.totalTurns], [new Done({}), 1])
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended()]],
          workspace: {
            checkpoint: () =>
              new WorkspaceError({ operation: "checkpoint", reason: "disk_full", detail: "no space is left" })
          }
        })
      )
    )
  )

  it.effect("ends with its last event when something of the driver breaks", () =>
    Effect.gen(function* () {
      const { outcome } = yield* runGoal(goalWith())
      assert.deepInclude(outcome, { _tag: "Escalate", by: "driver" })
      assert.include(
        outcome._tag === "Escalate" ? outcome.reason : "",
        "broke a promise of its own: Error: out of order"
      )
      assert.strictEqual((yield* publishedTags).at(-1), "GoalCompleted")
      assert.deepStrictEqual(yield* Effect.flatMap(Driver, (driver) => driver.list), [])
    }).pipe(
      Effect.provide(
        TestDriver({ script: [[ended()]], workspace: { ensure: () => Effect.die(new Error("out of order")) } })
      )
    )
  )

  it.effect("logs what nobody expects, and leaves to the outcome what it says in words", () =>
    Effect.gen(function* () {
      const fails = new WorkspaceError({ operation: "ensure", reason: "base_not_found", detail: "no commit" })
      const errorsOf = (why: Effect.Effect<never, WorkspaceError>) =>
        Effect.gen(function* () {
          const logged: Array<string> = []
          const logger = Logger.make(({ logLevel, message }) => {
            if (logLevel._tag === "Error") logged.push(String(message))
          })
          const { outcome } = yield* runGoal(goalWith()).pipe(
            Effect.provide(TestDriver({ workspace: { ensure: () => why } })),
            Effect.provide(Logger.replace(Logger.defaultLogger, logger))
          )
          assert.deepInclude(outcome, { _tag: "Escalate", by: "driver" })
          return logged
        })
      assert.deepStrictEqual(yield* errorsOf(fails), [])
      assert.deepStrictEqual(yield* errorsOf(Effect.die(new Error("out of order"))), ["The goal could not go on"])
    })
  )

  it.effect("tells a session that goes on nothing of an older one's summary", () =>
    Effect.gen(function* () {
      yield* Effect.flatMap(CompactSummaryStore, (store) => store.store(goalId, 1, "half of it is done"))
      yield* runGoal(goalWith())
      const [first, second] = yield* prompts
      assert.include(first ?? "", "half of it is done")
      assert.notInclude(second ?? "", "half of it is done")
    }).pipe(Effect.provide(TestDriver({ script: [[ended()], [ended()]], verdicts: ["no", true] })))
  )

  it.effect("runs post-turn hooks in the background: one that fails or never ends changes nothing", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const ran: Array<number> = []
      const world: World = {
        script: [[ended()]],
        hooks: [
          { name: "fails", run: () => Effect.fail("boom") },
          { name: "dies", run: () => Effect.die("boom") },
          {
            name: "hangs",
            run: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          },
          { name: "counts", run: (result) => Effect.sync(() => ran.push(result.turn)) }
        ]
      }
      const outcome = yield* Effect.provide(runGoal(goalWith()), TestDriver(world))
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.deepStrictEqual(ran, [1])
      assert.isTrue(yield* Deferred.isDone(interrupted))
    })
  )

  it.effect("accepts the claim of a goal without criteria", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith({ acceptance: [] }))
      assert.deepStrictEqual(outcome.outcome, new Done({}))
    }).pipe(Effect.provide(TestDriver({ script: [[ended()]] })))
  )

  it.effect("delivers accepted work as configured, and cleans up after it", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      assert.deepStrictEqual(
        Option.map(outcome.delivery, (it) => [it.mode, it.delivered, it.summary]),
        Option.some(["squash", true, "delivered as squash"] as never)
      )
      assert.include(yield* Ref.get(yield* WorkspaceLog), "cleanup")
    }).pipe(
      Effect.provide(
        TestDriver({ script: [[ended()]], settings: { delivery: { mode: "squash" }, cleanup: "on_done" } })
      )
    )
  )

  it.effect("is done when the work is accepted but cannot be handed over: it says why, and keeps the workspace", () =>
    Effect.gen(function* () {
      const outcome = yield* runGoal(goalWith())
      assert.deepStrictEqual(outcome.outcome, new Done({}))
      const delivery = Option.getOrThrow(outcome.delivery)
      assert.deepStrictEqual([delivery.mode, delivery.delivered], ["squash", false])
      assert.match(delivery.summary, /both changed hello.txt/)
      assert.deepStrictEqual(yield* Ref.get(yield* WorkspaceLog), ["ensure", "checkpoint 1"])
      const last = (yield* published).at(-1)
      assert.isTrue(last?._tag === "GoalCompleted" && Option.exists(last.outcome.delivery, (it) => !it.delivered))
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [[ended()]],
          settings: { delivery: { mode: "squash" }, cleanup: "on_done" },
          undeliverable: new WorkspaceError({
            operation: "deliver",
            reason: "conflict",
            detail: "both changed hello.txt"
          })
        })
      )
    )
  )

  it.effect("cancels a goal in mid-turn: its outcome is an answer, what was metered is charged", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const handle = yield* driver.spawn(goalWith())
      yield* TestClock.adjust("1 minute")
      yield* driver.cancel(goalId)
      const outcome = yield* handle.await
      assert.deepStrictEqual(outcome.outcome, new Cancelled({}))
      assert.strictEqual(outcome.usage.tokens.input, 9)
      assert.deepStrictEqual(outcome.usage.wallTime, Duration.minutes(1))
      assert.deepStrictEqual((yield* publishedTags).at(-1), "GoalCompleted")
      const record = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
      assert.deepStrictEqual([record.abandoned, record.closed], [1, 1])
    }).pipe(
      Effect.provide(
        TestDriver({ script: [[AgentEvent.Metered({ tokens: tokens(9), contextTokens: Option.none() }), hangs]] })
      )
    )
  )
})

const noBash = new AcceptanceError({ index: 0, criterion: "`x`", detail: "no bash" })
