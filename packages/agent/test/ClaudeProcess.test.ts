import * as ClaudeProcess from "@driver/agent/ClaudeProcess"
import type { ToolCall } from "@driver/agent/PermissionGate"
import { Containment, SubprocessExit } from "@driver/agent/Subprocess"
import { AllowOnce } from "@driver/domain/Permission"
import { NodeContext } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Chunk, Deferred, Duration, Effect, Layer, Option, Ref } from "effect"
import { assert } from "./support/assert.js"
import { eventually, gate, makeWorld } from "./support/claude.js"

const Platform = Containment.layerProcessGroup.pipe(Layer.provideMerge(NodeContext.layer))

/** A program that runs a shell script instead of an agent. */
const start = (script: string, ticket = gate()) =>
  ClaudeProcess.start({
    owner: "test",
    argv: ["sh", "-c", script],
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "" },
    killAfter: Duration.seconds(1),
    maxLineBytes: 100_000,
    gate: ticket,
    streaming: false
  })

const question = (id: string) =>
  JSON.stringify({
    type: "control_request",
    request_id: id,
    request: { subtype: "can_use_tool", tool_name: "Write", input: { file_path: "a" }, tool_use_id: `use-${id}` }
  })

/** Prints what it reads as an event of its own type, so that it comes back through the inbox. */
const echo = `while read -r line; do printf '%s\\n' "{\\"type\\":\\"echo\\",\\"line\\":$line}"; done`

const test = (name: string, body: Effect.Effect<void, unknown, Effect.Effect.Context<ReturnType<typeof start>>>) =>
  it.scopedLive(name, () => Effect.provide(body, Platform))

describe("ClaudeProcess", () => {
  test(
    "answers a question by the gate",
    Effect.gen(function* () {
      const calls = yield* Ref.make<ReadonlyArray<ToolCall>>([])
      const ticket = gate((call) =>
        Effect.as(
          Ref.update(calls, (all) => [...all, call]),
          new AllowOnce({ updatedInput: Option.none(), rationale: "test" })
        )
      )
      // Ends with what it was answered as its exit code: the answer's shape is ClaudeCommand's.
      const script = `read -r go; echo '${question("q1")}'; read -r answer; case "$answer" in *q1*allow*) exit 7;; esac; exit 1`
      const process = yield* start(script, ticket)
      yield* process.listen
      yield* process.write("go\n")
      const ended = yield* Effect.flip(Effect.forever(process.inbox.takeAll))
      assert.deepStrictEqual(ended.exit, Option.some(SubprocessExit.Exited({ code: 7 })))
      const [call] = yield* Ref.get(calls)
      assert.deepStrictEqual(call, {
        tool: "Write",
        input: { file_path: "a" },
        toolUseId: Option.some("use-q1"),
        agentId: Option.none()
      })
    })
  )

  test(
    "withdraws a question that the program takes back, and only that one",
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const withdrawn = yield* Ref.make<ReadonlyArray<unknown>>([])
      const done = yield* Deferred.make<void>()
      const ticket = gate(({ toolUseId }) =>
        Effect.when(Deferred.succeed(asked, undefined), () => Option.contains(toolUseId, "use-q2")).pipe(
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() =>
            Effect.zipRight(
              Ref.update(withdrawn, (all) => [...all, Option.getOrNull(toolUseId)]),
              Deferred.succeed(done, undefined)
            )
          )
        )
      )
      const cancel = JSON.stringify({ type: "control_cancel_request", request_id: "q1" })
      const process = yield* start(
        `read -r go; echo '${question("q1")}'; echo '${question("q2")}'; read -r go; echo '${cancel}'; cat > /dev/null`,
        ticket
      )
      yield* process.listen
      yield* process.write("go\n")
      yield* Deferred.await(asked)
      yield* process.write("go\n")
      yield* Deferred.await(done)
      assert.deepStrictEqual(yield* Ref.get(withdrawn), ["use-q1"])
      yield* process.rest
      assert.deepStrictEqual(yield* Ref.get(withdrawn), ["use-q1", "use-q2"])
    })
  )

  test(
    "refuses a question that comes while nobody listens, without asking anybody",
    Effect.gen(function* () {
      const ticket = gate(() => Effect.dieMessage("nobody should be asked"))
      const process = yield* start(
        `echo '${question("q1")}'; read -r answer; case "$answer" in *q1*deny*) exit 7;; esac; exit 1`,
        ticket
      )
      const ended = yield* Effect.flip(Effect.forever(process.inbox.takeAll))
      assert.deepStrictEqual(ended.exit, Option.some(SubprocessExit.Exited({ code: 7 })))
    })
  )

  test(
    "answers a request that it does not know with an error, so that the program does not wait",
    Effect.gen(function* () {
      const request = JSON.stringify({
        type: "control_request",
        request_id: "q9",
        request: { subtype: "hook_callback" }
      })
      const process = yield* start(
        `echo '${request}'; read -r answer; case "$answer" in *error*q9*hook_callback*) exit 7;; esac; exit 1`
      )
      yield* process.listen
      const ended = yield* Effect.flip(Effect.forever(process.inbox.takeAll))
      assert.deepStrictEqual(ended.exit, Option.some(SubprocessExit.Exited({ code: 7 })))
    })
  )

  test(
    "drops what is printed while nobody listens",
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const request = JSON.stringify({ type: "control_request", request_id: "q", request: { subtype: "early" } })
      // The answer to the request says that the line before it has been read.
      const process = yield* start(
        `echo '{"type":"early"}'; echo '${request}'; read -r answer; touch ${world.path("read")}; ${echo}`
      )
      yield* eventually("the early line is read", () => world.has("read"))
      yield* process.listen
      yield* process.write("2\n")
      const [messages] = yield* process.inbox.takeAll
      assert.deepStrictEqual(Chunk.toReadonlyArray(messages), [{ _tag: "Other", type: "echo" }])
      assert.isFalse(yield* process.isOver)
      yield* process.close
      assert.isTrue(yield* process.isOver)
      assert.isFalse(yield* process.write("3\n"))
      assert.deepInclude(yield* Effect.flip(process.inbox.takeAll), { closed: true })
    })
  )

  test(
    "ends its inbox after the last message, with the exit and the last words",
    Effect.gen(function* () {
      const process = yield* start(`read -r go; echo '{"type":"last"}'; echo oops >&2; exit 3`)
      yield* process.listen
      yield* process.write("go\n")
      const [messages] = yield* process.inbox.takeAll
      assert.deepStrictEqual(Chunk.toReadonlyArray(messages), [{ _tag: "Other", type: "last" }])
      const ended = yield* Effect.flip(process.inbox.takeAll)
      assert.deepStrictEqual(ended, {
        closed: false,
        error: Option.none(),
        exit: Option.some(SubprocessExit.Exited({ code: 3 })),
        stderr: "oops\n"
      })
    })
  )
})
