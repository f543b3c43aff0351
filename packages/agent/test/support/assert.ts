/**
 * `assert`, of which `deepStrictEqual` and `deepInclude` tell `Option.some` from `Option.none`. Chai's do not: it compares
 * iterables by what they yield, and both yield one opaque value.
 */
import { assert as chai } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"

type Assert = Omit<typeof chai, "deepStrictEqual" | "deepInclude"> & {
  readonly deepStrictEqual: <A>(actual: A, expected: A, message?: string) => void
  readonly deepInclude: <A extends object>(actual: A | undefined, expected: Partial<A>) => void
}

export const assert: Assert = {
  ...chai,
  deepStrictEqual,
  deepInclude: (actual, expected) => {
    const keys = Object.keys(expected)
    const own = Object.fromEntries(Object.entries(actual ?? {}).filter(([key]) => keys.includes(key)))
    deepStrictEqual<object>({ ...own }, { ...expected })
  }
}
