// chai's deep equality takes `Option.none()` and `Option.some(x)` for equal (it compares what they iterate over, and
// their prototypes not at all). Every test of this repository compares as Node does.
import { deepStrictEqual } from "node:assert"
import * as FastCheck from "effect/FastCheck"
import { assert } from "vitest"

assert.deepStrictEqual = deepStrictEqual
assert.deepEqual = deepStrictEqual

// Every run of a property test draws the same values, so that a failure comes again; another seed by the environment.
FastCheck.configureGlobal({ seed: Number(process.env.DRIVER_TEST_SEED ?? 20_261_121) })
