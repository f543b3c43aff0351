/**
 * A connection to a NATS server that belongs to a scope.
 *
 * The client's own reconnecting is off: it would keep what is published in a buffer
 * that it drops at the next dial, and give up for good after two refusals. Here a
 * connection that breaks is over, everything under way on it fails at once, and
 * whoever uses it makes another one.
 */
import { type ConnectionOptions, connect, credsAuthenticator, type NatsConnection } from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { authOf, type NatsSettings, plainAddress } from "./NatsSettings.js"

/** The server cannot be reached, refuses the driver, or does not answer. Trying again later may help. */
export class NatsUnavailable extends Schema.TaggedError<NatsUnavailable>()("NatsUnavailable", {
  /** Without user and password. */
  servers: Schema.Array(Schema.String),
  /** What was tried: `connect`, `publish`, … */
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    const remedy = /authori[sz]ation|authentication|permission/i.test(this.detail)
      ? "Give the driver a user, token or credentials that the server knows and that may use JetStream."
      : /jetstream is not enabled/i.test(this.detail)
        ? "Start the server with JetStream (nats-server -js), and allow it for the account."
        : "See whether the server runs at this address; events are kept until it does."
    return `NATS at ${this.servers.join(", ")} cannot be used (${this.operation}): ${this.detail}. ${remedy}`
  }
}

/** Why something failed, as an error of ours. */
export const unavailable =
  ({ servers }: Pick<NatsSettings, "servers">, operation: string) =>
  (cause: unknown): NatsUnavailable =>
    new NatsUnavailable({
      servers: servers.map(plainAddress),
      operation,
      detail: (cause instanceof Error ? cause.message : String(cause)) || "the server gave no reason"
    })

/** How long closing waits for what the client has still to write. */
const drainTimeout = Duration.seconds(1)

/** Connects to the first server that answers. The connection is closed with the scope. */
export const open = Effect.fn("NatsConnection.open")(function* (
  settings: NatsSettings
): Effect.fn.Return<NatsConnection, NatsUnavailable, Scope.Scope> {
  let connection: NatsConnection | undefined
  let over = false
  // Registered first: a dial cannot be cancelled, and one that succeeds when nobody waits any more is closed then.
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      over = true
      return connection === undefined ? Effect.void : close(connection)
    })
  )
  return yield* Effect.async<NatsConnection, NatsUnavailable>((resume) => {
    dial(settings).then(
      (made) => {
        connection = made
        if (over) void made.close()
        resume(Effect.succeed(made))
      },
      (cause: unknown) => resume(Effect.fail(unavailable(settings, "connect")(cause)))
    )
  })
})

/** Fails when the connection breaks. */
export const broken = (settings: NatsSettings, connection: NatsConnection): Effect.Effect<never, NatsUnavailable> =>
  Effect.flatMap(
    Effect.promise(() => connection.closed()),
    (reason) => Effect.fail(unavailable(settings, "connection")(reason ?? "the connection was closed"))
  )

// A bad setting is thrown, not rejected.
const dial = async (settings: NatsSettings): Promise<NatsConnection> => connect(optionsOf(settings))

const optionsOf = (settings: NatsSettings): ConnectionOptions => ({
  servers: settings.servers.map(plainAddress),
  name: "driver",
  reconnect: false,
  // A server that went away without a word is noticed after 20 to 30 seconds, or by a publish.
  pingInterval: 10_000,
  maxPingOut: 2,
  noAsyncTraces: true,
  timeout: Duration.toMillis(settings.connectTimeout),
  ...authOptions(settings),
  ...tlsOptions(settings)
})

const authOptions = (settings: NatsSettings): ConnectionOptions => {
  const auth = authOf(settings)
  switch (auth._tag) {
    case "Anonymous":
      return {}
    case "Token":
      return { token: Redacted.value(auth.token) }
    case "Password":
      return { user: auth.user, pass: Redacted.value(auth.password) }
    case "Credentials":
      return { authenticator: credsAuthenticator(new TextEncoder().encode(Redacted.value(auth.content))) }
  }
}

const tlsOptions = ({ servers, tls }: NatsSettings): ConnectionOptions =>
  Option.match(tls, {
    // The scheme alone asks for TLS with the authorities that Node knows.
    onNone: () => (servers.some((server) => /^tls:/i.test(server)) ? { tls: {} } : {}),
    onSome: ({ ca, cert, handshakeFirst = false, key }) => ({
      tls: {
        handshakeFirst,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key: Redacted.value(key) })
      }
    })
  })

const close = (connection: NatsConnection) =>
  Effect.promise(async () => {
    if (connection.isClosed()) return
    await connection.drain()
  }).pipe(
    Effect.interruptible,
    Effect.timeoutOption(drainTimeout),
    Effect.zipRight(Effect.promise(() => connection.close())),
    Effect.ignore
  )
