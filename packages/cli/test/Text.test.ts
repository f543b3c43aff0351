import { table } from "@driver/cli/Table"
import { fit, printable, printableLines, widthOf } from "@driver/cli/Text"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"

const isSafe = (text: string) =>
  !/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/.test(text)

const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x1b]8;;http://evil\x1b\\",
        "\x1b",
        "\x9b31m",
        "\x1bP",
        "\r",
        "\n",
        "\u202e",
        "\x1b[?1049h",
        "\x07",
        "\x00",
        "\ud800"
      )
    )
  )
  .map((parts) => parts.join(""))

describe("printable", () => {
  it.each([
    ["plain text", "plain text"],
    ["\x1b[31mred\x1b[0m", "red"],
    ["a\x1b[2J\x1b[Hb", "ab"],
    ["\x1b]0;owned\x07title", "title"],
    ["\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"],
    ["\x9b31mc1", "c1"],
    ["\x1bPq#0\x1b\\sixel", "sixel"],
    ["one\ntwo\r\n\tthree", "one two three"],
    ["bell\x07", "bell\ufffd"],
    ["open\x1b]0;never closed", "open0;never closed"],
    ["file \u202egnp.exe", "file \ufffdgnp.exe"],
    ["half \ud83d", "half \ufffd"],
    ["zero\u200bwidth", "zerowidth"],
    ["Grüße, 世界 👩‍👩‍👧 é", "Grüße, 世界 👩‍👩‍👧 é"]
  ])("makes of %j the text %j", (text, expected) => {
    assert.strictEqual(printable(text), expected)
  })

  it("lets nothing through that a terminal would act on", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        assert.isTrue(isSafe(printable(text)), JSON.stringify(text))
        for (const line of printableLines(text)) assert.isTrue(isSafe(line), JSON.stringify(text))
      }),
      { numRuns: 1_000 }
    )
  })

  it("is done in bounded time with what looks like a sequence and never ends", () => {
    const started = performance.now()
    for (const start of ["\x1b]", "\x1b[", "\x1bP", "\x9b", "\x9d"])
      printable(start.repeat(50_000) + "x".repeat(100_000))
    assert.isBelow(performance.now() - started, 2_000)
  })
})

describe("widthOf", () => {
  it.each([
    ["", 0],
    ["abc", 3],
    ["世界", 4],
    ["한글", 4],
    ["e\u0301", 1],
    ["👩‍👩‍👧", 2],
    ["🇩🇪", 2],
    ["✓", 1],
    ["❤️", 2],
    ["ｆｕｌｌ", 8],
    ["…", 1]
  ])("of %j is %i", (text, expected) => {
    assert.strictEqual(widthOf(text), expected)
  })
})

describe("fit", () => {
  it.each([
    ["hello", 5, "hello"],
    ["hello", 4, "hel…"],
    ["世界你好", 5, "世界…"],
    ["世界你好", 6, "世界…"],
    ["e\u0301e\u0301e\u0301", 2, "e\u0301…"],
    ["hello", 1, "…"],
    ["hello", 0, ""]
  ])("puts %j into %i cells as %j", (text, columns, expected) => {
    assert.strictEqual(fit(text, columns), expected)
  })

  it("is never wider than what there is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat(40), (text, columns) => {
        assert.isAtMost(widthOf(fit(printable(text), columns)), columns)
      })
    )
  })
})

describe("table", () => {
  it("aligns by cells, not by characters, and lets nothing hostile through", () => {
    assert.strictEqual(
      table(
        ["A", "B"],
        [
          ["世界", "x"],
          ["abc\x1b[2J", "y\nz"]
        ]
      ),
      "A     B\n世界  x\nabc   y z\n"
    )
  })
})
