/** What every `IntentStore` does: run on memory here, on databases where their layers are. */
import {
  Answer,
  Clarify,
  Conversation,
  Directive,
  IntentContext,
  IntentSessionId,
  JudgedCriterion,
  Question,
  QuestionOption,
  ReviewVerdict,
  Task
} from "@driver/intent/Directive"
import { ExecEnv } from "@driver/intent/ExecEnv"
import * as Records from "@driver/intent/IntentRecord"
import { costOf, Reply } from "@driver/intent/IntentResponse"
import { IntentConflict, IntentStore, type IntentStoreError, Session, SessionMessage } from "@driver/intent/IntentStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, type Layer, Option } from "effect"
import { at, intentIdOf, resultOf, sessionId } from "./values.js"

const newSession = (id = sessionId, millis = 1_000) =>
  new Session({ id, revision: 0, createdAt: at(millis), updatedAt: at(millis) })

const message = (role: "user" | "agent", text: string, n = 1) =>
  new SessionMessage({ role, text, at: at(1_000), intentId: intentIdOf(n) })

const question = new Question({
  id: "color",
  text: "¿Qué color? 🎨",
  kind: "single_choice",
  options: [new QuestionOption({ value: "red", label: "rojo" }), new QuestionOption({ value: "blue", label: "azul" })]
})

const received = new Records.Received({
  message: "mach es\nblau 🟦",
  answers: [new Answer({ question: "color", value: "blue" })],
  context: new IntentContext({ sessionId }),
  open: Option.some(new Records.OpenClarification({ request: "mach es", questions: [question], round: 1 }))
})

/** One of each kind that is cheap to make. */
const someRecords: ReadonlyArray<Records.IntentRecord> = [
  received,
  new Records.Assessed({ assessment: new Task({ scope: "substantial" }), request: "r", followUp: "answer" }),
  new Records.Assessed({ assessment: new Conversation({ reply: "hi" }), request: "r", followUp: "none" }),
  new Records.Assessed({ assessment: new Clarify({ questions: [question] }), request: "r", followUp: "new_topic" }),
  new Records.Crystallized({
    directive: new Directive({
      goal: "g",
      originalRequest: "r",
      acceptanceCriteria: [new JudgedCriterion({ statement: "it is blue" })],
      outputSchema: Option.some({ type: "object" })
    })
  }),
  new Records.EnvironmentResolved({ env: ExecEnv.empty }),
  new Records.RunEnded({ result: resultOf({ diff: "+ü", acceptance: [{ passed: true }] }) }),
  new Records.Reviewed({
    verdict: new ReviewVerdict({ passed: false, score: 0.25, gaps: ["more"], by: "mechanical" })
  }),
  new Records.Resumed(),
  new Records.Abandoned({ reason: "no longer wanted" }),
  new Records.Finished({
    response: new Reply({ intentId: intentIdOf(1), sessionId, cost: costOf([], []), text: "hi" })
  })
]

const stored = (n: number, sequence: number, record: Records.IntentRecord) =>
  new Records.StoredIntentRecord({ intentId: intentIdOf(n), sequence, at: at(1_000 + sequence), record })

const isConflict = (result: Either.Either<unknown, IntentConflict | IntentStoreError>) =>
  Either.isLeft(result) && result.left instanceof IntentConflict

/** `layer` gives an empty store with every build. */
export const intentStoreContract = <E>(
  name: string,
  layer: () => Layer.Layer<IntentStore, E>,
  options: { readonly available?: boolean } = {}
): unknown =>
  describe.skipIf(options.available === false)(`IntentStore on ${name}`, () => {
    it.effect("knows nothing at first", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        assert.deepStrictEqual(yield* store.session(sessionId), Option.none())
        assert.deepStrictEqual(yield* store.messages(sessionId, 10), [])
        assert.deepStrictEqual(yield* store.records(intentIdOf(1)), [])
        assert.deepStrictEqual(yield* store.sessions, [])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("gives back a session as it was committed, one revision on", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        const session = new Session({
          ...newSession(),
          open: Option.some(new Records.OpenClarification({ request: "mach es", questions: [question], round: 2 })),
          activeIntent: Option.some(intentIdOf(1)),
          activeDirective: Option.some(Directive.fromMessage("mach es"))
        })
        const first = yield* store.commit({ session, messages: [message("user", "mach es")] })
        assert.deepStrictEqual(first, new Session({ ...session, revision: 1 }))
        assert.deepStrictEqual(yield* store.session(sessionId), Option.some(first))
        const second = yield* store.commit({
          session: new Session({ ...first, updatedAt: at(2_000), open: Option.none(), activeIntent: Option.none() }),
          messages: []
        })
        assert.strictEqual(second.revision, 2)
        assert.deepStrictEqual(yield* store.session(sessionId), Option.some(second))
      }).pipe(Effect.provide(layer()))
    )

    it.effect("keeps messages in their order, verbatim, and gives the last of them", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        const texts = ["eins\n\ttwo", "„drei“ 🟦", "", "four"]
        const first = yield* store.commit({
          session: newSession(),
          messages: texts.slice(0, 3).map((text) => message("user", text))
        })
        yield* store.commit({ session: first, messages: [message("agent", "four", 2)] })
        const all = yield* store.messages(sessionId, 10)
        assert.deepStrictEqual(
          all.map(({ text }) => text),
          texts
        )
        assert.deepStrictEqual(all[3], message("agent", "four", 2))
        assert.deepStrictEqual(yield* store.messages(sessionId, 2), all.slice(2))
        assert.deepStrictEqual(yield* store.messages(sessionId, 0), [])
        assert.deepStrictEqual(yield* store.messages(IntentSessionId.make("other"), 10), [])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("refuses a change by someone who has not seen the last one, and then changes nothing", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        const first = yield* store.commit({ session: newSession(), messages: [message("user", "one")] })
        const stale = yield* Effect.either(store.commit({ session: newSession(), messages: [message("user", "two")] }))
        const early = yield* Effect.either(
          store.commit({
            session: new Session({ ...newSession(IntentSessionId.make("new")), revision: 3 }),
            messages: []
          })
        )
        assert.isTrue(isConflict(stale))
        assert.isTrue(isConflict(early))
        assert.deepStrictEqual(yield* store.session(sessionId), Option.some(first))
        assert.deepStrictEqual(yield* store.session(IntentSessionId.make("new")), Option.none())
        assert.strictEqual((yield* store.messages(sessionId, 10)).length, 1)
      }).pipe(Effect.provide(layer()))
    )

    it.effect("lets one of several who commit at once through", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        const results = yield* Effect.forEach(
          [1, 2, 3, 4],
          (n) => Effect.either(store.commit({ session: newSession(), messages: [message("user", `${n}`)] })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(results.filter(Either.isRight).length, 1)
        assert.strictEqual(results.filter(isConflict).length, 3)
        assert.strictEqual((yield* store.messages(sessionId, 10)).length, 1)
      }).pipe(Effect.provide(layer()))
    )

    it.effect("lists sessions, the latest change first", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        for (const [id, millis] of [
          ["a", 2_000],
          ["b", 3_000],
          ["c", 1_000]
        ] as const) {
          yield* store.commit({ session: newSession(IntentSessionId.make(id), millis), messages: [] })
        }
        assert.deepStrictEqual(
          (yield* store.sessions).map(({ id }) => String(id)),
          ["b", "a", "c"]
        )
      }).pipe(Effect.provide(layer()))
    )

    it.effect("gives back the records of an intent as they were appended, apart from those of others", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        const records = someRecords.map((record, index) => stored(1, index, record))
        for (const record of records) yield* store.append(record)
        yield* store.append(stored(2, 0, received))
        assert.deepStrictEqual(yield* store.records(intentIdOf(1)), records)
        assert.deepStrictEqual(yield* store.records(intentIdOf(2)), [stored(2, 0, received)])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("gives each place of a journal once, and leaves no gap", () =>
      Effect.gen(function* () {
        const store = yield* IntentStore
        yield* store.append(stored(1, 0, received))
        assert.isTrue(isConflict(yield* Effect.either(store.append(stored(1, 0, new Records.Resumed())))))
        assert.isTrue(isConflict(yield* Effect.either(store.append(stored(1, 2, new Records.Resumed())))))
        const race = yield* Effect.forEach(
          ["a", "b", "c"],
          (reason) => Effect.either(store.append(stored(1, 1, new Records.Abandoned({ reason })))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(race.filter(Either.isRight).length, 1)
        assert.strictEqual(race.filter(isConflict).length, 2)
        assert.strictEqual((yield* store.records(intentIdOf(1))).length, 2)
      }).pipe(Effect.provide(layer()))
    )
  })
