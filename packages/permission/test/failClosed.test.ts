// Breaks what the gate depends on, one thing at a time: the call that is allowed while nothing is broken is refused with
// a reason that the agent can act on.

import type { GateRegistration } from "@driver/agent/PermissionGate"
import {
  AllowOnce,
  AllowSession,
  Deny,
  isAllowed,
  type PermissionOutcome,
  type ToolInput
} from "@driver/domain/Permission"
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Option, TestClock } from "effect"
import type * as GoalGate from "../src/GoalGate.js"
import { type PermissionAdvisor, PermissionAdvisors } from "../src/PermissionAdvisors.js"
import { PermissionDecider } from "../src/PermissionDecider.js"
import { TokenSource } from "../src/TokenSource.js"
import { type Door, inProcess, socket } from "./support/doors.js"
import { callOf, recording } from "./support/requests.js"

const allowed = new AllowOnce({ rationale: "test" })
const dies = Effect.dieMessage("broken")
const throws = () => {
  throw new Error("broken")
}

const forSession = new AllowSession({ scope: "session", rationale: "test" })
const noHashes = () => vi.spyOn(globalThis.crypto.subtle, "digest").mockRejectedValue(new Error("broken"))

interface Fault {
  readonly decide?: (waitUpTo: (duration: string) => Effect.Effect<void>) => Effect.Effect<PermissionOutcome>
  readonly advisor?: PermissionAdvisor
  readonly input?: ToolInput
  readonly registration?: Partial<GateRegistration>
  readonly tokens?: { readonly decisionId: Effect.Effect<never> }
  readonly settings?: Partial<GoalGate.Settings>
  /** Breaks something of the platform. */
  readonly sabotage?: () => void
  /** Virtual time that passes while the call is open. */
  readonly wait?: string
}

/** As somebody gives it who does not keep to the types. */
const lying = (value: unknown) => Effect.succeed(value as PermissionOutcome)

const hanging = [
  ["hangs", Effect.never],
  ["hangs and cannot be interrupted", Effect.uninterruptible(Effect.never)]
] as const

const faults: Readonly<Record<string, Fault>> = {
  "the decider dies": { decide: () => dies },
  "the decider throws": { decide: throws },
  "the decider fails": { decide: () => Effect.fail("broken") as unknown as Effect.Effect<never> },
  "the decider interrupts itself": { decide: () => Effect.interrupt },
  "the decider's person dies": { decide: (waitUpTo) => Effect.zipRight(waitUpTo("1 hour"), dies) },
  "the decider asks for a time that is none": { decide: (waitUpTo) => Effect.as(waitUpTo("soon"), allowed) },
  "the decider answers nothing": { decide: () => lying(undefined) },
  "the decider answers true": { decide: () => lying(true) },
  "the decider answers what looks like an outcome": { decide: () => lying({ ...allowed }) },
  "the decider allows for ever": {
    decide: () =>
      lying(new AllowSession({ scope: "for ever" as "session", rationale: "r" }, { disableValidation: true }))
  },
  "the decider changes the input into none": {
    decide: () =>
      lying(new AllowOnce({ updatedInput: Option.some("rm" as never), rationale: "r" }, { disableValidation: true }))
  },
  "the decider changes the input into what is no JSON": {
    decide: () => lying(new AllowOnce({ updatedInput: Option.some({ n: 1n }), rationale: "r" }))
  },
  "the telling of the question dies": { registration: { onRequest: () => dies } },
  "the review dies": { registration: { review: () => dies } },
  "the review throws": { registration: { review: throws } },
  "the review answers nothing": { registration: { review: () => lying(undefined) } },
  "the review allows something else": { registration: { review: () => lying(new AllowOnce({ rationale: "mine" })) } },
  "the record dies": { registration: { onDecision: () => dies } },
  "the record throws": { registration: { onDecision: throws } },
  "there are no ids for the record": { tokens: { decisionId: dies } },
  "a call that is to be remembered cannot be hashed": { decide: () => Effect.succeed(forSession), sabotage: noHashes },
  "a long call cannot be hashed": { input: { command: `echo ${"x".repeat(1_000)}` }, sabotage: noHashes },
  ...Object.fromEntries(
    hanging.flatMap(
      ([what, hang]): ReadonlyArray<readonly [string, Fault]> => [
        [`the decider ${what}`, { decide: () => hang, wait: "30 seconds" }],
        [
          `the decider's person ${what}`,
          { decide: (waitUpTo) => Effect.zipRight(waitUpTo("1 hour"), hang), wait: "1 hour" }
        ],
        [`the telling of the question ${what}`, { registration: { onRequest: () => hang }, wait: "30 seconds" }],
        [`the review ${what}`, { registration: { review: () => hang }, wait: "10 seconds" }],
        [`the record ${what}`, { registration: { onDecision: () => hang }, wait: "10 seconds" }],
        [`the source of ids ${what}`, { tokens: { decisionId: hang }, wait: "10 seconds" }]
      ]
    )
  )
}

/** What is broken and decides nothing: the call is decided as if it were not there. */
const harmless: Readonly<Record<string, Fault>> = {
  nothing: {},
  "an advisor that dies": { advisor: { name: "a", advise: () => dies } },
  "an advisor that throws": { advisor: { name: "a", advise: throws } },
  "an advisor that hangs": { advisor: { name: "a", advise: () => Effect.never }, wait: "2 seconds" },
  "an operator's message that cannot be looked at": { registration: { claimMessages: dies } }
}

const askWith = (
  door: Door,
  { advisor, decide, input = { command: "ls" }, registration, sabotage, settings, tokens, wait }: Fault
) =>
  Effect.gen(function* () {
    const source = yield* TokenSource
    const { register } = yield* door.open({
      decider: Layer.succeed(PermissionDecider, {
        decide: (_, { waitUpTo }) => (decide === undefined ? Effect.succeed(allowed) : decide(waitUpTo as never))
      }),
      more: Layer.mergeAll(
        Layer.succeed(PermissionAdvisors, advisor === undefined ? [] : [advisor]),
        Layer.succeed(TokenSource, { ...source, ...tokens })
      ),
      ...(settings === undefined ? {} : { settings })
    })
    const recorded = yield* recording()
    const { ask } = yield* register({ ...recorded.registration, ...registration })
    sabotage?.()
    const asking = yield* Effect.fork(ask(callOf("Bash", input)))
    if (wait !== undefined) {
      // Over the socket the question needs a moment to be there, and its deadline with it.
      while (Option.isNone(yield* Fiber.poll(asking))) {
        yield* Effect.promise(() => new Promise((done) => setImmediate(done)))
        yield* TestClock.adjust(wait as "1 second")
      }
    }
    return { answer: yield* Fiber.join(asking), decisions: yield* recorded.decisions }
  })

for (const door of [inProcess, socket]) {
  describe(`The gate ${door.name}`, () => {
    afterEach(() => {
      vi.restoreAllMocks()
    })

    for (const [name, fault] of Object.entries(faults)) {
      it.scoped(`refuses the call when ${name}`, () =>
        Effect.gen(function* () {
          const { answer, decisions } = yield* askWith(door, fault)
          assert.strictEqual(answer.behavior, "deny")
          assert.match(
            answer.behavior === "deny" ? answer.message : "",
            /\(.{5,}\).*so it was not run.*Try it once more/
          )
          for (const { choice, rationale } of decisions) {
            assert.strictEqual(choice._tag, "Deny")
            assert.match(rationale, /^gate: .{5,}/)
          }
          const isRecorded = fault.registration?.onDecision === undefined && fault.tokens === undefined
          assert.strictEqual(decisions.length, isRecorded ? 1 : 0)
        })
      )
    }

    for (const [name, fault] of Object.entries(harmless)) {
      it.scoped(`allows the call with ${name}`, () =>
        Effect.gen(function* () {
          const { answer, decisions } = yield* askWith(door, fault)
          assert.deepStrictEqual(answer, { behavior: "allow" })
          assert.deepStrictEqual(
            decisions.map(({ choice }) => choice._tag),
            ["Allow"]
          )
        })
      )
    }

    it.scoped("lifts no refusal, whatever the review says", () =>
      Effect.gen(function* () {
        const denial = new Deny({ message: "Use Read.", rationale: "rule 3" })
        for (const said of [allowed, undefined, { ...allowed }, "allow"]) {
          const { answer } = yield* askWith(door, {
            decide: () => Effect.succeed(denial),
            registration: { review: () => lying(said) }
          })
          assert.deepStrictEqual(answer, { behavior: "deny", message: "Use Read." })
        }
      })
    )

    it.scoped("takes no call for another one that was allowed for the session", () =>
      Effect.gen(function* () {
        const { register } = yield* door.open({
          decider: Layer.succeed(PermissionDecider, {
            decide: ({ input, tool }) =>
              Effect.succeed(
                tool === "Bash" && JSON.stringify(input) === `{"a":[1,"x"],"b":"y"}`
                  ? new AllowSession({ scope: "session", rationale: "test" })
                  : new Deny({ message: "Not this one.", rationale: "test" })
              )
          })
        })
        const { ask } = yield* register((yield* recording()).registration)
        assert.strictEqual((yield* ask(callOf("Bash", { a: [1, "x"], b: "y" }))).behavior, "allow")
        // The same, kept.
        assert.strictEqual((yield* ask(callOf("Bash", { b: "y", a: [1, "x"] }))).behavior, "allow")
        const others: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
          ["bash", { a: [1, "x"], b: "y" }],
          ["Bash ", { a: [1, "x"], b: "y" }],
          ["Bash", { a: ["1", "x"], b: "y" }],
          ["Bash", { a: { 0: 1, 1: "x" }, b: "y" }],
          ["Bash", { a: ["x", 1], b: "y" }],
          ["Bash", { a: [1, "x"], b: "y", c: null }],
          ["Bash", { a: [1, "x"], b: "y\u0000" }],
          ["Bash", { a: [1, "x"], B: "y" }],
          ["Bash", { a: [1, "x"] }],
          ["Bash", { 'a":[1,"x"],"b': "y" }],
          ["Bash", {}]
        ]
        for (const [tool, input] of others) {
          assert.strictEqual((yield* ask(callOf(tool, input))).behavior, "deny", JSON.stringify(input))
        }
      })
    )
  })
}

describe("The gate in this process", () => {
  it.scoped("records a call once whose review comes too late", () =>
    Effect.gen(function* () {
      const { register } = yield* inProcess.open({ decider: PermissionDecider.layerAllowAll })
      const { decisions, registration } = yield* recording({
        review: (_request, _key, outcome) => Effect.uninterruptible(Effect.as(Effect.sleep("5 seconds"), outcome))
      })
      const { ask } = yield* register(registration)
      const asking = yield* Effect.fork(ask(callOf("Bash")))
      // Registered before the deadline is set, the sleep of the review is there.
      while (Option.isNone(yield* Fiber.poll(asking))) yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asking)).behavior, "deny")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        (yield* decisions).map(({ choice }) => choice._tag),
        ["Deny"]
      )
    })
  )

  it.scoped("refuses the call when the clock is broken", () =>
    Effect.gen(function* () {
      const { register } = yield* inProcess.open({ decider: PermissionDecider.layerAllowAll })
      const clock = yield* Clock.clockWith(Effect.succeed)
      let isBroken = false
      const breakable: Clock.Clock = Object.assign(Object.create(clock), {
        unsafeCurrentTimeMillis: () => {
          if (isBroken) throw new Error("the clock is broken")
          return clock.unsafeCurrentTimeMillis()
        }
      })
      const { ticket } = yield* Effect.withClock(register((yield* recording()).registration), breakable)
      assert.isTrue(isAllowed(yield* ticket.decide(callOf("Bash"))))
      isBroken = true
      assert.isFalse(isAllowed(yield* ticket.decide(callOf("Bash"))))
    })
  )
})
