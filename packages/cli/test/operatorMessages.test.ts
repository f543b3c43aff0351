/**
 * The operator's messages, the gate and the prompts together: whatever happens to the calls that could carry a message,
 * it reaches the agent exactly once, and in order.
 */
import type { GateRegistration } from "@driver/agent/PermissionGate"
import { PermissionGate } from "@driver/agent/PermissionGate"
import { GoalId } from "@driver/domain/Goal"
import { AllowOnce, Deny, isAllowed, type PermissionOutcome, Unavailable } from "@driver/domain/Permission"
import * as InProcessGate from "@driver/permission/InProcessGate"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import { EventSink, RecordedEvents } from "@driver/runtime/EventSink"
import * as GoalControl from "@driver/runtime/GoalControl"
import { empty } from "@driver/runtime/GoalFold"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, FastCheck, Fiber, Layer, Logger, LogLevel, Option, TestClock } from "effect"

const goalId = GoalId.make("6f1c2b1e-8d61-4c0a-9d55-0d6a3e6b7c11")

const verdicts = ["allow", "deny", "unavailable", "ask", "defect"] as const
const faults = ["none", "record dies", "record hangs", "withdrawn while deciding", "withdrawn while recording"] as const

type Command =
  | { readonly kind: "steer" }
  | { readonly kind: "turn" }
  | {
      readonly kind: "call"
      readonly verdict: (typeof verdicts)[number]
      readonly fault: (typeof faults)[number]
      /** Messages that come while the call is open. */
      readonly meanwhile: number
    }

const command: FastCheck.Arbitrary<Command> = FastCheck.oneof(
  FastCheck.constant<Command>({ kind: "steer" }),
  FastCheck.constant<Command>({ kind: "turn" }),
  FastCheck.record({
    kind: FastCheck.constant("call" as const),
    verdict: FastCheck.constantFrom(...verdicts),
    fault: FastCheck.constantFrom(...faults),
    meanwhile: FastCheck.nat(2)
  })
)

const answerOf = (verdict: (typeof verdicts)[number]): Effect.Effect<PermissionOutcome> => {
  switch (verdict) {
    case "allow":
    case "ask":
      return Effect.succeed(new AllowOnce({ rationale: "test" }))
    case "deny":
      return Effect.succeed(new Deny({ message: "No.", rationale: "test" }))
    case "unavailable":
      return Effect.succeed(new Unavailable({ reason: "nobody is there" }))
    case "defect":
      return Effect.die("the decider broke")
  }
}

/** What the operator says in a text that the agent reads. */
const operatorsWords = (text: string): ReadonlyArray<string> =>
  /\[OPERATOR INTERRUPT\]\n([\s\S]*?)\n\[END OPERATOR INTERRUPT\]/.exec(text)?.[1]?.split("\n") ?? []

/** Plays the commands one after another; what happens during a call happens beside it. */
const play = (commands: ReadonlyArray<Command>) =>
  Effect.gen(function* () {
    const control = yield* GoalControl.make(goalId, { sink: yield* EventSink, journal: yield* Journal })
    const lease = yield* Effect.flatMap(GoalStore, (store) => store.acquire(goalId, "test", Option.none()))
    yield* control.journal.open(yield* lease, empty)
    const said: Array<string> = []
    const read: Array<string> = []
    const steer = Effect.suspend(() => {
      said.push(`m${said.length}`)
      return control.messages.add(said.at(-1) ?? "")
    })
    let current: Extract<Command, { kind: "call" }> = {
      kind: "call",
      verdict: "allow",
      fault: "none",
      meanwhile: 0
    }
    let reached = yield* Deferred.make<void>()
    let go = yield* Deferred.make<void>()

    const decider = Layer.succeed(PermissionDecider, {
      decide: (_, { waitUpTo }) =>
        Effect.gen(function* () {
          if (current.fault === "withdrawn while deciding") {
            yield* Deferred.succeed(reached, undefined)
            return yield* Effect.never
          }
          if (current.verdict === "ask") yield* waitUpTo("10 minutes")
          return yield* answerOf(current.verdict)
        })
    })
    const registration: GateRegistration = {
      goalId,
      workspace: "/",
      criteriaCommands: [],
      description: "",
      onApproval: () => Effect.void,
      onRequest: () => Effect.void,
      review: (_request, _key, outcome) => Effect.succeed(outcome),
      claimMessages: GoalControl.claimMessages(control),
      onDecision: () =>
        Effect.gen(function* () {
          yield* Deferred.succeed(reached, undefined)
          if (current.fault === "record dies") return yield* Effect.die("disk full")
          if (current.fault === "record hangs") return yield* Effect.never
          if (current.fault === "withdrawn while recording") yield* Deferred.await(go)
        })
    }
    const gate = yield* Effect.flatMap(PermissionGate, (it) => it.register(registration)).pipe(
      Effect.provide(Layer.provide(InProcessGate.layer(), decider))
    )

    for (const it of commands) {
      if (it.kind === "steer") yield* steer
      else if (it.kind === "turn") read.push(...(yield* control.messages.take).map(({ text }) => text))
      else {
        current = it
        reached = yield* Deferred.make<void>()
        go = yield* Deferred.make<void>()
        const asking = yield* Effect.fork(
          gate.decide({ tool: "Bash", input: {}, toolUseId: Option.some("u"), agentId: Option.none() })
        )
        yield* Deferred.await(reached)
        for (let n = 0; n < it.meanwhile; n++) yield* steer
        if (it.fault === "record hangs") yield* TestClock.adjust("20 seconds")
        if (it.fault.startsWith("withdrawn")) {
          const leaving = yield* Effect.fork(Fiber.interrupt(asking))
          yield* Effect.yieldNow()
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(leaving)
        }
        const answer = yield* Fiber.await(asking)
        if (Exit.isSuccess(answer) && answer.value._tag === "Deny") {
          read.push(...operatorsWords(answer.value.message))
        }
        if (it.fault.startsWith("record") && Exit.isSuccess(answer)) assert.isFalse(isAllowed(answer.value))
      }
    }
    const receipts = (yield* (yield* RecordedEvents).all).flatMap(({ event }) =>
      event._tag === "OperatorMessage" && event.delivery === "gate" ? [event.message] : []
    )
    const rest = (yield* control.messages.take).map(({ text }) => text)
    return { said, read, rest, receipts }
  }).pipe(Effect.scoped, Effect.provide([EventSink.layerMemory, JournalMemory.layer()]))

describe("The operator's messages", () => {
  it.effect("reach the agent exactly once and in order, whatever happens to the calls and the turns", () =>
    Effect.gen(function* () {
      let carried = 0
      for (const commands of FastCheck.sample(FastCheck.array(command, { minLength: 1, maxLength: 25 }), {
        numRuns: 150,
        seed: 20_261_121
      })) {
        const { read, receipts, rest, said } = yield* play(commands)
        assert.deepStrictEqual([...read, ...rest], said, JSON.stringify(commands))
        assert.isTrue(receipts.every((it) => read.includes(it)))
        carried += receipts.length
      }
      // Otherwise this would show nothing.
      assert.isAbove(carried, 50)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
