/**
 * The section `nats` of `driver.yaml`, and what it comes to with its secrets in place.
 *
 *   nats:
 *     servers: [tls://nats.example.org:4222]
 *     credentials: driver.creds
 */
import { configKey, configMaybe } from "@driver/domain/ConfigKey"
import { expecting } from "@driver/domain/StrictDecode"
import { WireDuration } from "@driver/domain/Wire"
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

/** As it stands in the file. Paths are relative to it, until whoever reads it has made them absolute. */
export const NatsConfig = Schema.Struct({
  servers: configKey(
    "servers",
    Schema.NonEmptyArray(text),
    () => ["nats://127.0.0.1:4222"] as const,
    "[nats://127.0.0.1:4222]",
    "The server's address, or several of one cluster: nats://host:port, tls://host:port."
  ),
  stream: configKey(
    "stream",
    StreamName,
    () => defaultStream.name,
    defaultStream.name,
    "The stream of JetStream that takes the events. Made when there is none of this name, used as it is when there is."
  ),
  prefix: configMaybe("prefix", Prefix, "acme", "Before each subject and a dot: acme gives acme.agent.driver.>."),
  user: configMaybe("user", text, "driver", "User name; password_env has the password."),
  passwordEnv: configMaybe("password_env", text, "NATS_PASSWORD", "Environment variable with the password."),
  tokenEnv: configMaybe("token_env", text, "NATS_TOKEN", "Environment variable with a token for the server."),
  credentials: configMaybe("credentials", text, "driver.creds", "A file with credentials: a JWT and a seed."),
  ca: configMaybe("ca", text, "ca.pem", "A file with who may have signed the server's certificate: TLS only."),
  cert: configMaybe("cert", text, "driver.pem", "The driver's own certificate, in PEM; key has its key."),
  key: configMaybe("key", text, "driver-key.pem", "The key of that certificate, in PEM."),
  maxAge: configKey(
    "max_age",
    WireDuration,
    () => defaultStream.maxAge,
    "30 days",
    "How long a stream that is made keeps events; 0 = for ever."
  ),
  maxBytes: configMaybe(
    "max_bytes",
    positive,
    "1000000000",
    "How large a stream that is made becomes; the oldest events go first. Default: no limit."
  ),
  replicas: configKey(
    "replicas",
    Schema.Int.pipe(Schema.between(1, 5)),
    () => defaultStream.replicas,
    "1",
    "Copies of a stream that is made, in a cluster."
  ),
  duplicateWindow: configKey(
    "duplicate_window",
    WireDuration,
    () => defaultStream.duplicateWindow,
    "2 hours",
    "How long a server may be away without an event appearing twice. Costs it memory."
  )
})
  .pipe(
    Schema.filter(({ cert, credentials, key, passwordEnv, tokenEnv, user }) => {
      if ([user, tokenEnv, credentials].filter(Option.isSome).length > 1) {
        return "expected at most one of user, token_env and credentials"
      }
      if (Option.isSome(user) !== Option.isSome(passwordEnv)) return "expected user and password_env, or neither"
      if (Option.isSome(cert) !== Option.isSome(key)) return "expected cert and key, or neither"
      return undefined
    })
  )
  .annotations({ identifier: "Nats" })
export type NatsConfig = typeof NatsConfig.Type

/** A secret that the configuration names is not there. */
export class NatsConfigError extends Schema.TaggedError<NatsConfigError>()("NatsConfigError", {
  variable: Schema.String
}) {
  override get message() {
    return `Events cannot go to NATS: the environment variable ${this.variable} is not set. Set it, or mend \`nats\` in driver.yaml.`
  }
}

/** Puts secrets in their places. `read` reads a file that the configuration names. */
export const settingsFrom = <E, R>(
  config: NatsConfig,
  surroundings: {
    readonly environment: Readonly<Record<string, string | undefined>>
    readonly read: (path: string) => Effect.Effect<string, E, R>
  }
): Effect.Effect<SettingsInput, E | NatsConfigError, R> =>
  Effect.gen(function* () {
    const { duplicateWindow, maxAge, maxBytes, prefix, replicas, servers, stream } = config
    const [ca, cert, key] = yield* Effect.all(
      [config.ca, config.cert, config.key].map((file) => Effect.transposeMapOption(file, surroundings.read))
    )
    return {
      servers,
      auth: yield* authFrom(config, surroundings),
      tls: tlsFrom(ca, cert, key),
      prefix: Option.getOrElse(prefix, () => ""),
      stream: { name: stream, maxAge, maxBytes, replicas, duplicateWindow: nonZero(duplicateWindow) }
    }
  })

const authFrom = <E, R>(
  { credentials, passwordEnv, tokenEnv, user }: NatsConfig,
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
  if (Option.isSome(credentials)) {
    return Effect.map(read(credentials.value), (content) => NatsAuth.Credentials({ content: Redacted.make(content) }))
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
