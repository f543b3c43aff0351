import { EndWith, type ExitCode, exitCode, failureText, outcomeCode, teardown } from "@driver/cli/exitCode"
import { InputError } from "@driver/cli/InputError"
import { RunError } from "@driver/cli/RunGoal"
import { endOnSecondSignal } from "@driver/cli/signals"
import {
  type AttemptOutcome,
  BudgetExhausted,
  Cancelled,
  Continue,
  Done,
  Escalate,
  NeedsRetry,
  Sleep
} from "@driver/domain/Outcome"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Exit, FiberId } from "effect"

const outcomes: ReadonlyArray<readonly [AttemptOutcome, ExitCode]> = [
  [new Done(), 0],
  [new NeedsRetry({ failures: [] }), 1],
  [new Continue({ reason: "the driver was stopped" }), 2],
  [new Sleep({ duration: Duration.hours(1), reason: "limit" }), 1],
  [new BudgetExhausted({ axis: "turns" }), 1],
  [new Escalate({ reason: "stuck", by: "policy" }), 1],
  [new Escalate({ reason: "disk full", by: "driver" }), 2],
  [new Cancelled(), 130]
]

const interrupted = Cause.interrupt(FiberId.none)

const exits: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, ExitCode, RegExp]> = [
  ["success", Exit.void, 0, /^$/],
  ["a goal that was not accepted", Exit.fail(new EndWith({ code: 1 })), 1, /^$/],
  ["a usage error", Exit.fail(ValidationError.invalidArgument(HelpDoc.p("no"))), 2, /^$/],
  [
    "a file that is wrong",
    Exit.fail(new InputError({ issues: [{ file: "/g.yaml", path: "", message: "is empty" }] })),
    2,
    /^driver: \/g\.yaml: is empty\n$/
  ],
  ["a driver error", Exit.fail(new RunError({ detail: "The disk is full" })), 2, /^driver: The disk is full\n$/],
  [
    "a defect",
    Exit.die(new Error("promise broken")),
    2,
    /^driver: this is a defect of the driver, please report it\n[\s\S]*promise broken/
  ],
  ["an interruption", Exit.failCause(interrupted), 130, /^$/],
  ["an outcome that was cancelled elsewhere", Exit.fail(new EndWith({ code: 130 })), 130, /^$/],
  [
    "a failure while being interrupted",
    Exit.failCause(Cause.parallel(interrupted, Cause.fail(new RunError({ detail: "x" })))),
    2,
    /^driver: x\n$/
  ]
]

describe("outcomeCode", () => {
  for (const [outcome, code] of outcomes) {
    it(`is ${code} for ${outcome._tag}${outcome._tag === "Escalate" ? ` by the ${outcome.by}` : ""}`, () => {
      assert.strictEqual(outcomeCode(outcome), code)
    })
  }
})

describe("exitCode", () => {
  for (const [what, exit, code, text] of exits) {
    it(`is ${code} for ${what}, and says what there is to say`, () => {
      assert.strictEqual(exitCode(exit), code)
      assert.match(Exit.isFailure(exit) ? failureText(exit.cause) : "", text)
      const seen: Array<number> = []
      teardown(exit, (given) => seen.push(given))
      assert.deepStrictEqual(seen, [code])
    })
  }
})

describe("endOnSecondSignal", () => {
  const signalsAt = (...signals: ReadonlyArray<readonly [number, "SIGINT" | "SIGTERM" | "SIGHUP"]>) => {
    const listeners = new Map<string, () => void>()
    let now = 0
    let ended = 0
    endOnSecondSignal(
      { on: (signal, listener) => listeners.set(signal, listener) },
      () => now,
      () => ended++
    )
    for (const [at, signal] of signals) {
      now = at
      listeners.get(signal)?.()
    }
    return ended
  }

  it("leaves the first to the runtime", () => {
    assert.strictEqual(signalsAt([5, "SIGINT"]), 0)
  })

  it("ends on the second, of whatever kind", () => {
    assert.strictEqual(signalsAt([5, "SIGINT"], [1_000, "SIGTERM"]), 1)
  })

  it("takes one key press that arrives twice for one", () => {
    assert.strictEqual(signalsAt([5, "SIGINT"], [25, "SIGINT"]), 0)
    assert.strictEqual(signalsAt([5, "SIGINT"], [25, "SIGINT"], [1_000, "SIGINT"]), 1)
  })
})
