import { DriverEvent } from "@driver/domain/DriverEvent"
import { decodeStrict } from "@driver/domain/StrictDecode"
import { eventKinds, kindOf } from "@driver/runtime/EventKinds"
import { HookAction, HookConfig, hooksOf, isFor } from "@driver/runtime/HookSettings"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Either, FastCheck, JSONSchema, Option, Redacted, Schema } from "effect"
import { delayAfter, judgeAnswer, parseRetryAfter, Tried } from "../src/internal/hookDecisions.js"
import { completed, paused } from "./support/events.js"

const decode = Schema.decodeUnknownEither(HookConfig)
const surroundings = {
  environment: { CHAT_SECRET: "s3cret-s3cret", CHAT_URL: "https://chat.test/hooks/abc", EMPTY: " " },
  commandEnv: { PATH: "/usr/bin" },
  cwd: "/somewhere"
}
const settingsOf = (...configs: ReadonlyArray<unknown>) =>
  hooksOf(
    configs.map((config) => Schema.decodeUnknownSync(HookConfig)(config)),
    surroundings
  )

describe("HookConfig", () => {
  it("reads what stands in the file, and fills in the rest", () => {
    const config = Either.getOrThrow(decode({ name: "bell", on: "goal_completed", command: "./ring.sh" }))
    assert.deepStrictEqual(config.on, ["goal_completed"])
    assert.deepStrictEqual([config.timeout, config.firstDelay, config.maxDelay].map(Duration.toSeconds), [10, 5, 600])
    assert.strictEqual(config.tries, 8)
    assert.isTrue(Option.isNone(config.outcome))
  })

  it("is written as it is read", () => {
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(HookConfig), (config) => {
        const written: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(HookConfig)(config)))
        assert.deepStrictEqual(Either.getOrThrow(decode(written)), config)
      }),
      { numRuns: 100 }
    )
  })

  it.each([
    [{ name: "a", on: "goal_complete", url: "https://x.test" }, /kind of event/],
    [{ name: "a", on: [], url: "https://x.test" }, /./],
    [{ name: "a b", on: "*", url: "https://x.test" }, /a name of up to 64 letters/],
    [{ name: "a", on: "*" }, /exactly one of url, url_env and command/],
    [{ name: "a", on: "*", url: "https://x.test", command: "true" }, /exactly one of url, url_env and command/],
    [{ name: "a", on: "*", url: "https://x.test", tries: 0 }, /tries: expected a whole number above 0/],
    [{ name: "a", on: "*", url: "https://x.test", secret: "x" }, /secret/]
  ])("refuses %j", (config, message) => {
    const issues = Either.getOrThrow(Either.flip(decodeStrict(HookConfig)(config)))
    assert.match(issues.map((issue) => issue.message).join("\n"), message)
  })

  it("has a JSON schema that names the kinds of events", () => {
    assert.include(JSON.stringify(JSONSchema.make(HookConfig)), `"goal_completed"`)
  })
})

describe("hooksOf", () => {
  it("puts secrets in their places", () => {
    const [chat, bell] = Either.getOrThrow(
      settingsOf(
        { name: "chat", on: "*", url_env: "CHAT_URL", secret_env: "CHAT_SECRET", headers: { a: "b" } },
        { name: "bell", on: "escalate", command: ["ring", "twice"] }
      )
    )
    assert.deepStrictEqual(
      chat?.action,
      HookAction.Post({
        url: Redacted.make("https://chat.test/hooks/abc"),
        headers: { a: "b" },
        token: Option.none(),
        secret: Option.some(Redacted.make("s3cret-s3cret"))
      })
    )
    assert.deepStrictEqual(
      bell?.action,
      HookAction.Run({ argv: ["ring", "twice"], env: { PATH: "/usr/bin" }, cwd: "/somewhere" })
    )
  })

  it("gives a line to bash", () => {
    const [bell] = Either.getOrThrow(settingsOf({ name: "bell", on: "*", command: "ring | tee log" }))
    assert.deepStrictEqual(bell?.action._tag === "Run" ? bell.action.argv : [], [
      "bash",
      "--norc",
      "-c",
      "ring | tee log"
    ])
  })

  it.each([
    [
      [{ name: "a", on: "*", url_env: "MISSING" }],
      `The hook "a" cannot be used: the environment variable MISSING is not set.`
    ],
    [[{ name: "a", on: "*", url: "https://x.test", token_env: "EMPTY" }], "EMPTY is not set"],
    [[{ name: "a", on: "*", url: "chat.test" }], "does not begin with http"],
    [
      [
        { name: "a", on: "*", command: "true" },
        { name: "a", on: "*", command: "true" }
      ],
      "another hook has this name"
    ]
  ])("refuses %j", (configs, expected) => {
    const { message } = Either.getOrThrow(Either.flip(settingsOf(...configs)))
    assert.include(message, expected)
  })
})

describe("isFor", () => {
  const is = (on: ReadonlyArray<string>, outcomes?: ReadonlyArray<string>) =>
    isFor({ on, outcomes: Option.fromNullable(outcomes) })

  it("goes by the kind and by the outcome", () => {
    assert.deepStrictEqual(
      [
        is(["goal_completed"])(completed(1, 1)),
        is(["*"])(paused(1, 1)),
        is(["escalate", "goal_paused"])(paused(1, 1)),
        is(["goal_completed"])(paused(1, 1)),
        is(["*"], ["done"])(completed(1, 1)),
        is(["*"], ["cancelled", "escalate"])(completed(1, 1)),
        is(["*"], ["done"])(paused(1, 1))
      ],
      [true, true, true, false, true, false, false]
    )
  })

  it("knows every kind of event by the name that it has outside", () => {
    const encode = Schema.encodeSync(DriverEvent)
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(DriverEvent), (event) => {
        assert.strictEqual(kindOf(event), encode(event).kind)
        assert.include(eventKinds, kindOf(event))
      })
    )
    assert.strictEqual(new Set(eventKinds).size, DriverEvent.members.length)
    assert.isFalse(eventKinds.includes(""))
  })
})

describe("judgeAnswer", () => {
  it.each([
    [200, "Taken"],
    [204, "Taken"],
    [301, "Refused"],
    [400, "Refused"],
    [401, "Refused"],
    [404, "Refused"],
    [408, "Failed"],
    [410, "Refused"],
    [429, "Failed"],
    [500, "Failed"],
    [503, "Failed"]
  ])("takes %i as %s", (status, tag) => {
    assert.strictEqual(judgeAnswer(status, undefined, "", 0)._tag, tag)
  })

  it("says what was answered, and for how long to wait", () => {
    assert.deepStrictEqual(
      judgeAnswer(503, "7", " busy \n", 0),
      Tried.Failed({ reason: "it answered with status 503: busy", after: Option.some(Duration.seconds(7)) })
    )
  })
})

describe("parseRetryAfter", () => {
  const now = Date.UTC(2026, 0, 1)
  it.each([
    ["120", 120],
    ["0", 0],
    ["Thu, 01 Jan 2026 00:00:30 GMT", 30],
    ["Wed, 31 Dec 2025 23:00:00 GMT", 0],
    ["999999", 3_600],
    ["soon", undefined],
    [undefined, undefined],
    ["", undefined]
  ])("reads %j as %s seconds", (text, seconds) => {
    assert.strictEqual(Option.getOrUndefined(Option.map(parseRetryAfter(text, now), Duration.toSeconds)), seconds)
  })
})

describe("delayAfter", () => {
  const patience = { firstDelay: Duration.seconds(5), maxDelay: Duration.minutes(10) }
  it("is never shorter than asked, nor longer than the longest but for the spread", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.integer({ min: 1, max: 2_000 }),
        FastCheck.double({ min: 0, max: 1, noNaN: true }),
        FastCheck.option(FastCheck.integer({ min: 0, max: 3_600 })),
        (tries, random, seconds) => {
          const after = Option.map(Option.fromNullable(seconds), Duration.seconds)
          const delay = Duration.toSeconds(delayAfter(tries, patience, after, random))
          assert.isAtLeast(delay, Math.max(4, seconds ?? 0))
          assert.isAtMost(delay, Math.max(720, seconds ?? 0))
        }
      )
    )
  })
})
