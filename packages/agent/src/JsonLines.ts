/**
 * Bytes to lines to JSON values: what a program prints when it prints one JSON value per line.
 *
 * Works on bytes up to the end of a line, so that a character split over two chunks stays whole, and joins the parts
 * of a long line once, so that its cost grows with its length. Does not know what the values mean.
 */
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** A line was no JSON. The stream ends there: what follows cannot be trusted. */
export class NotJson extends Schema.TaggedError<NotJson>()("NotJson", {
  /** The beginning of the line. */
  excerpt: Schema.String
}) {
  override get message() {
    return `A line is not JSON: ${this.excerpt}`
  }
}

/** The bytes ended in the middle of a line. */
export class TornLine extends Schema.TaggedError<TornLine>()("TornLine", {
  /** The beginning of what was there. */
  excerpt: Schema.String
}) {
  override get message() {
    return `The output ended in the middle of a line: ${this.excerpt}`
  }
}

/** A line was longer than the limit. It is not kept. */
export class LineTooLong extends Schema.TaggedError<LineTooLong>()("LineTooLong", {
  /** Bytes. */
  limit: Schema.NonNegativeInt
}) {
  override get message() {
    return `A line is longer than ${this.limit} bytes`
  }
}

export type JsonLinesError = NotJson | TornLine | LineTooLong

/** Characters of an excerpt. */
const excerptLength = 200

/** At most `length` characters, never half of one; a cut is marked. */
export const excerpt = (text: string, length = excerptLength): string => {
  if (text.length <= length) return text
  const lastUnit = text.charCodeAt(length - 1)
  const splitsPair = lastUnit >= 0xd800 && lastUnit <= 0xdbff
  return `${text.slice(0, splitsPair ? length - 1 : length)}…`
}

/** What is left of the chunks so far: the parts of a line that has not ended. */
interface Pending {
  readonly parts: Array<Uint8Array>
  bytes: number
}

const lineFeed = 10
// Line by line: most lines are ASCII, which decodes three times as fast as a block with one other character in it.
// A BOM is kept: it is not ours to drop.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

const join = (parts: ReadonlyArray<Uint8Array>, bytes: number): Uint8Array => {
  const joined = new Uint8Array(bytes)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** Adds the value of a line to `values`. Empty lines are skipped. */
const parseLine = (bytes: Uint8Array, values: Array<unknown>): Option.Option<NotJson> => {
  const line = utf8.decode(bytes)
  try {
    values.push(JSON.parse(line))
    return Option.none()
  } catch {
    return line.trim() === "" ? Option.none() : Option.some(new NotJson({ excerpt: excerpt(line) }))
  }
}

/**
 * The JSON values of the lines, in order. Fails at the first line that is not JSON, that is longer than `maxLineBytes`,
 * or that is torn by the end of the bytes; all values before it are delivered.
 */
export const decode =
  (options: { readonly maxLineBytes: number }) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<unknown, E | JsonLinesError, R> => {
    const { maxLineBytes } = options
    const tooLong = new LineTooLong({ limit: maxLineBytes })

    type Lines = Channel.Channel<Chunk.Chunk<unknown>, Chunk.Chunk<Uint8Array>, E | JsonLinesError, E, unknown, unknown>

    const emit = (values: Array<unknown>, next: Lines): Lines =>
      values.length === 0 ? next : Channel.zipRight(Channel.write(Chunk.unsafeFromArray(values)), next)

    const read = (pending: Pending): Lines =>
      Channel.readWithCause({
        onInput: (chunk: Chunk.Chunk<Uint8Array>) => take(pending, chunk),
        onFailure: (cause) => Channel.failCause(cause),
        onDone: () => last(pending)
      })

    const take = (before: Pending, chunk: Chunk.Chunk<Uint8Array>): Lines => {
      const values: Array<unknown> = []
      let pending = before
      for (const block of chunk) {
        let start = 0
        for (let end = block.indexOf(lineFeed); end >= 0; end = block.indexOf(lineFeed, start)) {
          const head = block.subarray(start, end)
          if (pending.bytes + head.length > maxLineBytes) return emit(values, Channel.fail(tooLong))
          const line = pending.bytes === 0 ? head : join([...pending.parts, head], pending.bytes + head.length)
          const error = parseLine(line, values)
          if (Option.isSome(error)) return emit(values, Channel.fail(error.value))
          pending = { parts: [], bytes: 0 }
          start = end + 1
        }
        if (start === block.length) continue
        pending.parts.push(start === 0 ? block : block.subarray(start))
        pending.bytes += block.length - start
        if (pending.bytes > maxLineBytes) return emit(values, Channel.fail(tooLong))
      }
      return emit(values, read(pending))
    }

    /** A last line without a line feed: complete, or torn. */
    const last = ({ bytes: length, parts }: Pending): Lines => {
      const values: Array<unknown> = []
      return Option.match(parseLine(join(parts, length), values), {
        onNone: () => emit(values, Channel.void),
        onSome: (torn) => Channel.fail(new TornLine({ excerpt: torn.excerpt }))
      })
    }

    return Stream.pipeThroughChannelOrFail(
      bytes,
      Channel.suspend(() => read({ parts: [], bytes: 0 }))
    )
  }
