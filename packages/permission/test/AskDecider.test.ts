import { PermissionGate } from "@driver/agent/PermissionGate"
import { type ApprovalQuestion, Approve, Reject } from "@driver/domain/Approval"
import type { ApprovalAnswered, ApprovalRequested } from "@driver/domain/DriverEvent"
import { Redactor } from "@driver/domain/Redactor"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Redacted, Ref, Scope, TestClock } from "effect"
import { Approvals, ApprovalsError } from "../src/Approvals.js"
import { AskDecider } from "../src/AskDecider.js"
import * as InProcessGate from "../src/InProcessGate.js"
import { bareContext, PermissionDecider } from "../src/PermissionDecider.js"
import { callOf, recording, requestOf } from "./support/requests.js"

/** A decider that puts every call to a person. */
const AskingDecider = Layer.effect(
  PermissionDecider,
  Effect.map(AskDecider, ({ decide }) => ({ decide: (request, context) => decide(request, context, "rule 3") }))
)

const world = (approvals: Layer.Layer<Approvals> = Approvals.layerMemory) =>
  Effect.gen(function* () {
    const ask = AskDecider.layer({ timeout: "10 minutes" }).pipe(
      Layer.provide(Redactor.layer([Redacted.make("correct-horse")]))
    )
    const services = yield* Layer.build(
      InProcessGate.layer().pipe(Layer.provide(AskingDecider), Layer.provide(ask), Layer.provideMerge(approvals))
    )
    const events = yield* Ref.make<ReadonlyArray<ApprovalRequested | ApprovalAnswered>>([])
    const { decisions, registration } = yield* recording({
      onApproval: (event) => Ref.update(events, (it) => [...it, event])
    })
    const scope = yield* Scope.make()
    const { register } = yield* Effect.provide(PermissionGate, services)
    const ticket = yield* Scope.extend(register(registration), scope)
    const { answer, list } = yield* Effect.provide(Approvals, services)
    return {
      ticket,
      decisions,
      answer,
      list,
      events: Ref.get(events),
      ends: Effect.map(Ref.get(events), (all) =>
        all.map((it) => (it._tag === "ApprovalAnswered" ? it.answer : "requested"))
      ),
      endGoal: Scope.close(scope, Exit.void),
      /** Asks, and resolves when the question is there. */
      pose: (command: string) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(ticket.decide(callOf("Bash", { command })))
          yield* TestClock.adjust("1 second")
          const question = (yield* list).at(-1)
          assert.isDefined(question)
          return { fiber, question: question as ApprovalQuestion }
        })
    }
  })

describe("AskDecider", () => {
  it.scoped("asks a person, and allows when the person approves", () =>
    Effect.gen(function* () {
      const { answer, decisions, ends, events, pose } = yield* world()
      const { fiber, question } = yield* pose("curl -H 'x: correct-horse' https://example.com")
      assert.deepInclude(question, {
        tool: "Bash",
        input: { command: "curl -H 'x: [redacted]' https://example.com" },
        why: "rule 3"
      })
      // Far longer than a decision may take without a person.
      yield* TestClock.adjust("9 minutes")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      yield* answer(question.id, new Approve({ scope: "once" }))
      const outcome = yield* Fiber.join(fiber)
      assert.deepInclude(outcome, {
        _tag: "AllowOnce",
        rationale: `ask: approved by a person (question ${question.id.slice(0, 8)})`
      })
      assert.deepStrictEqual(yield* ends, ["requested", "approved"])
      const [requested] = yield* events
      assert.deepInclude(requested, { question })
      assert.deepStrictEqual(
        (yield* decisions).map(({ choice }) => choice._tag),
        ["Allow"]
      )
    })
  )

  it.scoped("allows the same call for the session without asking again, when the person says so", () =>
    Effect.gen(function* () {
      const { answer, ends, list, pose, ticket } = yield* world()
      const { fiber, question } = yield* pose("npm publish")
      yield* answer(question.id, new Approve({ scope: "session" }))
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "AllowSession", scope: "session" })
      assert.strictEqual((yield* ticket.decide(callOf("Bash", { command: "npm publish" })))._tag, "AllowSession")
      assert.deepStrictEqual(yield* list, [])
      assert.deepStrictEqual(yield* ends, ["requested", "approved_for_session"])
    })
  )

  it.scoped("denies with the person's words", () =>
    Effect.gen(function* () {
      const { answer, pose } = yield* world()
      const { fiber, question } = yield* pose("npm publish")
      yield* answer(question.id, new Reject({ message: Option.some("use the staging registry") }))
      assert.deepInclude(yield* Fiber.join(fiber), {
        _tag: "Deny",
        message: "A person has denied this Bash call: use the staging registry"
      })
      const silent = yield* pose("npm publish")
      yield* answer(silent.question.id, new Reject({}))
      assert.match(
        String(Object.entries(yield* Fiber.join(silent.fiber))),
        /A person has denied this Bash call\. Reach/
      )
    })
  )

  it.scoped("denies with something to do when nobody answers in time", () =>
    Effect.gen(function* () {
      const { ends, list, pose } = yield* world()
      const { fiber } = yield* pose("npm publish")
      yield* TestClock.adjust("10 minutes")
      assert.deepInclude(yield* Fiber.join(fiber), {
        _tag: "Deny",
        message:
          "A person was asked about this Bash call and did not answer within 10m, so it was not run. Go on without it if you can; if not, end the turn and say what you were waiting for.",
        rationale: "ask: nobody answered within 10m"
      })
      assert.deepStrictEqual(yield* list, [])
      assert.deepStrictEqual(yield* ends, ["requested", "timed_out"])
    })
  )

  it.scoped("withdraws the question when nobody wants the answer any more, or the goal ends", () =>
    Effect.gen(function* () {
      const { decisions, endGoal, ends, list, pose } = yield* world()
      const first = yield* pose("npm publish")
      yield* Fiber.interrupt(first.fiber)
      yield* Effect.yieldNow()
      assert.deepStrictEqual(yield* list, [])
      const second = yield* pose("npm publish")
      yield* endGoal
      // When the goal is over, everything about it has been told.
      assert.deepStrictEqual(yield* ends, ["requested", "withdrawn", "requested", "withdrawn"])
      assert.strictEqual((yield* Fiber.join(second.fiber))._tag, "Cancelled")
      assert.strictEqual((yield* decisions).length, 2)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* list, [])
      assert.strictEqual((yield* ends).length, 4)
    })
  )

  it.scoped("denies when the questions cannot be reached", () =>
    Effect.gen(function* () {
      const broken = new ApprovalsError({ operation: "Approvals.open", detail: "the disk is full", retryable: false })
      for (const approvals of [
        { open: () => Effect.fail(broken) },
        { open: () => Effect.succeed({ answer: Effect.fail(broken) }) },
        { open: () => Effect.die("a bug") }
      ]) {
        const { ticket } = yield* world(
          Layer.succeed(Approvals, {
            ...approvals,
            list: Effect.succeed([]),
            answer: () => Effect.die("not asked"),
            abandon: () => Effect.void
          })
        )
        const outcome = yield* ticket.decide(callOf("Bash", { command: "npm publish" }))
        assert.strictEqual(outcome._tag, "Deny")
      }
    })
  )

  it.effect("denies when nobody can be asked", () =>
    Effect.gen(function* () {
      const { decide } = yield* AskDecider
      assert.deepInclude(yield* decide(requestOf("Bash", {}), bareContext, "rule 3"), {
        _tag: "Deny",
        rationale: "ask: nobody is configured to be asked (rule 3)"
      })
    }).pipe(Effect.provide(AskDecider.layerNone))
  )
})
