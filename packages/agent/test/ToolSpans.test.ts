import { GoalId } from "@driver/domain/Goal"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import { SpanAttribute } from "@driver/domain/Spans"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Option, TestClock, Tracer } from "effect"
import * as fc from "effect/FastCheck"
import { AgentEvent } from "../src/Agent.js"
import * as ToolSpans from "../src/ToolSpans.js"

const goalId = GoalId.make("11111111-1111-4111-8111-111111111111")
const allowed = new AllowOnce({ updatedInput: Option.none(), rationale: "test" })
const denied = new Deny({ message: "no", rationale: "test" })

const called = (toolUseId: string, name = "Bash", parentToolUseId?: string) =>
  AgentEvent.ToolCalled({
    toolUseId,
    name,
    input: { command: "ls" },
    parentToolUseId: Option.fromNullable(parentToolUseId)
  })

const ended = (toolUseId: string, fields: { readonly failed?: boolean; readonly denied?: boolean } = {}) =>
  AgentEvent.ToolEnded({ toolUseId, failed: fields.failed ?? false, denied: fields.denied ?? false, text: "ok" })

const question = (toolUseId?: string, tool = "Bash") => ({
  tool,
  input: { command: "ls" },
  toolUseId: Option.fromNullable(toolUseId),
  agentId: Option.none()
})

/** Runs a goal with one turn and answers with all spans, in the order in which they began. */
const traced = <E>(use: (spans: ToolSpans.ToolSpans) => Effect.Effect<unknown, E>) =>
  Effect.gen(function* () {
    const native = yield* Effect.tracer
    const all: Array<Tracer.Span> = []
    const recording = Tracer.make({
      span: (...given) => {
        const span = native.span(...given)
        all.push(span)
        return span
      },
      context: native.context
    })
    yield* Effect.flatMap(ToolSpans.make, use).pipe(Effect.withSpan("goal"), Effect.withTracer(recording))
    return all
  })

const inTurn = (spans: ToolSpans.ToolSpans, turn: Effect.Effect<unknown>): Effect.Effect<void> =>
  turn.pipe(spans.during, Effect.withSpan("agent"), Effect.asVoid)

/** On a fiber of its own, which knows of no span, like a peer's of the socket. */
const asked = (spans: ToolSpans.ToolSpans, toolUseId?: string, tool?: string) =>
  spans.deciding(question(toolUseId, tool), { goalId, turn: 1 }).pipe(
    Effect.flatMap((span) => span.end(allowed)),
    Effect.mapInputContext((context: Context.Context<never>) => Context.omit(Tracer.ParentSpan)(context)),
    Effect.forkDaemon,
    Effect.flatMap(Fiber.join)
  )

const parentOf = (span: Tracer.Span): string =>
  Option.match(span.parent, { onNone: () => "", onSome: (it) => (it._tag === "Span" ? it.name : "external") })

const treeOf = (all: ReadonlyArray<Tracer.Span>) => all.map((span) => `${parentOf(span)} > ${span.name}`)

const isEnded = (span: Tracer.Span) => span.status._tag === "Ended"

describe("ToolSpans", () => {
  it.effect("tells a decision below its call, whichever is heard of first", () =>
    Effect.gen(function* () {
      const events = yield* traced((spans) =>
        inTurn(
          spans,
          Effect.all([spans.observe(called("a", "Read")), asked(spans, "a", "Read"), spans.observe(ended("a"))])
        )
      )
      const gate = yield* traced((spans) =>
        inTurn(
          spans,
          Effect.all([asked(spans, "a", "Read"), spans.observe(called("a", "Read")), spans.observe(ended("a"))])
        )
      )
      const expected = [" > goal", "goal > agent", "agent > execute_tool Read", "execute_tool Read > driver.decision"]
      assert.deepStrictEqual(treeOf(events), expected)
      assert.deepStrictEqual(treeOf(gate), expected)
      assert.isTrue([...events, ...gate].every(isEnded))
    })
  )

  it.effect("tells a subagent's call below the call that started it", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        inTurn(
          spans,
          Effect.forEach(
            [
              called("task", "Task"),
              called("own"),
              called("sub", "Grep", "task"),
              ended("sub"),
              ended("own"),
              ended("task")
            ],
            spans.observe
          )
        )
      )
      assert.deepStrictEqual(treeOf(all).slice(2), [
        "agent > execute_tool Task",
        "agent > execute_tool Bash",
        "execute_tool Task > execute_tool Grep"
      ])
    })
  )

  it.effect(
    "tells a decision below the turn when the agent does not name its call, and below the goal between turns",
    () =>
      Effect.gen(function* () {
        const all = yield* traced((spans) => Effect.zipRight(inTurn(spans, asked(spans)), asked(spans, "late")))
        assert.deepStrictEqual(treeOf(all).slice(1), [
          "goal > agent",
          "agent > driver.decision",
          "goal > driver.decision"
        ])
      })
  )

  it.effect("measures a call by its events, and says how it ended", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        inTurn(
          spans,
          Effect.gen(function* () {
            yield* spans.observe(called("a"))
            yield* TestClock.adjust("2 seconds")
            yield* spans.observe(ended("a", { failed: true }))
            yield* spans.observe(called("b"))
            yield* spans.observe(ended("b", { failed: true, denied: true }))
          })
        )
      )
      const [failed, refused] = all.slice(2)
      const status = failed?.status
      assert.strictEqual(status?._tag === "Ended" ? status.endTime - status.startTime : 0n, 2_000_000_000n)
      assert.strictEqual(failed?.attributes.get(SpanAttribute.errorType), "tool_error")
      assert.isFalse(refused?.attributes.has(SpanAttribute.errorType))
      assert.isTrue(refused?.attributes.get(SpanAttribute.toolDenied))
    })
  )

  it.effect("says what was decided, once", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        Effect.flatMap(spans.deciding(question("a"), { goalId, turn: 7 }), (span) =>
          Effect.zipRight(span.end(denied), span.end(allowed))
        )
      )
      const decision = all.find((it) => it.name === "driver.decision")
      assert.strictEqual(decision?.attributes.get(SpanAttribute.decisionVerdict), "deny")
      assert.strictEqual(decision?.attributes.get(SpanAttribute.turn), 7)
    })
  )

  it.effect("ends what is open when the turn is interrupted", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        Effect.exit(inTurn(spans, Effect.zipRight(spans.observe(called("a")), Effect.interrupt)))
      )
      const [call] = all.slice(2)
      assert.isTrue(call !== undefined && isEnded(call))
      assert.isTrue(call?.attributes.get(SpanAttribute.toolUnfinished))
    })
  )

  it.effect("knows nothing of the calls of an earlier turn", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        Effect.zipRight(inTurn(spans, spans.observe(called("a"))), inTurn(spans, asked(spans, "a")))
      )
      const [, first, , second, call] = all
      assert.deepStrictEqual([first?.name, second?.name, call?.name], ["agent", "agent", "execute_tool Bash"])
      assert.deepStrictEqual(
        Option.map(call?.parent ?? Option.none(), (it) => it.spanId),
        Option.fromNullable(second?.spanId)
      )
    })
  )

  it.effect("calls a tool that is a sentence `other`", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        inTurn(spans, spans.observe(called("id with blanks", "please run rm -rf /")))
      )
      assert.strictEqual(all[2]?.name, "execute_tool other")
      assert.strictEqual(all[2]?.attributes.get(SpanAttribute.toolName), "other")
      assert.strictEqual(all[2]?.attributes.get(SpanAttribute.toolCallId), "other")
    })
  )

  it.effect("keeps a bounded number of calls open", () =>
    Effect.gen(function* () {
      const all = yield* traced((spans) =>
        inTurn(
          spans,
          Effect.forEach(
            Array.from({ length: 1_000 }, (_, n) => called(`${n}`)),
            spans.observe
          )
        )
      )
      assert.lengthOf(all, 2 + 256)
    })
  )

  it("leaves nothing open, in whichever order it is told", () => {
    const id = fc.constantFrom("a", "b", "c")
    const step = fc.oneof(
      fc.record({ how: fc.constant("called" as const), id, parent: fc.option(id) }),
      fc.record({ how: fc.constant("ended" as const), id }),
      fc.record({ how: fc.constant("asked" as const), id: fc.option(id) })
    )
    type Step = typeof step extends fc.Arbitrary<infer It> ? It : never
    return fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 15 }), { maxLength: 4 }), async (turns) => {
        const all = await Effect.runPromise(
          traced((spans) => {
            const effectOf = (it: Step): Effect.Effect<void> => {
              if (it.how === "called") return spans.observe(called(it.id, "Bash", it.parent ?? undefined))
              return it.how === "ended" ? spans.observe(ended(it.id)) : asked(spans, it.id ?? undefined)
            }
            return Effect.forEach(turns, (turn) => inTurn(spans, Effect.forEach(turn, effectOf)))
          })
        )
        assert.isTrue(all.every(isEnded))
        assert.isTrue(all.every((span) => span.name === "goal" || span.traceId === all[0]?.traceId))
        for (const span of all) {
          const parent = parentOf(span)
          if (span.name === "driver.decision") assert.include(["agent", "execute_tool Bash"], parent)
          if (span.name.startsWith("execute_tool")) assert.include(["agent", "execute_tool Bash"], parent)
        }
      }),
      { numRuns: 200 }
    )
  })
})
