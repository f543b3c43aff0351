import { assert, describe, it } from "vitest"
import { assertShapes, directory, type Json, kinds, run, streamJson } from "./harness.js"

const failing = (error: Json, ...steps: ReadonlyArray<unknown>) => ({ turns: [{ steps, error }, { result: "ok" }] })

describe.concurrent("driver-stub's API failures", () => {
  const table: ReadonlyArray<readonly [string, string, number | null, string, string?]> = [
    ["rate_limit", "rate_limit", 429, "api_error", "api-429-exhausted"],
    ["authentication_failed", "authentication_failed", 401, "api_error"],
    ["billing_error", "billing_error", 400, "api_error"],
    ["server_error", "server_error", 500, "api_error"],
    ["overloaded", "server_error", 529, "api_error"],
    ["invalid_request", "invalid_request", 400, "api_error"],
    ["model_not_found", "model_not_found", 404, "api_error"],
    ["prompt_too_long", "invalid_request", 400, "prompt_too_long"],
    ["payload_too_large", "invalid_request", 413, "image_error", "api-413"],
    ["not_logged_in", "authentication_failed", null, "api_error"],
    ["connection_failed", "server_error", null, "api_error", "api-connection-refused"]
  ]
  for (const [name, error, status, reason, captured] of table) {
    it(`shows ${name} as a success that is an error`, async () => {
      const retries =
        captured === undefined || captured === "api-413"
          ? []
          : [{ api_retry: { attempt: 1, delay: 1 } }, { api_retry: { attempt: 2, delay: 1 } }]
      const ran = await run({ scenario: failing({ class: name }, ...retries), gate: [] })
      assert.strictEqual(ran.exit.code, 1)
      if (captured !== undefined) assertShapes(captured, ran.events)
      assert.include(ran.result, {
        subtype: "success",
        is_error: true,
        terminal_reason: reason,
        api_error_status: status,
        num_turns: 1,
        stop_reason: "stop_sequence"
      })
      const synthetic = ran.events.find(({ type }) => type === "assistant")
      assert.include(synthetic, { error, is_api_error_message: true })
      assert.strictEqual(synthetic.message.model, "<synthetic>")
      assert.strictEqual(synthetic.message.content[0].text, ran.result.result)
      assert.deepEqual([ran.result.usage.input_tokens, ran.result.total_cost_usd], [0, 0])
    })
  }

  it("lets the scenario choose status and text, and announces when a limit is lifted", async () => {
    const ran = await run({
      scenario: failing({ class: "rate_limit", status: 503, text: "Slow down", resets_at: 1_900_000_000 })
    })
    assert.deepEqual(ran.events.find(({ type }) => type === "rate_limit_event").rate_limit_info, {
      status: "rejected",
      resetsAt: 1_900_000_000,
      rateLimitType: "five_hour",
      isUsingOverage: false
    })
    assert.include(ran.result, { api_error_status: 503, result: "Slow down" })
  })

  it("counts the calls that succeeded before", async () => {
    const ran = await run({ scenario: failing({ class: "overloaded" }, { say: "so far" }) })
    assert.strictEqual(ran.result.usage.input_tokens, 10)
    assert.include(ran.result.result, "529")
  })

  it("tries to compact a conversation of several turns that has become too long", async () => {
    const at = directory()
    const scenario = { turns: [{ result: "one" }, { error: { class: "prompt_too_long" } }] }
    const first = await run({ at, scenario, gate: [] })
    const ran = await run({ at, scenario, args: [...streamJson, "--resume", first.result.session_id], gate: [] })
    assert.deepEqual(kinds(ran.events), [
      "system/init",
      "system/status",
      "system/status",
      "assistant",
      "result/success"
    ])
    assertShapes("prompt-too-long-always-1", ran.events)
    assert.include(ran.events[2], { compact_result: "failed", compact_error: "exhausted" })
  })

  it("is not logged in when the scenario starts like that, whatever the turns say", async () => {
    const ran = await run({
      scenario: { turns: [{ result: "x" }], startup: { not_logged_in: true } },
      env: { ANTHROPIC_API_KEY: "k" }
    })
    assert.deepEqual([ran.exit.code, ran.events[0].apiKeySource], [1, "none"])
    assert.include(ran.result.result, "Please run /login")
  })

  it("shows the key's source", async () => {
    const ran = await run({ scenario: { turns: [] }, env: { ANTHROPIC_API_KEY: "k" } })
    assert.strictEqual(ran.events[0].apiKeySource, "ANTHROPIC_API_KEY")
  })
})
