import { AllowSession } from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Option } from "effect"
import * as SessionCache from "../src/SessionCache.js"

const answer = (scope: "turn" | "session", rationale = "because") => new AllowSession({ scope, rationale })

type Step =
  | { readonly do: "remember"; readonly key: string; readonly scope: "turn" | "session" }
  | { readonly do: "lookup"; readonly key: string }
  | { readonly do: "startTurn" }
  | { readonly do: "startSession" }

const key = FastCheck.constantFrom("a", "b", "c", "d", "e", "f")
const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  FastCheck.record({
    do: FastCheck.constant("remember" as const),
    key,
    scope: FastCheck.constantFrom("turn" as const, "session" as const)
  }),
  FastCheck.record({ do: FastCheck.constant("lookup" as const), key }),
  FastCheck.record({ do: FastCheck.constant("startTurn" as const) }),
  FastCheck.record({ do: FastCheck.constant("startSession" as const) })
)

describe("SessionCache", () => {
  it("behaves like a list in which the last used stands last", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(step, { maxLength: 60 }),
        FastCheck.integer({ min: 1, max: 4 }),
        (steps, capacity) => {
          let cache = SessionCache.empty(capacity)
          let model: ReadonlyArray<readonly [string, AllowSession]> = []
          const without = (name: string) => model.filter(([it]) => it !== name)
          for (const [index, it] of steps.entries()) {
            switch (it.do) {
              case "remember": {
                const outcome = answer(it.scope, String(index))
                cache = SessionCache.remember(cache, it.key, outcome)
                model = [...without(it.key), [it.key, outcome] as const].slice(-capacity)
                break
              }
              case "lookup": {
                const expected = model.find(([name]) => name === it.key)
                const [found, next] = SessionCache.lookup(cache, it.key)
                cache = next
                assert.strictEqual(Option.getOrUndefined(found), expected?.[1])
                if (expected !== undefined) model = [...without(it.key), expected]
                break
              }
              case "startTurn":
                cache = SessionCache.startTurn(cache)
                model = model.filter(([, { scope }]) => scope === "session")
                break
              case "startSession":
                cache = SessionCache.startSession(cache)
                model = []
            }
            assert.strictEqual(SessionCache.isEmpty(cache), model.length === 0)
          }
          for (const [name, outcome] of model) {
            assert.strictEqual(Option.getOrUndefined(SessionCache.lookup(cache, name)[0]), outcome)
          }
        }
      )
    )
  })

  it.effect("gives the same key whatever the order of the input's keys", () =>
    Effect.gen(function* () {
      const one = yield* SessionCache.keyOf("Write", { a: 1, b: { c: [1, { d: 2, e: 3 }], f: "x" } })
      const other = yield* SessionCache.keyOf("Write", { b: { f: "x", c: [1, { e: 3, d: 2 }] }, a: 1 })
      assert.strictEqual(one, other)
      assert.match(one, /^[0-9a-f]{64}$/)
    })
  )

  it.effect("gives different keys to different calls", () =>
    Effect.gen(function* () {
      const keys = yield* Effect.forEach(
        [
          ["Write", { a: 1 }],
          ["Edit", { a: 1 }],
          ["Write", { a: "1" }],
          ["Write", { a: [1] }],
          ["Write", { a: { 0: 1 } }],
          ["Write", { b: 1 }],
          ["Write", { a: 1, b: null }],
          ["Write", { 'a":1,"b': 1 }],
          ['Write",{"a":1},"', {}]
        ] as const,
        ([tool, input]) => SessionCache.keyOf(tool, input)
      )
      assert.strictEqual(new Set(keys).size, keys.length)
    })
  )
})
