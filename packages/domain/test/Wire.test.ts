import { parseDuration, WireDuration } from "@driver/domain/Wire"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Either, FastCheck, Option, Schema } from "effect"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

describe("parseDuration", () => {
  it.each([
    ["30 minutes", 30 * minute],
    ["1h 30m", 90 * minute],
    ["1h30m", 90 * minute],
    ["1h, 30m", 90 * minute],
    ["1 hour and 30 minutes", 90 * minute],
    ["1 hour, 30 minutes and 5 seconds", 90 * minute + 5 * second],
    ["1.5 hours", 90 * minute],
    ["250ms", 250],
    ["250 millis", 250],
    ["0s", 0],
    ["0.4 ms", 0],
    ["0.5 ms", 1],
    ["  5   MIN  ", 5 * minute],
    ["2 days", 2 * day],
    ["1 week", 7 * day],
    ["1w 2d 3h 4m 5s 6ms", 9 * day + 3 * hour + 4 * minute + 5 * second + 6],
    ["90 secs", 90 * second],
    ["1 hr", hour],
    ["1h 1h", 2 * hour]
  ])("reads %j as %i milliseconds", (text, expected) => {
    deepStrictEqual(parseDuration(text), Option.some(expected))
  })

  it.each([
    "",
    " ",
    "soon",
    "5",
    "minutes",
    "5 parsecs",
    "-5 minutes",
    "5 minutes ago",
    "in 5 minutes",
    "5 minutes,",
    "5 minutes and",
    ", 5 minutes",
    "1,5 h",
    ".5 h",
    "1. h",
    "1e3 ms",
    "1h -30m",
    "5 constructor",
    "Infinity s",
    "99999999999999999999 weeks",
    "１ h"
  ])("does not read %j", (text) => {
    deepStrictEqual(parseDuration(text), Option.none())
  })

  const units = FastCheck.constantFrom<[string, number]>(
    ["ms", 1],
    ["s", second],
    ["seconds", second],
    ["m", minute],
    ["min", minute],
    ["h", hour],
    ["hours", hour],
    ["d", day],
    ["w", 7 * day]
  )
  const part = FastCheck.tuple(FastCheck.nat({ max: 10_000 }), units, FastCheck.constantFrom("", " ", "  "))
  const separator = FastCheck.constantFrom("", " ", ", ", " and ", ",")
  it.prop(
    "adds up the parts, however they are joined",
    [FastCheck.array(FastCheck.tuple(part, separator), { minLength: 1 })],
    ([parts]) => {
      const text = parts
        .map(([[count, [unit], space], join], index) => (index === 0 ? "" : join) + count + space + unit)
        .join("")
      const total = parts.reduce((sum, [[count, [, millis]]]) => sum + count * millis, 0)
      deepStrictEqual(parseDuration(text), Option.some(total))
    }
  )

  it.prop("answers any text with whole milliseconds or nothing", [FastCheck.string()], ([text]) => {
    const millis = Option.getOrElse(parseDuration(text), () => 0)
    assert.isTrue(Number.isSafeInteger(millis) && millis >= 0)
  })

  it("takes linear time", () => {
    for (const text of [
      "1".repeat(200_000),
      " ".repeat(200_000),
      "1h ".repeat(70_000) + "x",
      "1h and ".repeat(30_000)
    ]) {
      const started = performance.now()
      parseDuration(text)
      assert.isBelow(performance.now() - started, 5_000, text.slice(0, 10))
    }
  })
})

describe("WireDuration", () => {
  const decode = Schema.decodeUnknownEither(WireDuration)

  it("reads whole milliseconds and text", () => {
    deepStrictEqual(decode(90_000), Either.right(Duration.seconds(90)))
    deepStrictEqual(decode("1m 30s"), Either.right(Duration.seconds(90)))
  })

  it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, null, {}, "soon", "90000"])("refuses %j", (wire) => {
    assert.isTrue(Either.isLeft(decode(wire)))
  })

  it("writes whole milliseconds, also of what has finer parts", () => {
    assert.strictEqual(Schema.encodeSync(WireDuration)(Duration.nanos(1_499_999n)), 1)
    assert.strictEqual(Schema.encodeSync(WireDuration)(Duration.nanos(1_500_000n)), 2)
  })

  it("says what a duration looks like", () => {
    const message = Either.match(decode("soon"), { onLeft: String, onRight: () => "" })
    assert.include(message, 'expected a duration like "30 minutes", "1h 30m" or milliseconds, got "soon"')
  })
})
