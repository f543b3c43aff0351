import { assert, describe, it } from "vitest"
import { decodeScenario, type Problem, ScenarioError, type Step } from "../src/Scenario.js"

const problems = (value: unknown): ReadonlyArray<Problem> => {
  try {
    decodeScenario(value)
  } catch (error) {
    if (error instanceof ScenarioError) return error.problems
    throw error
  }
  return []
}

const step = (value: unknown): Step | undefined => decodeScenario({ turns: [{ steps: [value] }] }).turns[0]?.steps[0]

describe("decodeScenario", () => {
  it("fills in what is absent", () => {
    const scenario = decodeScenario({ turns: [] })
    assert.deepEqual(scenario.turns, [])
    assert.include(scenario, {
      model: "claude-stub-1",
      contextWindow: 200_000,
      repeatLast: false,
      ignoreSigterm: false
    })
    assert.deepEqual(scenario.afterwards.steps, [{ kind: "say", text: "Nothing left to do.", over: 0 }])
    assert.include(scenario.compact[0], { result: "success", postTokens: 2_675 })
    assert.include(scenario.startup, { version: "2.1.329", delay: 0, gateStatus: "connected" })
  })

  it("reads durations", () => {
    for (const [written, millis] of [
      ["200ms", 200],
      ["1.5s", 1_500],
      ["2m", 120_000],
      ["1h", 3_600_000],
      [7, 7],
      ["forever", Infinity]
    ] as const) {
      assert.deepEqual(step({ delay: written }), { kind: "delay", for: millis })
    }
  })

  it("reads times as seconds, ISO text, or from then on", () => {
    const at = (resets_at: unknown) => {
      const read = step({ rate_limit: { resets_at } })
      return read?.kind === "rate_limit" ? read.resetsAt : undefined
    }
    assert.deepEqual(at(1_900_000_000), { epochSeconds: 1_900_000_000 })
    assert.deepEqual(at("2030-03-17T17:46:40Z"), { epochSeconds: 1_900_000_000 })
    assert.deepEqual(at("5m"), { inMillis: 300_000 })
  })

  it("takes one usage for all calls, or one for each", () => {
    const usage = (given: unknown) => decodeScenario({ turns: [{ usage: given }] }).turns[0]?.usage
    assert.deepEqual(usage({ input: 1 }), [{ input: 1 }])
    assert.deepEqual(usage([{ input: 1 }, { output: 2, cache_read: 3, cache_creation: 4 }]), [
      { input: 1 },
      { output: 2, cacheRead: 3, cacheCreation: 4 }
    ])
  })

  it("tells an unknown cost from one to be computed", () => {
    const turns = decodeScenario({ turns: [{}, { cost_usd: null }, { cost_usd: 0 }] }).turns
    assert.deepEqual(
      turns.map(({ costUsd }) => costUsd),
      [undefined, null, 0]
    )
  })

  it("matches prompts over lines, and without regard to case when asked", () => {
    const [a, b] = decodeScenario({ turns: [{ expect_prompt: "a.b" }, { expect_prompt: "(?i)ABC" }] }).turns
    assert.isTrue(a?.expectPrompt?.test("a\nb"))
    assert.isFalse(a?.expectPrompt?.test("A\nb"))
    assert.isTrue(b?.expectPrompt?.test("abc"))
  })

  it("reads steps within steps", () => {
    const read = step({ tool: "Write", input: {}, on_deny: [{ parallel: [{ tool: "Read" }] }] })
    assert.strictEqual(read?.kind, "tools")
    if (read?.kind === "tools") assert.strictEqual(read.calls[0]?.onDeny?.[0]?.kind, "tools")
  })

  const wrong: ReadonlyArray<readonly [string, unknown, Problem]> = [
    ["not a mapping", [], { path: "", expected: "a mapping", got: "[]" }],
    ["turns missing", {}, { path: "turns", expected: "a value", got: "nothing" }],
    ["turns no list", { turns: "x" }, { path: "turns", expected: "a list", got: `"x"` }],
    [
      "a step of two keys",
      { turns: [{ steps: [{ say: "a", think: "b" }] }] },
      {
        path: "turns[0].steps[0]",
        expected: "a step with exactly one key (or a tool call)",
        got: `{"say":"a","think":"b"}`
      }
    ],
    [
      "an error of an unknown class",
      { turns: [{ error: { class: "tired" } }] },
      {
        path: "turns[0].error.class",
        expected:
          "one of rate_limit, authentication_failed, billing_error, server_error, overloaded, invalid_request, model_not_found, prompt_too_long, payload_too_large, not_logged_in, connection_failed",
        got: `"tired"`
      }
    ],
    [
      "a negative count",
      { turns: [], context_window: -1 },
      { path: "context_window", expected: "a whole number from 0", got: "-1" }
    ],
    [
      "a broken regular expression",
      { turns: [{ expect_prompt: "(" }] },
      { path: "turns[0].expect_prompt", expected: "a regular expression", got: `"("` }
    ],
    [
      "a marker that is not true",
      { turns: [{ steps: [{ torn: 1 }] }] },
      { path: "turns[0].steps[0].torn", expected: "true", got: "1" }
    ],
    [
      "an unknown signal",
      { turns: [{ steps: [{ kill: "SIGNAL" }] }] },
      {
        path: "turns[0].steps[0].kill",
        expected: "one of SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGSEGV, SIGABRT, SIGPIPE",
        got: `"SIGNAL"`
      }
    ],
    [
      "a misspelt key deep inside",
      { turns: [{ steps: [{ spawn_leftover: { kind: "setsid", pidfile: "x" } }] }] },
      {
        path: "turns[0].steps[0].spawn_leftover.pidfile",
        expected: "one of kind, command, lifetime, pid_file",
        got: `the unknown key "pidfile" (did you mean "pid_file"?)`
      }
    ],
    [
      "no answer to /compact",
      { turns: [], compact: [] },
      { path: "compact", expected: "at least one answer", got: "[]" }
    ]
  ]
  for (const [what, value, problem] of wrong) {
    it(`refuses ${what}`, () => {
      assert.deepEqual(problems(value), [problem])
    })
  }

  it("suggests a step's name", () => {
    const [problem] = problems({ turns: [{ steps: [{ sey: "x" }] }] })
    assert.include(problem?.got, `(did you mean "say"?)`)
  })

  it("reports every problem at once, one line each", () => {
    const value = { model: 1, turns: [{ steps: [{ delay: "x" }, { say: 2 }], colour: 1 }], startup: { delay: -1 } }
    assert.deepEqual(
      problems(value)
        .map(({ path }) => path)
        .sort(),
      ["model", "startup.delay", "turns[0].colour", "turns[0].steps[0].delay", "turns[0].steps[1].say"]
    )
    try {
      decodeScenario(value)
    } catch (error) {
      assert.strictEqual(String(error).split("\n").length, 5)
    }
  })
})
