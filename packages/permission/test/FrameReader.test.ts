import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { makeFrameReader, type Piece } from "../src/internal/FrameReader.js"

const bytes = (text: string) => new TextEncoder().encode(text)
const shown = (piece: Piece) =>
  piece._tag === "Line" ? new TextDecoder("utf-8", { fatal: true }).decode(piece.bytes) : null

const readAll = (chunks: ReadonlyArray<Uint8Array>, limit = 1_000_000) => {
  const found: Array<string | null> = []
  const reader = makeFrameReader(() => limit)
  for (const chunk of chunks) reader.push(chunk, (piece) => found.push(shown(piece)))
  return { found, held: reader.held() }
}

describe("FrameReader", () => {
  it("finds the same lines however the bytes are cut, also inside a character", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(
          FastCheck.string({ unit: "binary", maxLength: 40 }).filter((it) => it !== "" && !it.includes("\n"))
        ),
        FastCheck.array(FastCheck.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (lines, sizes) => {
          const all = bytes(lines.map((line) => `${line}\n`).join(""))
          const chunks: Array<Uint8Array> = []
          for (let at = 0, index = 0; at < all.length; index++) {
            const size = sizes[index % sizes.length] ?? 1
            chunks.push(all.subarray(at, at + size))
            at += size
          }
          const decoded = lines.map((line) => new TextDecoder().decode(bytes(line)))
          assert.deepStrictEqual(readAll(chunks).found, decoded)
        }
      )
    )
  })

  it("reports a line over the limit once, skips it, and reads the next one", () => {
    assert.deepStrictEqual(readAll([bytes("12345\n123456\n12\n")], 5).found, ["12345", null, "12"])
    assert.deepStrictEqual(readAll([bytes("123"), bytes("456"), bytes("789"), bytes("0\nok\n")], 5).found, [null, "ok"])
  })

  it("holds nothing of a line that it skips, and no more than twice of one that comes in single bytes", () => {
    assert.strictEqual(readAll([bytes("x".repeat(10_000)), bytes("y".repeat(10_000))], 5_000).held, 0)
    const single = readAll(
      Array.from({ length: 5_000 }, () => bytes("x")),
      1_000_000
    )
    assert.isAtLeast(single.held, 5_000)
    assert.isAtMost(single.held, 10_000)
    assert.isAtMost(
      readAll(
        Array.from({ length: 5_000 }, () => bytes("x")),
        5_000
      ).held,
      5_000
    )
  })

  it("asks for the limit anew after each line", () => {
    let limit = 3
    const found: Array<string | null> = []
    const reader = makeFrameReader(() => limit)
    reader.push(bytes("abc\nabcdef\n"), (piece) => {
      found.push(shown(piece))
      limit = 6
    })
    assert.deepStrictEqual(found, ["abc", "abcdef"])
  })
})
