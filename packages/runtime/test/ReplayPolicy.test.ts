import type { AgentFailure, FailureClass } from "@driver/agent/Agent"
import { GoalId } from "@driver/domain/Goal"
import { Usage, updateUsage } from "@driver/domain/Usage"
import {
  classify,
  decide,
  defaults,
  type ErrorClass,
  ReplayDecision,
  type ReplayInput,
  ReplayPolicy,
  type ReplaySettings
} from "@driver/runtime/ReplayPolicy"
import { CheckpointId } from "@driver/runtime/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Duration, Effect, FastCheck, Layer, Option, Schema } from "effect"

const checkpoint = Option.some(Schema.decodeSync(CheckpointId)("7"))
const now = 1_767_225_600_000

const input = (fields: Partial<ReplayInput> = {}): ReplayInput => ({
  goalId: GoalId.make("7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f"),
  turn: 3,
  checkpoint,
  usage: Usage.zero,
  failure: Option.none(),
  message: "something odd",
  hint: "Continue",
  restartedMidTurn: false,
  now,
  random: 0.5,
  ...fields
})
const failure = (cls: FailureClass, fields: Partial<AgentFailure> = {}): Partial<ReplayInput> => {
  const it: AgentFailure = { class: cls, message: "said so", status: Option.none(), resetsAt: Option.none(), ...fields }
  return { failure: Option.some(it), message: it.message }
}
const after = (consecutiveErrors: number): Partial<ReplayInput> => ({
  usage: updateUsage(Usage.zero, { consecutiveErrors })
})
const decided = (fields: Partial<ReplayInput>, settings: Partial<ReplaySettings> = {}): ReplayDecision =>
  decide(input(fields), { ...defaults, ...settings })

describe("ReplayPolicy", () => {
  it.each<[FailureClass, ReplayDecision["_tag"]]>([
    ["prompt_too_long", "CompactAndRetry"],
    ["session_dead", "FreshSessionRetry"],
    ["usage_limit", "FreshSessionRetry"],
    ["auth", "Escalate"],
    ["billing", "Escalate"],
    ["model_unavailable", "Escalate"],
    ["transient", "FreshSessionRetry"],
    ["invalid_request", "NextTurn"],
    ["unknown", "NextTurn"]
  ])("answers the agent's %s with %s", (cls, expected) => {
    assert.strictEqual(decided(failure(cls))._tag, expected)
  })

  it("believes the class that the agent gave over its text", () => {
    assert.strictEqual(decided(failure("auth", { message: "prompt is too long" }))._tag, "Escalate")
    assert.strictEqual(decided(failure("prompt_too_long", { message: "401" }))._tag, "CompactAndRetry")
  })

  it.each([
    [413, "CompactAndRetry"],
    [401, "Escalate"],
    [402, "Escalate"],
    [403, "Escalate"],
    [429, "FreshSessionRetry"],
    [500, "FreshSessionRetry"],
    [529, "FreshSessionRetry"],
    [400, "NextTurn"],
    [404, "NextTurn"]
  ])("reads the status %i of a failure without a class", (code, expected) => {
    assert.strictEqual(decided(failure("unknown", { status: Option.some(code) }))._tag, expected)
  })

  it.each<[string, ReturnType<typeof classify>]>(
    (
      [
        ["prompt is too long: 213000 tokens > 200000 maximum", "prompt_too_long"],
        ["Prompt too long", "prompt_too_long"],
        ["context_length_exceeded", "prompt_too_long"],
        ["PAYLOAD_TOO_LARGE", "prompt_too_long"],
        ["API Error: 413 request entity too large", "prompt_too_long"],
        ["HTTP 413", "prompt_too_long"],
        ["No conversation found with session ID: 0b54de5e", "session_dead"],
        ["Session not found", "session_dead"],
        ["the session 0b54 has expired", "session_dead"],
        ["invalid session id", "session_dead"],
        ["session_id is invalid", "session_dead"],
        ["Session 5 does not exist", "session_dead"],
        ["Claude AI usage limit reached|1767225660", "usage_limit"],
        ["You've hit your weekly limit", "usage_limit"],
        ["Invalid API key · Please run /login", "auth"],
        ["API Error: 401 {}", "auth"],
        ["403 Forbidden", "auth"],
        ["HTTP/1.1 403 nope", "auth"],
        ["OAuth token has expired", "auth"],
        ["Your login session has expired", "auth"],
        ["Session over, please log in again", "auth"],
        ["You are not logged in", "auth"],
        ["Credit balance is too low", "billing"],
        ["insufficient_quota", "billing"],
        ["quota exceeded", "billing"],
        ["status 402", "billing"],
        ["turn timeout", "transient"],
        ["Request timed out", "transient"],
        ["connect ETIMEDOUT 10.0.0.1:443", "transient"],
        ["rate limit", "transient"],
        ["rate_limit_error", "transient"],
        ["429", "transient"],
        ["429: slow down", "transient"],
        ["Error (529)", "transient"],
        ["API Error: 500.", "transient"],
        ["server returned 503", "transient"],
        ["503 Service Unavailable", "transient"],
        ["Overloaded", "transient"],
        ["the service is temporarily away", "transient"],
        ["read ECONNRESET", "transient"],
        ["connection reset by peer", "transient"],
        ["socket hang up", "transient"],
        ["something odd", undefined],
        ["", undefined],
        ["503 files changed, 429 insertions", undefined],
        ["at run (/srv/app.js:401:12)", undefined],
        ["exited with 1 after 500 lines", undefined],
        ["node v20.500.1", undefined],
        ["The agent ended (signal SIGKILL) in the middle of a turn", undefined],
        ["the agent's stream ended without a result", undefined],
        ["The agent printed nothing for 6m", undefined],
        ["the turn was interrupted", undefined],
        ["the agent reached its own limit (max_turns)", undefined],
        [
          'The agent\'s output was cut off in the middle of a line (code 0): {"text":"session expired, 503, timeout',
          undefined
        ]
      ] as const
    ).map(([message, cls]) => [message, Option.fromNullable(cls)])
  )("reads %j as %o", (message, expected) => {
    deepStrictEqual(classify(message), expected)
  })

  it("lets the first row win", () => {
    assert.strictEqual(decided({ message: "prompt is too long, session expired, 401" })._tag, "CompactAndRetry")
    assert.strictEqual(
      decided({ message: "session expired: 401 Unauthorized, try again: 503" })._tag,
      "FreshSessionRetry"
    )
    assert.strictEqual(decided({ message: "401 Unauthorized (upstream timeout)" })._tag, "Escalate")
  })

  describe("on a dead session", () => {
    it("takes a fresh one from the checkpoint, at once the first time", () => {
      deepStrictEqual<ReplayDecision>(
        decided(failure("session_dead")),
        ReplayDecision.FreshSessionRetry({ rollbackTo: checkpoint, delay: Duration.zero })
      )
      const again = decided({ ...failure("session_dead"), ...after(2) })
      assert.isTrue(again._tag === "FreshSessionRetry" && Duration.toMillis(again.delay) === 2_000)
    })

    it("rolls nothing back without a checkpoint", () => {
      const decision = decided({ ...failure("session_dead"), checkpoint: Option.none() })
      assert.isTrue(decision._tag === "FreshSessionRetry" && Option.isNone(decision.rollbackTo))
    })
  })

  describe("on a limit that resets", () => {
    const sleptMillis = (decision: ReplayDecision) =>
      decision._tag === "Sleep" ? Duration.toMillis(decision.duration) : decision._tag

    it.each<[string, Partial<ReplayInput>, number | string]>([
      ["in ten minutes", failure("usage_limit", { resetsAt: Option.some(now + 600_000) }), 605_000],
      ["a millisecond from now", failure("usage_limit", { resetsAt: Option.some(now + 1) }), 5_001],
      [
        "in a week: no longer than the maximum",
        failure("usage_limit", { resetsAt: Option.some(now + 604_800_000) }),
        21_600_000
      ],
      ["now", failure("usage_limit", { resetsAt: Option.some(now) }), "FreshSessionRetry"],
      ["in the past", failure("usage_limit", { resetsAt: Option.some(now - 1) }), "FreshSessionRetry"],
      ["at no known time", failure("usage_limit"), "FreshSessionRetry"],
      ["in a minute, for a rate limit", failure("transient", { resetsAt: Option.some(now + 60_000) }), 65_000],
      ["in a minute, by its text", { message: "Claude AI usage limit reached|1767225660" }, 65_000],
      ["never, when the credit is used up", failure("billing", { resetsAt: Option.some(now + 60_000) }), "Escalate"]
    ])("that resets %s", (_, fields, expected) => {
      assert.strictEqual(sleptMillis(decided(fields)), expected)
    })

    it("sleeps also after many errors: waiting does help here", () => {
      const decision = decided({ ...failure("usage_limit", { resetsAt: Option.some(now + 1_000) }), ...after(4) })
      assert.strictEqual(decision._tag, "Sleep")
    })
  })

  describe("on what may pass", () => {
    it("takes a fresh session from the checkpoint once, then asks a person", () => {
      deepStrictEqual<ReplayDecision>(
        decided(failure("transient")),
        ReplayDecision.FreshSessionRetry({ rollbackTo: checkpoint, delay: Duration.millis(500) })
      )
      const end = decided({ ...failure("transient", { message: "503" }), ...after(1) })
      assert.isTrue(end._tag === "Escalate" && end.reason.includes("1 error in a row: 503"))
    })

    it("takes as many as it is set to", () => {
      const tags = [0, 1, 2, 3].map(
        (errors) => decided({ ...failure("transient"), ...after(errors) }, { maxFreshSessionRetries: 3 })._tag
      )
      deepStrictEqual(tags, ["FreshSessionRetry", "FreshSessionRetry", "FreshSessionRetry", "Escalate"])
      assert.strictEqual(decided(failure("transient"), { maxFreshSessionRetries: 0 })._tag, "Escalate")
    })

    it("doubles the bound of the wait up to the cap, and draws from it", () => {
      const wait = (errors: number, random: number) => {
        const decision = decided(
          { ...failure("transient"), ...after(errors), random },
          { maxFreshSessionRetries: 1_000_000 }
        )
        return decision._tag === "FreshSessionRetry" ? Duration.toMillis(decision.delay) : -1
      }
      deepStrictEqual(
        [0, 1, 2, 5, 6, 60, 999_999].map((errors) => wait(errors, 0.5)),
        [500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000]
      )
      assert.strictEqual(wait(3, 0), 0)
    })
  })

  it("goes on with the same turn after a restart of the driver, unless the error says more", () => {
    assert.strictEqual(decided({ restartedMidTurn: true, message: "the driver was restarted" })._tag, "SameTurn")
    assert.strictEqual(decided({ restartedMidTurn: true, message: "prompt is too long" })._tag, "CompactAndRetry")
  })

  it("goes on with the next turn after anything else, work kept", () => {
    deepStrictEqual<ReplayDecision>(decided({}), ReplayDecision.NextTurn({ rollbackTo: Option.none() }))
  })

  it("ends where the loop gave up, whatever the words", () => {
    for (const message of ["something odd", "session expired", "gate not connected: timed out", "prompt is too long"]) {
      deepStrictEqual<ReplayDecision>(
        decided({ hint: "Escalate", message }),
        ReplayDecision.Escalate({ reason: message })
      )
    }
    assert.strictEqual(decided({ ...failure("unknown"), hint: "Escalate" })._tag, "Escalate")
    assert.strictEqual(decided({ ...failure("prompt_too_long"), hint: "Escalate" })._tag, "CompactAndRetry")
  })

  it.each<[ErrorClass, string]>([
    [
      "auth",
      "The agent may not use its provider: said so. Log the agent in again or renew its key, then run the goal again."
    ],
    ["billing", "The provider's credit or quota is used up: said so. Top it up, then run the goal again."],
    ["model_unavailable", "The model cannot be used: said so. Configure another one, then run the goal again."]
  ])("says what to do about %s", (cls, expected) => {
    const decision = decided(failure(cls, { message: "said so." }))
    assert.strictEqual(decision._tag === "Escalate" && decision.reason, expected)
    assert.strictEqual(decision._tag === "Escalate" && decision.because, cls)
  })

  it("names what was reported when it gives up on what may pass", () => {
    for (const cls of ["transient", "usage_limit"] as const) {
      const decision = decided({ ...failure(cls), ...after(1) })
      assert.strictEqual(decision._tag === "Escalate" && decision.because, cls)
    }
  })

  it("ends a goal at its usage limit where it is told that somebody else can take over, and only there", () => {
    const limit = failure("usage_limit", { message: "5 hours.", resetsAt: Option.some(now + 60_000) })
    assert.strictEqual(decided(limit)._tag, "Sleep")
    deepStrictEqual<ReplayDecision>(
      decided(limit, { endAtLimit: true }),
      ReplayDecision.Escalate({
        reason: "The provider's usage limit is reached: 5 hours. Run the goal again when it has reset.",
        because: "usage_limit"
      })
    )
    const busy = failure("transient", { resetsAt: Option.some(now + 60_000) })
    assert.strictEqual(decided(busy, { endAtLimit: true })._tag, "Sleep")
  })

  it("bounds what it quotes", () => {
    const decision = decided({ ...failure("auth"), message: "😀\n".repeat(100_000) })
    assert.isTrue(decision._tag === "Escalate" && decision.reason.length < 1_500)
    assert.notMatch(JSON.stringify(decision), /\\ud8/)
  })

  it("reads a message of a megabyte in no time", () => {
    for (const part of ["session ", "invalid ", "error ", "no ", "5", " ", "limit reached|", "session\n"]) {
      const started = performance.now()
      classify(part.repeat(1_000_000 / part.length))
      assert.isBelow(performance.now() - started, 250)
    }
  })

  const anyInput = FastCheck.record({
    message: FastCheck.string(),
    hint: FastCheck.constantFrom("Continue" as const, "Escalate" as const),
    restartedMidTurn: FastCheck.boolean(),
    consecutiveErrors: FastCheck.nat(),
    random: FastCheck.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    failure: FastCheck.option(
      FastCheck.record({
        class: FastCheck.constantFrom<FailureClass>("usage_limit", "transient", "unknown", "session_dead", "auth"),
        resetsAt: FastCheck.option(FastCheck.integer({ min: now - 1e9, max: now + 1e12 }))
      })
    )
  })
  it.prop("is pure, and bounds every wait", [anyInput], ([any]) => {
    const fields: Partial<ReplayInput> = {
      ...any,
      ...after(any.consecutiveErrors),
      failure: Option.map(Option.fromNullable(any.failure), (it) => ({
        class: it.class,
        message: any.message,
        status: Option.none(),
        resetsAt: Option.fromNullable(it.resetsAt)
      }))
    }
    const decision = decided(fields)
    deepStrictEqual(decided(fields), decision)
    if (decision._tag === "Sleep") {
      assert.isTrue(Duration.between(decision.duration, { minimum: "1 millis", maximum: "6 hours" }))
    }
    if (decision._tag === "FreshSessionRetry") assert.isTrue(Duration.lessThan(decision.delay, "1 minute"))
    if (any.hint === "Escalate" && any.failure === null) assert.strictEqual(decision._tag, "Escalate")
  })

  it.effect("layer takes settings, layerNever always escalates, layerConfig reads the environment", () =>
    Effect.gen(function* () {
      const answer = (fields: Partial<ReplayInput>) => Effect.map(ReplayPolicy, (it) => it.decide(input(fields)))
      const transient = { ...failure("transient"), ...after(1) }
      const config = ConfigProvider.fromMap(
        new Map([
          ["DRIVER_REPLAY_MAX_FRESH_SESSION_RETRIES", "2"],
          ["DRIVER_REPLAY_MAX_SLEEP", "1 minute"],
          ["DRIVER_REPLAY_RESET_MARGIN", "2 seconds"],
          ["DRIVER_REPLAY_BACKOFF_BASE", "10 seconds"],
          ["DRIVER_REPLAY_BACKOFF_CAP", "14 seconds"]
        ])
      )
      const configured = Layer.provide(ReplayPolicy.layerConfig, Layer.setConfigProvider(config))
      assert.strictEqual((yield* Effect.provide(answer(transient), ReplayPolicy.layer()))._tag, "Escalate")
      const more = ReplayPolicy.layer({ maxFreshSessionRetries: 2 })
      assert.strictEqual((yield* Effect.provide(answer(transient), more))._tag, "FreshSessionRetry")
      deepStrictEqual<ReplayDecision>(
        yield* Effect.provide(answer(transient), configured),
        ReplayDecision.FreshSessionRetry({ rollbackTo: checkpoint, delay: Duration.seconds(7) })
      )
      const limited = (inMillis: number) => failure("usage_limit", { resetsAt: Option.some(now + inMillis) })
      for (const [inMillis, slept] of [
        [30_000, 32_000],
        [90_000, 60_000]
      ] as const) {
        const sleep = yield* Effect.provide(answer(limited(inMillis)), configured)
        assert.isTrue(sleep._tag === "Sleep" && Duration.toMillis(sleep.duration) === slept)
      }
      assert.strictEqual((yield* Effect.provide(answer({}), ReplayPolicy.layerNever))._tag, "Escalate")
    })
  )
})
