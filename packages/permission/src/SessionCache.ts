/**
 * What was allowed for longer than one call: a bounded, immutable map from tool and
 * input to the answer that was given.
 *
 * An entry lives until its turn or its session ends, or until so many others were
 * used after it that it is pushed out. Only `AllowSession` is ever kept: a denial is
 * decided again.
 */
import type { AllowSession, ToolInput } from "@driver/domain/Permission"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import { canonicalJson } from "./internal/canonicalJson.js"

interface Entry {
  readonly outcome: AllowSession
  /** The larger, the more recently used. */
  readonly used: number
}

export interface SessionCache {
  /** Most entries that are kept. */
  readonly capacity: number
  readonly entries: HashMap.HashMap<string, Entry>
  readonly uses: number
}

/** An agent that repeats itself does so within a few hundred calls. */
export const defaultCapacity = 512

export const empty = (capacity: number = defaultCapacity): SessionCache => ({
  capacity,
  entries: HashMap.empty(),
  uses: 0
})

export const isEmpty = (cache: SessionCache): boolean => HashMap.isEmpty(cache.entries)

/**
 * The key of a call: SHA-256 over the tool's name and the input, whatever the order of the input's keys. The agent
 * chooses the input, so the hash must be one in which nobody finds two inputs with the same key.
 */
export const keyOf = (tool: string, input: ToolInput): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() =>
      globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(canonicalJson([tool, input])))
    ),
    (digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
  )

/** The answer that was given for this key, and the cache in which it is the one used last. */
export const lookup = (cache: SessionCache, key: string): readonly [Option.Option<AllowSession>, SessionCache] =>
  Option.match(HashMap.get(cache.entries, key), {
    onNone: () => [Option.none(), cache],
    onSome: ({ outcome }) => [Option.some(outcome), remember(cache, key, outcome)]
  })

/** Keeps the answer; pushes out the one that was not used for the longest time when there is no room. */
export const remember = (cache: SessionCache, key: string, outcome: AllowSession): SessionCache => {
  const uses = cache.uses + 1
  const entries = HashMap.set(cache.entries, key, { outcome, used: uses })
  return { ...cache, uses, entries: HashMap.size(entries) > cache.capacity ? withoutOldest(entries) : entries }
}

/** What is left when a new turn starts: the answers that hold for the session. */
export const startTurn = (cache: SessionCache): SessionCache => ({
  ...cache,
  entries: HashMap.filter(cache.entries, ({ outcome }) => outcome.scope === "session")
})

/** What is left when a new session starts: nothing. */
export const startSession = (cache: SessionCache): SessionCache => empty(cache.capacity)

const withoutOldest = (entries: HashMap.HashMap<string, Entry>): HashMap.HashMap<string, Entry> =>
  Option.match(
    HashMap.reduce(entries, Option.none<readonly [string, number]>(), (oldest, { used }, key) =>
      Option.isSome(oldest) && oldest.value[1] <= used ? oldest : Option.some([key, used] as const)
    ),
    { onNone: () => entries, onSome: ([key]) => HashMap.remove(entries, key) }
  )
