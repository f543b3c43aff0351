/**
 * A tracer between the driver and the one that exports: lets through the spans of a goal's trace, or all, with the
 * attributes that hold no content, or all, then without secrets.
 *
 * A span that is not let through hands its children on to its nearest ancestor that is.
 */
import type { RedactorService } from "@driver/domain/Redactor"
import {
  isGoalSpan,
  isPlainAttribute,
  plainName,
  SpanAttribute,
  SpanContent,
  SpanContentAttribute
} from "@driver/domain/Spans"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"

export interface TracePolicy {
  readonly detail: "goal" | "all"
  readonly includeContent: boolean
  readonly redactor: RedactorService
}

export const make = (exporting: Tracer.Tracer, policy: TracePolicy): Tracer.Tracer =>
  Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      const above = Option.flatMap(parent, exported)
      return policy.detail === "all" || isGoalSpan(name)
        ? new GuardedSpan(exporting.span(nameOf(name), above, context, links, startTime, kind, options), above, policy)
        : new PassedSpan(name, parent, above, context, startTime, kind)
    },
    context: exporting.context
  })

/** Spaces too: `invoke_agent claude-code`. */
const nameOf = (name: string): string => name.split(" ", 2).map(plainName).join(" ")

const exported = (span: Tracer.AnySpan): Option.Option<Tracer.AnySpan> =>
  span instanceof PassedSpan ? span.above : Option.some(span)

/** UTF-16 units of one attribute. */
const longestContent = 8_192
const longestPlain = 256
/** Events of one span. */
const mostEvents = 64

class GuardedSpan implements Tracer.Span {
  readonly _tag = "Span"
  private events = 0

  constructor(
    private readonly inner: Tracer.Span,
    readonly parent: Option.Option<Tracer.AnySpan>,
    private readonly policy: TracePolicy
  ) {}

  get name() {
    return this.inner.name
  }
  get spanId() {
    return this.inner.spanId
  }
  get traceId() {
    return this.inner.traceId
  }
  get context() {
    return this.inner.context
  }
  get status() {
    return this.inner.status
  }
  get attributes() {
    return this.inner.attributes
  }
  get links() {
    return this.inner.links
  }
  get sampled() {
    return this.inner.sampled
  }
  get kind() {
    return this.inner.kind
  }

  attribute(key: string, value: unknown): void {
    if (value instanceof SpanContent) {
      if (this.policy.includeContent) this.inner.attribute(key, this.clean(value.text))
    } else if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") {
      if (this.policy.includeContent || isPlainAttribute(key)) this.inner.attribute(key, value)
    } else if (isPlainAttribute(key)) {
      if (typeof value === "string") this.inner.attribute(key, this.policy.redactor.text(value).slice(0, longestPlain))
    } else if (this.policy.includeContent) {
      this.inner.attribute(
        key,
        this.clean(() => String(value))
      )
    }
  }

  event(name: string, startTime: bigint): void {
    if (!this.policy.includeContent || this.events++ >= mostEvents) return
    this.inner.event(
      this.clean(() => name),
      startTime
    )
  }

  addLinks(links: ReadonlyArray<Tracer.SpanLink>): void {
    this.inner.addLinks(links.map(({ span }) => ({ _tag: "SpanLink", span, attributes: {} })))
  }

  /** What it came to is not handed on: results and errors hold whatever they hold. */
  end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isFailure(exit)) {
      if (Cause.isInterruptedOnly(exit.cause)) this.attribute(SpanAttribute.interrupted, true)
      else {
        const error = Cause.squash(exit.cause)
        this.attribute(SpanAttribute.errorType, errorTypeOf(error))
        this.attribute(SpanContentAttribute.errorMessage, new SpanContent(() => messageOf(error)))
      }
    }
    this.inner.end(endTime, Exit.void)
  }

  /** Cut before it is cleaned, so that a large one costs little, and after: a secret at the cut is cut as well. */
  private clean(text: () => string): string {
    try {
      return this.policy.redactor.text(text().slice(0, 2 * longestContent)).slice(0, longestContent)
    } catch {
      // Input that is no JSON, or an object without a text. A trace may never break what it tells of.
      return "<unreadable>"
    }
  }
}

/** Stands in for a span that is not exported. Keeps nothing. */
class PassedSpan implements Tracer.Span {
  readonly _tag = "Span"
  readonly attributes: ReadonlyMap<string, unknown> = nothing
  readonly links: ReadonlyArray<Tracer.SpanLink> = []
  readonly sampled = false
  status: Tracer.SpanStatus

  constructor(
    readonly name: string,
    readonly parent: Option.Option<Tracer.AnySpan>,
    readonly above: Option.Option<Tracer.AnySpan>,
    readonly context: Context.Context<never>,
    startTime: bigint,
    readonly kind: Tracer.SpanKind
  ) {
    this.status = { _tag: "Started", startTime }
  }

  /** Those of the ancestor, so that logs and other processes join its trace. */
  get spanId() {
    return Option.match(this.above, { onNone: () => "0000000000000000", onSome: (it) => it.spanId })
  }
  get traceId() {
    return Option.match(this.above, { onNone: () => "00000000000000000000000000000000", onSome: (it) => it.traceId })
  }

  end(endTime: bigint): void {
    this.status = { _tag: "Ended", startTime: this.status.startTime, endTime, exit: Exit.void }
  }
  attribute(): void {}
  event(): void {}
  addLinks(): void {}
}

const nothing: ReadonlyMap<string, unknown> = new Map()

const errorTypeOf = (error: unknown): string =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string"
    ? plainName(error._tag)
    : error instanceof Error
      ? plainName(error.name)
      : "other"

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
