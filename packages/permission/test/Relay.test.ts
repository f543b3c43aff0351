import { AllowOnce, Deny, PermissionCancelled, type PermissionOutcome, Unavailable } from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Ref, TestClock } from "effect"
import { bareContext, PermissionDecider } from "../src/PermissionDecider.js"
import * as Relay from "../src/Relay.js"
import { requestOf } from "./support/requests.js"

const allow = new AllowOnce({ rationale: "a person" })
const deny = new Deny({ message: "No.", rationale: "a model" })
const nobody = new Unavailable({ reason: "nobody is there" })

const after = <A>(seconds: number, outcome: A) => Effect.delay(Effect.succeed(outcome), `${seconds} seconds`)

const race = (one: Effect.Effect<PermissionOutcome>, other: Effect.Effect<PermissionOutcome>) => {
  const deciding = (it: Effect.Effect<PermissionOutcome>) => Layer.succeed(PermissionDecider, { decide: () => it })
  return Effect.gen(function* () {
    const { decide } = yield* PermissionDecider
    const fiber = yield* Effect.fork(decide(requestOf("Bash", {}), bareContext))
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(Relay.layer(deciding(one), deciding(other))))
}

describe("Relay", () => {
  it.effect("takes the first answer, whoever gives it and whatever it says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* race(after(1, allow), after(2, deny)), allow)
      assert.deepStrictEqual(yield* race(after(2, allow), after(1, deny)), deny)
      assert.deepStrictEqual(yield* race(Effect.succeed(allow), Effect.never), allow)
    })
  )

  it.effect("waits for the other one when one cannot answer, dies or was withdrawn", () =>
    Effect.gen(function* () {
      const silent = [
        Effect.succeed(nobody),
        Effect.die("a bug"),
        Effect.succeed(new PermissionCancelled({})),
        Effect.interrupt
      ]
      for (const it of silent) {
        assert.deepStrictEqual(yield* race(it, after(9, allow)), allow)
        assert.deepStrictEqual(yield* race(after(9, deny), it), deny)
      }
    })
  )

  it.effect("gives both reasons when neither answers", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* race(Effect.succeed(nobody), Effect.die("a bug")),
        new Unavailable({ reason: "nobody is there, and a decider failed" })
      )
    })
  )

  it.effect("interrupts the loser, and both when nobody wants the answer any more", () =>
    Effect.gen(function* () {
      const interrupted = yield* Ref.make(0)
      const waiting = yield* Deferred.make<void>()
      const forever = Effect.onInterrupt(Effect.zipRight(Deferred.succeed(waiting, undefined), Effect.never), () =>
        Ref.update(interrupted, (n) => n + 1)
      )
      assert.deepStrictEqual(
        yield* Relay.race(forever, Effect.zipRight(Deferred.await(waiting), Effect.succeed(allow))),
        allow
      )
      assert.strictEqual(yield* Ref.get(interrupted), 1)
      const fiber = yield* Effect.fork(Relay.race(forever, forever))
      yield* Effect.yieldNow()
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* Ref.get(interrupted), 3)
    })
  )
})
