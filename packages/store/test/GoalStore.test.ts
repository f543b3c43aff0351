import { Cancelled, Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { Cancel, GoalExists, GoalStore, Pause, RaiseTurns, Steer } from "@driver/runtime/GoalStore"
import { LeaseLost } from "@driver/runtime/Journal"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Fiber, FastCheck as fc, Option, Stream, TestClock } from "effect"
import { backends, places } from "./support/backends.js"
import { goalRow } from "./support/journalValues.js"
import { anyText, goalIdOf, sampled } from "./support/values.js"

const outcomeOf = (n: number, outcome: Done | Cancelled = new Done()) =>
  new GoalOutcome({ goalId: goalIdOf(n), outcome, totalTurns: 3, usage: Usage.zero, elapsed: Duration.seconds(5) })

const idsOf = (rows: ReadonlyArray<{ readonly goal: { readonly id: string } }>) => rows.map(({ goal }) => goal.id)

for (const { available, name, runs, stores } of backends) {
  describe.skipIf(!available)(`GoalStore on ${name}`, () => {
    it.effect("gives back goals as they were submitted, in that order", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        const rich = goalRow(9, {
          config: Option.some("/etc/driver.yaml"),
          priority: -3,
          dependsOn: [goalIdOf(1), goalIdOf(2)],
          account: "team ␛",
          state: "ended",
          endedAt: Option.some(DateTime.unsafeMake(1_700_000_000_999)),
          outcome: Option.some(outcomeOf(9)),
          reason: Option.some("a\u0000b \ud800")
        })
        yield* store.submit([rich, goalRow(1)])
        yield* store.submit([])
        yield* store.submit([goalRow(5)])
        assert.deepStrictEqual(yield* store.get(goalIdOf(9)), Option.some(rich))
        assert.deepStrictEqual(yield* store.get(goalIdOf(3)), Option.none())
        assert.deepStrictEqual(yield* store.list(), [rich, goalRow(1), goalRow(5)])
        assert.deepStrictEqual(yield* store.list(["queued", "running"]), [goalRow(1), goalRow(5)])
        assert.deepStrictEqual(yield* store.list([]), [])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps any text in a goal's words", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        const rows = sampled(anyText, 60).map((text, n) =>
          goalRow(n + 1, { repository: text, account: text, reason: Option.some(text), config: Option.some(text) })
        )
        yield* store.submit(rows)
        assert.deepStrictEqual(yield* store.list(), rows)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("adds several goals all or none, and refuses an id that there is", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        yield* store.submit([goalRow(1)])
        const error = yield* Effect.flip(store.submit([goalRow(2), goalRow(1)]))
        assert.instanceOf(error, GoalExists)
        assert.deepInclude(error, { goalId: goalIdOf(1) })
        assert.deepInclude(yield* Effect.flip(store.submit([goalRow(3), goalRow(3)])), {
          _tag: "GoalExists",
          goalId: goalIdOf(3)
        })
        assert.deepStrictEqual(idsOf(yield* store.list()), [goalIdOf(1)])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("replaces a goal that is put again, in its place, and leaves the lease", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        yield* store.put(goalRow(1))
        yield* store.put(goalRow(2))
        yield* store.acquire(goalIdOf(1), "a driver", Option.none())
        yield* store.setState(goalIdOf(1), "ended", { outcome: outcomeOf(1) })
        const anew = goalRow(1, { state: "running", priority: 7 })
        yield* store.put(anew)
        assert.deepStrictEqual(yield* store.list(), [anew, goalRow(2)])
        assert.isTrue(Option.isSome(yield* store.holder(goalIdOf(1))))
      }).pipe(Effect.provide(stores()))
    )

    it.effect("says what became of a goal; its first end stays", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        yield* store.submit([goalRow(1), goalRow(2)])
        const row = Effect.flatten(store.get(goalIdOf(1)))
        yield* store.setState(goalIdOf(1), "running")
        assert.deepStrictEqual(yield* row, goalRow(1, { state: "running" }))
        yield* TestClock.setTime(1_000.5)
        yield* store.setState(goalIdOf(1), "ended", { outcome: outcomeOf(1) })
        const ended = goalRow(1, {
          state: "ended",
          endedAt: Option.some(DateTime.unsafeMake(1_000)),
          outcome: Option.some(outcomeOf(1))
        })
        assert.deepStrictEqual(yield* row, ended)
        yield* TestClock.setTime(2_000)
        yield* store.setState(goalIdOf(1), "ended")
        assert.deepStrictEqual(yield* row, ended)
        yield* store.setState(goalIdOf(1), "ended", { outcome: outcomeOf(1, new Cancelled()), reason: "why" })
        assert.deepInclude(yield* row, {
          endedAt: Option.some(DateTime.unsafeMake(1_000)),
          outcome: Option.some(outcomeOf(1, new Cancelled())),
          reason: Option.some("why")
        })
        yield* store.setState(goalIdOf(1), "skipped", { reason: "it depends on a goal that failed" })
        assert.deepStrictEqual(
          yield* row,
          goalRow(1, {
            state: "skipped",
            endedAt: Option.some(DateTime.unsafeMake(2_000)),
            reason: Option.some("it depends on a goal that failed")
          })
        )
        yield* store.setState(goalIdOf(1), "queued")
        assert.deepStrictEqual(yield* row, goalRow(1))
        yield* store.setState(goalIdOf(7), "ended")
        assert.deepStrictEqual(idsOf(yield* store.list()), [goalIdOf(1), goalIdOf(2)])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("finds goals by the beginning of their id", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        yield* store.submit(Array.from({ length: 18 }, (_, n) => goalRow(n)))
        assert.deepStrictEqual(yield* store.withPrefix(goalIdOf(16).slice(0, -1)), [goalIdOf(16), goalIdOf(17)])
        assert.deepStrictEqual(yield* store.withPrefix(goalIdOf(16)), [goalIdOf(16)])
        assert.strictEqual((yield* store.withPrefix("0000")).length, 10)
        for (const nothing of ["", "%", "0000_", "0000%", "A", "ff", "0000\u0000", `${goalIdOf(1)}0`]) {
          assert.deepStrictEqual(yield* store.withPrefix(nothing), [], nothing)
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("gives a goal to one driver at a time, with a token that grows", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        const goalId = goalIdOf(1)
        const acquire = (owner: string, expected = store.holder(goalId)) =>
          Effect.flatMap(expected, (holder) => store.acquire(goalId, owner, holder))
        const nobody = Effect.succeed(Option.none())
        assert.deepStrictEqual(yield* store.holder(goalId), Option.none())
        assert.deepStrictEqual(yield* acquire("one"), Option.some({ goalId, epoch: 1 }))
        assert.deepStrictEqual(yield* store.holder(goalId), Option.some({ owner: "one", epoch: 1, heartbeat: 0 }))
        assert.deepStrictEqual(yield* acquire("two", nobody), Option.none())
        // It has lived on since the contender looked.
        const before = yield* store.holder(goalId)
        assert.deepStrictEqual(yield* store.heartbeat([{ goalId, epoch: 1 }]), [])
        assert.deepStrictEqual(yield* acquire("two", Effect.succeed(before)), Option.none())
        assert.deepStrictEqual(yield* store.holder(goalId), Option.some({ owner: "one", epoch: 1, heartbeat: 1 }))
        assert.deepStrictEqual(yield* acquire("two"), Option.some({ goalId, epoch: 2 }))
        // What the first one does now changes nothing.
        yield* store.release({ goalId, epoch: 1 })
        const lost = yield* store.heartbeat([{ goalId, epoch: 1 }])
        assert.deepStrictEqual(lost, [new LeaseLost({ goalId, epoch: 1 })])
        assert.deepStrictEqual(yield* store.holder(goalId), Option.some({ owner: "two", epoch: 2, heartbeat: 0 }))
        yield* store.release({ goalId, epoch: 2 })
        assert.deepStrictEqual(yield* store.holder(goalId), Option.none())
        assert.strictEqual((yield* store.heartbeat([{ goalId, epoch: 2 }])).length, 1)
        // Given back, it goes to whoever comes, whatever was expected.
        assert.deepStrictEqual(yield* acquire("three", Effect.succeed(before)), Option.some({ goalId, epoch: 3 }))
      }).pipe(Effect.provide(stores()))
    )

    it.effect("moves many heartbeats at once, and tells the lost ones apart", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        const leases = yield* Effect.forEach(
          Array.from({ length: 60 }, (_, n) => n),
          (n) => Effect.flatten(store.acquire(goalIdOf(n), "a driver", Option.none()))
        )
        const gone = leases.slice(10, 13)
        for (const lease of gone) {
          yield* store.acquire(lease.goalId, "another", yield* store.holder(lease.goalId))
        }
        assert.deepStrictEqual(yield* store.heartbeat([]), [])
        assert.deepStrictEqual(
          yield* store.heartbeat(leases),
          gone.map((lease) => new LeaseLost(lease))
        )
        assert.deepInclude(Option.getOrThrow(yield* store.holder(goalIdOf(59))), { heartbeat: 1 })
        assert.deepInclude(Option.getOrThrow(yield* store.holder(goalIdOf(10))), { heartbeat: 0, epoch: 2 })
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps commands until they are handled, oldest first", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        const steer = new Steer({ message: "mind\u0000 the \ud800 gap ␛", mode: "turn" })
        const ids = [
          yield* store.command(goalIdOf(1), steer),
          yield* store.command(goalIdOf(2), new Pause()),
          yield* store.command(goalIdOf(1), new RaiseTurns({ maxTurns: 9 })),
          yield* store.command(goalIdOf(3), new Cancel())
        ]
        assert.strictEqual(new Set(ids).size, 4)
        const open = yield* store.commands([goalIdOf(1), goalIdOf(2)])
        assert.deepStrictEqual(open, [
          { id: ids[0] ?? "", goalId: goalIdOf(1), command: steer },
          { id: ids[1] ?? "", goalId: goalIdOf(2), command: new Pause() },
          { id: ids[2] ?? "", goalId: goalIdOf(1), command: new RaiseTurns({ maxTurns: 9 }) }
        ])
        yield* store.handled([ids[0] ?? "", ids[1] ?? ""])
        yield* store.handled([ids[0] ?? "", "unknown"])
        yield* store.handled([])
        assert.deepStrictEqual(yield* store.commands([goalIdOf(1), goalIdOf(2)]), open.slice(2))
        assert.deepStrictEqual(yield* store.commands([]), [])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("tells this process of changed rows and new commands", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        yield* store.put(goalRow(1))
        let next = 10
        for (const change of [
          Effect.suspend(() => store.submit([goalRow(++next)])),
          store.put(goalRow(1)),
          store.setState(goalIdOf(1), "running"),
          store.command(goalIdOf(1), new Pause())
        ]) {
          const told = yield* Effect.fork(Stream.runHead(store.changed))
          // Until the reader has begun to read.
          yield* Effect.repeat(Effect.zipRight(change, Effect.yieldNow()), {
            until: () => Effect.map(Fiber.poll(told), Option.isSome)
          })
          assert.isTrue(Option.isSome(yield* Fiber.join(told)))
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("gives tokens as its model does, whatever drivers do", () =>
      Effect.gen(function* () {
        const store = yield* GoalStore
        for (const [run, operations] of sampled(operationsArbitrary, runs).entries()) {
          const goalId = goalIdOf(1_000 + run)
          let model = { owner: Option.none<string>(), epoch: 0, heartbeat: 0 }
          const seen = new Map<string, Option.Option<{ owner: string; epoch: number; heartbeat: number }>>()
          for (const { action, driver, epochsAgo } of operations) {
            const lease = { goalId, epoch: Math.max(1, model.epoch - epochsAgo) }
            const held = Option.isSome(model.owner) && lease.epoch === model.epoch
            const current = Option.map(model.owner, (owner) => ({ ...model, owner }))
            switch (action) {
              case "look":
                assert.deepStrictEqual(yield* store.holder(goalId), current)
                seen.set(driver, current)
                break
              case "acquire": {
                const expected = seen.get(driver) ?? Option.none()
                const wins =
                  Option.isNone(current) ||
                  (Option.isSome(expected) && JSON.stringify(expected.value) === JSON.stringify(current.value))
                if (wins) model = { owner: Option.some(driver), epoch: model.epoch + 1, heartbeat: 0 }
                assert.deepStrictEqual(
                  yield* store.acquire(goalId, driver, expected),
                  wins ? Option.some({ goalId, epoch: model.epoch }) : Option.none()
                )
                break
              }
              case "heartbeat":
                if (held) model = { ...model, heartbeat: model.heartbeat + 1 }
                assert.strictEqual((yield* store.heartbeat([lease])).length, held ? 0 : 1)
                break
              case "release":
                if (held) model = { ...model, owner: Option.none() }
                yield* store.release(lease)
            }
          }
        }
      }).pipe(Effect.provide(stores()))
    )
  })
}

const operationsArbitrary = fc.array(
  fc.record({
    action: fc.constantFrom("look" as const, "acquire" as const, "heartbeat" as const, "release" as const),
    driver: fc.constantFrom("one", "two"),
    epochsAgo: fc.constantFrom(0, 0, 0, 1)
  }),
  { maxLength: 25 }
)

for (const { available, name, open } of places) {
  describe.skipIf(!available)(`Two drivers on ${name}`, () => {
    it.scopedLive("race for a goal: exactly one gets it, be it free or its driver dead", () =>
      Effect.gen(function* () {
        const { driver } = yield* open
        const [one, two] = yield* Effect.all([driver, driver])
        for (let n = 0; n < 20; n++) {
          const goalId = goalIdOf(n)
          // Both have seen the same holder, or none.
          const holder = yield* Effect.provide(
            Effect.gen(function* () {
              const store = yield* GoalStore
              if (n % 2 === 1) yield* store.acquire(goalId, "a dead driver", Option.none())
              return yield* store.holder(goalId)
            }),
            one
          )
          const race = (owner: string) => Effect.flatMap(GoalStore, (store) => store.acquire(goalId, owner, holder))
          const leases = yield* Effect.all(
            [
              Effect.provide(race("one"), one),
              Effect.provide(race("two"), two),
              Effect.provide(race("two again"), two)
            ],
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(
            leases.flatMap(Option.toArray).map(({ epoch }) => epoch),
            [n % 2 === 1 ? 2 : 1]
          )
        }
      })
    )

    it.scopedLive("submit the same goal at once: one has added it", () =>
      Effect.gen(function* () {
        const { driver } = yield* open
        const contexts = yield* Effect.all([driver, driver])
        const results = yield* Effect.forEach(
          contexts,
          (context) =>
            Effect.flatMap(GoalStore, (store) => Effect.exit(store.submit([goalRow(2), goalRow(1)]))).pipe(
              Effect.provide(context)
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(results.map(({ _tag }) => _tag).sort(), ["Failure", "Success"])
      })
    )
  })
}
