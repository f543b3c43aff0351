import { decodeStrict } from "@driver/domain/StrictDecode"
import { NatsConfig, settingsFrom } from "@driver/nats/NatsConfig"
import { NatsAuth, settingsOf } from "@driver/nats/NatsSettings"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Effect, Either, FastCheck, Option, Redacted, Schema } from "effect"

const decode = Schema.decodeUnknownSync(NatsConfig)
const settings = (config: unknown) =>
  settingsFrom(decode(config), {
    environment: { NATS_TOKEN: "t0ken", NATS_PASSWORD: " s3cret ", EMPTY: "" },
    read: (path) => Effect.succeed(`content of ${path}`)
  })

describe("NatsConfig", () => {
  it.effect("needs no more than an address", () =>
    Effect.gen(function* () {
      const given = yield* settings({})
      assert.deepStrictEqual(settingsOf(given), settingsOf({}))
    })
  )

  it("is written as it is read", () => {
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(NatsConfig), (config) => {
        const written: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(NatsConfig)(config)))
        assert.deepStrictEqual(decode(written), config)
      }),
      { numRuns: 50 }
    )
  })

  it.effect("puts secrets in their places", () =>
    Effect.gen(function* () {
      const auth = (config: object) => Effect.map(settings({ servers: ["host"], ...config }), (it) => it.auth)
      assert.deepStrictEqual(
        [
          yield* auth({ token_env: "NATS_TOKEN" }),
          yield* auth({ user: "ann", password_env: "NATS_PASSWORD" }),
          yield* auth({ credentials: "a.creds" })
        ],
        [
          NatsAuth.Token({ token: Redacted.make("t0ken") }),
          NatsAuth.Password({ user: "ann", password: Redacted.make("s3cret") }),
          NatsAuth.Credentials({ content: Redacted.make("content of a.creds") })
        ]
      )
      const { tls } = yield* settings({ ca: "ca.pem", cert: "c.pem", key: "k.pem" })
      assert.deepStrictEqual(
        tls,
        Option.some({ ca: "content of ca.pem", cert: "content of c.pem", key: Redacted.make("content of k.pem") })
      )
      const { message } = yield* Effect.flip(auth({ token_env: "EMPTY" }))
      assert.strictEqual(
        message,
        "Events cannot go to NATS: the environment variable EMPTY is not set. Set it, or mend `nats` in driver.yaml."
      )
    })
  )

  it.effect("describes the stream", () =>
    Effect.gen(function* () {
      const { prefix, servers, stream } = yield* settings({
        servers: ["a:1", "b:2"],
        stream: "OURS",
        prefix: "acme.ci",
        max_age: 0,
        max_bytes: 1_000_000,
        replicas: 3,
        duplicate_window: "6 hours"
      })
      assert.deepStrictEqual([prefix, servers], ["acme.ci", ["a:1", "b:2"]])
      assert.deepStrictEqual(stream, {
        name: "OURS",
        maxAge: Duration.zero,
        maxBytes: Option.some(1_000_000),
        replicas: 3,
        duplicateWindow: Duration.hours(6)
      })
    })
  )

  it.each([
    [{ stream: "a.b" }, /a name without spaces/],
    [{ prefix: "a..b" }, /a subject/],
    [{ servers: [] }, /servers/],
    [{ user: "ann" }, /user and password_env/],
    [{ token_env: "A", credentials: "b" }, /at most one of user, token_env and credentials/],
    [{ key: "k" }, /cert and key/],
    [{ password: "x" }, /password/]
  ])("refuses %j", (config, message) => {
    const issues = Either.getOrThrow(Either.flip(decodeStrict(NatsConfig)(config)))
    assert.match(issues.map((issue) => issue.message).join("\n"), message)
  })
})
