/** A bounded part of the bytes that pass: their beginning or their end. Bounded in memory whatever passes. */
import * as Effect from "effect/Effect"

/** Keeps one end of some bytes. */
export const make = (limit: number, keep: "head" | "tail") => {
  let kept: Array<Uint8Array> = []
  let size = 0
  let dropped = false
  const bytes = () => {
    const all = concat(kept)
    return keep === "tail" ? all.subarray(Math.max(0, all.length - limit)) : all
  }
  return {
    add: (chunk: Uint8Array) =>
      Effect.sync(() => {
        const room = limit - size
        if (chunk.length > room) dropped = true
        if (keep === "head" && room <= 0) return
        const part = keep === "head" ? chunk.subarray(0, room) : chunk
        kept.push(part)
        size += part.length
        // Compacting at twice the limit, or after many small chunks, costs each byte at most one more copy on average.
        if (keep === "tail" && (size > 2 * limit || kept.length > 4096)) {
          kept = [bytes().slice()]
          size = kept[0]?.length ?? 0
        }
      }),
    bytes,
    truncated: () => dropped
  }
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}

/** Without the rest of a character at the beginning, of which the first bytes were cut off. */
export const wholeCharacters = (bytes: Uint8Array): Uint8Array => {
  let first = 0
  while (first < 3 && ((bytes[first] ?? 0) & 0xc0) === 0x80) first++
  return bytes.subarray(first)
}
