/**
 * Numbers from a seed, for plans and interleavings: a value with a state, outside
 * of Effect, since the scheduler and the clock need it between two steps of fibers.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"

export interface Prng {
  /** In [0, 1). */
  readonly next: () => number
  /** In [0, bound). */
  readonly below: (bound: number) => number
  /** In [low, high]. */
  readonly between: (low: number, high: number) => number
  /** True so often: 0 never, 1 always. */
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(values: NonEmptyReadonlyArray<A>) => A
  /** One of the values, each as often as its weight says. */
  readonly weighted: <A>(values: NonEmptyReadonlyArray<readonly [weight: number, value: A]>) => A
}

/** Mixes numbers into one 32-bit seed: different lists, different seeds. */
export const seedOf = (...parts: ReadonlyArray<number>): number =>
  parts.reduce((hash, part) => scramble((Math.imul(hash, 0x01000193) ^ (part >>> 0)) >>> 0), 0x811c9dc5)

const scramble = (value: number): number => {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Mulberry32: small, fast, and good enough to explore with. */
export const make = (seed: number): Prng => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (bound: number) => Math.floor(next() * bound)
  return {
    next,
    below,
    between: (low, high) => low + below(high - low + 1),
    chance: (probability) => next() < probability,
    pick: (values) => values[below(values.length)] ?? values[0],
    weighted: (values) => {
      let left = next() * values.reduce((sum, [weight]) => sum + weight, 0)
      for (const [weight, value] of values) {
        left -= weight
        if (left < 0) return value
      }
      return values[0][1]
    }
  }
}
