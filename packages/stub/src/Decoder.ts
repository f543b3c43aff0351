/**
 * How decoders of plain data are made: the strict building blocks that `Step` and `Scenario` are put together from.
 *
 * A decoder gives the value, or throws a `ScenarioError` that lists every problem with its path, what was expected and
 * what was found. Nothing here knows what a scenario holds.
 */

/** A length of time in milliseconds. In a file: `"200ms"`, `"1.5s"`, `"2m"`, `"1h"`, a number of milliseconds, `forever`. */
export type Millis = number

/** A moment: seconds since 1970, or so many milliseconds after the event that names it is printed. */
export type Moment = { readonly epochSeconds: number } | { readonly inMillis: Millis }

/** One thing wrong in a scenario: where, what belongs there, what stands there. */
export interface Problem {
  readonly path: string
  readonly expected: string
  readonly got: string
}

/** The scenario cannot be played. Lists every problem; the file has to be corrected. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError"
  constructor(readonly problems: ReadonlyArray<Problem>) {
    super(
      problems.map((p) => `${p.path === "" ? "scenario" : p.path}: expected ${p.expected}, got ${p.got}`).join("\n")
    )
  }
}

export type Decoder<A> = (value: unknown, path: string) => A

export interface Field<A> {
  readonly decode: Decoder<A>
  /** What an absent key means; without it the key is required. */
  readonly absent?: { readonly value: A }
}

type Fields = Readonly<Record<string, Field<unknown>>>
export type Decoded<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer A> ? A : never }

export const required = <A>(decode: Decoder<A>): Field<A> => ({ decode })
export const withDefault = <A>(decode: Decoder<A>, value: A): Field<A> => ({ decode, absent: { value } })
export const optional = <A>(decode: Decoder<A>): Field<A | undefined> => ({ decode, absent: { value: undefined } })

const show = (value: unknown): string => {
  if (value === undefined) return "nothing"
  const text = JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

export const fail = (path: string, expected: string, value: unknown): never => {
  throw new ScenarioError([{ path, expected, got: show(value) }])
}

export const at = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`)

/** Runs all of them and reports the problems of all that fail. */
const gather = <A>(runs: ReadonlyArray<() => A>): ReadonlyArray<A> => {
  const problems: Array<Problem> = []
  const values: Array<A> = []
  for (const run of runs) {
    try {
      values.push(run())
    } catch (error) {
      if (!(error instanceof ScenarioError)) throw error
      problems.push(...error.problems)
    }
  }
  if (problems.length > 0) throw new ScenarioError(problems)
  return values
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const record: Decoder<Readonly<Record<string, unknown>>> = (value, path) =>
  isRecord(value) ? value : fail(path, "a mapping", value)

const distance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substituted, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

export const unknownKey = (path: string, key: string, known: ReadonlyArray<string>): Problem => {
  const near = known
    .map((name) => ({ name, away: distance(key, name) }))
    .sort((a, b) => a.away - b.away)
    .find(({ away, name }) => away <= Math.max(1, Math.floor(name.length / 3)))
  return {
    path: at(path, key),
    expected: known.length === 0 ? "no keys here" : `one of ${known.join(", ")}`,
    got: `the unknown key "${key}"${near === undefined ? "" : ` (did you mean "${near.name}"?)`}`
  }
}

export const struct =
  <F extends Fields>(fields: F): Decoder<Decoded<F>> =>
  (value, path) => {
    const given = record(value, path)
    const known = Object.keys(fields)
    const entries = gather<readonly [string, unknown]>([
      ...Object.keys(given)
        .filter((key) => !known.includes(key))
        .map((key) => () => {
          throw new ScenarioError([unknownKey(path, key, known)])
        }),
      ...Object.entries(fields).map(([key, field]) => () => {
        const inner = given[key]
        if (inner !== undefined) return [key, field.decode(inner, at(path, key))] as const
        if (field.absent !== undefined) return [key, field.absent.value] as const
        throw new ScenarioError([{ path: at(path, key), expected: "a value", got: "nothing" }])
      })
    ])
    // Each field was decoded by the decoder its type is read from.
    return Object.fromEntries(entries) as Decoded<F>
  }

export const list =
  <A>(decode: Decoder<A>): Decoder<ReadonlyArray<A>> =>
  (value, path) =>
    Array.isArray(value)
      ? gather(value.map((inner: unknown, i) => () => decode(inner, `${path}[${i}]`)))
      : fail(path, "a list", value)

export const oneOrMany =
  <A>(decode: Decoder<A>): Decoder<ReadonlyArray<A>> =>
  (value, path) =>
    Array.isArray(value) ? list(decode)(value, path) : [decode(value, path)]

export const text: Decoder<string> = (value, path) => (typeof value === "string" ? value : fail(path, "text", value))

export const flag: Decoder<boolean> = (value, path) =>
  typeof value === "boolean" ? value : fail(path, "true or false", value)

export const marker: Decoder<true> = (value, path) => (value === true ? value : fail(path, "true", value))

export const count: Decoder<number> = (value, path) =>
  typeof value === "number" && Number.isInteger(value) && value >= 0
    ? value
    : fail(path, "a whole number from 0", value)

export const amount: Decoder<number> = (value, path) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : fail(path, "a number from 0", value)

export const oneOf =
  <const A extends ReadonlyArray<string>>(names: A): Decoder<A[number]> =>
  (value, path) =>
    names.find((name) => name === value) ?? fail(path, `one of ${names.join(", ")}`, value)

export const nullable =
  <A>(decode: Decoder<A>): Decoder<A | null> =>
  (value, path) =>
    value === null ? null : decode(value, path)

const unitMillis: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

export const duration: Decoder<Millis> = (value, path) => {
  if (value === "forever") return Number.POSITIVE_INFINITY
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value
  const found = typeof value === "string" ? /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/.exec(value) : null
  const unit = unitMillis[found?.[2] ?? ""]
  return unit === undefined
    ? fail(path, `a duration ("200ms", "1.5s", "2m", milliseconds or forever)`, value)
    : Number(found?.[1]) * unit
}

export const moment: Decoder<Moment> = (value, path) => {
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return { epochSeconds: value }
  if (typeof value === "string") {
    if (/^\d+(\.\d+)?\s*(ms|s|m|h)$/.test(value)) return { inMillis: duration(value, path) }
    const parsed = Date.parse(value)
    if (!Number.isNaN(parsed)) return { epochSeconds: Math.ceil(parsed / 1000) }
  }
  return fail(path, `a time (ISO text, seconds since 1970, or a duration from then on)`, value)
}

/** A JavaScript regular expression in which `.` spans lines; `(?i)` in front makes it ignore case. */
export const regex: Decoder<RegExp> = (value, path) => {
  const source = text(value, path)
  const ignoreCase = source.startsWith("(?i)")
  try {
    return new RegExp(ignoreCase ? source.slice(4) : source, ignoreCase ? "is" : "s")
  } catch {
    return fail(path, "a regular expression", value)
  }
}

/** A decoder that is defined further down, for what contains itself. */
export const later =
  <A>(make: () => Decoder<A>): Decoder<A> =>
  (value, path) =>
    make()(value, path)
