/** What happens on the intent path, for whoever watches. Publishing never fails and never waits. */
import { key, tag, WireTime } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { Degradation, IntentId, IntentSessionId, ModelCall } from "./Directive.js"
import { IntentRecord } from "./IntentRecord.js"

const common = { intentId: key(IntentId, "intent_id"), sessionId: key(IntentSessionId, "session_id"), at: WireTime }

export const IntentPhase = Schema.Literal("assess", "environment", "crystallize", "check", "run", "review", "finish")
export type IntentPhase = typeof IntentPhase.Type

export class PhaseStarted extends Schema.Class<PhaseStarted>("PhaseStarted")({
  _tag: tag("PhaseStarted", "phase_started"),
  ...common,
  phase: IntentPhase
}) {}

/** What came of a phase is in the journal: the same record is here. */
export class RecordWritten extends Schema.Class<RecordWritten>("RecordWritten")({
  _tag: tag("RecordWritten", "record_written"),
  ...common,
  record: IntentRecord
}) {}

export class ModelAsked extends Schema.Class<ModelAsked>("ModelAsked")({
  _tag: tag("ModelAsked", "model_asked"),
  ...common,
  call: ModelCall
}) {}

export class WorkDegraded extends Schema.Class<WorkDegraded>("WorkDegraded")({
  _tag: tag("WorkDegraded", "work_degraded"),
  ...common,
  degradation: Degradation
}) {}

/** What the run after a review that found gaps came to. */
export class RetryCompared extends Schema.Class<RetryCompared>("RetryCompared")({
  _tag: tag("RetryCompared", "retry_compared"),
  ...common,
  change: Schema.Literal("improved", "unchanged", "degraded")
}) {}

export const IntentEvent = Schema.Union(PhaseStarted, RecordWritten, ModelAsked, WorkDegraded, RetryCompared)
export type IntentEvent = typeof IntentEvent.Type

export class IntentEvents extends Context.Tag("@driver/intent/IntentEvents")<
  IntentEvents,
  {
    /** Events of one intent come in the order in which they happened. */
    readonly publish: (event: IntentEvent) => Effect.Effect<void>
  }
>() {
  /** Nobody watches. */
  static readonly layerNoop: Layer.Layer<IntentEvents> = Layer.succeed(this, { publish: () => Effect.void })

  /** Keeps every event, without bound, for `PublishedEvents`. */
  static readonly layerMemory: Layer.Layer<IntentEvents | PublishedEvents> = Layer.effectContext(
    Effect.map(Ref.make<ReadonlyArray<IntentEvent>>([]), (events) =>
      Context.make(IntentEvents, { publish: (event) => Ref.update(events, (before) => [...before, event]) }).pipe(
        Context.add(PublishedEvents, Ref.get(events))
      )
    )
  )
}

/** What was published to `IntentEvents.layerMemory`, oldest first. */
export class PublishedEvents extends Context.Tag("@driver/intent/IntentEvents/PublishedEvents")<
  PublishedEvents,
  Effect.Effect<ReadonlyArray<IntentEvent>>
>() {}
