/**
 * What shall happen on which events: the entry `hooks:` of `driver.yaml`, and the
 * same with its secrets in place.
 *
 *   hooks:
 *     - name: chat
 *       on: goal_completed
 *       outcome: [done, escalate]
 *       url: https://chat.example.org/hooks/1
 *       secret_env: CHAT_HOOK_SECRET
 *     - name: bell
 *       on: [goal_completed, escalate]
 *       command: ./ring.sh
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import { expecting } from "@driver/domain/StrictDecode"
import { optional, WireDuration, withDefault } from "@driver/domain/Wire"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { eventKinds, kindOf } from "./EventKinds.js"

const onPhrase = `"*" or a kind of event, such as "goal_completed" or "escalate"`

const EventKind = Schema.String.pipe(
  Schema.filter(
    (kind) => kind === "*" || eventKinds.includes(kind) || `expected ${onPhrase}, got ${JSON.stringify(kind)}`
  )
).annotations({
  identifier: "EventKind",
  jsonSchema: { type: "string", enum: ["*", ...eventKinds] },
  arbitrary: () => (fc) => fc.constantFrom("*", ...eventKinds),
  ...expecting(onPhrase)
})

const OutcomeKind = Schema.Literal(
  "done",
  "needs_retry",
  "continue",
  "sleep",
  "budget_exhausted",
  "cancelled",
  "escalate"
).annotations({ identifier: "OutcomeKind" })

/** One or several, as a list inside. */
const oneOrMore = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.transform(
    Schema.Union(schema, Schema.NonEmptyArray(schema)),
    Schema.NonEmptyArray(Schema.typeSchema(schema)),
    {
      strict: true,
      decode: (given): readonly [A, ...Array<A>] => (isMany<A>(given) ? given : [given]),
      encode: (many) => many
    }
  )

const isMany = <A>(given: A | readonly [A, ...Array<A>]): given is readonly [A, ...Array<A>] => Array.isArray(given)

const hookNamePhrase = "a name of up to 64 letters, digits, - and _"

const HookName = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, { message: () => `expected ${hookNamePhrase}` })
).annotations({
  identifier: "HookName",
  // Made quickly: a pattern is slow to draw from.
  arbitrary: () => (fc) => fc.nat().map((n) => `hook-${n}`),
  ...expecting(hookNamePhrase)
})

const positive = Schema.Int.pipe(Schema.positive())

/** As it stands in the file. Exactly one of `url`, `url_env` and `command` is needed. */
export const HookConfig = Schema.Struct({
  name: HookName.annotations({
    description: "What the hook is called in logs. Unique; events that wait for it are kept under this name."
  }),
  on: oneOrMore(EventKind).annotations({ description: 'Kinds of events, such as goal_completed; "*" is all of them.' }),
  outcome: optional(oneOrMore(OutcomeKind), "outcome").annotations({
    description: "Of these, only events with an outcome of such a kind: done, escalate, cancelled, budget_exhausted, …"
  }),
  url: optional(Schema.NonEmptyString, "url").annotations({ description: "Where the event is posted to, as JSON." }),
  urlEnv: optional(Schema.NonEmptyString, "url_env").annotations({
    description: "Environment variable with that URL, where the URL itself is a secret."
  }),
  command: optional(Schema.Union(Schema.NonEmptyString, Schema.NonEmptyArray(Schema.String)), "command").annotations({
    description: "A line for bash, or a list of program and arguments. Reads the event from its input, as JSON."
  }),
  secretEnv: optional(Schema.NonEmptyString, "secret_env").annotations({
    description: "Environment variable with the secret that posts are signed with."
  }),
  tokenEnv: optional(Schema.NonEmptyString, "token_env").annotations({
    description: "Environment variable with a bearer token for the URL."
  }),
  headers: withDefault(Schema.Record({ key: Schema.String, value: Schema.String }), "headers", () => ({})).annotations({
    description: "Further headers of the post."
  }),
  timeout: withDefault(WireDuration, "timeout", () => Duration.seconds(10)).annotations({
    description: "How long one try may take. Default 10 seconds."
  }),
  tries: withDefault(positive, "tries", () => 8).annotations({ description: "How often it is tried. Default 8." }),
  firstDelay: withDefault(WireDuration, "first_delay", () => Duration.seconds(5)).annotations({
    description:
      "Before the second try; doubled before each one after. Default 5 seconds, so that 8 tries take 10 minutes."
  }),
  maxDelay: withDefault(WireDuration, "max_delay", () => Duration.minutes(10)).annotations({
    description: "The longest time between two tries. Default 10 minutes."
  })
})
  .pipe(
    Schema.filter(({ command, url, urlEnv }) =>
      [command, url, urlEnv].filter(Option.isSome).length === 1
        ? undefined
        : "expected exactly one of url, url_env and command"
    )
  )
  .annotations({ identifier: "Hook" })
export type HookConfig = typeof HookConfig.Type

/** What a hook does. */
export type HookAction = Data.TaggedEnum<{
  Post: {
    readonly url: Redacted.Redacted<string>
    readonly headers: Readonly<Record<string, string>>
    /** Sent as a bearer token. */
    readonly token: Option.Option<Redacted.Redacted<string>>
    /** Posts are signed with it. */
    readonly secret: Option.Option<Redacted.Redacted<string>>
  }
  Run: {
    readonly argv: readonly [string, ...Array<string>]
    /** Complete, but for what tells of the event. */
    readonly env: Readonly<Record<string, string>>
    readonly cwd: string
  }
}>
export const HookAction = Data.taggedEnum<HookAction>()

export interface HookSettings {
  readonly name: string
  /** Kinds as they are outside; `*` is all. */
  readonly on: ReadonlyArray<string>
  /** None: whatever the outcome, and events without one. */
  readonly outcomes: Option.Option<ReadonlyArray<string>>
  readonly action: HookAction
  /** For one try. */
  readonly timeout: Duration.Duration
  readonly tries: number
  readonly firstDelay: Duration.Duration
  readonly maxDelay: Duration.Duration
}

/** The hook cannot be used as it is configured. `detail` says what to do. */
export class HookConfigError extends Schema.TaggedError<HookConfigError>()("HookConfigError", {
  hook: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The hook ${JSON.stringify(this.hook)} cannot be used: ${this.detail}.`
  }
}

/** What surrounds a hook: the driver's environment variables, and for commands what they get of it, and where they run. */
export interface HookSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly commandEnv: Readonly<Record<string, string>>
  readonly cwd: string
}

/** Puts secrets in their places. Left: the first hook that cannot be used. */
export const hooksOf = (
  configs: ReadonlyArray<HookConfig>,
  surroundings: HookSurroundings
): Either.Either<ReadonlyArray<HookSettings>, HookConfigError> => {
  const names = configs.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  return twice === undefined
    ? Either.all(configs.map((config) => hookOf(config, surroundings)))
    : Either.left(new HookConfigError({ hook: twice, detail: "another hook has this name. Give it one of its own" }))
}

const hookOf = (config: HookConfig, { commandEnv, cwd, environment }: HookSurroundings) =>
  Either.gen(function* () {
    const { firstDelay, headers, maxDelay, name, on, outcome, timeout, tries } = config
    const secret = (variable: Option.Option<string>) => secretOf(name, variable, environment)
    const url = yield* Option.isSome(config.url)
      ? Either.right(Option.some(Redacted.make(config.url.value)))
      : secret(config.urlEnv)
    const common = { name, on, outcomes: outcome, timeout, tries, firstDelay, maxDelay }
    if (Option.isNone(url)) {
      const command = Option.getOrElse(config.command, () => "true")
      // `bash -c` whose input is a socket, as it is here, takes itself for a remote shell and reads ~/.bashrc.
      const argv = typeof command === "string" ? (["bash", "--norc", "-c", command] as const) : command
      return { ...common, action: HookAction.Run({ argv: [...argv], env: commandEnv, cwd }) }
    }
    if (!/^https?:\/\/\S+$/i.test(Redacted.value(url.value))) {
      return yield* Either.left(
        new HookConfigError({ hook: name, detail: "its URL does not begin with http:// or https://. Give a whole one" })
      )
    }
    const token = yield* secret(config.tokenEnv)
    const signedWith = yield* secret(config.secretEnv)
    return { ...common, action: HookAction.Post({ url: url.value, headers, token, secret: signedWith }) }
  })

const secretOf = (
  hook: string,
  variable: Option.Option<string>,
  environment: HookSurroundings["environment"]
): Either.Either<Option.Option<Redacted.Redacted<string>>, HookConfigError> => {
  if (Option.isNone(variable)) return Either.right(Option.none())
  const value = environment[variable.value]?.trim()
  return value === undefined || value === ""
    ? Either.left(
        new HookConfigError({
          hook,
          detail: `the environment variable ${variable.value} is not set. Set it, or remove the hook`
        })
      )
    : Either.right(Option.some(Redacted.make(value)))
}

/** Whether the hook is for this event. */
export const isFor =
  ({ on, outcomes }: Pick<HookSettings, "on" | "outcomes">) =>
  ({ event }: StoredEvent): boolean => {
    if (!on.includes("*") && !on.includes(kindOf(event))) return false
    return Option.match(outcomes, {
      onNone: () => true,
      onSome: (wanted) => Option.exists(outcomeOf(event), (outcome) => wanted.includes(outcome))
    })
  }

const outcomeKinds = {
  Done: "done",
  NeedsRetry: "needs_retry",
  Continue: "continue",
  Sleep: "sleep",
  BudgetExhausted: "budget_exhausted",
  Cancelled: "cancelled",
  Escalate: "escalate"
} as const satisfies Record<string, typeof OutcomeKind.Type>

const outcomeOf = (event: StoredEvent["event"]): Option.Option<string> => {
  if (event._tag === "GoalCompleted") return Option.some(outcomeKinds[event.outcome.outcome._tag])
  if (event._tag === "AttemptCompleted") return Option.some(outcomeKinds[event.result.outcome._tag])
  return Option.none()
}
