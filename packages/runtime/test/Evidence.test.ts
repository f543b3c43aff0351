import { cutHead, cutTail, ofOutput, plain } from "@driver/runtime/Evidence"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { FastCheck, Redacted } from "effect"

const size = (text: string) => new TextEncoder().encode(text).length
const output = (stdout: string, stderr: string, truncated = false) => ({
  stdout: { text: stdout, truncated },
  stderr: { text: stderr, truncated: false }
})

describe("Evidence", () => {
  const text = FastCheck.string({ unit: "grapheme" })
  const limit = FastCheck.nat({ max: 40 })

  it.prop("cutTail keeps the end, between characters, and fills the room", [text, limit], ([whole, bytes]) => {
    const cut = cutTail(whole, bytes)
    assert.isTrue(whole.endsWith(cut))
    assert.isAtMost(size(cut), bytes)
    if (cut !== whole) assert.isAbove(size(cut), bytes - 4)
  })

  it.prop("cutHead keeps the beginning, between characters, and fills the room", [text, limit], ([whole, bytes]) => {
    const cut = cutHead(whole, bytes)
    assert.isTrue(whole.startsWith(cut))
    assert.isAtMost(size(cut), bytes)
    if (cut !== whole) assert.isAbove(size(cut), bytes - 4)
  })

  it.each([
    ["plain\ttext\nof two lines", "plain\ttext\nof two lines"],
    ["\x1b[1;31mred\x1b[0m \x1b[2K\x1b[1Gup", "red up"],
    ["\x1b]0;a title\x07text \x1b]8;;http://x\x1b\\link", "text link"],
    ["50%\r100%\r\ndone", "50%\n100%\ndone"],
    ["a\x00b\x07c\x7f", "abc"],
    ["\x1bMlone \x1b", "lone "]
  ])("plain makes of %j %j", (raw, expected) => {
    assert.strictEqual(plain(raw), expected)
  })

  it("shows the one output there is", () => {
    assert.strictEqual(ofOutput(output("\n\n  out\n", ""), 100, []), "  out")
    assert.strictEqual(ofOutput(output("", "err\n"), 100, []), "err")
    assert.strictEqual(ofOutput(output(" \n", ""), 100, []), "")
  })

  it("gives either output half of the room, and what the other does not need", () => {
    const heading = "\n--- standard error ---\n"
    const room = 1_000 - heading.length
    const shares = (stdout: number, stderr: number) => {
      const [shownOut = "", shownError = ""] = ofOutput(
        output("o".repeat(stdout), "e".repeat(stderr)),
        1_000,
        []
      ).split(heading)
      return [shownOut.length, shownError.length]
    }
    deepStrictEqual(shares(10, 20), [10, 20])
    deepStrictEqual(shares(5_000, 5_000), [room / 2, room / 2])
    deepStrictEqual(shares(5_000, 100), [room - 100, 100])
    deepStrictEqual(shares(100, 5_000), [100, room - 100])
  })

  it("drops what may be the rest of a secret only where something was cut off", () => {
    const secrets = [Redacted.make("open-sesame")]
    assert.strictEqual(ofOutput(output("sesame first words", "", true), 100, secrets), " first words")
    assert.strictEqual(ofOutput(output("sesame first words", ""), 100, secrets), "sesame first words")
  })

  it.prop(
    "is never longer than its limit",
    [
      FastCheck.string({ unit: "grapheme", maxLength: 300 }),
      FastCheck.string({ maxLength: 300 }),
      FastCheck.integer({ min: 64, max: 200 })
    ],
    ([stdout, stderr, bytes]) => {
      assert.isAtMost(size(ofOutput(output(stdout, stderr), bytes, [])), bytes)
    }
  )
})
