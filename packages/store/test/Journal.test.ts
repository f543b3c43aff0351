import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { AgentActivity } from "@driver/domain/DriverEvent"
import type { GoalId } from "@driver/domain/Goal"
import { GoalStore } from "@driver/runtime/GoalStore"
import { Journal, JournalConflict, type JournalRecord, LeaseLost, type ReadOptions } from "@driver/runtime/Journal"
import { Outbox } from "@driver/runtime/Outbox"
import * as Stores from "@driver/store/Stores"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Either, Fiber, FastCheck as fc, Layer, Option, Stream } from "effect"
import { backends, places, sqlBackends } from "./support/backends.js"
import { event, record, records, step } from "./support/journalValues.js"
import { anyText, awkward, goalIdOf, sampled } from "./support/values.js"

const idsOf = (all: ReadonlyArray<JournalRecord>) => all.map(({ id }) => id)

const take = (goalId: GoalId, owner = "a driver") =>
  Effect.gen(function* () {
    const store = yield* GoalStore
    const holder = yield* store.holder(goalId)
    return yield* store.acquire(goalId, owner, holder)
  }).pipe(Effect.map(Option.getOrElse(() => assert.fail("somebody else was faster"))))

for (const { available, name, runs, stores } of backends) {
  describe.skipIf(!available)(`Journal on ${name}`, () => {
    it.effect("gives back what was appended, in order, from any place", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1)), [])
        assert.strictEqual(yield* journal.head(goalIdOf(1)), 0)
        const all = [...records(1, 1, 5), record(1, 6, { entry: event(goalIdOf(1)) })]
        yield* journal.append(records(1, 1, 1))
        yield* journal.append(records(2, 1, 2))
        yield* journal.append(records(1, 2, 5))
        yield* journal.append([record(1, 6, { entry: event(goalIdOf(1)) })])
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1)), all)
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1), { after: 4 }), all.slice(4))
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1), { after: 1, limit: 2 }), all.slice(1, 3))
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1), { limit: 0 }), [])
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1), { after: 6 }), [])
        assert.deepStrictEqual([yield* journal.head(goalIdOf(1)), yield* journal.head(goalIdOf(2))], [6, 2])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("leaves out what the fold does not look at when it is asked to, but never the last record", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const skipped = new AgentActivity({ goalId: goalIdOf(1), turn: 1, activity: "said", text: "hm" })
        const all = [
          record(1, 1, { entry: skipped }),
          record(1, 2),
          record(1, 3, { entry: skipped }),
          record(1, 4, { entry: event(goalIdOf(1)) }),
          record(1, 5, { entry: skipped })
        ] as const
        yield* journal.append(all)
        const read = (options: ReadOptions) =>
          Effect.map(journal.read(goalIdOf(1), { ...options, folded: true }), idsOf)
        assert.deepStrictEqual(yield* read({}), ["1:a:2", "1:a:4", "1:a:5"])
        assert.deepStrictEqual(yield* read({ after: 2 }), ["1:a:4", "1:a:5"])
        assert.deepStrictEqual(yield* read({ limit: 1 }), ["1:a:2"])
        yield* journal.append([record(1, 6)])
        assert.deepStrictEqual(yield* read({ after: 4 }), ["1:a:6"])
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1), { limit: 5 }), all)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("skips records that are there already, and writes the rest", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        yield* journal.append(records(1, 1, 3))
        yield* journal.append(records(1, 1, 3))
        yield* journal.append(records(1, 2, 2))
        yield* journal.append(records(1, 2, 5))
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1)), [...records(1, 1, 5)])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("refuses a gap, another record in a place, and an id that was used, and writes nothing", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        yield* journal.append(records(1, 1, 2))
        yield* journal.append(records(2, 1, 1))
        const conflicts: ReadonlyArray<readonly [ReadonlyArray<JournalRecord>, number, RegExp]> = [
          [records(1, 4, 5), 4, /does not go on with record 4: its last record is 2/],
          [[record(1, 2, { id: "x" }), record(1, 3)], 2, /record 1:a:2 is there already/],
          [[record(1, 3), record(1, 5)], 5, /it was given after record 3/],
          [[record(1, 3), record(1, 3, { id: "y" })], 3, /it was given after record 3/],
          [[record(1, 3), record(2, 4)], 4, /it was given with a record of goal/],
          [[record(1, 3), record(1, 4, { id: "2:a:1" })], 4, /its id 2:a:1 is that of another record/],
          [[record(1, 3, { id: "1:a:1" })], 3, /its id 1:a:1 is that of another record/],
          [[record(1, 3, { id: "z" }), record(1, 4, { id: "z" })], 4, /its id z is that of another record/]
        ]
        for (const [[first, ...rest], sequence, message] of conflicts) {
          if (first === undefined) throw new Error("no records")
          const error = yield* Effect.flip(journal.append([first, ...rest]))
          assert.instanceOf(error, JournalConflict)
          assert.strictEqual(error.sequence, sequence)
          assert.match(error.message, message)
        }
        assert.deepStrictEqual(
          [yield* journal.read(goalIdOf(1)), yield* journal.read(goalIdOf(2))],
          [[...records(1, 1, 2)], [...records(2, 1, 1)]]
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("is closed to a driver that has lost the goal, and open to the one that has it", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const goals = yield* GoalStore
        const lost = (...given: Parameters<typeof records>) =>
          Effect.map(Effect.flip(journal.append(records(...given))), (error) => {
            assert.instanceOf(error, LeaseLost)
            assert.include(error.message, "was taken over by another driver")
            return error.epoch
          })
        // Nobody has ever held it: for goals that run without leases.
        yield* journal.append(records(1, 1, 2))
        assert.strictEqual(yield* lost(1, 3, 3, { epoch: 1 }), 1)
        const first = yield* take(goalIdOf(1))
        assert.strictEqual(first.epoch, 1)
        assert.strictEqual(yield* lost(1, 3, 3), 0)
        yield* journal.append(records(1, 3, 3, { epoch: 1 }))
        yield* take(goalIdOf(1), "another driver")
        assert.strictEqual(yield* lost(1, 4, 4, { epoch: 1 }), 1)
        // Also with what it has written itself, and with a gap.
        assert.strictEqual(yield* lost(1, 3, 3, { epoch: 1 }), 1)
        assert.strictEqual(yield* lost(1, 9, 9, { epoch: 1 }), 1)
        yield* journal.append(records(1, 4, 4, { epoch: 2 }))
        const mixed = yield* Effect.flip(journal.append([record(1, 5, { epoch: 2 }), record(1, 6, { epoch: 1 })]))
        assert.instanceOf(mixed, LeaseLost)
        // What is noted after the goal was given back is still of that driver.
        yield* goals.release({ goalId: goalIdOf(1), epoch: 2 })
        yield* journal.append(records(1, 5, 5, { epoch: 2 }))
        assert.strictEqual((yield* take(goalIdOf(1))).epoch, 3)
        assert.strictEqual(yield* lost(1, 6, 6, { epoch: 2 }), 2)
        assert.deepStrictEqual(
          (yield* journal.read(goalIdOf(1))).map(({ epoch }) => epoch),
          [0, 0, 1, 2, 2]
        )
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps any text, and a thousand records at once", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const texts = [...awkward, ...sampled(anyText, 60)]
        const written = records(1, 1, texts.length).map((it, index) =>
          record(1, it.sequence, { id: `${index} ${texts[index]}`, entry: step(texts[index] ?? "") })
        )
        const [first, ...rest] = written
        if (first === undefined) throw new Error("no records")
        yield* journal.append([first, ...rest])
        assert.deepStrictEqual(yield* journal.read(goalIdOf(1)), written)
        yield* journal.append([first, ...rest])
        yield* journal.append(records(2, 1, 1_000))
        assert.deepStrictEqual(yield* journal.read(goalIdOf(2)), [...records(2, 1, 1_000)])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("tells readers of this process whose journal has grown, and a slow one of each goal", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const reading = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const slow = yield* journal.appended.pipe(
          Stream.tap(() => Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(goOn))),
          Stream.takeUntil((goalId) => goalId === goalIdOf(7)),
          Stream.runCollect,
          Effect.fork
        )
        let last = 0
        const more = Effect.suspend(() => journal.append(records(1, ++last, last)))
        // Until the reader has begun to read.
        yield* Effect.repeat(Effect.zipRight(more, Effect.yieldNow()), { until: () => Deferred.isDone(reading) })
        yield* Effect.repeatN(more, 20)
        // Nothing was written.
        yield* journal.append(records(1, 1, 1))
        yield* Effect.flip(journal.append(records(3, 2, 2)))
        yield* journal.append(records(2, 1, 1))
        yield* journal.append(records(7, 1, 1))
        yield* Deferred.succeed(goOn, undefined)
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(slow)), [1, 1, 2, 7].map(goalIdOf))
      }).pipe(Effect.provide(stores()))
    )

    /** What a journal is, in a few lines: records by goal, and a token. */
    it.effect("is what its model is, whatever drivers append, repeat and take over", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        for (const [run, operations] of sampled(operationsArbitrary, runs).entries()) {
          const goal = 100 + run
          const goalId = goalIdOf(goal)
          const model = { ids: [] as string[], epochs: [] as number[], epoch: 0 }
          for (const it of operations) {
            if (it.kind === "takeover") {
              assert.strictEqual((yield* take(goalId)).epoch, ++model.epoch)
              continue
            }
            const from = Math.max(1, model.ids.length + 1 + it.offset)
            const epoch = Math.max(0, model.epoch - (it.stale ? 1 : 0))
            const [first, ...rest] = records(goal, from, from + it.length - 1).map((each) =>
              record(goal, each.sequence, { epoch, id: `${goal}:${it.writer}:${each.sequence}` })
            )
            if (first === undefined) throw new Error("no records")
            const result = yield* Effect.either(journal.append([first, ...rest]))
            const expected =
              epoch !== model.epoch
                ? "LeaseLost"
                : from > model.ids.length + 1 ||
                    [first, ...rest].some((each) => {
                      const there = model.ids[each.sequence - 1]
                      return there !== undefined && there !== each.id
                    })
                  ? "JournalConflict"
                  : "written"
            assert.strictEqual(Either.isLeft(result) ? result.left._tag : "written", expected)
            if (expected === "written") {
              for (const each of [first, ...rest]) {
                if (each.sequence <= model.ids.length) continue
                model.ids.push(each.id)
                model.epochs.push(epoch)
              }
            }
          }
          const stored = yield* journal.read(goalId)
          assert.deepStrictEqual(idsOf(stored), model.ids)
          assert.deepStrictEqual(
            stored.map(({ epoch }) => epoch),
            model.epochs
          )
          assert.deepStrictEqual(
            stored.map(({ sequence }) => sequence),
            model.ids.map((_, index) => index + 1)
          )
        }
      }).pipe(Effect.provide(stores()))
    )
  })
}

const operationsArbitrary = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("takeover" as const) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("append" as const),
        offset: fc.constantFrom(0, 0, 0, 0, -1, -2, 1),
        length: fc.integer({ min: 1, max: 4 }),
        writer: fc.constantFrom("a", "a", "a", "b"),
        stale: fc.constantFrom(false, false, false, false, true)
      })
    }
  ),
  { minLength: 1, maxLength: 25 }
)

for (const { available, name, open } of places) {
  describe.skipIf(!available)(`Two drivers on ${name}`, () => {
    it.scopedLive("do not both write: who lost the goal is told, and the journal has no hole", () =>
      Effect.gen(function* () {
        const { driver } = yield* open
        const drivers = yield* Effect.all([driver, driver])
        const goalId = goalIdOf(1)
        /** Takes the goal now and then, and appends to what it believes the journal is, until it loses. */
        const drive = (own: 0 | 1) =>
          Effect.gen(function* () {
            const journal = yield* Journal
            const goals = yield* GoalStore
            const written: Array<string> = []
            for (let round = 0; round < 15; round++) {
              const lease = yield* goals.acquire(goalId, `driver ${own}`, yield* goals.holder(goalId))
              if (Option.isNone(lease)) continue
              const { epoch } = lease.value
              const head = yield* journal.head(goalId)
              for (let next = head + 1; next <= head + 5; next++) {
                const result = yield* Effect.either(
                  journal.append([record(1, next, { epoch, id: `${own}:${epoch}:${next}` })])
                )
                if (Either.isLeft(result)) {
                  assert.strictEqual(result.left._tag, "LeaseLost")
                  break
                }
                written.push(`${own}:${epoch}:${next}`)
                yield* Effect.yieldNow()
              }
            }
            return written
          }).pipe(Effect.provide(drivers[own]))
        const [one, two] = yield* Effect.all([drive(0), drive(1)], { concurrency: 2 })
        const stored = yield* Effect.provide(
          Effect.flatMap(Journal, (journal) => journal.read(goalId)),
          drivers[0]
        )
        assert.deepStrictEqual(idsOf(stored).sort(), [...one, ...two].sort())
        assert.isAbove(one.length, 0)
        assert.isAbove(two.length, 0)
        // Tokens never go back.
        assert.deepStrictEqual(
          stored.map(({ epoch }) => epoch),
          stored.map(({ epoch }) => epoch).sort((a, b) => a - b)
        )
      })
    )

    it.scopedLive("one killed at any moment: what it was told is written is there, whole, and another goes on", () =>
      Effect.gen(function* () {
        const { address, driver } = yield* open
        const goalId = goalIdOf(1)
        yield* Effect.provide(take(goalId), yield* driver)
        yield* Effect.provide(
          Effect.flatMap(GoalStore, (goals) => goals.release({ goalId, epoch: 1 })),
          yield* driver
        )
        const program = fileURLToPath(new URL("../../../build/test-programs/store/appendForever.mjs", import.meta.url))
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => spawn(process.execPath, [program, address], { stdio: ["ignore", "pipe", "inherit"] })),
          (process) => Effect.sync(() => process.kill("SIGKILL"))
        )
        const told = yield* Effect.promise(async () => {
          let text = ""
          for await (const chunk of child.stdout) {
            text += chunk
            if (text.split("\n").length > 20) child.kill("SIGKILL")
          }
          return Number(text.split("\n").at(-2))
        })
        yield* Effect.gen(function* () {
          const journal = yield* Journal
          const outbox = yield* Outbox
          const stored = yield* journal.read(goalId)
          assert.isAtLeast(stored.length, told)
          assert.isAtLeast(told, 20)
          // Both records of an append, and the event's place in the outbox.
          assert.strictEqual(stored.length % 2, 0)
          assert.strictEqual(yield* outbox.count("nats"), stored.length / 2)
          assert.deepStrictEqual(
            stored.map(({ sequence }) => sequence),
            stored.map((_, index) => index + 1)
          )
          const { epoch } = yield* take(goalId, "another driver")
          assert.strictEqual(epoch, 3)
          yield* journal.append([record(1, stored.length + 1, { epoch })])
          const late = yield* Effect.flip(journal.append([record(1, stored.length + 2, { epoch: 2 })]))
          assert.instanceOf(late, LeaseLost)
        }).pipe(Effect.provide(yield* driver))
      })
    )

    it.scopedLive("read each other's records, and the outbox is one", () =>
      Effect.gen(function* () {
        const { driver } = yield* open
        const [one, two] = yield* Effect.all([driver, driver])
        yield* Effect.provide(
          Effect.flatMap(Journal, (journal) =>
            journal.append([record(1, 1), record(1, 2, { entry: event(goalIdOf(1)) })])
          ),
          one
        )
        yield* Effect.gen(function* () {
          assert.strictEqual(yield* (yield* Journal).head(goalIdOf(1)), 2)
          const outbox = yield* Outbox
          const [entry] = yield* outbox.pending("nats", 10)
          yield* outbox.delivered("nats", [entry?.position ?? 0])
        }).pipe(Effect.provide(two))
        assert.strictEqual(
          yield* Effect.provide(
            Effect.flatMap(Outbox, (outbox) => outbox.count("nats")),
            one
          ),
          0
        )
      })
    )
  })
}

for (const { available, database, name } of sqlBackends) {
  describe.skipIf(!available)(`A record in ${name}`, () => {
    const changed = (change: string) =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const sql = yield* SqlClient.SqlClient
        yield* journal.append([record(1, 1, { entry: event(goalIdOf(1)) })])
        yield* sql.unsafe(`UPDATE driver_journal SET ${change}`)
        const read = yield* Effect.flip(journal.read(goalIdOf(1)))
        const pending = yield* Effect.flip(Effect.flatMap(Outbox, (outbox) => outbox.pending("nats", 1)))
        assert.deepInclude(read, { _tag: "StoreError", operation: "Journal.read", retryable: false })
        assert.deepInclude(pending, { _tag: "StoreError", operation: "Outbox.pending", retryable: false })
        return read.message
      }).pipe(Effect.provide(Layer.provideMerge(Stores.layer({}, { consumers: ["nats"] }), database)))

    it.effect("of a newer driver is refused by name", () =>
      Effect.map(changed("version = 2"), (message) =>
        assert.strictEqual(
          message,
          `Journal.read failed: record 1 of goal ${goalIdOf(1)} was written by a newer driver ` +
            "(version 2, this one reads up to 1): use that driver"
        )
      )
    )

    it.effect("of another shape is an error that names it", () =>
      Effect.gen(function* () {
        assert.match(yield* changed(`entry = '{"kind":"maybe"}'`), /record 1 of goal [0-9a-f-]+ cannot be read/)
        assert.match(yield* changed("entry = '{'"), /record 1 of goal [0-9a-f-]+ cannot be read/)
        assert.match(yield* changed("at = 9000000000000000"), /has a column that is not ours/)
      })
    )
  })
}
