/**
 * The entry of `driver.yaml` that sends events to NATS, and what it comes to with
 * its secrets in place.
 *
 *   events:
 *     - nats: tls://nats.example.org:4222
 *       creds_file: driver.creds
 */
import { expecting } from "@driver/domain/StrictDecode"
import { optional, WireDuration, withDefault } from "@driver/domain/Wire"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { defaultStream, NatsAuth, type NatsTls, type SettingsInput } from "./NatsSettings.js"

const text = Schema.NonEmptyTrimmedString
const positive = Schema.Int.pipe(Schema.positive())

const matching = (pattern: RegExp, identifier: string, phrase: string, samples: readonly [string, ...Array<string>]) =>
  Schema.String.pipe(Schema.pattern(pattern, { message: () => `expected ${phrase}` })).annotations({
    identifier,
    arbitrary: () => (fc) => fc.constantFrom(...samples),
    ...expecting(phrase)
  })

const StreamName = matching(/^[^\s.*>/\\]{1,255}$/, "StreamName", "a name without spaces, dots, slashes, * and >", [
  "DRIVER_EVENTS",
  "ours"
])
const Prefix = matching(/^[^\s.*>]+(\.[^\s.*>]+)*$/, "SubjectPrefix", 'a subject, such as "acme.ci"', [
  "acme",
  "acme.ci"
])

/** As it stands in the file, below `events:`. */
export const NatsConfig = Schema.Struct({
  nats: Schema.Union(text, Schema.NonEmptyArray(text)).annotations({
    description: "The server's address, or a list of those of one cluster: nats://host:port, tls://host:port."
  }),
  stream: withDefault(StreamName, "stream", () => defaultStream.name).annotations({
    description: "The stream of JetStream. Made when there is none of this name. Default DRIVER_EVENTS."
  }),
  prefix: optional(Prefix, "prefix").annotations({
    description: "Put before every subject: acme makes agent.driver.goal.started acme.agent.driver.goal.started."
  }),
  user: optional(text, "user").annotations({ description: "User name; password_env has the password." }),
  passwordEnv: optional(text, "password_env").annotations({ description: "Environment variable with the password." }),
  tokenEnv: optional(text, "token_env").annotations({ description: "Environment variable with a token." }),
  credsFile: optional(text, "creds_file").annotations({ description: "A .creds file." }),
  caFile: optional(text, "ca_file").annotations({
    description: "Who signed the server's certificate, in PEM. Connections are made with TLS only."
  }),
  certFile: optional(text, "cert_file").annotations({ description: "The driver's own certificate, in PEM." }),
  keyFile: optional(text, "key_file").annotations({ description: "The key of that certificate, in PEM." }),
  maxAge: withDefault(WireDuration, "max_age", () => defaultStream.maxAge).annotations({
    description: "How long a stream that is made keeps events; 0 = for ever. Default 30 days."
  }),
  maxBytes: optional(positive, "max_bytes").annotations({
    description: "How large a stream that is made becomes; the oldest events go first. Default: no limit."
  }),
  replicas: withDefault(Schema.Int.pipe(Schema.between(1, 5)), "replicas", () => defaultStream.replicas).annotations({
    description: "Copies of a stream that is made, in a cluster. Default 1."
  }),
  duplicateWindow: withDefault(WireDuration, "duplicate_window", () => defaultStream.duplicateWindow).annotations({
    description: "How long a server may be away without an event appearing twice. Costs it memory. Default 2 hours."
  })
})
  .pipe(
    Schema.filter(({ certFile, credsFile, keyFile, passwordEnv, tokenEnv, user }) => {
      if ([user, tokenEnv, credsFile].filter(Option.isSome).length > 1) {
        return "expected at most one of user, token_env and creds_file"
      }
      if (Option.isSome(user) !== Option.isSome(passwordEnv)) return "expected user and password_env, or neither"
      if (Option.isSome(certFile) !== Option.isSome(keyFile)) return "expected cert_file and key_file, or neither"
      return undefined
    })
  )
  .annotations({ identifier: "NatsSink" })
export type NatsConfig = typeof NatsConfig.Type

/** A secret that the configuration names is not there. */
export class NatsConfigError extends Schema.TaggedError<NatsConfigError>()("NatsConfigError", {
  variable: Schema.String
}) {
  override get message() {
    return `Events cannot go to NATS: the environment variable ${this.variable} is not set. Set it, or remove the entry.`
  }
}

/** Puts secrets in their places. `read` reads a file of the configuration, relative to wherever that is. */
export const settingsFrom = <E, R>(
  config: NatsConfig,
  surroundings: {
    readonly environment: Readonly<Record<string, string | undefined>>
    readonly read: (path: string) => Effect.Effect<string, E, R>
  }
): Effect.Effect<SettingsInput, E | NatsConfigError, R> =>
  Effect.gen(function* () {
    const { caFile, certFile, duplicateWindow, keyFile, maxAge, maxBytes, nats, prefix, replicas, stream } = config
    const [ca, cert, key] = yield* Effect.all(
      [caFile, certFile, keyFile].map((file) => Effect.transposeMapOption(file, surroundings.read))
    )
    return {
      servers: typeof nats === "string" ? [nats] : nats,
      auth: yield* authFrom(config, surroundings),
      tls: tlsFrom(ca, cert, key),
      prefix: Option.getOrElse(prefix, () => ""),
      stream: { name: stream, maxAge, maxBytes, replicas, duplicateWindow: nonZero(duplicateWindow) }
    }
  })

const authFrom = <E, R>(
  { credsFile, passwordEnv, tokenEnv, user }: NatsConfig,
  {
    environment,
    read
  }: {
    readonly environment: Readonly<Record<string, string | undefined>>
    readonly read: (path: string) => Effect.Effect<string, E, R>
  }
): Effect.Effect<NatsAuth, E | NatsConfigError, R> => {
  const secret = (variable: string) => {
    const value = environment[variable]?.trim()
    return value === undefined || value === ""
      ? Effect.fail(new NatsConfigError({ variable }))
      : Effect.succeed(Redacted.make(value))
  }
  if (Option.isSome(credsFile)) {
    return Effect.map(read(credsFile.value), (content) => NatsAuth.Credentials({ content: Redacted.make(content) }))
  }
  if (Option.isSome(tokenEnv)) return Effect.map(secret(tokenEnv.value), (token) => NatsAuth.Token({ token }))
  if (Option.isSome(user) && Option.isSome(passwordEnv)) {
    return Effect.map(secret(passwordEnv.value), (password) => NatsAuth.Password({ user: user.value, password }))
  }
  return Effect.succeed(NatsAuth.Anonymous())
}

const tlsFrom = (
  ca: Option.Option<string> = Option.none(),
  cert: Option.Option<string> = Option.none(),
  key: Option.Option<string> = Option.none()
): Option.Option<NatsTls> =>
  Option.isNone(ca) && Option.isNone(cert)
    ? Option.none()
    : Option.some({
        ...Option.match(ca, { onNone: () => ({}), onSome: (ca) => ({ ca }) }),
        ...Option.match(cert, { onNone: () => ({}), onSome: (cert) => ({ cert }) }),
        ...Option.match(key, { onNone: () => ({}), onSome: (key) => ({ key: Redacted.make(key) }) })
      })

/** The server takes 0 for its own default, and nothing shorter than 100 ms. */
const nonZero = (window: Duration.Duration) => Duration.max(window, Duration.millis(100))
