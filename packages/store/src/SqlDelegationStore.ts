/** `DelegationStore` and `GoalResults` on SQLite and PostgreSQL: what was written first stays. */
import type { GoalId } from "@driver/domain/Goal"
import { DelegationPlan, SubtaskResult } from "@driver/intent/DelegationPlan"
import { DelegationStore } from "@driver/intent/DelegationStore"
import { GoalResult } from "@driver/intent/GoalExecutor"
import { GoalResults } from "@driver/intent/GoalResults"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { intentCall } from "./internal/intentCall.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<DelegationStore | GoalResults, never, SqlClient.SqlClient> = Layer.mergeAll(
  Layer.effect(
    DelegationStore,
    Effect.map(SqlClient.SqlClient, (sql) => makeDelegation(sql))
  ),
  Layer.effect(
    GoalResults,
    Effect.map(SqlClient.SqlClient, (sql) => makeResults(sql))
  )
)

const GoalResultColumn = Schema.parseJson(GoalResult)

const decodePlans = Schema.decodeUnknown(Schema.Array(Schema.Struct({ plan: DelegationPlan.FromJson })))
const decodeParts = Schema.decodeUnknown(Schema.Array(Schema.Struct({ result: SubtaskResult.FromJson })))
const decodeResults = Schema.decodeUnknown(Schema.Array(Schema.Struct({ result: GoalResultColumn })))
const encodePlan = Schema.encode(DelegationPlan.FromJson)
const encodePart = Schema.encode(SubtaskResult.FromJson)
const encodeResult = Schema.encode(GoalResultColumn)

const makeDelegation = (sql: SqlClient.SqlClient): DelegationStore["Type"] => {
  const plan = (goalId: GoalId) =>
    sql`SELECT plan FROM driver_delegations WHERE goal_id = ${goalId}`.pipe(
      Effect.flatMap(decodePlans),
      Effect.map(([row]) => Option.map(Option.fromNullable(row), (it) => it.plan))
    )
  return DelegationStore.of({
    plan: (goalId) => intentCall("DelegationStore.plan")(plan(goalId)),

    savePlan: (goalId, proposed) =>
      Effect.gen(function* () {
        const text = yield* encodePlan(proposed)
        yield* sql`INSERT INTO driver_delegations (goal_id, plan) VALUES (${goalId}, ${text}) ON CONFLICT DO NOTHING`
        return Option.getOrElse(yield* plan(goalId), () => proposed)
      }).pipe(intentCall("DelegationStore.savePlan")),

    results: (goalId) =>
      sql`SELECT result FROM driver_delegation_results WHERE goal_id = ${goalId} ORDER BY recorded`.pipe(
        Effect.flatMap(decodeParts),
        Effect.map((rows) => rows.map(({ result }) => result)),
        intentCall("DelegationStore.results")
      ),

    saveResult: (goalId, result) =>
      Effect.flatMap(
        encodePart(result),
        (text) => sql`
          INSERT INTO driver_delegation_results (goal_id, subtask_id, result) VALUES (${goalId}, ${result.id}, ${text})
          ON CONFLICT DO NOTHING`
      ).pipe(Effect.asVoid, intentCall("DelegationStore.saveResult"))
  })
}

const makeResults = (sql: SqlClient.SqlClient): GoalResults["Type"] =>
  GoalResults.of({
    get: (goalId) =>
      sql`SELECT result FROM driver_goal_results WHERE goal_id = ${goalId}`.pipe(
        Effect.flatMap(decodeResults),
        Effect.map(([row]) => Option.map(Option.fromNullable(row), (it) => it.result)),
        intentCall("GoalResults.get")
      ),

    save: (goalId, result) =>
      Effect.flatMap(
        encodeResult(result),
        (text) =>
          sql`INSERT INTO driver_goal_results (goal_id, result) VALUES (${goalId}, ${text}) ON CONFLICT DO NOTHING`
      ).pipe(Effect.asVoid, intentCall("GoalResults.save"))
  })
