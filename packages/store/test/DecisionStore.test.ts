import { ChoiceAllow, ChoiceDeny, ChoiceObserve } from "@driver/domain/Permission"
import { wordsOf } from "@driver/domain/Words"
import { DecisionStore, wordsOfDecision } from "@driver/runtime/DecisionStore"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, FastCheck as fc } from "effect"
import { backends, memory } from "./support/backends.js"
import { anyText, awkward, decision, decisionIdOf, goalIdOf, sampled } from "./support/values.js"

const ids = (found: ReadonlyArray<{ readonly id: string }>) => found.map(({ id }) => id)

for (const { available, name, stores } of backends) {
  describe.skipIf(!available)(`DecisionStore on ${name}`, () => {
    it.effect("gives a goal's decisions back in full, oldest first", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        const decisions = [
          decision(1, { choice: new ChoiceAllow() }),
          decision(2, { choice: new ChoiceDeny({ message: "use the edit tool" }), tool: "Write" }),
          decision(3, { choice: new ChoiceObserve({ note: "a shadow" }), input: {}, turn: 0 }),
          decision(4, { input: { nested: [{ a: null }, true, 1.5, "ż"], __proto__x: { "": 0 } } })
        ]
        // The same moment: as recorded. Another goal's: not here.
        const sameTime = decision(5, { decidedAt: DateTime.unsafeMake(1_700_000_000_004) })
        for (const each of [decisions[3], sameTime, ...decisions.slice(0, 3)]) if (each) yield* store.record(each)
        yield* store.record(decision(6, { goalId: goalIdOf(2) }))
        assert.deepStrictEqual(yield* store.list(goalIdOf(1)), [...decisions, sameTime])
        assert.deepStrictEqual(yield* store.list(goalIdOf(3)), [])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("records a decision once", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        yield* store.record(decision(1))
        yield* store.record(decision(1, { rationale: "changed", goalId: goalIdOf(2) }))
        assert.deepStrictEqual(yield* store.list(goalIdOf(1)), [decision(1)])
        assert.deepStrictEqual(yield* store.list(goalIdOf(2)), [])
        assert.deepStrictEqual(yield* store.recall({ tool: "Bash", text: "changed", limit: 5 }), [])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("recalls what shares most words first, then the latest, of this tool", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        yield* store.record(decision(1, { input: { command: "git push --force origin main" } }))
        yield* store.record(decision(2, { input: { command: "git status" } }))
        yield* store.record(decision(3, { input: { command: "npm test" } }))
        yield* store.record(decision(4, { input: { command: "git push" }, goalId: goalIdOf(2) }))
        yield* store.record(decision(5, { input: { path: "git push" }, tool: "Write" }))
        yield* store.record(decision(6, { input: { command: "ls" }, rationale: "Never PUSH to Origin" }))
        const recall = (text: string, limit = 10) => store.recall({ tool: "Bash", text, limit })
        assert.deepStrictEqual(ids(yield* recall("git push origin")), [1, 6, 4, 2].map(decisionIdOf))
        assert.deepStrictEqual(ids(yield* recall("Git, push; ORIGIN!", 2)), [1, 6].map(decisionIdOf))
        assert.deepStrictEqual(yield* recall("cargo build"), [])
        assert.deepStrictEqual(yield* recall("gi"), [])
        for (const none of [0, -1, Number.NaN]) assert.deepStrictEqual(yield* recall("git", none), [])
        assert.strictEqual((yield* recall("git", Number.POSITIVE_INFINITY)).length, 3)
        assert.deepStrictEqual(
          ids(yield* store.recall({ tool: "Bash", text: "git push", goalId: goalIdOf(2), limit: 5 })),
          [decisionIdOf(4)]
        )
        assert.deepStrictEqual((yield* recall("status"))[0], decision(2, { input: { command: "git status" } }))
      }).pipe(Effect.provide(stores()))
    )

    it.effect("finds words of every script", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        const texts = [
          "Zażółć gęślą",
          "修复登录错误",
          "Исправить ошибку",
          "हिन्दी में पाठ",
          "ΣΊΣΥΦΟΣ",
          "straße 42",
          "cafe\u0301"
        ]
        const queries = ["ZAŻÓŁĆ", "登录", "исправить", "हिन्दी", "σίσυφος", "STRASSE 42", "café"]
        for (const [n, text] of texts.entries()) yield* store.record(decision(n, { input: { text } }))
        for (const [n, text] of queries.entries()) {
          assert.deepStrictEqual(
            ids(yield* store.recall({ tool: "Bash", text, limit: 1 })),
            [decisionIdOf(n)],
            `${text} finds ${texts[n]}`
          )
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("takes any text in a query and answers as the memory does", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        const reference = yield* Effect.provide(DecisionStore, memory.stores())
        const texts = sampled(anyText, 200)
        for (const [n, text] of texts.entries()) {
          const each = decision(n, { input: { text }, rationale: texts[(n * 7) % texts.length] ?? "" })
          yield* store.record(each)
          yield* reference.record(each)
        }
        for (const text of [...awkward, ...texts, texts.join(" ")]) {
          for (const goalId of [undefined, goalIdOf(1)]) {
            const query = { tool: "Bash", text, limit: 5, ...(goalId === undefined ? {} : { goalId }) }
            assert.deepStrictEqual(yield* store.recall(query), yield* reference.recall(query), JSON.stringify(text))
          }
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps any input, tool and rationale as it is", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        const inputs = sampled(fc.dictionary(anyText, fc.oneof(anyText, fc.jsonValue({ maxDepth: 3 }))), 150)
        for (const [n, input] of inputs.entries()) {
          const text = awkward[n % awkward.length] ?? ""
          // As it would arrive: JSON knows no -0 and no special keys.
          const each = decision(n, {
            goalId: goalIdOf(n),
            input: JSON.parse(JSON.stringify(input)),
            tool: `T${text}`,
            rationale: text,
            choice: new ChoiceDeny({ message: `no ${text}` })
          })
          yield* store.record(each)
          assert.deepStrictEqual(yield* store.list(goalIdOf(n)), [each])
        }
      }).pipe(Effect.provide(stores()))
    )

    it.effect("keeps an input of 3 MB in full and finds it by its beginning and its rationale", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        const content = `beginning ${"żółw \u0000 lorem ipsum\n".repeat(160_000)} needle`
        const large = decision(1, {
          tool: "Write",
          input: { content, file_path: "/w/large.txt" },
          rationale: `${"r".repeat(100)} inside`
        })
        assert.isAbove(content.length, 3_000_000)
        yield* store.record(large)
        assert.deepStrictEqual(yield* store.list(goalIdOf(1)), [large])
        for (const text of ["beginning", "inside"]) {
          assert.deepStrictEqual(ids(yield* store.recall({ tool: "Write", text, limit: 3 })), [large.id])
        }
        assert.deepStrictEqual(yield* store.recall({ tool: "Write", text: "needle", limit: 3 }), [])
      }).pipe(Effect.provide(stores()))
    )

    it.effect("is exact among hundreds of decisions that share a word", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        yield* store.record(decision(1_000, { input: { command: "git rebase interactive autosquash" } }))
        for (let n = 1; n <= 400; n++) yield* store.record(decision(n, { input: { command: `git commit ${n}` } }))
        assert.deepStrictEqual(ids(yield* store.recall({ tool: "Bash", text: "git rebase autosquash", limit: 1 })), [
          decisionIdOf(1_000)
        ])
        assert.strictEqual((yield* store.recall({ tool: "Bash", text: "git", limit: 300 })).length, 300)
      }).pipe(Effect.provide(stores()))
    )

    it.effect("records concurrently without loss", () =>
      Effect.gen(function* () {
        const store = yield* DecisionStore
        const all = Array.from({ length: 50 }, (_, n) => decision(n))
        yield* Effect.forEach([...all, ...all], (each) => store.record(each), { concurrency: "unbounded" })
        assert.strictEqual((yield* store.list(goalIdOf(1))).length, 50)
      }).pipe(Effect.provide(stores()))
    )

    if (name !== "memory") {
      it.effect("fails, and does not die, on an input that is not JSON", () =>
        Effect.gen(function* () {
          const store = yield* DecisionStore
          const cyclic: Record<string, unknown> = {}
          cyclic["self"] = cyclic
          for (const input of [{ big: 1n }, cyclic]) {
            const error = yield* Effect.flip(store.record(decision(1, { input })))
            assert.deepInclude(error, { operation: "DecisionStore.record", retryable: false })
          }
        }).pipe(Effect.provide(stores()))
      )
    }
  })
}

describe("Words.wordsOf", () => {
  it("gives distinct lower-case words without punctuation, bounded in length and number", () => {
    assert.deepStrictEqual(wordsOf("Rm -rf /tmp/Foo_bar; rm"), ["rm", "rf", "tmp", "foo", "bar"])
    assert.deepStrictEqual(wordsOf("登录x"), ["登", "录", "x"])
    assert.deepStrictEqual(wordsOf("𝒳".repeat(1)), ["x"])
    assert.isAtMost(wordsOf("𐐀".repeat(500))[0]?.length ?? 0, 64)
    assert.strictEqual(wordsOf(Array.from({ length: 500 }, (_, n) => `w${n}`).join(" ")).length, 64)
  })

  it("are letters, digits and marks only, whatever the text", () => {
    for (const text of sampled(anyText, 500)) {
      for (const word of wordsOf(text)) assert.match(word, /^[\p{L}\p{N}\p{M}]+$/u)
    }
  })

  it("are not hidden by one long field of the input", () => {
    const words = wordsOfDecision(
      decision(1, { input: { content: { deep: "lorem ".repeat(100_000) }, path: "here.txt" } })
    )
    assert.includeMembers([...words], ["here", "txt", "lorem"])
  })
})
