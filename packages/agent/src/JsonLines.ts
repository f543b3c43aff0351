/**
 * Bytes to lines to JSON values: what a program prints when it prints one JSON value per line.
 *
 * Works on bytes up to the end of a line, so that a character split over two chunks stays whole, and joins the parts
 * of a long line once, so that its cost grows with its length. Does not know what the values mean.
 */
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Either from "effect/Either"
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

/** The value of a line, nothing for an empty one. */
const parseLine = (bytes: Uint8Array): Either.Either<Option.Option<unknown>, NotJson> => {
  const line = utf8.decode(bytes)
  try {
    return Either.right(Option.some(JSON.parse(line)))
  } catch {
    return line.trim() === "" ? Either.right(Option.none()) : Either.left(new NotJson({ excerpt: excerpt(line) }))
  }
}

/**
 * What `read` makes of the JSON values of the lines, in order. It is called as soon as a line is parsed, so that not all
 * of what a block of bytes holds is kept at once. Fails at the first line that is not JSON, that is longer than `maxLineBytes`,
 * or that is torn by the end of the bytes; all values before it are delivered.
 */
export const decode =
  <A>(options: { readonly maxLineBytes: number; readonly read: (value: unknown) => A }) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<A, E | JsonLinesError, R> => {
    const { maxLineBytes, read } = options
    const tooLong = new LineTooLong({ limit: maxLineBytes })

    type Lines = Channel.Channel<Chunk.Chunk<A>, Chunk.Chunk<Uint8Array>, E | JsonLinesError, E, unknown, unknown>

    const emit = (values: Array<A>, after: Lines): Lines =>
      values.length === 0 ? after : Channel.zipRight(Channel.write(Chunk.unsafeFromArray(values)), after)

    const next = (pending: Pending): Lines =>
      Channel.readWithCause({
        onInput: (chunk: Chunk.Chunk<Uint8Array>) => take(pending, chunk),
        onFailure: (cause) => Channel.failCause(cause),
        onDone: () => last(pending)
      })

    const take = (before: Pending, chunk: Chunk.Chunk<Uint8Array>): Lines => {
      const values: Array<A> = []
      let pending = before
      for (const block of chunk) {
        let start = 0
        for (let end = block.indexOf(lineFeed); end >= 0; end = block.indexOf(lineFeed, start)) {
          const head = block.subarray(start, end)
          if (pending.bytes + head.length > maxLineBytes) return emit(values, Channel.fail(tooLong))
          const line = pending.bytes === 0 ? head : join([...pending.parts, head], pending.bytes + head.length)
          const value = parseLine(line)
          if (Either.isLeft(value)) return emit(values, Channel.fail(value.left))
          if (Option.isSome(value.right)) values.push(read(value.right.value))
          pending = { parts: [], bytes: 0 }
          start = end + 1
        }
        if (start === block.length) continue
        pending.parts.push(start === 0 ? block : block.subarray(start))
        pending.bytes += block.length - start
        if (pending.bytes > maxLineBytes) return emit(values, Channel.fail(tooLong))
      }
      return emit(values, next(pending))
    }

    /** A last line without a line feed: complete, or torn. */
    const last = ({ bytes: length, parts }: Pending): Lines =>
      Either.match(parseLine(join(parts, length)), {
        onLeft: (torn) => Channel.fail(new TornLine({ excerpt: torn.excerpt })),
        onRight: (value) => emit(Option.toArray(Option.map(value, read)), Channel.void)
      })

    return Stream.pipeThroughChannelOrFail(
      bytes,
      Channel.suspend(() => next({ parts: [], bytes: 0 }))
    )
  }
