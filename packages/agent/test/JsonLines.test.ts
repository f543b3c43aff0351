import * as JsonLines from "@driver/agent/JsonLines"
import { describe, it } from "@effect/vitest"
import { Chunk, Effect, FastCheck as fc, identity, Option, Ref, Stream } from "effect"
import { assert } from "./support/assert.js"

const encoder = new TextEncoder()

/** The values that came before the end, and the error when there was one. */
const run = (blocks: ReadonlyArray<string | Uint8Array>, maxLineBytes = 1_000) =>
  Effect.gen(function* () {
    const values = yield* Ref.make<ReadonlyArray<unknown>>([])
    const error = yield* Stream.fromIterable(blocks).pipe(
      Stream.map((block) => (typeof block === "string" ? encoder.encode(block) : block)),
      // One block per chunk, as a pipe delivers them.
      Stream.rechunk(1),
      JsonLines.decode({ maxLineBytes, read: identity }),
      Stream.runForEach((value) => Ref.update(values, (all) => [...all, value])),
      Effect.match({ onFailure: (e) => Option.some(e), onSuccess: () => Option.none() })
    )
    return { values: yield* Ref.get(values), error }
  })

const none = Option.none<JsonLines.JsonLinesError>()

describe("JsonLines", () => {
  it.effect("gives the values of lines, however they are cut into blocks", () =>
    Effect.gen(function* () {
      const expected = { values: [{ a: 1 }, { b: "x" }], error: none }
      assert.deepStrictEqual(yield* run(['{"a":1}\n{"b":"x"}\n']), expected)
      assert.deepStrictEqual(yield* run(['{"a"', ":1", "}\n", '{"b":"x"}', "\n"]), expected)
      assert.deepStrictEqual(yield* run(["", '{"a":1}\r\n', "\n  \n", '{"b":"x"}\n']), expected)
    })
  )

  it.effect("keeps characters whole that are split over blocks", () =>
    Effect.gen(function* () {
      const bytes = encoder.encode('{"text":"žluťoučký 🐎"}\n')
      const blocks = Array.from(bytes, (byte) => Uint8Array.of(byte))
      assert.deepStrictEqual(yield* run(blocks), { values: [{ text: "žluťoučký 🐎" }], error: none })
    })
  )

  it.effect("takes a last line without a line feed when it is complete", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(['{"a":1}\n', '{"b":', "2}"]), { values: [{ a: 1 }, { b: 2 }], error: none })
    })
  )

  it.effect("fails with the beginning of a line that the end of the output tore, after the lines before it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(['{"a":1}\n{"b":', '"tor']), {
        values: [{ a: 1 }],
        error: Option.some(new JsonLines.TornLine({ excerpt: '{"b":"tor' }))
      })
    })
  )

  it.effect("fails at a line that is not JSON, after the lines before it and without those behind it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(['{"a":1}\nnpm warn something\n{"b":2}\n']), {
        values: [{ a: 1 }],
        error: Option.some(new JsonLines.NotJson({ excerpt: "npm warn something" }))
      })
    })
  )

  it.effect("fails at a line over the limit, whether it has ended or not, after the lines before it", () =>
    Effect.gen(function* () {
      const error = Option.some(new JsonLines.LineTooLong({ limit: 10 }))
      assert.deepStrictEqual(yield* run(['{"a":1}\n{"b":"12345678"}\n'], 10), { values: [{ a: 1 }], error })
      assert.deepStrictEqual(yield* run(['{"a":1}\n', '{"b":', '"1234', '5678"}\n'], 10), { values: [{ a: 1 }], error })
      assert.deepStrictEqual(yield* run(['{"a":1}\n{"b":2}\n'], 10), { values: [{ a: 1 }, { b: 2 }], error: none })
    })
  )

  it.effect("passes the failure of the bytes on", () =>
    Effect.gen(function* () {
      const error = yield* Stream.concat(Stream.succeed(encoder.encode("1\n")), Stream.fail("broken pipe")).pipe(
        JsonLines.decode({ maxLineBytes: 10, read: identity }),
        Stream.runDrain,
        Effect.flip
      )
      assert.strictEqual(error, "broken pipe")
    })
  )

  it.live("reads a line of 10 MB in time that grows with its length", () =>
    Effect.gen(function* () {
      const text = "x".repeat(10_000_000)
      const line = encoder.encode(`${JSON.stringify({ text })}\n`)
      const block = 8_192
      const blocks = Array.from({ length: Math.ceil(line.length / block) }, (_, i) =>
        line.subarray(i * block, (i + 1) * block)
      )
      const values = yield* Stream.fromIterable(blocks).pipe(
        Stream.rechunk(1),
        JsonLines.decode({ maxLineBytes: 20_000_000, read: identity }),
        Stream.runCollect,
        // Joining the parts again for each block would take minutes.
        Effect.timeout("30 seconds")
      )
      assert.deepStrictEqual(Chunk.toReadonlyArray(values), [{ text }])
    })
  )

  it.effect("gives the same values for every way to cut the same bytes", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.json(), { maxLength: 5 }),
          fc.array(fc.nat(40), { maxLength: 20 }),
          (lines, cuts) =>
            Effect.runPromise(
              Effect.gen(function* () {
                const bytes = encoder.encode(lines.map((line) => `${line}\n`).join(""))
                const blocks: Array<Uint8Array> = []
                let start = 0
                for (const cut of cuts) {
                  blocks.push(bytes.subarray(start, start + cut))
                  start += cut
                }
                blocks.push(bytes.subarray(start))
                assert.deepStrictEqual(yield* run(blocks, 100_000), {
                  values: lines.map((l) => JSON.parse(l)),
                  error: none
                })
              })
            )
        ),
        { numRuns: 200 }
      )
    )
  )

  it("never cuts a character in half in an excerpt", () => {
    assert.strictEqual(JsonLines.excerpt("ab🐎cd", 3), "ab…")
    assert.strictEqual(JsonLines.excerpt("ab🐎cd", 4), "ab🐎…")
    assert.strictEqual(JsonLines.excerpt("abc", 3), "abc")
  })
})
