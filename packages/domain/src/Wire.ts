/**
 * How our values look as JSON: snake_case keys, a `kind` that tells the variants
 * of a union apart, durations as whole milliseconds.
 *
 * Inside the program the same values have camelCase fields and a `_tag`. These
 * helpers are the only place where the two spellings meet.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { expecting } from "./StrictDecode.js"

/** `_tag` inside, `kind` outside: `...tag("NeedsRetry", "needs_retry")` among the fields of a `Schema.Class`. */
export const tag = <const Tag extends string, const Kind extends string>(name: Tag, kind: Kind) =>
  Schema.propertySignature(Schema.transformLiteral(kind, name)).pipe(
    Schema.fromKey("kind"),
    Schema.withConstructorDefault(() => name)
  )

/** A required field with another name outside. */
export const key = <A, I, R, const Name extends string>(schema: Schema.Schema<A, I, R>, name: Name) =>
  Schema.propertySignature(schema).pipe(Schema.fromKey(name))

/** A field that may be absent outside and is an `Option` inside. `null` is read as absent. */
export const optional = <A, I, const Name extends string>(schema: Schema.Schema<A, I>, name: Name) =>
  Schema.optionalWith(schema, { as: "Option", nullable: true }).pipe(
    Schema.fromKey(name),
    Schema.withConstructorDefault(() => Option.none<A>())
  )

/** A field that is always there inside; outside it may be absent and then has its default. */
export const withDefault = <A, I, const Name extends string>(
  schema: Schema.Schema<A, I>,
  name: Name,
  value: () => NoInfer<A>
) => Schema.optionalWith(schema, { default: value }).pipe(Schema.fromKey(name), Schema.withConstructorDefault(value))

/**
 * For the constructor of a value that is made of values which were checked when they were made: a class with renamed
 * fields builds its check anew each time, which costs more than the rest of what is done with an event.
 */
export const trusted = { disableValidation: true } as const

const units: Record<string, number> = {
  ms: 1,
  milli: 1,
  millis: 1,
  millisecond: 1,
  milliseconds: 1,
  s: 1_000,
  sec: 1_000,
  secs: 1_000,
  second: 1_000,
  seconds: 1_000,
  m: 60_000,
  min: 60_000,
  mins: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
  hrs: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
  w: 604_800_000,
  week: 604_800_000,
  weeks: 604_800_000
}

/** Milliseconds of `"30 minutes"`, `"1h 30m"`, `"1.5 hours"`, `"250ms"`; none when it is not a duration. */
export const parseDuration = (text: string): Option.Option<number> => {
  // A separator only where another part follows.
  const part = /\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*(?:(?:,|and\b)(?=\s*\d))?/gy
  const source = text.trim().toLowerCase()
  let total = 0
  let end = 0
  for (let match = part.exec(source); match !== null; match = part.exec(source)) {
    const unit = units[match[2] ?? ""]
    if (unit === undefined) return Option.none()
    total += Number(match[1]) * unit
    end = part.lastIndex
  }
  const whole = Math.round(total)
  return end > 0 && end === source.length && Number.isSafeInteger(whole) ? Option.some(whole) : Option.none()
}

const durationPhrase = `a duration like "30 minutes", "1h 30m" or milliseconds`

const wholeMillis = Schema.DurationFromSelf.annotations({
  arbitrary: () => (fc) => fc.nat().map((n) => Duration.millis(n))
})

/** A `Duration`. Written as whole milliseconds; read from those or from `"30 minutes"`, `"1h 30m"`. */
export const WireDuration = Schema.transformOrFail(Schema.Union(Schema.NonNegativeInt, Schema.String), wholeMillis, {
  strict: true,
  decode: (wire, _, ast) => {
    if (typeof wire === "number") return ParseResult.succeed(Duration.millis(wire))
    return Option.match(parseDuration(wire), {
      onNone: () =>
        ParseResult.fail(new ParseResult.Type(ast, wire, `expected ${durationPhrase}, got ${JSON.stringify(wire)}`)),
      onSome: (millis) => ParseResult.succeed(Duration.millis(millis))
    })
  },
  encode: (duration) => ParseResult.succeed(Math.max(0, Math.round(Duration.toMillis(duration))))
}).annotations({
  identifier: "Duration",
  description: `A duration: "30 minutes", "1h 30m", or whole milliseconds.`,
  ...expecting(durationPhrase)
})

/**
 * A JSON object with whatever keys. The annotations serve those who make values and schemas of it:
 * arbitrary ones are JSON, and JSON Schema has no shared `$id`, which validators refuse.
 */
export const OpenRecord = Schema.Record({ key: Schema.String, value: Schema.Unknown }).annotations({
  jsonSchema: { type: "object" },
  arbitrary: () => (fc) =>
    fc
      .dictionary(
        fc.string().filter((key) => key !== "__proto__"),
        fc.jsonValue()
      )
      .map((record): { readonly [key: string]: unknown } => JSON.parse(JSON.stringify(record)))
})

/** US dollars, from 0. Finite, since JSON has no other numbers: an infinite one would be written and never read again. */
export const Usd = Schema.NonNegative.pipe(Schema.finite())

/** A moment: ISO 8601 outside, `DateTime.Utc` inside. */
export const WireTime = Schema.DateTimeUtc
