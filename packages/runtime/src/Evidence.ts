/**
 * Makes what a criterion saw fit to be shown to an agent and a person: without
 * secrets, control characters and escape sequences, and no longer than a limit.
 */

import { dropTorn, redact } from "@driver/domain/Redaction"
import type * as Redacted from "effect/Redacted"

/** Text of a terminal without colours, cursor movements and other control characters; line ends are `\n`. */
export const plain = (text: string): string =>
  text
    // CSI and OSC sequences, then lone escapes with one character.
    .replace(/\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]/g, "")
    .replace(/\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)/g, "")
    .replace(/\x1b[@-_]?/g, "")
    .replace(/\r\n?/g, "\n")
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "")

/** The last `limit` bytes of UTF-8, cut between characters. */
export const cutTail = (text: string, limit: number): string => {
  const bytes = new TextEncoder().encode(text)
  if (bytes.length <= limit) return text
  let from = bytes.length - limit
  while (from < bytes.length && isContinuation(bytes[from])) from++
  return new TextDecoder().decode(bytes.subarray(from))
}

/** The first `limit` bytes of UTF-8, cut between characters. */
export const cutHead = (text: string, limit: number): string => {
  const bytes = new TextEncoder().encode(text)
  if (bytes.length <= limit) return text
  let to = Math.max(0, limit)
  while (to > 0 && isContinuation(bytes[to])) to--
  return new TextDecoder().decode(bytes.subarray(0, to))
}

const isContinuation = (byte: number | undefined): boolean => ((byte ?? 0) & 0xc0) === 0x80

/** How much is looked at for each byte that is shown: redaction may make text shorter. */
const lookBehind = 16

/** What a command printed on one of its outputs. */
export interface Output {
  readonly text: string
  /** The beginning is missing, so that a secret may have been cut in two there. */
  readonly truncated: boolean
}

/** The end of a command's output, at most `limit` bytes: standard output, then standard error. */
export const ofOutput = (
  output: { readonly stdout: Output; readonly stderr: Output },
  limit: number,
  secrets: ReadonlyArray<Redacted.Redacted<string>>
): string => {
  const stdout = clean(output.stdout, limit, secrets)
  const stderr = clean(output.stderr, limit, secrets)
  if (stderr === "") return cutTail(stdout, limit)
  if (stdout === "") return cutTail(stderr, limit)
  const heading = "\n--- standard error ---\n"
  const room = Math.max(0, limit - heading.length)
  // Each gets half, and what the other one does not need.
  const half = Math.floor(room / 2)
  const shownError = cutTail(stderr, Math.max(half, room - byteLength(stdout)))
  return cutTail(stdout, room - byteLength(shownError)) + heading + shownError
}

const clean = (
  { text, truncated }: Output,
  limit: number,
  secrets: ReadonlyArray<Redacted.Redacted<string>>
): string => {
  const readable = plain(text)
  const kept = cutTail(readable, lookBehind * limit)
  const cut = truncated || kept.length < readable.length
  const whole = cut ? dropTorn(kept, secrets) : kept
  return redact(whole, secrets).replace(/^\n+/, "").trimEnd()
}

const byteLength = (text: string): number => new TextEncoder().encode(text).length
