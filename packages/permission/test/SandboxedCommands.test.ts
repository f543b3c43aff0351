import { Sandbox, type SandboxState } from "@driver/agent/Sandbox"
import { AllowOnce, AllowSession, Deny, type PermissionOutcome, Unavailable } from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Layer, Option, Ref } from "effect"
import * as GoalGate from "../src/GoalGate.js"
import { bareContext, PermissionDecider } from "../src/PermissionDecider.js"
import * as SandboxedCommands from "../src/SandboxedCommands.js"
import { callOf, recording, requestOf } from "./support/requests.js"

/** Confines by a word that stands before the command. */
const sandbox = (state: SandboxState = { kind: "bubblewrap", detail: "" }) =>
  Layer.succeed(Sandbox, {
    state: Effect.succeed(state),
    wrap: ({ argv, env }) => Effect.succeed({ argv, env }),
    wrapShell: (command, { env, workspace }) =>
      Effect.succeed(
        state.kind === "bubblewrap" ? Option.some(JSON.stringify([command, workspace, env])) : Option.none()
      )
  })

const env = { PATH: "/bin" }

const decide = (outcome: PermissionOutcome, tool: string, input: Record<string, unknown>, state?: SandboxState) =>
  Effect.gen(function* () {
    const { decide } = yield* PermissionDecider
    return yield* decide(requestOf(tool, input, "/work/tree"), bareContext)
  }).pipe(
    Effect.provide(
      SandboxedCommands.layer({ env }).pipe(
        Layer.provide(PermissionDecider.layerScripted([outcome])),
        Layer.provide(sandbox(state))
      )
    )
  )

const updated = (outcome: PermissionOutcome) =>
  "updatedInput" in outcome ? Option.getOrNull(outcome.updatedInput) : null

const once = new AllowOnce({ rationale: "rule 1" })
const session = new AllowSession({ scope: "session", rationale: "rule 1" })

describe("SandboxedCommands", () => {
  it.effect("confines an allowed command and leaves everything else of the call as it was", () =>
    Effect.gen(function* () {
      const input = { command: "npm test && echo 'x'", timeout: 5, description: "Tests", run_in_background: true }
      for (const outcome of [once, session]) {
        const answer = yield* decide(outcome, "Bash", input)
        assert.strictEqual(answer._tag, outcome._tag)
        assert.deepStrictEqual(updated(answer), {
          ...input,
          command: JSON.stringify([input.command, "/work/tree", env])
        })
        assert.include("rationale" in answer ? answer.rationale : "", "rule 1")
      }
    })
  )

  it.effect("confines the command that the decider put in the place of the agent's", () =>
    Effect.gen(function* () {
      const changed = new AllowOnce({ rationale: "r", updatedInput: Option.some({ command: "true", timeout: 1 }) })
      const answer = yield* decide(changed, "Bash", { command: "rm -rf /" })
      assert.deepStrictEqual(updated(answer), { command: JSON.stringify(["true", "/work/tree", env]), timeout: 1 })
    })
  )

  it.effect("shows the decider the command as the agent wrote it", () =>
    Effect.gen(function* () {
      const seen = yield* Ref.make<ReadonlyArray<unknown>>([])
      const { decide } = yield* PermissionDecider.pipe(
        Effect.provide(
          SandboxedCommands.layer({ env }).pipe(
            Layer.provide(
              Layer.succeed(PermissionDecider, {
                decide: (request) =>
                  Effect.as(
                    Ref.update(seen, (before) => [...before, request.input]),
                    once
                  )
              })
            ),
            Layer.provide(sandbox())
          )
        )
      )
      yield* decide(requestOf("Bash", { command: "make" }, "/work/tree"), bareContext)
      assert.deepStrictEqual(yield* Ref.get(seen), [{ command: "make" }])
    })
  )

  it.effect("touches neither other tools nor what was not allowed", () =>
    Effect.gen(function* () {
      const write = yield* decide(once, "Write", { file_path: "a", command: "x" })
      assert.deepStrictEqual(updated(write), null)
      for (const refused of [
        new Deny({ message: "no", rationale: "rule 2" }),
        new Unavailable({ reason: "nobody is there" })
      ]) {
        assert.deepStrictEqual(yield* decide(refused, "Bash", { command: "x" }), refused)
      }
    })
  )

  it.effect("denies what it cannot confine", () =>
    Effect.gen(function* () {
      for (const input of [{}, { command: ["ls"] }, { command: 1 }, { command: "a\0b" }, { command: null }]) {
        assert.strictEqual((yield* decide(once, "Bash", input))._tag, "Deny", JSON.stringify(input))
      }
    })
  )

  it.effect("changes nothing where there is no sandbox", () =>
    Effect.gen(function* () {
      for (const state of [{ kind: "off" } as const, { kind: "missing", reason: "r", mend: "m" } as const]) {
        assert.deepStrictEqual(yield* decide(once, "Bash", { command: "ls" }, state), once)
      }
    })
  )

  it.effect("hands over every command whole", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.string({ unit: "binary" }), async (command) => {
          const answer = await Effect.runPromise(decide(once, "Bash", { command }))
          const confined = updated(answer)?.["command"]
          if (command.includes("\0")) assert.strictEqual(answer._tag, "Deny")
          else assert.strictEqual(JSON.parse(String(confined))[0], command)
        }),
        { numRuns: 50 }
      )
    )
  )
})

describe("SandboxedCommands behind a gate", () => {
  it.scoped("is remembered with the answer for the session, and the record has the command as it was asked", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make(0)
      const decider = SandboxedCommands.layer({ env }).pipe(
        Layer.provide(
          Layer.succeed(PermissionDecider, {
            decide: () =>
              Effect.as(
                Ref.update(asked, (n) => n + 1),
                session
              )
          })
        ),
        Layer.provide(sandbox())
      )
      const { decisions, registration } = yield* recording({ workspace: "/work/tree" })
      const open = yield* Effect.provide(GoalGate.factory(), decider)
      const gate = yield* open(registration)
      const call = callOf("Bash", { command: "npm test", timeout: 5 })
      const confined = { command: JSON.stringify(["npm test", "/work/tree", env]), timeout: 5 }
      assert.deepStrictEqual(updated(yield* gate.decide(call)), confined)
      assert.deepStrictEqual(updated(yield* gate.decide(call)), confined)
      assert.strictEqual(yield* Ref.get(asked), 1)
      assert.deepStrictEqual(
        (yield* decisions).map(({ choice, input }) => [choice._tag, input]),
        [
          ["Allow", call.input],
          ["Allow", call.input]
        ]
      )
    })
  )

  it.scoped("is a refusal when the sandbox breaks", () =>
    Effect.gen(function* () {
      const broken = Layer.mock(Sandbox, {
        state: Effect.succeed({ kind: "bubblewrap" as const, detail: "" }),
        wrapShell: () => Effect.die("no mounts")
      })
      const decider = SandboxedCommands.layer({ env }).pipe(
        Layer.provide(PermissionDecider.layerAllowAll),
        Layer.provide(broken)
      )
      const { registration } = yield* recording()
      const open = yield* Effect.provide(GoalGate.factory(), decider)
      const gate = yield* open(registration)
      assert.strictEqual((yield* gate.decide(callOf("Bash", { command: "ls" })))._tag, "Deny")
    })
  )
})
