/**
 * Where the gate's secrets and ids come from: the cryptographic random numbers of
 * the platform. `Random` of Effect is not used: whoever has seen some of its
 * numbers knows the next ones.
 */
import { DecisionId } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/** WebCrypto unless a layer says otherwise, so that no composition can forget it. */
export class TokenSource extends Context.Reference<TokenSource>()("@driver/permission/TokenSource", {
  defaultValue: (): {
    /** A new secret: 256 bits as 64 hexadecimal digits. */
    readonly token: Effect.Effect<string>
    /** A new id of a decision: a UUID. */
    readonly decisionId: Effect.Effect<DecisionId>
  } => ({
    token: Effect.sync(() => hex(globalThis.crypto.getRandomValues(new Uint8Array(32)))),
    // What makes it makes nothing but UUIDs: it is not looked at again, for each question pays for that.
    decisionId: Effect.sync(() => DecisionId.make(globalThis.crypto.randomUUID(), { disableValidation: true }))
  })
}) {}

/**
 * Whether the texts are equal, in a time that depends on the length of `presented` only: how much of a guess
 * was right cannot be measured.
 */
export const sameSecret = (presented: string, secret: string): boolean => {
  let difference = presented.length ^ secret.length
  for (let index = 0; index < presented.length; index++) {
    difference |= presented.charCodeAt(index) ^ secret.charCodeAt(index % secret.length)
  }
  return difference === 0
}
