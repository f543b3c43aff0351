// The operator's messages on the gate: which answers carry them, and that none is lost or told twice, at both doors.
import type { RidingMessages } from "@driver/agent/PermissionGate"
import { AllowOnce, Deny, type PermissionOutcome, type PermissionRequest, Unavailable } from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Ref, TestClock } from "effect"
import { type DecisionContext, PermissionDecider } from "../src/PermissionDecider.js"
import { type Door, inProcess, socket } from "./support/doors.js"
import { callOf, recording } from "./support/requests.js"

const deciding = (decide: (request: PermissionRequest, context: DecisionContext) => Effect.Effect<PermissionOutcome>) =>
  Layer.succeed(PermissionDecider, { decide })

const denial = new Deny({ message: "Use Read.", rationale: "rule 3" })
const denying = deciding(() => Effect.succeed(denial))

/** Messages that wait, and what became of them. */
const waiting = (...texts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const queue = yield* Ref.make(texts)
    const log = yield* Ref.make<ReadonlyArray<string>>([])
    const changed = yield* Ref.make(yield* Deferred.make<void>())
    const note = (text: string) =>
      Effect.zipRight(
        Ref.update(log, (it) => [...it, text]),
        Effect.flatMap(Ref.get(changed), (it) => Deferred.succeed(it, undefined))
      )
    const claimMessages = Effect.map(Ref.getAndSet(queue, []), (all) =>
      all.length === 0
        ? Option.none<RidingMessages>()
        : Option.some<RidingMessages>({
            texts: all,
            delivered: (toolUseId) => Effect.asVoid(note(`delivered with ${Option.getOrElse(toolUseId, () => "?")}`)),
            giveBack: Effect.zipRight(Ref.set(queue, all), Effect.asVoid(note("given back")))
          })
    )
    return {
      claimMessages,
      left: Ref.get(queue),
      log: Ref.get(log),
      /** Waits until something became of them. */
      settled: Effect.flatMap(Ref.get(changed), Deferred.await)
    }
  })

const carried = "Use Read.\n\n[OPERATOR INTERRUPT]\nfirst\nsecond\n[END OPERATOR INTERRUPT]"

const contract = (door: Door) =>
  describe(`The operator's messages ${door.name}`, () => {
    it.scoped("go with the next denied call, once, with a receipt, and leave the record as it was decided", () =>
      Effect.gen(function* () {
        const { claimMessages, left, log, settled } = yield* waiting("first", "second")
        const { register } = yield* door.open({ decider: denying })
        const { decisions, registration } = yield* recording({ claimMessages })
        const { ask } = yield* register(registration)
        assert.deepStrictEqual(yield* ask(callOf("Bash")), { behavior: "deny", message: carried })
        yield* settled
        assert.deepStrictEqual(yield* ask(callOf("Bash")), { behavior: "deny", message: "Use Read." })
        assert.deepStrictEqual([yield* log, yield* left], [["delivered with toolu_Bash"], []])
        assert.deepStrictEqual(
          (yield* decisions).map(({ choice }) => choice._tag === "Deny" && choice.message),
          ["Use Read.", "Use Read."]
        )
      })
    )

    it.scoped("wait while calls are allowed", () =>
      Effect.gen(function* () {
        const { claimMessages, left, log } = yield* waiting("first")
        const { register } = yield* door.open({ decider: PermissionDecider.layerAllowAll })
        const { ask } = yield* register((yield* recording({ claimMessages })).registration)
        assert.deepStrictEqual(yield* ask(callOf("Bash")), { behavior: "allow" })
        assert.deepStrictEqual([yield* log, yield* left], [[], ["first"]])
      })
    )

    it.scoped("go with a call that nobody could decide", () =>
      Effect.gen(function* () {
        const { claimMessages, settled } = yield* waiting("first", "second")
        const { register } = yield* door.open({
          decider: deciding(() => Effect.succeed(new Unavailable({ reason: "nobody is there" })))
        })
        const { decisions, registration } = yield* recording({ claimMessages })
        const { ask } = yield* register(registration)
        assert.match(
          JSON.stringify(yield* ask(callOf("Bash"))),
          /nobody is there.*OPERATOR INTERRUPT\]\\nfirst\\nsecond/
        )
        yield* settled
        assert.strictEqual((yield* decisions)[0]?.rationale, "unavailable: nobody is there")
      })
    )

    it.scoped("answer a call at once that would be put to a person, who is not asked", () =>
      Effect.gen(function* () {
        const asked = yield* Ref.make(0)
        const { claimMessages, log, settled } = yield* waiting("first")
        const { register } = yield* door.open({
          decider: deciding((_, { waitUpTo }) =>
            waitUpTo("10 minutes").pipe(
              Effect.zipRight(Ref.update(asked, (it) => it + 1)),
              Effect.as(new AllowOnce({ rationale: "a person" }))
            )
          )
        })
        const { decisions, registration } = yield* recording({ claimMessages })
        const { ask } = yield* register(registration)
        assert.match(
          JSON.stringify(yield* ask(callOf("Bash"))),
          /deny.*operator has something to say.*OPERATOR INTERRUPT\]\\nfirst/
        )
        yield* settled
        assert.deepStrictEqual([yield* Ref.get(asked), yield* log], [0, ["delivered with toolu_Bash"]])
        assert.match((yield* decisions)[0]?.rationale ?? "", /operator's message/)
        // The next one is put to the person.
        assert.deepStrictEqual(yield* ask(callOf("Bash")), { behavior: "allow" })
      })
    )

    it.scoped("go with the denial of a call whose record fails", () =>
      Effect.gen(function* () {
        const { claimMessages, log, settled } = yield* waiting("first", "second")
        const { register } = yield* door.open({ decider: denying })
        const { registration } = yield* recording({ claimMessages, onDecision: () => Effect.die("disk full") })
        const { ask } = yield* register(registration)
        assert.deepStrictEqual(yield* ask(callOf("Bash")), { behavior: "deny", message: carried })
        yield* settled
        assert.deepStrictEqual(yield* log, ["delivered with toolu_Bash"])
      })
    )

    it.scoped(
      "go with the denial of a call whose record hangs, and with the refusal of one that nobody decided in time",
      () =>
        Effect.gen(function* () {
          const recording1 = yield* Deferred.make<void>()
          const first = yield* waiting("first", "second")
          const hanging = yield* door.open({ decider: denying, settings: { recordTimeout: "1 second" } })
          const one = yield* recording({
            claimMessages: first.claimMessages,
            onDecision: () => Effect.zipRight(Deferred.succeed(recording1, undefined), Effect.never)
          })
          const asking = yield* Effect.fork((yield* hanging.register(one.registration)).ask(callOf("Bash")))
          yield* Deferred.await(recording1)
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(yield* Fiber.join(asking), { behavior: "deny", message: carried })
          yield* first.settled

          const asked = yield* Deferred.make<void>()
          const second = yield* waiting("late")
          const silent = yield* door.open({
            decider: deciding(() => Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never))
          })
          const two = yield* recording({ claimMessages: second.claimMessages })
          const late = yield* Effect.fork((yield* silent.register(two.registration)).ask(callOf("Bash")))
          yield* Deferred.await(asked)
          yield* TestClock.adjust("1 minute")
          assert.match(JSON.stringify(yield* Fiber.join(late)), /nobody decided in time.*OPERATOR INTERRUPT\]\\nlate/)
          yield* second.settled
          assert.deepStrictEqual(yield* second.log, ["delivered with toolu_Bash"])
        })
    )

    it.scoped("come back when the call is withdrawn while its denial is recorded", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const go = yield* Deferred.make<void>()
        const { claimMessages, left, log, settled } = yield* waiting("first")
        const { register } = yield* door.open({ decider: denying })
        const { decisions, registration } = yield* recording({ claimMessages })
        const { ask, drop } = yield* register({
          ...registration,
          onDecision: (decision) =>
            Deferred.succeed(started, undefined).pipe(
              Effect.zipRight(Deferred.await(go)),
              Effect.zipRight(registration.onDecision(decision))
            )
        })
        const asking = yield* Effect.fork(ask(callOf("Bash")))
        yield* Deferred.await(started)
        yield* drop
        const leaving = yield* Effect.fork(Fiber.interrupt(asking))
        yield* Effect.yieldNow()
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.await(leaving)
        yield* settled
        assert.deepStrictEqual([yield* log, yield* left], [["given back"], ["first"]])
        assert.strictEqual((yield* decisions).length, 1)
      })
    )

    it.scoped("are given back when the call has some already", () =>
      Effect.gen(function* () {
        const log = yield* Ref.make<ReadonlyArray<string>>([])
        const claims = yield* Ref.make(0)
        const claimMessages = Effect.map(
          Ref.updateAndGet(claims, (it) => it + 1),
          (n) =>
            Option.some<RidingMessages>({
              texts: [`claim ${n}`],
              delivered: () => Ref.update(log, (it) => [...it, `delivered ${n}`]),
              giveBack: Ref.update(log, (it) => [...it, `given back ${n}`])
            })
        )
        const { register } = yield* door.open({
          decider: deciding((_, { waitUpTo }) => Effect.as(waitUpTo("1 minute"), denial))
        })
        const { ask } = yield* register((yield* recording({ claimMessages })).registration)
        assert.match(JSON.stringify(yield* ask(callOf("Bash"))), /INTERRUPT\]\\nclaim 1\\n/)
        while ((yield* Ref.get(log)).length < 2) yield* Effect.yieldNow()
        assert.deepStrictEqual(yield* Ref.get(log), ["given back 2", "delivered 1"])
      })
    )

    it.scoped("are not lost and harm no call when they cannot be looked at or noted", () =>
      Effect.gen(function* () {
        const { register } = yield* door.open({ decider: denying })
        const dying = yield* recording({ claimMessages: Effect.die("broken") })
        const one = yield* register(dying.registration)
        assert.deepStrictEqual(yield* one.ask(callOf("Bash")), { behavior: "deny", message: "Use Read." })
        const unnoted = yield* recording({
          claimMessages: Effect.succeedSome({
            texts: ["first", "second"],
            delivered: () => Effect.die("no sink"),
            giveBack: Effect.die("no sink")
          })
        })
        const two = yield* register(unnoted.registration)
        assert.deepStrictEqual(yield* two.ask(callOf("Bash")), { behavior: "deny", message: carried })
      })
    )
  })

contract(inProcess)
contract(socket)
