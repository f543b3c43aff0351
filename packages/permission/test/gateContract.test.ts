// What both doors of the gate promise: whoever asks, and however, the same rules hold.
import { ModelLedger } from "@driver/agent/ModelLedger"
import {
  AllowOnce,
  AllowSession,
  type Decision,
  Deny,
  type PermissionOutcome,
  type PermissionRequest,
  Unavailable
} from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Ref,
  Scope,
  TestClock
} from "effect"
import { type PermissionAdvisor, PermissionAdvisors } from "../src/PermissionAdvisors.js"
import { AskedQuestions, type DecisionContext, PermissionDecider } from "../src/PermissionDecider.js"
import { TokenSource } from "../src/TokenSource.js"
import { type Door, inProcess, socket } from "./support/doors.js"
import { callOf, goalId, recording } from "./support/requests.js"

const allowed = new AllowOnce({ rationale: "test" })
const allowAlways = (scope: "turn" | "session") => new AllowSession({ scope, rationale: "test" })

const deciding = (decide: (request: PermissionRequest, context: DecisionContext) => Effect.Effect<PermissionOutcome>) =>
  Layer.succeed(PermissionDecider, { decide })

const advisedBy = (...advisors: ReadonlyArray<PermissionAdvisor>) => Layer.succeed(PermissionAdvisors, advisors)

/** A decider that never answers and tells when it was asked. */
const silent = Effect.map(Deferred.make<void>(), (asked) => ({
  asked: Deferred.await(asked),
  decider: deciding(() => Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never))
}))

const choices = (decisions: ReadonlyArray<Decision>) => decisions.map(({ choice }) => choice._tag)

const contract = (door: Door) =>
  describe(`PermissionGate ${door.name}`, () => {
    it.scoped("passes the question with everything that is known about it, and answers what was decided", () =>
      Effect.gen(function* () {
        const outcomes = [
          allowed,
          new Deny({ message: "Use Read.", rationale: "no" }),
          new AllowOnce({ updatedInput: Option.some({ command: "ls -l" }), rationale: "changed" }),
          new Unavailable({ reason: "nobody is there" })
        ]
        const { register, services } = yield* door.open({ decider: PermissionDecider.layerScripted(outcomes) })
        const { decisions, registration, requests } = yield* recording({ criteriaCommands: ["npm test"] })
        const { ask, ticket } = yield* register(registration)
        yield* ticket.startTurn(3)
        const answers = yield* Effect.forEach(outcomes, () =>
          ask({ ...callOf("Bash", { command: "ls" }), agentId: Option.some("sub") })
        )
        assert.deepStrictEqual(answers.slice(0, 3), [
          { behavior: "allow" },
          { behavior: "deny", message: "Use Read." },
          { behavior: "allow", updatedInput: { command: "ls -l" } }
        ])
        assert.match(JSON.stringify(answers[3]), /deny.*nobody is there.*was not run/)
        const asked = yield* Context.get(services, AskedQuestions)
        assert.strictEqual(asked.length, 4)
        for (const it of [...asked, ...(yield* requests)]) {
          assert.strictEqual(it.goalId, goalId)
          assert.strictEqual(it.turn, 3)
          assert.strictEqual(it.tool, "Bash")
          assert.deepStrictEqual(it.input, { command: "ls" })
          assert.deepStrictEqual(it.toolUseId, Option.some("toolu_Bash"))
          assert.deepStrictEqual(it.agentId, Option.some("sub"))
        }
        const records = yield* decisions
        assert.deepStrictEqual(choices(records), ["Allow", "Deny", "Allow", "Deny"])
        assert.strictEqual(new Set(records.map(({ id }) => id)).size, 4)
        assert.deepStrictEqual(
          records.map(({ goalId, input, rationale, tool, turn }) => ({ goalId, input, rationale, tool, turn })),
          ["test", "no", "changed", "unavailable: nobody is there"].map((rationale) => ({
            goalId,
            input: { command: "ls" },
            rationale,
            tool: "Bash",
            turn: 3
          }))
        )
      })
    )

    it.scoped("charges the goal with what models took that were asked about its calls, observers included", () =>
      Effect.gen(function* () {
        const charge = { inputTokens: Option.some(1), outputTokens: Option.some(2), costUsd: Option.none() }
        const asks = Effect.flatMap(ModelLedger, (ledger) => ledger.charge(charge))
        const { register } = yield* door.open({
          decider: deciding((_, context) =>
            Effect.as(Effect.zipRight(asks, context.observe(Effect.as(asks, { note: "n", rationale: "r" }))), allowed)
          )
        })
        const charges = yield* Ref.make<ReadonlyArray<unknown>>([])
        const { registration } = yield* recording({
          onModelCharge: (it) => Ref.update(charges, (before) => [...before, it])
        })
        const { ask } = yield* register(registration)
        yield* ask(callOf("Bash"))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Ref.get(charges), [charge, charge])
      })
    )

    it.scoped(
      "records a decision with the time of the clock before it is answered, and tells of the question before it is decided",
      () =>
        Effect.gen(function* () {
          const log = yield* Ref.make<ReadonlyArray<string>>([])
          const note = (text: string) => Ref.update(log, (it) => [...it, text])
          const { register } = yield* door.open({
            decider: deciding(() => Effect.as(note("decided"), allowed)),
            more: advisedBy({ name: "a", advise: () => Effect.as(note("advised"), []) })
          })
          yield* TestClock.adjust("1 hour")
          const { registration } = yield* recording({
            onRequest: () => note("asked"),
            onDecision: ({ decidedAt }) => note(`recorded at ${DateTime.toEpochMillis(decidedAt)}`)
          })
          const { ask } = yield* register(registration)
          yield* Effect.zipRight(ask(callOf("Read")), note("answered"))
          assert.deepStrictEqual(yield* Ref.get(log), [
            "asked",
            "advised",
            "decided",
            "recorded at 3600000",
            "answered"
          ])
        })
    )

    it.scoped("carries no input back that is not changed, in whatever order its keys stand", () =>
      Effect.gen(function* () {
        const same = Option.some({ b: [1, { d: 1, c: 2 }], a: "x" })
        const { register } = yield* door.open({
          decider: deciding(() => Effect.succeed(new AllowOnce({ updatedInput: same, rationale: "r" })))
        })
        const { ask } = yield* register((yield* recording()).registration)
        assert.deepStrictEqual(yield* ask(callOf("X", { a: "x", b: [1, { c: 2, d: 1 }] })), { behavior: "allow" })
      })
    )

    it.scoped("answers many questions at once, each with its own answer", () =>
      Effect.gen(function* () {
        const all = yield* Effect.makeLatch()
        const arrived = yield* Ref.make(0)
        const { register } = yield* door.open({
          decider: deciding(({ input }) =>
            Ref.updateAndGet(arrived, (it) => it + 1).pipe(
              Effect.tap((it) => (it === 32 ? all.open : Effect.void)),
              Effect.zipRight(all.await),
              Effect.as(new Deny({ message: `no ${input["n"]}`, rationale: "r" }))
            )
          )
        })
        const { decisions, registration } = yield* recording()
        const { ask } = yield* register(registration)
        const answers = yield* Effect.forEach(
          Array.from({ length: 32 }, (_, n) => n),
          (n) => ask(callOf("Bash", { n })),
          {
            concurrency: "unbounded"
          }
        )
        assert.deepStrictEqual(
          answers,
          Array.from({ length: 32 }, (_, n) => ({ behavior: "deny" as const, message: `no ${n}` }))
        )
        assert.strictEqual((yield* decisions).length, 32)
      })
    )

    describe("remembers", () => {
      const counting = (outcome: PermissionOutcome) =>
        Effect.map(Ref.make(0), (count) => ({
          count: Ref.get(count),
          decider: deciding(() =>
            Effect.as(
              Ref.update(count, (it) => it + 1),
              outcome
            )
          )
        }))

      it.scoped("for the session what was allowed for it, but decides other calls, and records every one", () =>
        Effect.gen(function* () {
          const { count, decider } = yield* counting(allowAlways("session"))
          const { register } = yield* door.open({ decider })
          const { decisions, registration } = yield* recording()
          const { ask, ticket } = yield* register(registration)
          yield* ask(callOf("Bash", { command: "a", n: 1 }))
          assert.deepStrictEqual(yield* ask(callOf("Bash", { n: 1, command: "a" })), { behavior: "allow" })
          assert.strictEqual(yield* count, 1)
          yield* ask(callOf("Bash", { command: "b", n: 1 }))
          yield* ask(callOf("Edit", { command: "a", n: 1 }))
          assert.strictEqual(yield* count, 3)
          yield* ticket.startTurn(2)
          yield* ask(callOf("Bash", { command: "a", n: 1 }))
          assert.strictEqual(yield* count, 3)
          yield* ticket.startSession
          yield* ask(callOf("Bash", { command: "a", n: 1 }))
          assert.strictEqual(yield* count, 4)
          assert.deepStrictEqual(
            choices(yield* decisions),
            Array.from({ length: 6 }, () => "Allow")
          )
        })
      )

      it.scoped("for the turn what was allowed for it", () =>
        Effect.gen(function* () {
          const { count, decider } = yield* counting(allowAlways("turn"))
          const { register } = yield* door.open({ decider })
          const { ask, ticket } = yield* register((yield* recording()).registration)
          yield* ask(callOf("Bash"))
          yield* ask(callOf("Bash"))
          assert.strictEqual(yield* count, 1)
          yield* ticket.startTurn(2)
          yield* ask(callOf("Bash"))
          assert.strictEqual(yield* count, 2)
        })
      )

      it.scoped("no single permission and no denial", () =>
        Effect.gen(function* () {
          for (const outcome of [allowed, new Deny({ message: "no", rationale: "no" })]) {
            const { count, decider } = yield* counting(outcome)
            const { register } = yield* door.open({ decider })
            const { ask } = yield* register((yield* recording()).registration)
            yield* ask(callOf("Bash"))
            yield* ask(callOf("Bash"))
            assert.strictEqual(yield* count, 2)
          }
        })
      )

      it.scoped("nothing that was decided for a turn that is over by then", () =>
        Effect.gen(function* () {
          const asked = yield* Deferred.make<void>()
          const answer = yield* Deferred.make<void>()
          const count = yield* Ref.make(0)
          const { register } = yield* door.open({
            decider: deciding(() =>
              Ref.update(count, (it) => it + 1).pipe(
                Effect.zipRight(Deferred.succeed(asked, undefined)),
                Effect.zipRight(Deferred.await(answer)),
                Effect.as(allowAlways("turn"))
              )
            )
          })
          const { ask, ticket } = yield* register((yield* recording()).registration)
          const first = yield* Effect.fork(ask(callOf("Bash")))
          yield* Deferred.await(asked)
          yield* ticket.startTurn(2)
          yield* Deferred.succeed(answer, undefined)
          yield* Fiber.join(first)
          yield* ask(callOf("Bash"))
          assert.strictEqual(yield* Ref.get(count), 2)
        })
      )

      it.scoped("nothing that could not be recorded", () =>
        Effect.gen(function* () {
          const { count, decider } = yield* counting(allowAlways("session"))
          const broken = yield* Ref.make(true)
          const { register } = yield* door.open({ decider })
          const { registration } = yield* recording({
            onDecision: () =>
              Effect.flatMap(Ref.get(broken), (it) => (it ? Effect.dieMessage("disk full") : Effect.void))
          })
          const { ask } = yield* register(registration)
          assert.strictEqual((yield* ask(callOf("Bash"))).behavior, "deny")
          yield* Ref.set(broken, false)
          yield* ask(callOf("Bash"))
          assert.strictEqual(yield* count, 2)
        })
      )
    })

    it.scoped("adds the warnings of advisors in their order, and skips one that fails, dies, hangs or lies", () =>
      Effect.gen(function* () {
        const { register, services } = yield* door.open({
          decider: PermissionDecider.layerScripted([allowed]),
          more: advisedBy(
            { name: "first", advise: () => Effect.succeed(["one", "two"]) },
            { name: "fails", advise: () => Effect.fail("broken") },
            { name: "dies", advise: () => Effect.dieMessage("broken") },
            {
              name: "throws",
              advise: () => {
                throw new Error("broken")
              }
            },
            { name: "lies", advise: () => Effect.succeed(7 as unknown as ReadonlyArray<string>) },
            { name: "interrupts", advise: () => Effect.interrupt },
            { name: "hangs", advise: () => Effect.never },
            { name: "holds", advise: () => Effect.uninterruptible(Effect.never) },
            { name: "last", advise: () => Effect.succeed(["x".repeat(5_000)]) }
          )
        })
        const { registration, requests } = yield* recording()
        const { ask } = yield* register(registration)
        const answer = yield* Effect.fork(ask(callOf("Bash")))
        while ((yield* requests).length === 0) yield* Effect.yieldNow()
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(answer), { behavior: "allow" })
        const [asked] = yield* Context.get(services, AskedQuestions)
        assert.deepStrictEqual(asked?.advisories, ["one", "two", "x".repeat(2_000)])
        assert.deepStrictEqual((yield* requests)[0]?.advisories, [])
      })
    )

    describe("refuses, with a reason and a record, when", () => {
      const dies = () => Effect.dieMessage("broken")
      const broken: ReadonlyArray<readonly [string, Layer.Layer<PermissionDecider>]> = [
        ["the decider dies", deciding(dies)],
        [
          "the decider throws",
          deciding(() => {
            throw new Error("broken")
          })
        ],
        ["the decider fails", deciding(() => Effect.fail("broken") as unknown as Effect.Effect<never>)],
        ["the decider interrupts itself", deciding(() => Effect.interrupt)],
        ["the decider answers nothing", deciding(() => Effect.succeed(undefined as unknown as PermissionOutcome))],
        [
          "the decider answers something else",
          deciding(() => Effect.succeed({ _tag: "AllowOnce" } as unknown as PermissionOutcome))
        ],
        [
          "the decider answers what only looks like an outcome",
          deciding(() =>
            Effect.succeed({ _tag: "AllowOnce", rationale: "r", updatedInput: Option.none() } as PermissionOutcome)
          )
        ],
        ["the decider returns no effect", deciding(() => ({ allow: true }) as unknown as Effect.Effect<never>)],
        [
          "the changed input is no JSON",
          deciding(() => Effect.succeed(new AllowOnce({ updatedInput: Option.some({ n: 1n }), rationale: "r" })))
        ]
      ]
      for (const [name, decider] of broken) {
        it.scoped(name, () =>
          Effect.gen(function* () {
            const { register } = yield* door.open({ decider })
            const { decisions, registration } = yield* recording()
            const { ask } = yield* register(registration)
            const answer = yield* ask(callOf("Bash"))
            assert.match(JSON.stringify(answer), /"deny".*was not run/)
            assert.deepStrictEqual(choices(yield* decisions), ["Deny"])
          })
        )
      }

      it.scoped("the telling of the question dies", () =>
        Effect.gen(function* () {
          const { register } = yield* door.open({ decider: PermissionDecider.layerAllowAll })
          const { decisions, registration } = yield* recording({ onRequest: dies })
          const { ask } = yield* register(registration)
          assert.match(JSON.stringify(yield* ask(callOf("Bash"))), /"deny".*was not run/)
          assert.deepStrictEqual(choices(yield* decisions), ["Deny"])
        })
      )

      it.scoped("the record dies", () =>
        Effect.gen(function* () {
          const { register } = yield* door.open({ decider: PermissionDecider.layerAllowAll })
          const { ask } = yield* register((yield* recording({ onDecision: dies })).registration)
          assert.match(JSON.stringify(yield* ask(callOf("Bash"))), /"deny".*could not be recorded/)
        })
      )

      it.scoped("there are no ids for the record", () =>
        Effect.gen(function* () {
          const original = yield* TokenSource
          const { register } = yield* door.open({
            decider: PermissionDecider.layerAllowAll,
            more: Layer.succeed(TokenSource, { ...original, decisionId: Effect.dieMessage("no entropy") })
          })
          const { ask } = yield* register((yield* recording()).registration)
          assert.match(JSON.stringify(yield* ask(callOf("Bash"))), /"deny".*could not be recorded/)
        })
      )

      for (const [name, hang] of [
        ["the record takes too long", Effect.never],
        ["the record takes too long and cannot be interrupted", Effect.uninterruptible(Effect.never)]
      ] as const) {
        it.scoped(name, () =>
          Effect.gen(function* () {
            const asked = yield* Deferred.make<void>()
            const { register } = yield* door.open({ decider: PermissionDecider.layerAllowAll })
            const { registration } = yield* recording({
              onDecision: () => Effect.zipRight(Deferred.succeed(asked, undefined), hang)
            })
            const { ask } = yield* register(registration)
            const answer = yield* Effect.fork(ask(callOf("Bash")))
            yield* Deferred.await(asked)
            yield* TestClock.adjust("10 seconds")
            assert.match(JSON.stringify(yield* Fiber.join(answer)), /"deny".*could not be recorded/)
          })
        )
      }

      for (const [name, hang] of [
        ["nobody decides in time", Effect.never],
        ["the decider hangs and cannot be interrupted", Effect.uninterruptible(Effect.never)]
      ] as const) {
        it.scoped(name, () =>
          Effect.gen(function* () {
            const asked = yield* Deferred.make<void>()
            const { register } = yield* door.open({
              decider: deciding(() => Effect.zipRight(Deferred.succeed(asked, undefined), hang))
            })
            const { decisions, registration } = yield* recording()
            const { ask } = yield* register(registration)
            const answer = yield* Effect.fork(ask(callOf("Bash")))
            yield* Deferred.await(asked)
            yield* TestClock.adjust("29 seconds")
            assert.deepStrictEqual(yield* decisions, [])
            yield* TestClock.adjust("1 second")
            assert.match(JSON.stringify(yield* Fiber.join(answer)), /"deny".*nobody decided in time/)
            assert.deepStrictEqual(choices(yield* decisions), ["Deny"])
          })
        )
      }

      it.scoped("the input is nested too deeply", () =>
        Effect.gen(function* () {
          const { register } = yield* door.open({ decider: PermissionDecider.layerAllowAll })
          const { ask } = yield* register((yield* recording()).registration)
          const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })
          assert.deepStrictEqual(yield* ask(callOf("Bash", { a: nested(150) })), { behavior: "allow" })
          assert.match(JSON.stringify(yield* ask(callOf("Bash", { a: nested(250) }))), /deny.*nested/)
        })
      )
    })

    it.scoped("waits longer for a decider that asks a person", () =>
      Effect.gen(function* () {
        const waiting = yield* Deferred.make<void>()
        const { register } = yield* door.open({
          decider: deciding((_, { waitUpTo }) =>
            waitUpTo("1 hour").pipe(
              // Earlier than what was said before: the deadline stays.
              Effect.zipRight(waitUpTo("1 second")),
              Effect.zipRight(Deferred.succeed(waiting, undefined)),
              Effect.zipRight(Effect.sleep("50 minutes")),
              Effect.as(allowed)
            )
          )
        })
        const { ask } = yield* register((yield* recording()).registration)
        const answer = yield* Effect.fork(ask(callOf("Bash")))
        yield* Deferred.await(waiting)
        yield* TestClock.adjust("50 minutes")
        assert.deepStrictEqual(yield* Fiber.join(answer), { behavior: "allow" })
      })
    )

    it.scoped("refuses when the longer time is over, too", () =>
      Effect.gen(function* () {
        const waiting = yield* Deferred.make<void>()
        const { register } = yield* door.open({
          decider: deciding((_, { waitUpTo }) =>
            waitUpTo(Duration.minutes(10)).pipe(
              Effect.zipRight(Deferred.succeed(waiting, undefined)),
              Effect.zipRight(Effect.never)
            )
          )
        })
        const { ask } = yield* register((yield* recording()).registration)
        const answer = yield* Effect.fork(ask(callOf("Bash")))
        yield* Deferred.await(waiting)
        yield* TestClock.adjust("10 minutes")
        assert.match(JSON.stringify(yield* Fiber.join(answer)), /nobody decided in time/)
      })
    )

    it.scoped("records a question as withdrawn when whoever asked is gone", () =>
      Effect.gen(function* () {
        const { asked, decider } = yield* silent
        const recorded = yield* Deferred.make<Decision>()
        const { register } = yield* door.open({ decider })
        const { registration } = yield* recording({ onDecision: (it) => Effect.asVoid(Deferred.succeed(recorded, it)) })
        const { ask } = yield* register(registration)
        const answer = yield* Effect.fork(ask(callOf("Bash")))
        yield* asked
        yield* Fiber.interrupt(answer)
        const { choice, rationale } = yield* Deferred.await(recorded)
        assert.strictEqual(choice._tag, "Deny")
        assert.match(rationale, /cancelled/)
      })
    )

    it.scoped("withdraws and records what is open when the goal ends, and refuses what is asked after it", () =>
      Effect.gen(function* () {
        const { asked, decider } = yield* silent
        const { register } = yield* door.open({ decider })
        const { decisions, registration } = yield* recording()
        const scope = yield* Scope.make()
        const { ticket } = yield* Scope.extend(register(registration), scope)
        const answer = yield* Effect.fork(ticket.decide(callOf("Bash")))
        yield* asked
        yield* Scope.close(scope, Exit.void)
        // Closing has waited for the record.
        assert.match((yield* decisions)[0]?.rationale ?? "", /cancelled/)
        assert.strictEqual((yield* Fiber.join(answer))._tag, "Cancelled")
        assert.strictEqual((yield* ticket.decide(callOf("Bash")))._tag, "Unavailable")
        assert.strictEqual((yield* decisions).length, 1)
      })
    )

    it.scoped("keeps goals apart", () =>
      Effect.gen(function* () {
        const { register } = yield* door.open({ decider: PermissionDecider.layerAllowAll })
        const one = yield* recording()
        const two = yield* recording({ goalId: "00000000-0000-4000-8000-000000000001" as typeof goalId })
        const first = yield* register(one.registration)
        const second = yield* register(two.registration)
        yield* first.ask(callOf("Read"))
        yield* second.ask(callOf("Write"))
        yield* second.ask(callOf("Edit"))
        assert.deepStrictEqual(
          (yield* one.decisions).map(({ tool }) => tool),
          ["Read"]
        )
        assert.deepStrictEqual(
          (yield* two.decisions).map(({ tool }) => tool),
          ["Write", "Edit"]
        )
        assert.strictEqual((yield* two.decisions)[0]?.goalId, two.registration.goalId)
      })
    )
  })

contract(inProcess)
contract(socket)
