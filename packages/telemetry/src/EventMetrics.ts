/**
 * Metrics of the goals of this process, counted from their events: a sink among the others. They are Effect's own
 * metrics, which `Telemetry` sends; without it they cost a few additions.
 *
 * Their tags come from fixed sets: no goal, no path and no text is in them.
 */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import { EventSink } from "@driver/runtime/EventSink"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import * as Ref from "effect/Ref"
import { initial, type MetricName, measure, type Tags } from "./internal/measure.js"

/** Adds a value under these tags. */
type Record = (value: number, tags: Tags) => Effect.Effect<void>

const recording =
  <Type, Out>(metric: Metric.Metric<Type, number, Out>, unit: string): Record =>
  (value, tags) =>
    Metric.update(
      Metric.taggedWithLabels(
        metric,
        Object.entries({ ...tags, unit }).map(([key, tag]) => MetricLabel.make(key, tag))
      ),
      value
    )

const counter = (name: MetricName, unit: string, description: string): Record =>
  recording(Metric.counter(name, { description, incremental: true }), unit)

// From a criterion that is quick to a goal that takes a day.
const boundaries = MetricBoundaries.fromIterable([
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400
])

const seconds = (name: MetricName, description: string): Record =>
  recording(Metric.histogram(name, boundaries, description), "s")

const gauge = (name: MetricName, unit: string, description: string): Record =>
  recording(Metric.gauge(name, { description }), unit)

const metrics: { readonly [Name in MetricName]: Record } = {
  "driver.goals.started": counter("driver.goals.started", "{goal}", "Goals that were begun or gone on with."),
  "driver.goals.ended": counter("driver.goals.ended", "{goal}", "Goals that ended, by outcome."),
  "driver.goals.active": gauge("driver.goals.active", "{goal}", "Goals that were begun and have not ended."),
  "driver.goal.duration": seconds("driver.goal.duration", "From a goal's start to its end, waiting included."),
  "driver.turns": counter("driver.turns", "{turn}", "Turns of work that ended, by outcome."),
  "driver.turn.duration": seconds("driver.turn.duration", "From an attempt's start to its end."),
  "driver.tokens": counter("driver.tokens", "{token}", "Tokens that agents used, by class."),
  "driver.cost": counter("driver.cost", "USD", "What agents are known to have cost."),
  "driver.decisions": counter("driver.decisions", "{decision}", "Decisions about tool calls, by tool and verdict."),
  "driver.approvals": counter("driver.approvals", "{approval}", "Questions to a person that ended, by answer."),
  "driver.criterion.duration": seconds("driver.criterion.duration", "How long a criterion took."),
  "driver.sleep.duration": seconds("driver.sleep.duration", "How long goals were told to wait."),
  "driver.compactions": counter("driver.compactions", "{compaction}", "Compact turns, by reason and success."),
  "driver.replays": counter("driver.replays", "{decision}", "What was decided after an error."),
  "driver.budget.exhausted": counter("driver.budget.exhausted", "{goal}", "Budgets that were used up, by axis.")
}

/** To be one of the sinks of `EventSink.layerAll`. */
export const layer: Layer.Layer<EventSink> = Layer.effect(
  EventSink,
  Effect.map(Ref.make(initial), (state) => ({
    publish: (event: StoredEvent) =>
      Effect.flatMap(
        Ref.modify(state, (before) => {
          const [after, measured] = measure(before, event)
          return [measured, after]
        }),
        (measured) => Effect.forEach(measured, ({ name, tags, value }) => metrics[name](value, tags), { discard: true })
      ),
    flush: Effect.void
  }))
)
