/**
 * The goals that a driver knows: what was submitted, in which state it is, who
 * works on it, and what other processes ask of it.
 *
 * A goal is owned by one driver at a time. The owner's lease carries a fencing
 * token (`epoch`) that grows with every owner, and a heartbeat that is a counter: a
 * contender waits until it has seen the counter stand still for the whole of the
 * lease's time by its own clock, so that no clock that jumps loses a lease.
 */
import { Goal, GoalId } from "@driver/domain/Goal"
import { GoalOutcome } from "@driver/domain/Outcome"
import type { RedactorService } from "@driver/domain/Redactor"
import { key, optional, tag, WireTime, withDefault } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { LeaseLost } from "./Journal.js"
import type { StoreError } from "./StoreError.js"

/**
 * `queued`: waits for its turn, its dependencies or an operator; `running`: begun and not ended, also when its driver
 * died; `ended`: has an outcome; `skipped`: never begun, since a goal that it depends on failed.
 */
export const GoalState = Schema.Literal("queued", "running", "ended", "skipped")
export type GoalState = typeof GoalState.Type

/** A goal as it was submitted, and what became of it. */
export class GoalRow extends Schema.Class<GoalRow>("GoalRow")({
  goal: Goal,
  state: GoalState,
  /** Absolute path of the repository or directory it works on. Limits per repository count by it. */
  repository: Schema.String,
  /** Absolute path of the configuration it was submitted with; absent: found from the repository. */
  config: optional(Schema.String, "config"),
  /** Higher first; equal ones in the order of submission. */
  priority: withDefault(Schema.Int, "priority", () => 0),
  /** Must have been accepted before this one begins. */
  dependsOn: withDefault(Schema.Array(GoalId), "depends_on", () => []),
  /** Whose usage limits it shares. */
  account: withDefault(Schema.String, "account", () => "default"),
  submittedAt: key(WireTime, "submitted_at"),
  endedAt: optional(WireTime, "ended_at"),
  outcome: optional(GoalOutcome, "outcome"),
  /** Why it was skipped. */
  reason: optional(Schema.String, "reason")
}) {
  static readonly FromJson = Schema.parseJson(GoalRow)
}

/**
 * The goal as it may be kept: words without secrets. Criteria stay as they are, since they have to be run as they were
 * meant: a secret belongs into their environment.
 */
export const withoutSecrets = (goal: Goal, redactor: RedactorService): Goal =>
  new Goal({ ...goal, description: redactor.text(goal.description), metadata: redactor.value(goal.metadata) })

export interface Lease {
  readonly goalId: GoalId
  /** The fencing token, from 1. */
  readonly epoch: number
}

/** Who holds a lease, and its heartbeat as it was read. */
export interface Holder {
  /** The owner's name: `host pid start`, as the composition makes it. */
  readonly owner: string
  readonly epoch: number
  readonly heartbeat: number
}

/** Asked of a goal by whoever is not its driver. */
export class Pause extends Schema.Class<Pause>("Pause")({ _tag: tag("Pause", "pause") }) {}
export class Resume extends Schema.Class<Resume>("Resume")({ _tag: tag("Resume", "resume") }) {}
export class Cancel extends Schema.Class<Cancel>("Cancel")({ _tag: tag("Cancel", "cancel") }) {}
export class Wake extends Schema.Class<Wake>("Wake")({ _tag: tag("Wake", "wake") }) {}

/** `queue`: with the next prompt, or the gate's next refusal; `turn`: into the running turn where the agent can; `redirect`: the running turn is ended for it. */
export const SteerMode = Schema.Literal("queue", "turn", "redirect")
export type SteerMode = typeof SteerMode.Type

export class Steer extends Schema.Class<Steer>("Steer")({
  _tag: tag("Steer", "steer"),
  message: Schema.NonEmptyTrimmedString,
  mode: withDefault(SteerMode, "mode", () => "queue" as const)
}) {}

export class RaiseTurns extends Schema.Class<RaiseTurns>("RaiseTurns")({
  _tag: tag("RaiseTurns", "raise_turns"),
  maxTurns: key(Schema.Int.pipe(Schema.positive()), "max_turns")
}) {}

export const Command = Schema.Union(Pause, Resume, Cancel, Wake, Steer, RaiseTurns)
export type Command = typeof Command.Type

export interface PendingCommand {
  /** A UUID: the journal says when it was handled. */
  readonly id: string
  readonly goalId: GoalId
  readonly command: Command
}

/** A goal with this id was submitted before. */
export class GoalExists extends Schema.TaggedError<GoalExists>()("GoalExists", { goalId: GoalId }) {
  override get message() {
    return `The goal ${this.goalId} was submitted before: give the new one another id`
  }
}

export class GoalStore extends Context.Tag("@driver/runtime/GoalStore")<
  GoalStore,
  {
    /** Adds the goal. Several are added all or none. */
    readonly submit: (rows: ReadonlyArray<GoalRow>) => Effect.Effect<void, StoreError | GoalExists>
    /** Adds or replaces what was submitted: a goal that `driver run` begins or begins anew. The lease stays. */
    readonly put: (row: GoalRow) => Effect.Effect<void, StoreError>
    readonly get: (goalId: GoalId) => Effect.Effect<Option.Option<GoalRow>, StoreError>
    /** Those in one of the states, or all; in the order of submission. */
    readonly list: (states?: ReadonlyArray<GoalState>) => Effect.Effect<ReadonlyArray<GoalRow>, StoreError>
    /** Ids that begin so, at most 10. Lower case hexadecimal digits and dashes; anything else finds none. */
    readonly withPrefix: (prefix: string) => Effect.Effect<ReadonlyArray<GoalId>, StoreError>
    readonly setState: (
      goalId: GoalId,
      state: GoalState,
      end?: { readonly outcome?: GoalOutcome; readonly reason?: string }
    ) => Effect.Effect<void, StoreError>

    /** Takes the goal: when nobody holds it, or when the holder is still `expected`. None: somebody else was faster. */
    readonly acquire: (
      goalId: GoalId,
      owner: string,
      expected: Option.Option<Holder>
    ) => Effect.Effect<Option.Option<Lease>, StoreError>
    /** Who holds it. None: nobody. */
    readonly holder: (goalId: GoalId) => Effect.Effect<Option.Option<Holder>, StoreError>
    /** Moves the heartbeats on, of all these leases with one statement. Resolves with those that are lost. */
    readonly heartbeat: (leases: ReadonlyArray<Lease>) => Effect.Effect<ReadonlyArray<LeaseLost>, StoreError>
    /** Gives the goal back. The token is remembered, so that the next one is greater. A lost lease is not touched. */
    readonly release: (lease: Lease) => Effect.Effect<void, StoreError>

    /** Leaves a command for the goal's driver, whoever that is or will be. Resolves with its id. */
    readonly command: (goalId: GoalId, command: Command) => Effect.Effect<string, StoreError>
    /** Those not handled, of these goals, oldest first. */
    readonly commands: (goalIds: ReadonlyArray<GoalId>) => Effect.Effect<ReadonlyArray<PendingCommand>, StoreError>
    readonly handled: (commandIds: ReadonlyArray<string>) => Effect.Effect<void, StoreError>
    /** Ticks when rows or commands were changed by this process. Those of others are found by looking now and then. */
    readonly changed: Stream.Stream<void>
  }
>() {}
