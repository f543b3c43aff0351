/**
 * Where the events go, and as whom. Plain values: whoever composes reads files and
 * environment variables, and hands secrets over as `Redacted`.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

/** How the driver proves who it is. A user and password, or a token, may also stand in a server's address. */
export type NatsAuth = Data.TaggedEnum<{
  Anonymous: {}
  Token: { readonly token: Redacted.Redacted<string> }
  Password: { readonly user: string; readonly password: Redacted.Redacted<string> }
  /** The content of a `.creds` file: a JWT and a seed. */
  Credentials: { readonly content: Redacted.Redacted<string> }
}>
export const NatsAuth = Data.taggedEnum<NatsAuth>()

/** PEM texts. Present: connections without TLS are refused. The server's address has a name then: the client checks no IP addresses. */
export interface NatsTls {
  /** Who may have signed the server's certificate. Absent: those that Node knows. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: Redacted.Redacted<string>
  /** The server expects TLS from the first byte (`handshake_first`). Default false. */
  readonly handshakeFirst?: boolean
}

/** The stream that is made when there is none of this name. One that is there is used as it is. */
export interface NatsStreamSettings {
  /** Default `DRIVER_EVENTS`. */
  readonly name: string
  /** How long events are kept; zero: for ever. Default 30 days. */
  readonly maxAge: Duration.Duration
  /** Bytes; the oldest go first. Default: no limit. */
  readonly maxBytes: Option.Option<number>
  /** Copies in a cluster, 1 to 5. Default 1. */
  readonly replicas: number
  /**
   * How long the server remembers message ids. An event whose acknowledgement was lost appears twice when the server
   * was away for longer than this. The server keeps some 200 bytes for each event of that time. Default 2 hours.
   */
  readonly duplicateWindow: Duration.Duration
}

export interface NatsSettings {
  /** `nats://host:port`, `tls://…` or `host:port`; several of one cluster. At least one. */
  readonly servers: ReadonlyArray<string>
  readonly auth: NatsAuth
  readonly tls: Option.Option<NatsTls>
  readonly stream: NatsStreamSettings
  /** Before each subject and a dot, such as `acme`. Empty: subjects begin with `agent.driver.` */
  readonly prefix: string
  /** Events under way at once, one per goal. Default 64. */
  readonly maxInFlight: number
  /** For one connection, TLS and log-in included. Default 5 seconds. */
  readonly connectTimeout: Duration.Duration
  /** For the server's acknowledgement of one event. Default 5 seconds. */
  readonly ackTimeout: Duration.Duration
  /** Between two tries while the server cannot be used: doubled from the first to the longest, with jitter. */
  readonly retry: { readonly first: Duration.Duration; readonly longest: Duration.Duration }
  /** How often the outbox is looked at for what other processes wrote. Default 2 seconds. */
  readonly pollEvery: Duration.Duration
  /** The longest that closing waits for what is in the outbox, when the server is there. Default 3 seconds. */
  readonly closeTimeout: Duration.Duration
}

export const defaultStream: NatsStreamSettings = {
  name: "DRIVER_EVENTS",
  maxAge: Duration.days(30),
  maxBytes: Option.none(),
  replicas: 1,
  duplicateWindow: Duration.hours(2)
}

export interface SettingsInput extends Partial<Omit<NatsSettings, "stream">> {
  readonly stream?: Partial<NatsStreamSettings>
}

/** What is not given has its default; the server is the one on this machine. */
export const settingsOf = (given: SettingsInput): NatsSettings => ({
  servers: ["nats://127.0.0.1:4222"],
  auth: NatsAuth.Anonymous(),
  tls: Option.none(),
  prefix: "",
  maxInFlight: 64,
  connectTimeout: Duration.seconds(5),
  ackTimeout: Duration.seconds(5),
  retry: { first: Duration.millis(200), longest: Duration.seconds(10) },
  pollEvery: Duration.seconds(2),
  closeTimeout: Duration.seconds(3),
  ...given,
  stream: { ...defaultStream, ...given.stream }
})

/** The subjects of all events. */
export const subjectsOf = ({ prefix }: Pick<NatsSettings, "prefix">): string =>
  prefix === "" ? "agent.driver.>" : `${prefix}.agent.driver.>`

/** A server's address without what may be secret, for logs. */
export const plainAddress = (server: string): string => server.replace(/^([a-z+]+:\/\/)?[^/]*@/i, "$1")

/** What a server's address says of who the driver is: `user:password@` or `token@`. */
export const authOf = ({ auth, servers }: Pick<NatsSettings, "auth" | "servers">): NatsAuth => {
  if (auth._tag !== "Anonymous") return auth
  for (const server of servers) {
    const found = /^(?:[a-z+]+:\/\/)?([^/@]*)@/i.exec(server)?.[1]
    if (found === undefined || found === "") continue
    const [user = "", ...password] = found.split(":")
    return password.length === 0
      ? NatsAuth.Token({ token: Redacted.make(unescaped(user)) })
      : NatsAuth.Password({ user: unescaped(user), password: Redacted.make(unescaped(password.join(":"))) })
  }
  return auth
}

/** An address that is not well escaped is taken as it stands. */
const unescaped = (text: string): string => (/%(?![0-9a-f]{2})/i.test(text) ? text : decodeURIComponent(text))
