/**
 * An event as a message of JetStream, and how one that is too large for the server
 * is made to fit. Pure.
 *
 * The body is the event's JSON. Of one that is too large the longest texts are cut,
 * all to the same length, and the header `Driver-Cut` names them; what remains is
 * still an event. One that is too large even so cannot be published.
 */
import { StoredEvent, subjectOf } from "@driver/domain/DriverEvent"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

export interface NatsMessage {
  readonly subject: string
  /** The server drops a message whose id it has seen. */
  readonly id: string
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: Uint8Array
  /** Paths of the texts that were cut, such as `event.verdict.results.0.evidence`. */
  readonly cut: ReadonlyArray<string>
}

/** `detail` says why this event can never be published. */
export interface Unfit {
  readonly detail: string
}

/** `limit`: bytes of body and headers that the server takes in one message. */
export const messageOf = (
  event: StoredEvent,
  { limit, prefix }: { readonly limit: number; readonly prefix: string }
): Either.Either<NatsMessage, Unfit> =>
  Either.flatMap(encode(event), (json): Either.Either<NatsMessage, Unfit> => {
    const headers: NatsMessage["headers"] = [
      ["Driver-Goal-Id", event.goalId],
      ["Driver-Sequence", String(event.sequence)]
    ]
    const room = limit - headerBytes - event.messageId.length
    const whole = bytesOf(json)
    const subject = prefix === "" ? subjectOf(event.event) : `${prefix}.${subjectOf(event.event)}`
    const message = { subject, id: event.messageId, headers, body: whole, cut: [] }
    if (whole.length <= room) return Either.right(message)
    return Option.match(fitted(json, room), {
      onNone: () => Either.left({ detail: `it has ${whole.length} bytes, and the server takes ${limit}` }),
      onSome: ({ body, cut }) =>
        Either.right({ ...message, headers: [...headers, ["Driver-Cut", named(cut)]], body, cut })
    })
  })

/** Bytes kept free for the headers, the list of what was cut included. */
const headerBytes = 1_024
/** Characters, of the list of what was cut. */
const longestList = 512
/** Characters: shorter texts are never cut, so that ids, names and times stay whole. */
const shortest = 256

const encodeEvent = Schema.encodeEither(StoredEvent)
const decodeEvent = Schema.decodeUnknownOption(StoredEvent)
const encoder = new TextEncoder()
const bytesOf = (json: unknown) => encoder.encode(JSON.stringify(json))

const encode = (event: StoredEvent): Either.Either<unknown, Unfit> =>
  Either.mapLeft(encodeEvent(event), ({ message }) => ({ detail: `it cannot be encoded: ${message}` }))

/** Cuts the texts to the greatest length with which it fits. */
const fitted = (json: unknown, room: number) => {
  const attempt = (cap: number) => {
    const cut: Array<string> = []
    const body = bytesOf(cutTo(json, cap, "", cut))
    return { body, cut, cap }
  }
  let best = attempt(shortest)
  if (best.body.length > room) return Option.none()
  let longest = longestText(json)
  // A dozen tries come within a thousandth of the greatest length.
  while (longest - best.cap > Math.max(64, best.cap / 1_000)) {
    const middle = attempt(Math.floor((best.cap + longest) / 2))
    if (middle.body.length <= room) best = middle
    else longest = middle.cap
  }
  const parsed: unknown = JSON.parse(new TextDecoder().decode(best.body))
  // A text with a form of its own, such as a pattern, may have lost it.
  return Option.map(decodeEvent(parsed), () => best)
}

const cutTo = (json: unknown, cap: number, path: string, cut: Array<string>): unknown => {
  const under = (name: string | number) => (path === "" ? String(name) : `${path}.${name}`)
  if (typeof json === "string") {
    if (json.length <= cap) return json
    cut.push(path)
    const end = /[\ud800-\udbff]/.test(json[cap - 1] ?? "") ? cap - 1 : cap
    return `${json.slice(0, end)}… (cut by driver: ${json.length - end} more characters)`
  }
  if (Array.isArray(json)) return json.map((item, at) => cutTo(item, cap, under(at), cut))
  if (typeof json === "object" && json !== null) {
    return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, cutTo(value, cap, under(name), cut)]))
  }
  return json
}

const longestText = (json: unknown): number => {
  if (typeof json === "string") return json.length
  if (typeof json !== "object" || json === null) return 0
  return Object.values(json).reduce<number>((longest, value) => Math.max(longest, longestText(value)), 0)
}

/** Keys of open records are anybody's text, and a header is one line of ASCII. */
const named = (cut: ReadonlyArray<string>): string => {
  const list = cut.join(",").replace(/[^\x20-\x7e]/g, "?")
  return list.length <= longestList ? list : `${list.slice(0, longestList - 3)}...`
}
