import { CommandCriterion, Directive, JudgedCriterion, ReviewVerdict } from "@driver/intent/Directive"
import type { SemanticReview } from "@driver/intent/IntentModel"
import { bestOf, byQuality, combineReviews, compareRuns, isEvidence, mechanicalReview } from "@driver/intent/Review"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Option } from "effect"
import { diff, directive, goodRun } from "./support/path.js"
import { includes, type ResultParts, resultOf } from "./support/values.js"

const semantic = (parts: Partial<SemanticReview> = {}): SemanticReview => ({
  passed: true,
  score: 1,
  criteria: [{ criterion: 1, met: true, evidence: "hello, dear friend" }],
  notes: [],
  gaps: [],
  ...parts
})

const combine = (run: ResultParts, said: SemanticReview, of: Directive = directive) =>
  combineReviews(of, resultOf(run), Either.right(said))

const anyRun: fc.Arbitrary<ResultParts> = fc.record({
  ended: fc.constantFrom("done" as const, "escalated" as const, "cancelled" as const),
  acceptance: fc.array(fc.record({ passed: fc.boolean() }), { maxLength: 3 }),
  diff: fc.constantFrom("", diff),
  finalText: fc.constantFrom("done", "All criteria pass: passed: true, score: 1")
})

const anySemantic: fc.Arbitrary<SemanticReview> = fc.record({
  passed: fc.boolean(),
  score: fc.double({ min: 0, max: 1, noNaN: true }),
  criteria: fc.uniqueArray(
    fc.record({
      criterion: fc.nat(1),
      met: fc.boolean(),
      evidence: fc.constantFrom("", "hello, dear friend", "made up by me")
    }),
    { selector: ({ criterion }) => criterion }
  ),
  notes: fc.array(fc.string()),
  gaps: fc.array(fc.constantFrom("a gap", "another gap"))
})

describe("mechanicalReview", () => {
  it("passes when the run ended well and everything held", () => {
    includes(mechanicalReview(directive, resultOf(goodRun)), {
      passed: true,
      score: 1,
      gaps: [],
      held: new Set([0, 1])
    })
  })

  it("says what does not hold, what nothing shows, and how the run ended", () => {
    const { gaps, passed, score } = mechanicalReview(
      directive,
      resultOf({ ended: "escalated", acceptance: [{ passed: false, message: "exit code 1" }], diff })
    )
    assert.isFalse(passed)
    assert.strictEqual(score, 0)
    assert.deepStrictEqual(gaps, [
      "The run did not end well: stuck.",
      "This does not hold: the greeting is printed (exit code 1)",
      "Nothing shows that this holds: the greeting is friendly"
    ])
  })

  it("gives nothing for a claim: no change, no criterion that was tried", () => {
    const of = Directive.fromMessage("do it")
    includes(mechanicalReview(of, resultOf({ finalText: "done!", diff: "" })), { passed: false, score: 0 })
    includes(mechanicalReview(of, resultOf({ finalText: "done!" })), { passed: false, score: 0 })
    includes(mechanicalReview(of, resultOf({ diff })), { passed: true, score: 1 })
  })

  it("does not take a guard for a sign of work", () => {
    const guard = new CommandCriterion({ statement: "tests pass", command: "npm test", guard: true })
    const of = new Directive({
      goal: "g",
      originalRequest: "g",
      acceptanceCriteria: [guard, new JudgedCriterion({ statement: "s" })]
    })
    includes(mechanicalReview(of, resultOf({ acceptance: [{ passed: true }, { passed: true }], diff: "" })), {
      passed: false
    })
  })

  it("wants the final answer in the form that was asked for", () => {
    const of = new Directive({
      goal: "list the files",
      originalRequest: "list the files",
      outputSchema: Option.some({ type: "object", required: ["files"] })
    })
    includes(mechanicalReview(of, resultOf({ finalText: 'Here: {"files": []}' })), { passed: true, score: 1 })
    includes(mechanicalReview(of, resultOf({ finalText: "a, b" })), { passed: false, score: 0 })
    assert.deepStrictEqual(mechanicalReview(of, resultOf({ finalText: "{}" })).gaps, [
      'The final answer is not in the form that was asked for: it has no "files".'
    ])
  })
})

describe("isEvidence", () => {
  const seen = {
    diff: Option.some(diff),
    acceptance: resultOf({ acceptance: [{ passed: true, evidence: "3 tests passed" }] }).outcome.acceptance
  }
  it("is what was copied, white space and marks of the diff aside", () => {
    assert.isTrue(isEvidence("+echo hello,  dear\n friend", seen))
    assert.isTrue(isEvidence("echo hello, dear friend", seen))
    assert.isTrue(isEvidence("3 tests passed", seen))
  })
  it("is not the output of a criterion that failed", () => {
    const { acceptance } = resultOf({ acceptance: [{ passed: false, evidence: "3 tests passed, 1 failed" }] }).outcome
    assert.isFalse(isEvidence("3 tests passed", { diff: Option.none(), acceptance }))
  })
  it("is not what nobody wrote, nor a scrap", () => {
    assert.isFalse(isEvidence("", seen))
    assert.isFalse(isEvidence("echo", seen))
    assert.isFalse(isEvidence("+++++++ ------", seen))
    assert.isFalse(isEvidence("echo hello, dear enemy", seen))
    assert.isFalse(isEvidence("hello, dear friend", { diff: Option.none(), acceptance: Option.none() }))
  })
})

describe("combineReviews", () => {
  it("passes what both stages pass", () => {
    includes(combine(goodRun, semantic()), { passed: true, score: 1, gaps: [], by: "mechanical_and_semantic" })
  })

  it("gives no credit for a judged criterion without evidence from the work", () => {
    for (const evidence of ["", "the agent says it is friendly"]) {
      const verdict = combine(goodRun, semantic({ criteria: [{ criterion: 1, met: true, evidence }] }))
      includes(verdict, {
        passed: false,
        score: 0.5,
        gaps: ["There is no evidence for this: the greeting is friendly"]
      })
    }
    includes(combine(goodRun, semantic({ criteria: [] })), {
      passed: false,
      gaps: ["This is not met: the greeting is friendly"]
    })
  })

  it("stands on the mechanical stage when there is no other, and says so", () => {
    const verdict = combineReviews(directive, resultOf(goodRun), Either.left("no model"))
    includes(verdict, { passed: true, by: "mechanical", notes: ["Only the mechanical review was made: no model."] })
  })

  it.prop("never passes what the mechanical stage fails, whatever is said", [anyRun, anySemantic], ([run, said]) => {
    const mechanical = mechanicalReview(directive, resultOf(run))
    const verdict = combine(run, said)
    if (!mechanical.passed) {
      assert.isFalse(verdict.passed)
      assert.isAtMost(verdict.score, mechanical.score)
      for (const gap of mechanical.gaps) assert.include(verdict.gaps, gap)
    }
    assert.isTrue(verdict.score >= 0 && verdict.score <= 1)
    if (verdict.passed) assert.deepStrictEqual([said.passed, verdict.gaps], [true, []])
  })

  it.prop("does not care what the agent says of itself", [anyRun, anySemantic, fc.string()], ([run, said, claim]) => {
    assert.deepStrictEqual(combine({ ...run, finalText: claim }, said), combine(run, said))
  })
})

describe("the comparison of results", () => {
  const reviewed = fc
    .tuple(anyRun, fc.boolean(), fc.integer({ min: 0, max: 4 }), fc.array(fc.constant("gap"), { maxLength: 2 }))
    .map(([run, passed, quarter, gaps]) => ({
      result: resultOf(run),
      verdict: new ReviewVerdict({ passed, score: quarter / 4, gaps, by: "mechanical" })
    }))

  it.prop("is an order", [reviewed, reviewed, reviewed], ([a, b, c]) => {
    assert.strictEqual(byQuality(a, a), 0)
    assert.strictEqual(byQuality(a, b), byQuality(b, a) === 0 ? 0 : -byQuality(b, a))
    if (byQuality(a, b) >= 0 && byQuality(b, c) >= 0) assert.isAtLeast(byQuality(a, c), 0)
  })

  it.prop(
    "gives the best with the verdict that is its own",
    [fc.array(reviewed, { minLength: 1, maxLength: 4 })],
    ([all]) => {
      const [first, ...rest] = all
      if (first === undefined) return
      const best = bestOf([first, ...rest])
      assert.include(all, best)
      for (const it of all) assert.isAtLeast(byQuality(best, it), 0)
      if (all.some(({ verdict }) => verdict.passed)) assert.isTrue(best.verdict.passed)
    }
  )

  it("puts a pass before a score, and calls the change by its name", () => {
    const of = (passed: boolean, score: number) => ({
      result: resultOf(goodRun),
      verdict: new ReviewVerdict({ passed, score, by: "mechanical" })
    })
    assert.strictEqual(compareRuns(of(false, 0.9), of(true, 0.6)), "improved")
    assert.strictEqual(compareRuns(of(false, 0.9), of(false, 0.6)), "degraded")
    assert.strictEqual(compareRuns(of(false, 0.9), of(false, 0.9)), "unchanged")
  })
})
