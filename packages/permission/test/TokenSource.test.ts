import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck } from "effect"
import { sameSecret, TokenSource } from "../src/TokenSource.js"

describe("TokenSource", () => {
  it.effect("gives tokens of 256 bits and ids that are UUIDs, no two the same", () =>
    Effect.gen(function* () {
      const { decisionId, token } = yield* TokenSource
      const tokens = yield* Effect.replicateEffect(token, 200)
      const ids = yield* Effect.replicateEffect(decisionId, 200)
      for (const it of tokens) assert.match(it, /^[0-9a-f]{64}$/)
      assert.strictEqual(new Set([...tokens, ...ids]).size, 400)
    })
  )

  it("compares secrets like ===", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string(), FastCheck.string({ minLength: 1 }), (presented, secret) => {
        assert.strictEqual(sameSecret(presented, secret), presented === secret)
        assert.isTrue(sameSecret(secret, secret))
        assert.isFalse(sameSecret(`${secret}${secret}`, secret))
        assert.isFalse(sameSecret(secret.slice(1), secret))
      })
    )
    assert.isFalse(sameSecret("", "x"))
  })
})
