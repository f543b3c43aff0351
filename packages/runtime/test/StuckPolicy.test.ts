import {
  type CallInput,
  decide,
  decideCall,
  defaults,
  StuckPolicy,
  type StuckSettings,
  type TurnTrace
} from "@driver/runtime/StuckPolicy"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect, FastCheck, Layer } from "effect"

const turn = (fields: Partial<TurnTrace> = {}): TurnTrace => ({
  failures: [],
  diffEmpty: true,
  toolCalls: [],
  ...fields
})
const failing = turn({ failures: ["0 `npm test`: exited with 1"] })
const calling = (times: number, call = "Bash ls") => turn({ toolCalls: Array.from({ length: times }, () => call) })
const times = <A>(count: number, value: A): ReadonlyArray<A> => Array.from({ length: count }, () => value)

/** Plays the turns as the goal loop does: a nudge counts, a turn that is fine forgets the nudges. */
const play = (turns: ReadonlyArray<TurnTrace>, settings: Partial<StuckSettings> = {}): ReadonlyArray<string> => {
  const tags: Array<string> = []
  let nudges = 0
  for (let index = 0; index < turns.length; index++) {
    const decision = decide({ turns: turns.slice(0, index + 1), nudges }, { ...defaults, ...settings })
    tags.push(decision._tag)
    nudges = decision._tag === "Nudge" ? nudges + 1 : 0
  }
  return tags
}

describe("StuckPolicy", () => {
  describe("on the same failures with nothing changed", () => {
    it("nudges at the third turn and escalates three turns later", () => {
      deepStrictEqual(play(times(6, failing)), ["Fine", "Fine", "Nudge", "Nudge", "Nudge", "Escalate"])
    })

    it("names the failures", () => {
      const nudge = decide({ turns: times(3, failing), nudges: 0 }, defaults)
      assert.isTrue(nudge._tag === "Nudge" && nudge.message.includes("`npm test`: exited with 1"))
      assert.isTrue(nudge._tag === "Nudge" && nudge.message.includes("3 turns in a row"))
      const end = decide({ turns: times(6, failing), nudges: 3 }, defaults)
      assert.isTrue(end._tag === "Escalate" && end.reason.includes("`npm test`: exited with 1"))
    })

    it("nudges first, however long it has gone on unseen", () => {
      assert.strictEqual(decide({ turns: times(50, failing), nudges: 0 }, defaults)._tag, "Nudge")
    })

    it("takes the same failures in another order, or twice, for the same", () => {
      const [ab, ba, aab] = [
        ["a", "b"],
        ["b", "a"],
        ["a", "a", "b"]
      ].map((failures) => turn({ failures }))
      deepStrictEqual(play([ab, ba, aab].flatMap((it) => it ?? [])), ["Fine", "Fine", "Nudge"])
    })

    it.each<[string, TurnTrace]>([
      ["a turn that changed a file", { ...failing, diffEmpty: false }],
      ["another failure", turn({ failures: ["1 git_clean: not clean"] })],
      ["one failure more", turn({ failures: [...failing.failures, "1 git_clean: not clean"] })],
      ["a turn that was not evaluated", turn()]
    ])("is fine again after %s", (_, between) => {
      const turns = [failing, failing, between, failing, failing, failing]
      deepStrictEqual(play(turns), ["Fine", "Fine", "Fine", "Fine", "Fine", "Nudge"])
    })

    it("is off at 0", () => {
      deepStrictEqual(new Set(play(times(20, failing), { sameFailures: 0 })), new Set(["Fine"]))
    })

    it("escalates at once after the nudge when one turn is too many", () => {
      deepStrictEqual(play(times(2, failing), { sameFailures: 1 }), ["Nudge", "Escalate"])
    })
  })

  describe("on the same tool call", () => {
    it("is fine four times, nudges at the fifth, and escalates after five more", () => {
      deepStrictEqual(play([calling(4), calling(1), calling(1), calling(3), calling(1)]), [
        "Fine",
        "Nudge",
        "Nudge",
        "Nudge",
        "Escalate"
      ])
    })

    it("names the call", () => {
      const nudge = decide({ turns: [calling(5, 'Bash {"command":"npm test"}')], nudges: 0 }, defaults)
      assert.isTrue(nudge._tag === "Nudge" && nudge.message.includes('Bash {"command":"npm test"}'))
    })

    it("sees it inside one turn, and over several", () => {
      deepStrictEqual(play([calling(5)]), ["Nudge"])
      deepStrictEqual(play(times(5, calling(1))), ["Fine", "Fine", "Fine", "Fine", "Nudge"])
    })

    it("takes five times between edits for work", () => {
      const editing = { ...calling(9), diffEmpty: false }
      deepStrictEqual(play([editing, editing, calling(4)]), ["Fine", "Fine", "Fine"])
    })

    it("forgets what lies before the window", () => {
      const others = turn({ toolCalls: Array.from({ length: 16 }, (_, index) => `Read ${index}`) })
      deepStrictEqual(play([calling(4), others, calling(1)]), ["Fine", "Fine", "Fine"])
      deepStrictEqual(play([calling(4), others, calling(1)], { window: 21 }), ["Fine", "Fine", "Nudge"])
    })

    it("is fine as soon as a turn does something else", () => {
      deepStrictEqual(play([calling(5), calling(1, "Read a"), calling(1)]), ["Nudge", "Fine", "Nudge"])
    })

    it("does not hold a nudge about another call against it", () => {
      deepStrictEqual(play([calling(5, "Read a"), calling(6, "Read b")]), ["Nudge", "Nudge"])
    })

    it("does not hold a nudge about something else against it", () => {
      const both = turn({ ...failing, toolCalls: times(5, "Bash ls") })
      deepStrictEqual(play([failing, failing, failing, both]), ["Fine", "Fine", "Nudge", "Nudge"])
    })

    it("is off at 0", () => {
      deepStrictEqual(play([calling(99), calling(99)], { repeatedCalls: 0 }), ["Fine", "Fine"])
      deepStrictEqual(play([calling(99)], { window: 0 }), ["Fine"])
    })
  })

  it("bounds and straightens what it quotes", () => {
    const long = turn({ failures: times(9, 0).map((_, index) => `${index} ${"😀\n".repeat(5_000)}`) })
    const nudge = decide({ turns: times(3, long), nudges: 0 }, defaults)
    if (nudge._tag !== "Nudge") return assert.fail(nudge._tag)
    assert.isBelow(nudge.message.length, 2_000)
    assert.notInclude(nudge.message, "\n")
    assert.include(nudge.message, "and 6 more")
    assert.notMatch(nudge.message, /\p{Surrogate}/u)
  })

  const trace = FastCheck.record({
    failures: FastCheck.array(FastCheck.constantFrom("a", "b"), { maxLength: 2 }),
    diffEmpty: FastCheck.boolean(),
    toolCalls: FastCheck.array(FastCheck.constantFrom("x", "y"), { maxLength: 4 })
  })
  it.prop("never escalates what it has not nudged", [FastCheck.array(trace, { maxLength: 30 })], ([turns]) => {
    const tags = play(turns)
    tags.forEach((tag, index) => {
      if (tag === "Escalate") assert.strictEqual(tags[index - 1], "Nudge")
    })
  })
  it.prop("is fine whenever the last turn changed something", [FastCheck.array(trace), trace], ([turns, last]) => {
    assert.strictEqual(decide({ turns: [...turns, { ...last, diffEmpty: false }], nudges: 3 }, defaults)._tag, "Fine")
  })
  describe("on the calls of one turn", () => {
    const input = (fields: Partial<CallInput> = {}): CallInput => ({
      call: "Bash ls",
      inARow: 1,
      denied: 0,
      isDenied: false,
      ...fields
    })
    const denials = (settings: Partial<StuckSettings> = {}) =>
      Array.from({ length: 7 }, (_, index) => {
        const decision = decideCall(input({ denied: index + 1, isDenied: true }), { ...defaults, ...settings })
        return decision._tag === "Tell" && decision.isNew ? "Tell first" : decision._tag
      })

    it("tells from the third denial of a call on, and stops at the sixth", () => {
      deepStrictEqual(denials(), ["Fine", "Fine", "Tell first", "Tell", "Tell", "Stop", "Stop"])
      deepStrictEqual(denials({ sameDenials: 1 }).slice(0, 3), ["Tell first", "Stop", "Stop"])
      deepStrictEqual(new Set(denials({ sameDenials: 0 })), new Set(["Fine"]))
    })

    it("says how often, and what else to do", () => {
      const told = decideCall(input({ denied: 4, isDenied: true }), defaults)
      assert.isTrue(told._tag === "Tell" && /denied 4 times.*in another way/.test(told.message))
    })

    it("lets what was denied before go on once it is allowed", () => {
      strictTag(input({ denied: 6 }), "Fine")
    })

    it.prop(
      "is total, and refuses what is allowed only at every so many in a row",
      [FastCheck.nat(1_000), FastCheck.nat(1_000), FastCheck.boolean(), FastCheck.nat(20), FastCheck.nat(20)],
      ([inARow, denied, isDenied, repeatedCalls, sameDenials]) => {
        const decision = decideCall(input({ inARow, denied, isDenied }), { ...defaults, repeatedCalls, sameDenials })
        if (decision._tag === "Refuse") assert.isTrue(!isDenied && inARow % repeatedCalls === 0)
        if (decision._tag === "Tell" || decision._tag === "Stop") assert.isTrue(isDenied && denied >= sameDenials)
        if (decision._tag !== "Fine") assert.isTrue(decision.message.length > 20)
      }
    )

    const strictTag = (call: CallInput, tag: string) => assert.strictEqual(decideCall(call, defaults)._tag, tag)
  })

  it("is fine before the first turn", () => {
    assert.strictEqual(decide({ turns: [], nudges: 0 }, defaults)._tag, "Fine")
  })

  it.effect("layer takes settings, layerNever finds everything fine, layerConfig reads the environment", () =>
    Effect.gen(function* () {
      const at = (count: number) =>
        Effect.map(StuckPolicy, (it) => it.decide({ turns: times(count, failing), nudges: 0 })._tag)
      const config = ConfigProvider.fromMap(
        new Map([
          ["DRIVER_STUCK_SAME_FAILURES", "2"],
          ["DRIVER_STUCK_REPEATED_CALLS", "0"],
          ["DRIVER_STUCK_WINDOW", "0"]
        ])
      )
      const configured = Layer.provide(StuckPolicy.layerConfig, Layer.setConfigProvider(config))
      assert.strictEqual(yield* Effect.provide(at(3), StuckPolicy.layer()), "Nudge")
      assert.strictEqual(yield* Effect.provide(at(3), StuckPolicy.layer({ sameFailures: 4 })), "Fine")
      assert.strictEqual(yield* Effect.provide(at(2), configured), "Nudge")
      assert.strictEqual(yield* Effect.provide(at(99), StuckPolicy.layerNever), "Fine")
    })
  )
})
