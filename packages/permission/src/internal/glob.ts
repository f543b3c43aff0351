/**
 * Patterns of rules: names of tools, words of commands, paths. Matched segment by
 * segment without regular expressions, so no pattern and no text makes it slow.
 */

/** `*` any characters, `?` one. */
export const matchesWord = (pattern: string, text: string): boolean => {
  let p = 0
  let t = 0
  let star = -1
  let resume = 0
  while (t < text.length) {
    const expected = pattern[p]
    if (expected === "*") {
      star = p++
      resume = t
    } else if (expected === "?" || expected === text[t]) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++resume
    } else return false
  }
  while (pattern[p] === "*") p++
  return p === pattern.length
}

/** `**` any number of directories, `*` and `?` within one name. Both are relative, with `/`. */
export const matchesPath = (pattern: string, path: string): boolean => {
  const segments = path.split("/")
  // How many segments the pattern so far can have used up.
  let reached = new Set([0])
  const parts = pattern.split("/")
  for (const [index, part] of parts.entries()) {
    const next = new Set<number>()
    if (part === "**") {
      // At the end it needs something below: `docs/**` is not `docs` itself.
      const least = index === parts.length - 1 ? 1 : 0
      const from = Math.min(...reached) + least
      for (let at = from; at <= segments.length; at++) next.add(at)
    } else {
      for (const at of reached) {
        const segment = segments[at]
        if (segment !== undefined && matchesWord(part, segment)) next.add(at + 1)
      }
    }
    if (next.size === 0) return false
    reached = next
  }
  return reached.has(segments.length)
}

/** A command's pattern, word by word; a last word `*` stands for any number of words, also none. */
export const matchesCommand = (pattern: ReadonlyArray<string>, words: ReadonlyArray<string>): boolean => {
  const open = pattern.at(-1) === "*"
  const fixed = open ? pattern.slice(0, -1) : pattern
  if (open ? words.length < fixed.length : words.length !== fixed.length) return false
  return fixed.every((part, index) => matchesWord(part, words[index] ?? ""))
}
