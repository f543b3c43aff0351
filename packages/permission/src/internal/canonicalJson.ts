/** JSON text that is the same for the same value, whatever the order of its keys; and the bound on how deep values may be. */

/** Objects and arrays inside each other. What is deeper is refused at the door, so that nobody behind it overflows. */
export const deepest = 200

/** Whether no path through the value is longer than `limit`. Does not recurse. */
export const isShallow = (value: unknown, limit: number = deepest): boolean => {
  let level: Array<object> = typeof value === "object" && value !== null ? [value] : []
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > limit) return false
    const next: Array<object> = []
    for (const parent of level) {
      for (const child of Array.isArray(parent) ? parent : Object.values(parent)) {
        if (typeof child === "object" && child !== null) next.push(child)
      }
    }
    level = next
  }
  return true
}

/** Throws for values that are no JSON (cycles, bigint); callers give it what came out of JSON, or catch. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((it) => (it === undefined ? "null" : canonicalJson(it))).join(",")}]`
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, it]) => it !== undefined)
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([key, it]) => `${JSON.stringify(key)}:${canonicalJson(it)}`).join(",")}}`
  }
  return JSON.stringify(value) ?? "null"
}
