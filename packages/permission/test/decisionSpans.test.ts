// The gate's part of a goal's trace, through both doors.
import { AgentEvent } from "@driver/agent/Agent"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import { SpanAttribute } from "@driver/domain/Spans"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Tracer } from "effect"
import { PermissionDecider } from "../src/PermissionDecider.js"
import { type Door, inProcess, socket } from "./support/doors.js"
import { callOf, goalId, recording } from "./support/requests.js"

const makeRecorder = Effect.map(Effect.tracer, (native) => {
  const all: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    span: (...given) => {
      const span = native.span(...given)
      all.push(span)
      return span
    },
    context: native.context
  })
  return { all, layer: Layer.setTracer(tracer) }
})

const parentOf = (span: Tracer.Span | undefined): string =>
  Option.match(Option.fromNullable(span).pipe(Option.flatMap((it) => it.parent)), {
    onNone: () => "",
    onSome: (it) => (it._tag === "Span" ? it.name : "external")
  })

const called = AgentEvent.ToolCalled({
  toolUseId: "toolu_Bash",
  name: "Bash",
  input: {},
  parentToolUseId: Option.none()
})

const contract = (door: Door) =>
  describe(`decision spans ${door.name}`, () => {
    it.scopedLive("are below the call of the turn, and what is done to decide is below them", () =>
      Effect.gen(function* () {
        const recorder = yield* makeRecorder
        yield* Effect.gen(function* () {
          const decider = Layer.succeed(PermissionDecider, {
            decide: ({ tool }) =>
              Effect.succeed(
                tool === "Bash"
                  ? new AllowOnce({ updatedInput: Option.none(), rationale: "fine" })
                  : new Deny({ message: "no", rationale: "not fine" })
              ).pipe(Effect.withSpan(`decide ${tool}`))
          })
          const { register } = yield* door.open({ decider })
          const { registration } = yield* recording()
          const { ask, ticket } = yield* register(registration).pipe(Effect.withSpan("driver.goal"))
          const { spans } = ticket
          if (spans === undefined) return yield* Effect.dieMessage("the ticket has no spans")
          yield* ticket.startTurn(4)
          yield* Effect.gen(function* () {
            yield* spans.observe(called)
            yield* ask(callOf("Bash"))
            yield* ask({ ...callOf("Write"), toolUseId: Option.none() })
          }).pipe(spans.during, Effect.withSpan("invoke_agent test"))
        }).pipe(Effect.scoped, Effect.provide(recorder.layer))

        const [first, second, ...more] = recorder.all.filter((it) => it.name === "driver.decision")
        assert.lengthOf(more, 0)
        assert.strictEqual(parentOf(first), "execute_tool Bash")
        assert.strictEqual(parentOf(second), "invoke_agent test")
        assert.strictEqual(parentOf(recorder.all.find((it) => it.name === "decide Bash")), "driver.decision")
        assert.deepStrictEqual(
          [first, second].map((it) => it?.attributes.get(SpanAttribute.decisionVerdict)),
          ["allow", "deny"]
        )
        for (const it of [first, second]) {
          assert.strictEqual(it?.attributes.get(SpanAttribute.turn), 4)
          assert.strictEqual(it?.attributes.get(SpanAttribute.goalId), goalId)
        }
        assert.isTrue(recorder.all.every((it) => it.status._tag === "Ended"))
        const root = recorder.all.find((it) => it.name === "driver.goal")
        assert.strictEqual(first?.traceId, recorder.all.find((it) => it.name === "invoke_agent test")?.traceId)
        assert.isDefined(root)
      })
    )

    it.scopedLive("end also when the goal ends first", () =>
      Effect.gen(function* () {
        const recorder = yield* makeRecorder
        yield* Effect.gen(function* () {
          const reached = yield* Deferred.make<void>()
          const decider = Layer.succeed(PermissionDecider, {
            decide: () => Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
          })
          const { register } = yield* door.open({ decider })
          const { registration } = yield* recording()
          const asking = yield* Effect.scoped(
            Effect.gen(function* () {
              const { ask } = yield* register(registration)
              const fiber = yield* Effect.forkDaemon(ask(callOf("Bash")))
              yield* Deferred.await(reached)
              return fiber
            })
          )
          yield* Fiber.interrupt(asking)
        }).pipe(Effect.scoped, Effect.provide(recorder.layer))
        const [decision] = recorder.all.filter((it) => it.name === "driver.decision")
        assert.strictEqual(decision?.attributes.get(SpanAttribute.decisionVerdict), "cancelled")
        assert.strictEqual(decision?.status._tag, "Ended")
      })
    )
  })

contract(inProcess)
contract(socket)
