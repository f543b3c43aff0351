/**
 * Every decision of a run is in the journal and in the store, once, with its reason: whatever became of the call. With a
 * real file and a real database.
 */
import { readFileSync } from "node:fs"
import { asks, layerScripted, ScriptedAgentLog } from "@driver/agent/AgentScripted"
import { StoredEvent } from "@driver/domain/DriverEvent"
import { Budget, Goal, GoalId } from "@driver/domain/Goal"
import {
  AllowOnce,
  AllowSession,
  Deny,
  isAllowed,
  type PermissionOutcome,
  Unavailable
} from "@driver/domain/Permission"
import { AcceptanceVerdict } from "@driver/domain/Verdict"
import * as InProcessGate from "@driver/permission/InProcessGate"
import { PermissionAdvisors } from "@driver/permission/PermissionAdvisors"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import { Acceptance } from "@driver/runtime/Acceptance"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import { Leases } from "@driver/runtime/Leases"
import * as Policies from "@driver/runtime/Policies"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import * as Database from "@driver/store/Database"
import * as Stores from "@driver/store/Stores"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Duration, Effect, Layer, Logger, LogLevel, Option, Schema } from "effect"

const goalId = GoalId.make("6f1c2b1e-8d61-4c0a-9d55-0d6a3e6b7c11")

/** What the decider does with a call, by what its input says; and what is to be recorded of it. */
const cases: Readonly<
  Record<
    string,
    { readonly decide: Effect.Effect<PermissionOutcome>; readonly choice: "Allow" | "Deny"; readonly rationale: RegExp }
  >
> = {
  allowed: { decide: Effect.succeed(new AllowOnce({ rationale: "rule 1" })), choice: "Allow", rationale: /^rule 1$/ },
  changed: {
    decide: Effect.succeed(new AllowOnce({ rationale: "rule 2", updatedInput: Option.some({ n: 0 }) })),
    choice: "Allow",
    rationale: /^rule 2$/
  },
  denied: {
    decide: Effect.succeed(new Deny({ message: "No.", rationale: "rule 3" })),
    choice: "Deny",
    rationale: /^rule 3$/
  },
  unavailable: {
    decide: Effect.succeed(new Unavailable({ reason: "asleep" })),
    choice: "Deny",
    rationale: /^unavailable: asleep$/
  },
  dying: { decide: Effect.dieMessage("boom"), choice: "Deny", rationale: /^gate: .*boom/ },
  late: { decide: Effect.never, choice: "Deny", rationale: /^gate: the time to decide is over$/ },
  garbage: {
    decide: Effect.succeed(7 as unknown as PermissionOutcome),
    choice: "Deny",
    rationale: /^gate: the decider's answer is no outcome$/
  }
}

describe("The journal and the store of a run", () => {
  it.scopedLive("have every decision once, with its reason", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped({ prefix: "decisions-" })
      const journal = `${directory}/events.jsonl`
      const kinds = Object.keys(cases)
      const calls = Array.from({ length: 3 * kinds.length }, (_, n) => ({ n, kind: kinds[n % kinds.length] ?? "" }))
      // The same call, allowed for the session by the first answer.
      const cached = Array.from({ length: 3 }, () => ({ n: 1_000, kind: "session" }))
      const cancelled = { n: 2_000, kind: "hanging" }

      const hanging = yield* Deferred.make<void>()
      const decider = Layer.succeed(PermissionDecider, {
        decide: ({ input }, { waitUpTo }) => {
          if (input["kind"] === "session") {
            return Effect.succeed(new AllowSession({ scope: "session", rationale: "rule 9" }))
          }
          if (input["kind"] === "hanging") {
            return waitUpTo("1 hour").pipe(
              Effect.zipRight(Deferred.succeed(hanging, undefined)),
              Effect.zipRight(Effect.never)
            )
          }
          return cases[String(input["kind"])]?.decide ?? Effect.dieMessage("no such case")
        }
      })
      const acceptance = Layer.succeed(Acceptance, {
        evaluate: () =>
          Effect.map(
            DateTime.now,
            (evaluatedAt) => new AcceptanceVerdict({ met: true, results: [], evaluatedAt, elapsed: Duration.zero })
          )
      })
      const world = Driver.layer.pipe(
        Layer.provide(GoalLoop.layer()),
        Layer.provideMerge(
          Layer.mergeAll(
            layerScripted([
              [...calls, ...cached]
                .map((input) => asks("Tool", input, { toolUseId: `u${input.n}` }))
                .concat(asks("Tool", cancelled, { toolUseId: "u2000" }))
            ]),
            Leases.layer({ owner: "test" }).pipe(
              Layer.provideMerge(Stores.layer()),
              Layer.provide(Database.layerSqlite({ filename: `${directory}/driver.sqlite` }))
            )
          )
        ),
        Layer.provide([
          EventSink.layerJsonl(journal),
          acceptance,
          Policies.layer,
          WorkspaceMemory.layer(),
          InProcessGate.layer({ decideTimeout: "1 second" }).pipe(
            Layer.provide([
              decider,
              Layer.succeed(PermissionAdvisors, [{ name: "broken", advise: () => Effect.dieMessage("broken") }])
            ])
          )
        ])
      )
      yield* Effect.gen(function* () {
        const driver = yield* Driver
        const handle = yield* driver.spawn(
          new Goal({ id: goalId, description: "x", acceptance: [], budget: new Budget({ maxConsecutiveDenies: 0 }) })
        )
        yield* Deferred.await(hanging)
        yield* handle.cancel
        assert.strictEqual((yield* handle.await).outcome._tag, "Cancelled")
        const { outcomes } = yield* Effect.flatMap(ScriptedAgentLog, (log) => log.current)
        const rows = yield* Effect.flatMap(DecisionStore, (store) => store.list(goalId))
        return { outcomes, rows }
      }).pipe(
        Effect.provide(world),
        Effect.map(({ outcomes, rows }) => {
          // The layer is closed: every event is in the file.
          const events = readFileSync(journal, "utf8")
            .split("\n")
            .filter((line) => line !== "")
            .flatMap((line) => {
              const { event } = Schema.decodeUnknownSync(StoredEvent.FromJson)(line)
              return event._tag === "DecisionMade" ? [event.decision] : []
            })
          assert.deepStrictEqual(events, rows)
          assert.strictEqual(new Set(rows.map(({ id }) => id)).size, rows.length)
          // One for each call, in the order of the calls.
          assert.deepStrictEqual(
            rows.map(({ input }) => input),
            [...calls, ...cached, cancelled]
          )
          for (const { choice, input, rationale, turn } of rows) {
            const expected = cases[String(input["kind"])]
            if (expected === undefined) continue
            assert.deepStrictEqual([choice._tag, turn], [expected.choice, 1])
            assert.match(rationale, expected.rationale)
          }
          assert.deepStrictEqual(
            rows.slice(-4).map(({ choice, rationale }) => [choice._tag, rationale]),
            [
              ["Allow", "rule 9"],
              ["Allow", "rule 9"],
              ["Allow", "rule 9"],
              ["Deny", "cancelled: the question was withdrawn"]
            ]
          )
          // And what the agent was told is what was recorded; nobody was told anything about the one that was cancelled.
          assert.deepStrictEqual(
            outcomes.map(({ outcome }) => (isAllowed(outcome) ? "Allow" : "Deny")),
            rows.slice(0, -1).map(({ choice }) => choice._tag)
          )
        })
      )
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(NodeContext.layer))
  )
})
