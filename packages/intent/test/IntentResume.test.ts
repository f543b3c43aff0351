/** An intent that is cut off, wherever that is, goes on where it was. */

import type { IntentId } from "@driver/intent/Directive"
import { GoalExecutor, RunGoals } from "@driver/intent/GoalExecutor"
import { Intent } from "@driver/intent/Intent"
import { AskedQuestions } from "@driver/intent/IntentModel"
import { isAccepted, TaskResult } from "@driver/intent/IntentResponse"
import { IntentStore, IntentStoreError } from "@driver/intent/IntentStore"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Ref, TestClock } from "effect"
import {
  badReview,
  crystallized,
  goodReview,
  pathLayer,
  surroundings,
  talk,
  task,
  unclear,
  whichColor
} from "./support/path.js"
import { includes, resultOf, sessionId } from "./support/values.js"

const asked = Effect.map(Effect.flatten(AskedQuestions), (all) => all.map(({ ask }) => ask))

/** The store of the test, on which the process ends right behind its n-th write, counted from 1. */
const endingAfter = (writes: number) =>
  Layer.effect(
    IntentStore,
    Effect.gen(function* () {
      const store = yield* IntentStore
      const left = yield* Ref.make(writes)
      const counted = <A, E>(write: Effect.Effect<A, E>) =>
        Effect.flatMap(write, (value) =>
          Effect.flatMap(
            Ref.updateAndGet(left, (n) => n - 1),
            (n) => (n === 0 ? Effect.interrupt : Effect.succeed(value))
          )
        )
      return {
        ...store,
        append: (record) => counted(store.append(record)),
        commit: (change) => counted(store.commit(change))
      }
    })
  )

const secondLife = Effect.gen(function* () {
  const intent = yield* Intent
  return yield* intent.resume(sessionId)
}).pipe(Effect.provide(Intent.layer()))

/** Hands the message in, and ends the process behind the n-th write. */
const cutOff = (writes: number, message: string) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(
      Effect.flatMap(Intent, (intent) => intent.handle(message, { sessionId })).pipe(
        Effect.provide(Intent.layer().pipe(Layer.provide(endingAfter(writes))))
      )
    )
    assert.isTrue(Exit.isInterrupted(exit))
  })

const world = (model: Parameters<typeof surroundings>[0]["model"]) =>
  surroundings({ ...(model === undefined ? {} : { model }) }).pipe(Layer.provideMerge(IntentStore.layerMemory))

describe("an intent that is cut off", () => {
  // Received, the session, eight records more, the session.
  const writes = [2, 3, 4, 5, 6, 7, 8, 9, 10]

  for (const write of writes) {
    it.effect(`goes on behind write ${write} and asks, runs and pays nothing twice`, () =>
      Effect.gen(function* () {
        yield* cutOff(write, "please add a greeting")
        const result = yield* secondLife
        assert.instanceOf(result, TaskResult)
        if (!(result instanceof TaskResult)) return
        assert.isTrue(isAccepted(result))
        assert.strictEqual(result.cost.modelCalls.length, 3)
        assert.strictEqual(result.cost.runs.length, 1)
        assert.deepStrictEqual(yield* asked, ["assess", "crystallize", "review"])
        const ran = yield* Effect.flatten(RunGoals)
        assert.strictEqual(new Set(ran.map(({ goal }) => goal.id)).size, 1)
        const store = yield* IntentStore
        const session = Option.getOrThrow(yield* store.session(sessionId))
        assert.deepStrictEqual(session.activeIntent, Option.none())
        assert.deepStrictEqual(
          (yield* store.messages(sessionId, 10)).map(({ role }) => role),
          ["user", "agent"]
        )
      }).pipe(
        Effect.provide(world({ assess: [task("substantial")], crystallize: [crystallized()], review: [goodReview] }))
      )
    )
  }

  it.effect("does so between the runs of a retry, too", () =>
    Effect.gen(function* () {
      // Behind the second `RunStarted`.
      yield* cutOff(10, "please add a greeting")
      yield* secondLife
      assert.deepStrictEqual(yield* asked, ["assess", "crystallize", "review", "review"])
      assert.strictEqual((yield* Effect.flatten(RunGoals)).length, 2)
    }).pipe(
      Effect.provide(
        world({
          assess: [task("substantial")],
          crystallize: [crystallized()],
          review: [badReview(0.2, "more"), goodReview]
        })
      )
    )
  )

  it.effect("has left nothing behind the first write, when the session does not know it yet", () =>
    Effect.gen(function* () {
      yield* cutOff(1, "please add a greeting")
      assert.strictEqual((yield* Effect.flip(secondLife))._tag, "NothingToResume")
      assert.deepStrictEqual(yield* asked, [])
    }).pipe(Effect.provide(world({ assess: [task("trivial")] })))
  )

  it.effect("keeps its questions open when it was cut off right behind them", () =>
    Effect.gen(function* () {
      // Received, the session, Assessed, Finished.
      yield* cutOff(4, "paint it")
      assert.strictEqual((yield* secondLife)._tag, "ClarifyResponse")
      const session = Option.getOrThrow(yield* Effect.flatMap(IntentStore, (store) => store.session(sessionId)))
      assert.strictEqual(Option.getOrThrow(session.open).questions[0].id, whichColor.id)
      assert.deepStrictEqual(yield* asked, ["assess"])
    }).pipe(Effect.provide(world({ assess: [unclear(whichColor)] })))
  )

  const texts = Effect.flatMap(IntentStore, (store) =>
    Effect.map(store.messages(sessionId, 10), (messages) => messages.map(({ text }) => text))
  )
  const again = (message: string) =>
    Effect.flatMap(Intent, (intent) => intent.handle(message, { sessionId })).pipe(Effect.provide(Intent.layer()))

  it.effect("is gone on with when the same message comes again", () =>
    Effect.gen(function* () {
      yield* cutOff(3, "hello")
      includes(yield* again("hello"), { _tag: "Reply", text: "hi" })
      assert.deepStrictEqual(yield* texts, ["hello", "hi"])
      assert.deepStrictEqual(yield* asked, ["assess"])
    }).pipe(Effect.provide(world({ assess: [talk("hi")] })))
  )

  it.effect("is abandoned when another message comes, which is all that is answered then", () =>
    Effect.gen(function* () {
      yield* cutOff(3, "hello")
      includes(yield* again("bye"), { _tag: "Reply", text: "see you" })
      assert.deepStrictEqual(yield* texts, ["hello", "bye", "see you"])
    }).pipe(Effect.provide(world({ assess: [talk("hi"), talk("see you")] })))
  )

  it.effect("keeps an answer that the session did not know of yet when another message comes", () =>
    Effect.gen(function* () {
      yield* cutOff(4, "hello")
      includes(yield* again("bye"), { _tag: "Reply", text: "see you" })
      assert.deepStrictEqual(yield* texts, ["hello", "hi", "bye", "see you"])
    }).pipe(Effect.provide(world({ assess: [talk("hi"), talk("see you")] })))
  )
})

/** A run that begins, says so, and does not end before it is told to. */
const slowRuns = Layer.effectContext(
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const end = yield* Deferred.make<void>()
    return Context.make(GoalExecutor, {
      run: (goal) =>
        Deferred.succeed(begun, undefined).pipe(
          Effect.andThen(Deferred.await(end)),
          Effect.as(resultOf({ goalId: goal.id, diff: "+x" }))
        )
    }).pipe(Context.add(SlowRun, { begun: Deferred.await(begun), end: Deferred.succeed(end, undefined) }))
  })
)

class SlowRun extends Context.Tag("SlowRun")<
  SlowRun,
  { readonly begun: Effect.Effect<void>; readonly end: Effect.Effect<boolean> }
>() {}

const slowPath = Intent.layer().pipe(
  Layer.provideMerge(slowRuns),
  Layer.provideMerge(surroundings({ model: { assess: [task("trivial"), talk("hi")] } })),
  Layer.provideMerge(IntentStore.layerMemory)
)

const activeIntent = Effect.flatMap(IntentStore, (store) =>
  Effect.map(store.session(sessionId), (session) => Option.getOrThrow(Option.getOrThrow(session).activeIntent))
)

const recordsOf = (id: IntentId) =>
  Effect.flatMap(IntentStore, (store) =>
    Effect.map(store.records(id), (records) => records.map(({ record }) => record._tag))
  )

describe("Intent", () => {
  it.effect("writes down what a phase has come to, although it is interrupted meanwhile", () =>
    Effect.gen(function* () {
      const writing = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const slowly = Layer.effect(
        IntentStore,
        Effect.map(IntentStore, (store) => ({
          ...store,
          append: (it) =>
            it.record._tag === "RunEnded"
              ? Deferred.succeed(writing, undefined).pipe(
                  Effect.zipRight(Deferred.await(go)),
                  Effect.zipRight(store.append(it))
                )
              : store.append(it)
        }))
      )
      const intent = yield* Intent.pipe(Effect.provide(Intent.layer().pipe(Layer.provide(slowly))))
      const fiber = yield* Effect.fork(intent.handle("rename a to b", { sessionId }))
      yield* Deferred.await(writing)
      const interrupted = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(interrupted)
      assert.strictEqual((yield* recordsOf(yield* activeIntent)).at(-1), "RunEnded")
      yield* secondLife
      assert.strictEqual((yield* Effect.flatten(RunGoals)).length, 1)
    }).pipe(Effect.provide(world({ assess: [task("trivial")] })))
  )

  it.effect("lets only the last who went on with an intent write to it", () =>
    Effect.gen(function* () {
      const intent = yield* Intent
      const slow = yield* SlowRun
      const fiber = yield* Effect.fork(intent.handle("rename a to b", { sessionId }))
      yield* slow.begun
      const id = yield* activeIntent
      const second = yield* Effect.fork(intent.resume(sessionId))
      while ((yield* recordsOf(id)).at(-1) !== "Resumed") yield* Effect.yieldNow()
      yield* slow.end
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "IntentConflict")
      assert.strictEqual((yield* Fiber.join(second))._tag, "TaskResult")
      assert.strictEqual((yield* recordsOf(id)).filter((it) => it === "RunEnded").length, 1)
    }).pipe(Effect.provide(slowPath))
  )

  it.effect("leaves the session consistent when it is interrupted in the middle of a run", () =>
    Effect.gen(function* () {
      const intent = yield* Intent
      const slow = yield* SlowRun
      const fiber = yield* Effect.fork(intent.handle("rename a to b", { sessionId }))
      yield* slow.begun
      yield* Fiber.interrupt(fiber)
      const store = yield* IntentStore
      const session = Option.getOrThrow(yield* store.session(sessionId))
      assert.isTrue(Option.isSome(session.activeIntent))
      const records = yield* store.records(Option.getOrThrow(session.activeIntent))
      assert.strictEqual(records.at(-1)?.record._tag, "RunStarted")
      yield* slow.end
      assert.strictEqual((yield* intent.resume(sessionId))._tag, "TaskResult")
      assert.deepStrictEqual(yield* asked, ["assess"])
    }).pipe(Effect.provide(slowPath))
  )

  it.effect("stops an intent that another message has taken the place of", () =>
    Effect.gen(function* () {
      const intent = yield* Intent
      const slow = yield* SlowRun
      const fiber = yield* Effect.fork(intent.handle("rename a to b", { sessionId }))
      yield* slow.begun
      const first = yield* activeIntent
      assert.strictEqual((yield* intent.handle("hello", { sessionId }))._tag, "Reply")
      yield* slow.end
      const exit = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(exit._tag, "IntentConflict")
      assert.deepStrictEqual((yield* recordsOf(first)).slice(-2), ["RunStarted", "Abandoned"])
      const messages = yield* Effect.flatMap(IntentStore, (store) => store.messages(sessionId, 10))
      // The message without an answer is kept.
      assert.deepStrictEqual(
        messages.map(({ text }) => text),
        ["rename a to b", "hello", "hi"]
      )
    }).pipe(Effect.provide(slowPath))
  )

  it.effect("lets one of two messages through that come to a session at once", () =>
    Effect.gen(function* () {
      const intent = yield* Intent
      const answers = yield* Effect.forEach(
        ["one", "two"],
        (message) => Effect.either(intent.handle(message, { sessionId })),
        { concurrency: "unbounded" }
      )
      assert.isAtLeast(answers.filter(({ _tag }) => _tag === "Right").length, 1)
      for (const answer of answers) if (answer._tag === "Left") assert.strictEqual(answer.left._tag, "IntentConflict")
      const messages = yield* Effect.flatMap(IntentStore, (store) => store.messages(sessionId, 10))
      const users = messages.filter(({ role }) => role === "user").length
      assert.strictEqual(users, answers.filter(({ _tag }) => _tag === "Right").length)
    }).pipe(Effect.provide(pathLayer({ model: { assess: [talk("hi"), talk("hi")] } })))
  )

  it.effect("asks a store that is busy again, and fails with its error when it stays busy", () =>
    Effect.gen(function* () {
      const busy = (times: number) =>
        Layer.effect(
          IntentStore,
          Effect.gen(function* () {
            const store = yield* IntentStore
            const left = yield* Ref.make(times)
            const error = new IntentStoreError({ operation: "IntentStore.append", detail: "busy", retryable: true })
            return {
              ...store,
              append: (record) =>
                Effect.flatMap(
                  Ref.getAndUpdate(left, (n) => n - 1),
                  (n) => (n > 0 ? Effect.fail(error) : store.append(record))
                )
            }
          })
        )
      const handled = (times: number) =>
        Effect.flatMap(Intent, (intent) => intent.handle("hello", { sessionId })).pipe(
          Effect.provide(Intent.layer().pipe(Layer.provide(busy(times)))),
          Effect.either,
          Effect.fork,
          Effect.tap(() => Effect.forEach([1, 2, 3, 4, 5, 6], () => Effect.yieldNow())),
          Effect.flatMap((fiber) => Effect.zipRight(TestClock.adjust("1 minute"), Fiber.join(fiber)))
        )
      assert.strictEqual((yield* handled(2))._tag, "Right")
      const failed = yield* handled(50)
      assert.strictEqual(failed._tag === "Left" ? failed.left._tag : "", "IntentStoreError")
    }).pipe(Effect.provide(world({ assess: [talk("hi")] })))
  )
})
