/**
 * Server-sent events as text: how a goal's event is written, and how such a stream
 * is read back. Pure.
 *
 *   id: 7                       the event's sequence: Last-Event-ID of a reconnection
 *   event: attempt_started      its kind
 *   data: {"goalId":…}          a StoredEvent as JSON, in one line
 *
 * The last block says why nothing follows: `end`, all that was asked for was sent;
 * `failed`, with an error of the API. A stream that breaks off without one of them
 * was cut.
 */
import { StoredEvent } from "@driver/domain/DriverEvent"
import type { GoalsError } from "@driver/runtime/Goals"
import * as Schema from "effect/Schema"
import { StreamError } from "./ApiErrors.js"

const encodeStored = Schema.encodeSync(StoredEvent)
const encodeFailure = Schema.encodeSync(Schema.parseJson(StreamError))

/** Sent first, so that the client has its headers at once; and how long a browser waits before it reconnects. */
export const opening = "retry: 1000\n\n"

/** Sent when nothing else was for a while: who listens sees that the connection lives, who is gone is noticed. */
export const heartbeat = ":\n\n"

export const writeEvent = (event: StoredEvent): string => {
  const encoded = encodeStored(event)
  return `id: ${event.sequence}\nevent: ${encoded.event.kind}\ndata: ${JSON.stringify(encoded)}\n\n`
}

export const writeEnd = "event: end\ndata: {}\n\n"

export const writeFailure = (error: GoalsError): string => `event: failed\ndata: ${encodeFailure(error)}\n\n`

/** One block that has data. */
export interface Block {
  /** `message` when none was named. */
  readonly event: string
  readonly data: string
  readonly id: string | undefined
}

/** The blocks that are complete, and what is left to be read with the text that comes. */
export const readBlocks = (left: string, text: string): readonly [left: string, blocks: ReadonlyArray<Block>] => {
  const parts = (left + text).split(/\r?\n\r?\n/)
  const rest = parts.pop() ?? ""
  return [rest, parts.flatMap(blockOf)]
}

const blockOf = (text: string): ReadonlyArray<Block> => {
  const data: Array<string> = []
  let event = "message"
  let id: string | undefined
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":")
    if (colon === 0) continue
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "")
    if (field === "data") data.push(value)
    else if (field === "event") event = value
    else if (field === "id") id = value
  }
  return data.length === 0 ? [] : [{ event, data: data.join("\n"), id }]
}
