import * as Redactor from "@driver/domain/Redactor"
import { content, SpanAttribute, SpanContentAttribute } from "@driver/domain/Spans"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Option, Redacted, Tracer } from "effect"
import * as fc from "effect/FastCheck"
import { make, type TracePolicy } from "../src/internal/goalTracer.js"

interface Recorded {
  readonly span: Tracer.Span
  readonly events: ReadonlyArray<string>
}

/** What an exporter would get. */
const makeRecorder = () => {
  const spans: Array<Recorded> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const attributes = new Map<string, unknown>()
      const events: Array<string> = []
      const n = spans.length + 1
      let status: Tracer.SpanStatus = { _tag: "Started", startTime }
      const span: Tracer.Span = {
        _tag: "Span",
        name,
        spanId: `${n}`,
        traceId: Option.match(parent, { onNone: () => `trace ${n}`, onSome: (it) => it.traceId }),
        parent,
        context,
        get status() {
          return status
        },
        attributes,
        links,
        sampled: true,
        kind,
        end: (endTime, exit) => {
          status = { _tag: "Ended", startTime, endTime, exit }
        },
        attribute: (key, value) => attributes.set(key, value),
        event: (text) => events.push(text),
        addLinks: () => {}
      }
      spans.push({ span, events })
      return span
    },
    context: (f) => f()
  })
  return { spans, tracer }
}

/** Nothing on the screen; still an event of the span. */
const silent = Logger.remove(Logger.defaultLogger)

const secret = "sk-live-0123456789abcdefghij"

const traced = <A, E>(effect: Effect.Effect<A, E>, policy: Partial<TracePolicy> = {}) =>
  Effect.gen(function* () {
    const { spans, tracer } = makeRecorder()
    const redactor = Redactor.make([Redacted.make(secret)])
    yield* effect.pipe(
      Effect.withTracer(make(tracer, { detail: "goal", includeContent: false, redactor, ...policy })),
      Effect.exit,
      Effect.provide(silent)
    )
    return spans
  })

const treeOf = (spans: ReadonlyArray<Recorded>) =>
  spans.map(({ span }) => `${Option.match(span.parent, { onNone: () => "", onSome: (it) => it.spanId })}>${span.name}`)

const work = Effect.void.pipe(
  Effect.withSpan("driver.criterion"),
  Effect.withSpan("Acceptance.evaluate"),
  Effect.withSpan("sql.execute"),
  Effect.withSpan("driver.attempt"),
  Effect.withSpan("GoalLoop.step"),
  Effect.withSpan("driver.goal"),
  Effect.withSpan("Driver.spawn")
)

describe("goalTracer", () => {
  it.effect("hands the children of what it leaves out to the next ancestor", () =>
    Effect.gen(function* () {
      const spans = yield* traced(work)
      assert.deepStrictEqual(treeOf(spans), [">driver.goal", "1>driver.attempt", "2>driver.criterion"])
      assert.strictEqual(new Set(spans.map(({ span }) => span.traceId)).size, 1)
      assert.isTrue(spans.every(({ span }) => span.status._tag === "Ended"))
    })
  )

  it.effect("lets everything through when all is asked for", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* traced(work, { detail: "all" }), 7)
    })
  )

  const telling = Effect.gen(function* () {
    yield* Effect.annotateCurrentSpan({
      [SpanAttribute.turn]: 3,
      [SpanAttribute.outcome]: "done",
      [SpanContentAttribute.prompt]: content(() => `use ${secret} please`),
      "db.query.text": "select secrets",
      somewhere: "/home/me/project"
    })
    yield* Effect.logInfo("running rm -rf")
    return yield* Effect.fail(new Error("cat /etc/passwd failed"))
  }).pipe(Effect.withSpan("driver.attempt"))

  it.effect("lets names, numbers and verdicts through, and nothing that somebody said", () =>
    Effect.gen(function* () {
      const [attempt] = yield* traced(telling)
      assert.deepStrictEqual(Object.fromEntries(attempt?.span.attributes ?? []), {
        [SpanAttribute.turn]: 3,
        [SpanAttribute.outcome]: "done",
        [SpanAttribute.errorType]: "Error"
      })
      assert.deepStrictEqual(attempt?.events, [])
      assert.deepInclude(attempt?.span.status, { exit: Exit.void })
    })
  )

  it.effect("adds content without secrets where it is asked for", () =>
    Effect.gen(function* () {
      const [attempt] = yield* traced(telling, { includeContent: true })
      const attributes = attempt?.span.attributes
      assert.match(String(attributes?.get(SpanContentAttribute.prompt)), /^use .+ please$/)
      assert.notInclude(String(attributes?.get(SpanContentAttribute.prompt)), secret)
      assert.strictEqual(attributes?.get("db.query.text"), "select secrets")
      assert.strictEqual(attributes?.get(SpanContentAttribute.errorMessage), "cat /etc/passwd failed")
      assert.deepStrictEqual(attempt?.events, ["running rm -rf"])
    })
  )

  it.effect("does not evaluate content that it leaves out", () =>
    Effect.gen(function* () {
      let evaluated = 0
      const counting = content(() => {
        evaluated++
        return "text"
      })
      const effect = Effect.annotateCurrentSpan(SpanContentAttribute.prompt, counting).pipe(
        Effect.withSpan("driver.goal")
      )
      yield* traced(effect)
      yield* effect
      assert.strictEqual(evaluated, 0)
      yield* traced(effect, { includeContent: true })
      assert.strictEqual(evaluated, 1)
    })
  )

  it.effect("survives content that cannot be told, and cuts what is long", () =>
    Effect.gen(function* () {
      const [span] = yield* traced(
        Effect.annotateCurrentSpan({
          [SpanContentAttribute.toolArguments]: content(() => {
            throw new TypeError("circular")
          }),
          [SpanContentAttribute.answer]: content(() => "x".repeat(100_000)),
          [SpanAttribute.outcome]: "y".repeat(100_000)
        }).pipe(Effect.withSpan("driver.goal")),
        { includeContent: true }
      )
      assert.strictEqual(span?.span.attributes.get(SpanContentAttribute.toolArguments), "<unreadable>")
      assert.strictEqual(String(span?.span.attributes.get(SpanContentAttribute.answer)).length, 8_192)
      assert.strictEqual(String(span?.span.attributes.get(SpanAttribute.outcome)).length, 256)
    })
  )

  it.effect("tells an interruption from a failure", () =>
    Effect.gen(function* () {
      const [stopped] = yield* traced(Effect.interrupt.pipe(Effect.withSpan("driver.goal")))
      assert.deepStrictEqual(Object.fromEntries(stopped?.span.attributes ?? []), { [SpanAttribute.interrupted]: true })
      const [broken] = yield* traced(Effect.failCause(Cause.die("secret text")).pipe(Effect.withSpan("driver.goal")))
      assert.deepStrictEqual(Object.fromEntries(broken?.span.attributes ?? []), { [SpanAttribute.errorType]: "other" })
    })
  )

  it.effect("lets no text through that is put on a span in any way, but in the places for names", () => {
    const text = fc
      .string({ minLength: 12, unit: fc.constantFrom("ж", "щ", "я", " ", "/") })
      .filter((it) => /[жщя]/.test(it))
    const way = fc.constantFrom(
      "attribute",
      "content",
      "event",
      "failure",
      "defect",
      "name",
      "child name",
      "annotation"
    )
    return Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(way, text), { minLength: 1, maxLength: 6 }), async (says) => {
          const effect = says.reduce(
            (inner: Effect.Effect<void, unknown>, [how, it]): Effect.Effect<void, unknown> => {
              switch (how) {
                case "attribute":
                  return Effect.zipRight(Effect.annotateCurrentSpan(`a${it}`, it), inner)
                case "content":
                  return Effect.zipRight(
                    Effect.annotateCurrentSpan(
                      SpanContentAttribute.prompt,
                      content(() => it)
                    ),
                    inner
                  )
                case "event":
                  return Effect.zipRight(Effect.logInfo(it), inner)
                case "failure":
                  return Effect.zipRight(inner, Effect.fail({ _tag: it, message: it }))
                case "defect":
                  return Effect.zipRight(inner, Effect.die(new Error(it)))
                case "name":
                  return Effect.withSpan(inner, it)
                case "child name":
                  return Effect.withSpan(inner, `execute_tool ${it}`)
                default:
                  return Effect.annotateSpans(inner, "note", it)
              }
            },
            Effect.withSpan(Effect.void, "driver.criterion")
          )
          const spans = await Effect.runPromise(traced(Effect.withSpan(effect, "driver.attempt"), { detail: "all" }))
          const seen = JSON.stringify(
            spans.map(({ events, span }) => [span.name, [...span.attributes], events, span.status]),
            (_, it: unknown) => (typeof it === "bigint" ? String(it) : it)
          )
          assert.notMatch(seen, /[жщя]/)
        }),
        { numRuns: 200 }
      )
    )
  })
})
