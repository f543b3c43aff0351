import { delayBefore } from "@driver/nats/NatsRelay"
import { authOf, NatsAuth, plainAddress, settingsOf, subjectsOf } from "@driver/nats/NatsSettings"
import { covers } from "@driver/nats/NatsStream"
import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck, Redacted } from "effect"

describe("settingsOf", () => {
  it("fills in what is not given, also of the stream", () => {
    const { prefix, servers, stream } = settingsOf({ stream: { name: "OURS" } })
    assert.deepStrictEqual(
      [prefix, servers, stream.name, Duration.toHours(stream.duplicateWindow)],
      ["", ["nats://127.0.0.1:4222"], "OURS", 2]
    )
  })
})

describe("subjectsOf", () => {
  it("is what all events are published under", () => {
    assert.strictEqual(subjectsOf({ prefix: "" }), "agent.driver.>")
    assert.strictEqual(subjectsOf({ prefix: "a.b" }), "a.b.agent.driver.>")
  })
})

describe("authOf", () => {
  const none = NatsAuth.Anonymous()
  it.each([
    ["nats://host:4222", "anonymous"],
    ["host:4222", "anonymous"],
    ["nats://ann:s3%20c:ret@host", "ann / s3 c:ret"],
    ["tls://t0ken@host:4222", "token t0ken"],
    ["100%@host", "token 100%"]
  ])("of %s is %s", (server, expected) => {
    const text = NatsAuth.$match(authOf({ servers: [server], auth: none }), {
      Anonymous: () => "anonymous",
      Token: ({ token }) => `token ${Redacted.value(token)}`,
      Password: ({ password, user }) => `${user} / ${Redacted.value(password)}`,
      Credentials: () => "credentials"
    })
    assert.strictEqual(text, expected)
  })

  it("prefers what is given beside the address, and never shows it", () => {
    const token = NatsAuth.Token({ token: Redacted.make("t") })
    assert.strictEqual(authOf({ servers: ["a:b@host"], auth: token }), token)
    assert.deepStrictEqual(["nats://a:b@host:1", "host:1", "tls://x@[::1]:2"].map(plainAddress), [
      "nats://host:1",
      "host:1",
      "tls://[::1]:2"
    ])
  })
})

describe("covers", () => {
  it.each([
    ["agent.driver.>", true],
    ["agent.>", true],
    [">", true],
    ["*.driver.>", true],
    ["agent.*.>", true],
    ["agent.driver.*", false],
    ["agent.driver", false],
    ["agent.driver.goal.>", false],
    ["other.>", false]
  ])("%s for all of the driver's subjects: %s", (pattern, expected) => {
    assert.strictEqual(covers(pattern, "agent.driver.>"), expected)
  })

  it("is true of each pattern and itself", () => {
    const part = FastCheck.constantFrom("a", "b", "*")
    FastCheck.assert(
      FastCheck.property(FastCheck.array(part, { minLength: 1 }), FastCheck.boolean(), (parts, open) => {
        const pattern = [...parts, ...(open ? [">"] : [])].join(".")
        assert.isTrue(covers(pattern, pattern))
        assert.isFalse(covers(pattern, `${[...parts, "z"].join(".")}`) && !open)
      })
    )
  })
})

describe("delayBefore", () => {
  const retry = { first: Duration.millis(100), longest: Duration.seconds(10) }
  it("doubles up to the longest, and is spread by a fifth", () => {
    const millis = (failures: number, random: number) =>
      Math.round(Duration.toMillis(delayBefore(failures, retry, random)))
    assert.deepStrictEqual(
      [1, 2, 3, 7, 8, 9, 1_000_000].map((failures) => millis(failures, 0.5)),
      [100, 200, 400, 6_400, 10_000, 10_000, 10_000]
    )
    assert.deepStrictEqual([millis(1, 0), millis(1, 1)], [80, 120])
  })
})
