/** What is changed in a payload of OTLP before it is written. The exporters build it; only the parts read here have types. */
import type { RedactorService } from "@driver/domain/Redactor"
import { SpanAttribute } from "@driver/domain/Spans"

interface Value {
  readonly stringValue?: string | null
}
interface Attribute {
  readonly key: string
  readonly value: Value
}
interface Span {
  readonly attributes: ReadonlyArray<Attribute>
  readonly status: unknown
}
interface Point {
  readonly attributes: ReadonlyArray<Attribute>
  readonly asInt?: number
  readonly asDouble?: number
}
interface Points {
  readonly dataPoints: ReadonlyArray<Point>
}
interface Metric {
  readonly name: string
  readonly sum?: Points
  readonly gauge?: Points
  readonly histogram?: Points
}
interface LogRecord {
  readonly body?: Value
  readonly attributes: ReadonlyArray<Attribute>
}
interface Traces {
  readonly resourceSpans: ReadonlyArray<{ readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }> }>
}
interface Metrics {
  readonly resourceMetrics: ReadonlyArray<{
    readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<Metric> }>
  }>
}
interface Logs {
  readonly resourceLogs: ReadonlyArray<{
    readonly scopeLogs: ReadonlyArray<{ readonly logRecords: ReadonlyArray<LogRecord> }>
  }>
}

/** A span that names an error has failed. */
export const traces = (data: Traces): Traces => ({
  resourceSpans: data.resourceSpans.map((resource) => ({
    ...resource,
    scopeSpans: resource.scopeSpans.map((scope) => ({ ...scope, spans: scope.spans.map(withStatus) }))
  }))
})

const withStatus = (span: Span): Span => {
  const error = span.attributes.find((it) => it.key === SpanAttribute.errorType)
  return error === undefined ? span : { ...span, status: { code: 2, message: error.value.stringValue ?? "" } }
}

/** Our own, without the tags that are units, and without the names of files that sinks have. */
export const metrics = (data: Metrics): Metrics => ({
  resourceMetrics: data.resourceMetrics.map((resource) => ({
    ...resource,
    scopeMetrics: resource.scopeMetrics.map((scope) => ({
      ...scope,
      metrics: scope.metrics.filter((it) => /^driver[._]/.test(it.name)).map(withPlainTags)
    }))
  }))
})

const withPlainTags = (metric: Metric): Metric => ({
  ...metric,
  ...(metric.sum === undefined ? {} : { sum: { ...metric.sum, dataPoints: merged(metric.sum.dataPoints.map(plain)) } }),
  ...(metric.gauge === undefined ? {} : { gauge: { dataPoints: metric.gauge.dataPoints.map(plain) } }),
  ...(metric.histogram === undefined
    ? {}
    : { histogram: { ...metric.histogram, dataPoints: metric.histogram.dataPoints.map(plain) } })
})

const plain = (point: Point): Point => ({
  ...point,
  attributes: point.attributes.flatMap((it) => {
    if (it.key === "unit" || it.key === "time_unit") return []
    // `jsonl <path>`
    return it.key === "sink"
      ? [{ key: it.key, value: { stringValue: it.value.stringValue?.split(" ")[0] ?? "" } }]
      : [it]
  })
})

/** Points that are the same now are one. */
const merged = (points: ReadonlyArray<Point>): ReadonlyArray<Point> => {
  const byTags = new Map<string, Point>()
  for (const point of points) {
    const tags = JSON.stringify(point.attributes)
    const known = byTags.get(tags)
    byTags.set(tags, known === undefined ? point : { ...known, ...sumOf(known, point) })
  }
  return [...byTags.values()]
}

const sumOf = (a: Point, b: Point): Partial<Point> =>
  a.asInt === undefined ? { asDouble: (a.asDouble ?? 0) + (b.asDouble ?? 0) } : { asInt: a.asInt + (b.asInt ?? 0) }

/** Without secrets. */
export const logs = (data: Logs, redactor: RedactorService): Logs => ({
  resourceLogs: data.resourceLogs.map((resource) => ({
    ...resource,
    scopeLogs: resource.scopeLogs.map((scope) => ({
      ...scope,
      logRecords: scope.logRecords.map((record) => redactor.value(record))
    }))
  }))
})

export type { Logs, Metrics, Traces }
