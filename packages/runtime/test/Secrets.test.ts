// A secret that this process knows, planted wherever text comes in: it is nowhere in what leaves the loop.
import { AgentExited } from "@driver/agent/Agent"
import { asks, compacted, ended, fails, ScriptedAgentLog, said } from "@driver/agent/AgentScripted"
import { Shell } from "@driver/domain/Goal"
import { AllowOnce, Deny } from "@driver/domain/Permission"
import { mark } from "@driver/domain/Redaction"
import { Redactor } from "@driver/domain/Redactor"
import { CompactSummaryStore } from "@driver/runtime/CompactSummaryStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { Driver } from "@driver/runtime/Driver"
import { ReplayDecision } from "@driver/runtime/ReplayPolicy"
import { WorkspaceError } from "@driver/runtime/Workspace"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted, TestClock } from "effect"
import { goalId, goalWith, published, TestDriver } from "./support/world.js"

const secret = "correct-horse-battery-staple"
const text = (what: string) => `${what} <${secret}>`

describe("A secret", () => {
  it.effect("is in no event, record, prompt, summary, message or outcome", () =>
    Effect.gen(function* () {
      const driver = yield* Driver
      yield* driver.preRegister(goalId)
      yield* driver.interrupt(goalId, text("interrupt"))
      const handle = yield* driver.spawn(
        goalWith({ description: text("description"), acceptance: [new Shell({ command: text("command") })] })
      )
      const log = yield* ScriptedAgentLog
      yield* log.until(({ prompts }) => prompts.length === 1)
      assert.strictEqual(yield* driver.steer(goalId, text("steered")), "steered")
      yield* TestClock.adjust("3 hours")
      const outcome = yield* handle.await

      const { compactions, opened: _, outcomes: __, ...asked } = yield* log.current
      const decisions = yield* Effect.flatMap(DecisionStore, (store) => store.list(goalId))
      const summary = yield* Effect.flatMap(CompactSummaryStore, (store) => store.loadLatest(goalId))
      const left = {
        events: yield* published,
        decisions,
        summary,
        outcome,
        prompts: asked.prompts,
        steers: asked.steers,
        compactions,
        progress: yield* handle.progress.get
      }
      for (const [name, value] of Object.entries(left)) {
        const shown = JSON.stringify(value)
        assert.notInclude(shown, secret, name)
        // It was there.
        assert.include(shown, mark, name)
      }
      assert.isTrue(Option.exists(outcome.delivery, ({ summary }) => summary.includes(mark)))
      assert.strictEqual(asked.prompts.length, 3)
      assert.strictEqual(decisions.length, 2)
      assert.isTrue(Option.isSome(summary))
      assert.deepStrictEqual(outcome.outcome._tag, "Done")
    }).pipe(
      Effect.provide(
        TestDriver({
          script: [
            [
              said(text("said")),
              ["1 minute", asks("Bash", { command: text("curl"), env: { TOKEN: secret } })],
              asks("Write", { file_path: "a", content: text("content") }),
              ended({ text: text("done") })
            ],
            [fails(new AgentExited({ exit: "1", stderrTail: text("stderr") }))],
            [ended({ text: text("done") })]
          ],
          agent: { compactions: [compacted({ summary: text("summary") })] },
          verdicts: [text("it failed"), true],
          diffs: [text("diff")],
          undeliverable: new WorkspaceError({ operation: "deliver", reason: "conflict", detail: text("conflict") }),
          answer: (call) =>
            call.tool === "Bash"
              ? new Deny({ message: text("no"), rationale: text("rule") })
              : new AllowOnce({ rationale: text("rule") }),
          replay: () => ReplayDecision.NextTurn({ rollbackTo: Option.none() }),
          compact: ({ turn, lastCompactTurn }) =>
            turn === 1 && Option.isNone(lastCompactTurn)
              ? Option.some({ focus: text("focus"), reason: "token_pressure" })
              : Option.none()
        }).pipe(Layer.provide(Redactor.layer([Redacted.make(secret)])))
      )
    )
  )
})
