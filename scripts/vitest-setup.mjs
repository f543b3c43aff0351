// chai's deep equality takes `Option.none()` and `Option.some(x)` for equal (it compares what they iterate over, and
// their prototypes not at all). Every test of this repository compares as Node does.
import { deepStrictEqual } from "node:assert"
import { assert } from "vitest"

assert.deepStrictEqual = deepStrictEqual
assert.deepEqual = deepStrictEqual
