/**
 * How values are put into columns, the same for SQLite and PostgreSQL.
 *
 * PostgreSQL refuses U+0000 in text, and neither database keeps half of a
 * surrogate pair. `Text` writes these as U+241B (␛) and four hexadecimal digits;
 * every other text stands in the column as it is. Columns with JSON need none of
 * this: JSON escapes them itself. PostgreSQL's client gives BIGINT as text, and
 * SQLite's gives bigints once somebody has asked for safe integers: `Whole`
 * reads them all.
 */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

const escaped = /[\u0000\u241b\p{Cs}]/gu
const hex = (unit: string) => `\u241b${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Any string as text that both databases keep. */
export const toColumn = (text: string): string => text.replace(escaped, hex)

/** The string that was given to `toColumn`. */
export const fromColumn = (column: string): string =>
  column.replace(/\u241b([0-9a-f]{4})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))

/** A text column. */
export const Text = Schema.transform(Schema.String, Schema.String, {
  strict: true,
  decode: fromColumn,
  encode: toColumn
})

/** A column of whole numbers, in whatever form the client gives them. */
export const Whole = Schema.transformOrFail(
  Schema.Union(Schema.Number, Schema.BigIntFromSelf, Schema.String.pipe(Schema.pattern(/^-?[0-9]+$/))),
  Schema.Int,
  {
    strict: true,
    decode: (wire) => ParseResult.succeed(Number(wire)),
    encode: (whole) => ParseResult.succeed(whole)
  }
)

/** A moment: milliseconds since the epoch in the column. */
export const Moment = Schema.compose(Whole, Schema.DateTimeUtcFromNumber)

/** Zero or one in the column. */
export const Flag = Schema.transform(Schema.compose(Whole, Schema.Literal(0, 1)), Schema.Boolean, {
  strict: true,
  decode: (flag) => flag === 1,
  encode: (flag) => (flag ? 1 : 0)
})

/** A column that may be NULL. */
export const nullable = <A, I>(schema: Schema.Schema<A, I>) => Schema.OptionFromNullOr(schema)

/** A number from outside as a bound that both databases take. */
export const bound = (value: number): number =>
  Math.min(Math.max(Math.ceil(value), Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
