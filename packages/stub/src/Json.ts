/** Parsed JSON whose shape is not known: a mapping, read key by key. */
export type Json = Readonly<Record<string, unknown>>

/** A value as a mapping; empty when it is none. */
export const mapping = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {}
