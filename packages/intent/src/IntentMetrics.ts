/** What is counted and measured on the intent path. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/** Runs after a review that found gaps. Tag `result`: `attempted`, then `improved`, `unchanged` or `degraded`. */
export const retriesMetric = Metric.counter("driver_intent_retries", {
  description: "Runs after a review that found gaps, and what they came to.",
  incremental: true
})

/** From a message to its response. Tag `response`: `Reply`, `ClarifyResponse`, `Plan`, `TaskResult`. */
export const durationMetric = Metric.histogram(
  "driver_intent_seconds",
  MetricBoundaries.exponential({ start: 0.1, factor: 4, count: 10 }),
  "Seconds from a message to its response."
)
