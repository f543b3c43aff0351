/**
 * Cuts a stream of bytes into lines, in bounded memory: what was received of a line
 * that is not complete lies in one buffer, however small the pieces were.
 */

export type Piece =
  | { readonly _tag: "Line"; readonly bytes: Uint8Array }
  /** The line was longer than the limit; the rest of it is thrown away as it comes. Once per line. */
  | { readonly _tag: "TooLong" }

export interface FrameReader {
  /** What this chunk completes, in order. `limit` is asked again for each line. */
  readonly push: (chunk: Uint8Array, onPiece: (piece: Piece) => void) => void
  /** Bytes that are held now. */
  readonly held: () => number
}

const newline = 10
const smallest = 1_024

/** `limit`: bytes of the longest line, now. */
export const makeFrameReader = (limit: () => number): FrameReader => {
  let buffer = new Uint8Array(0)
  let used = 0
  let skipping = false

  const append = (part: Uint8Array) => {
    const needed = used + part.length
    if (needed > buffer.length) {
      const grown = new Uint8Array(Math.min(Math.max(needed, buffer.length * 2, smallest), Math.max(needed, limit())))
      grown.set(buffer.subarray(0, used))
      buffer = grown
    }
    buffer.set(part, used)
    used = needed
  }

  const reset = () => {
    // A long line's buffer is not kept for the short ones after it.
    buffer = new Uint8Array(0)
    used = 0
  }

  return {
    held: () => buffer.length,
    push: (chunk, onPiece) => {
      let from = 0
      while (from < chunk.length) {
        const end = chunk.indexOf(newline, from)
        const part = chunk.subarray(from, end === -1 ? chunk.length : end)
        if (!skipping && used + part.length > limit()) {
          reset()
          skipping = true
          onPiece({ _tag: "TooLong" })
        }
        if (end === -1) {
          if (!skipping) append(part)
          return
        }
        if (!skipping) {
          if (used > 0) append(part)
          const bytes = used > 0 ? buffer.subarray(0, used) : part
          reset()
          if (bytes.length > 0) onPiece({ _tag: "Line", bytes })
        }
        skipping = false
        from = end + 1
      }
    }
  }
}
