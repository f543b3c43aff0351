/**
 * What goes to stdout: one JSON object per line, each with its own uuid and the session it belongs to.
 *
 * Owns the output format: with `stream-json` every event is printed at once; with `json` and `text` only the last
 * result is, when the program ends.
 */
import { randomUUID } from "node:crypto"
import { writeSync } from "node:fs"

export type OutputFormat = "stream-json" | "json" | "text"

/** An event before it is stamped. */
export type Event = { readonly type: string } & Readonly<Record<string, unknown>>

export interface Output {
  /** Prints an event of the session, with a fresh uuid unless it brings one; returns that uuid. */
  event(event: Event): string
  /** Prints an event that belongs to no session (control traffic). */
  control(event: Event): void
  /** Prints text as it is. */
  raw(text: string): void
  /** What `json` and `text` print at the end. */
  finish(): void
  /** The session that events are stamped with from now on. */
  setSession(id: string): void
}

export const makeOutput = (format: OutputFormat, write: (text: string) => void): Output => {
  let session = ""
  let lastResult: Record<string, unknown> | undefined
  const line = (value: unknown) => {
    if (format === "stream-json") write(`${JSON.stringify(value)}\n`)
  }
  return {
    event: (event) => {
      const uuid = typeof event["uuid"] === "string" ? event["uuid"] : randomUUID()
      const stamped = { ...event, session_id: session, uuid }
      if (event.type === "result") lastResult = stamped
      line(stamped)
      return uuid
    },
    control: line,
    raw: (text) => {
      if (format === "stream-json") write(text)
    },
    finish: () => {
      if (lastResult === undefined || format === "stream-json") return
      write(format === "json" ? `${JSON.stringify(lastResult)}\n` : `${lastResult["result"] ?? ""}\n`)
    },
    setSession: (id) => {
      session = id
    }
  }
}

/** The `system` event of a subtype. */
export const system = (subtype: string, fields: Readonly<Record<string, unknown>> = {}): Event => ({
  type: "system",
  subtype,
  ...fields
})

/** Now, as events show it. */
export const timestamp = (): string => new Date().toISOString()

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code

/**
 * Writes all of it before it returns, so that nothing is lost when the process exits next: Node's own streams give a
 * long line to a pipe in pieces, later. Ends the process when nobody reads any more.
 */
export const writeAll = (file: 1 | 2, text: string): void => {
  let left = Buffer.from(text)
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(file, left))
    } catch (error) {
      if (isCode(error, "EPIPE")) process.exit(1)
      if (!isCode(error, "EAGAIN")) throw error
      // The pipe does not block and is full: the reader gets a millisecond.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
