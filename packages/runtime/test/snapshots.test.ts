import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { GitError } from "../src/Git.js"
import { cutText, formatDiffStat, isLockFailure, maxDiffStatBytes, sortListing } from "../src/internal/snapshots.js"

describe("snapshots", () => {
  it("cuts text between characters, never beyond the limit", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "grapheme" }), FastCheck.nat(60), (text, limit) => {
        const bytes = new TextEncoder().encode(text)
        const cut = cutText(bytes, limit)
        assert.isTrue(text.startsWith(cut))
        const size = Buffer.byteLength(cut)
        assert.isAtMost(size, limit)
        // No more than one character is lost.
        assert.isTrue(cut === text || size > limit - 4)
      })
    )
    assert.strictEqual(cutText(new TextEncoder().encode("aü"), 3), "aü")
    assert.strictEqual(cutText(new TextEncoder().encode("aü"), 2), "a")
    assert.strictEqual(cutText(new TextEncoder().encode("😀"), 3), "")
  })

  it("keeps the totals of a diff stat that is too long", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.string({ unit: "grapheme", maxLength: 80 })), (lines) => {
        const stat = [...lines.map((line) => ` ${line.replace(/\n/g, "")} | 1 +`), " n files changed"].join("\n")
        const text = formatDiffStat(stat, " HEAD is x")
        assert.isAtMost(Buffer.byteLength(text), maxDiffStatBytes)
        assert.isTrue(text.endsWith(" n files changed\n HEAD is x"))
      })
    )
    assert.strictEqual(formatDiffStat("", ""), "")
    assert.strictEqual(formatDiffStat("", " HEAD is x"), " HEAD is x")
  })

  it("tells new, nested and modified paths apart, and drops what a new file replaces", () => {
    assert.deepStrictEqual(sortListing(["? d", "? n/", "? x", "C a", "C d/e", "C d/f/g", "C dd/e"]), {
      changed: ["d", "x", "a", "dd/e"],
      nested: ["n"]
    })
  })

  it("tries again for a lock and for nothing else", () => {
    const failure = (detail: string) =>
      new GitError({ reason: "exit", command: "x", directory: "/", exitCode: 128, detail })
    assert.isTrue(isLockFailure(failure("fatal: Unable to create '/r/.git/index.lock': File exists.")))
    assert.isTrue(
      isLockFailure(failure("fatal: cannot lock ref 'refs/x': Unable to create '/r/.git/refs/x.lock': File exists."))
    )
    assert.isFalse(isLockFailure(failure("fatal: cannot lock ref 'refs/x': reference already exists")))
    assert.isFalse(isLockFailure(failure("fatal: bad object")))
  })
})
