/**
 * The words of a text, as decisions are found and compared by: pure, and the same
 * for every store and every decider.
 */

/** Words are cut to this many UTF-16 units. */
const longestWord = 64

/** A text of more words than this is cut: the first ones say what it is about. */
const maxWords = 64

// Scripts that put no space between words are indexed by the character.
const spaceless = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}"
const wordPattern = new RegExp(`(?=[\\p{L}\\p{N}])[${spaceless}]|(?:(?![${spaceless}])[\\p{L}\\p{N}\\p{M}])+`, "gu")

/** The distinct words of a text, lower case, in order: letters, digits and marks only, at most 64 UTF-16 units each. */
export const wordsOf = (text: string, limit: number = maxWords): ReadonlyArray<string> => {
  const words = new Set<string>()
  for (const [word] of text.normalize("NFKC").toLowerCase().matchAll(wordPattern)) {
    if (words.size >= limit) break
    // Cut by code points, so that no half of a surrogate pair is left.
    words.add(
      word.length > longestWord
        ? Array.from(word)
            .slice(0, longestWord / 2)
            .join("")
        : word
    )
  }
  return [...words]
}

/** The strings and numbers in a JSON value, one per line, up to this length. Breadth first, so that no one long field hides the rest. */
export const textOf = (value: unknown, limit: number): string => {
  const parts: Array<string> = []
  const queue: Array<unknown> = [value]
  let length = 0
  // Both bounds: a value can have many nodes and little text.
  for (let at = 0; at < queue.length && at < limit && length < limit; at++) {
    const node = queue[at]
    if (typeof node === "string" || typeof node === "number") {
      const part = String(node).slice(0, limit - length)
      parts.push(part)
      length += part.length
    } else if (typeof node === "object" && node !== null) {
      for (const child of Object.values(node).slice(0, limit - Math.min(limit, queue.length))) queue.push(child)
    }
  }
  return parts.join("\n")
}
