/**
 * `DecisionStore` on SQLite and PostgreSQL.
 *
 * A decision is kept in full, its input as JSON; only a bounded number of its
 * words is indexed. The words are made by `DecisionStore.ts` and handed to the
 * full-text index (FTS5, a GIN index on a tsvector) as they are, so that both find
 * the same candidates; `rankRecalled` orders them.
 */
import { GoalId } from "@driver/domain/Goal"
import { Decision, DecisionChoice, DecisionId, ToolInput } from "@driver/domain/Permission"
import { DecisionStore, rankRecalled, wholeLimit, wordsOfDecision, wordsOfQuery } from "@driver/runtime/DecisionStore"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Moment, Text, toColumn, Whole } from "./internal/columns.js"
import { storeCall } from "./internal/sqlFailure.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<DecisionStore, never, SqlClient.SqlClient> = Layer.effect(
  DecisionStore,
  Effect.map(SqlClient.SqlClient, (sql) => make(sql))
)

const Input = Schema.parseJson(ToolInput)
const Choice = Schema.parseJson(DecisionChoice)

const Row = Schema.Struct({
  id: DecisionId,
  goal_id: GoalId,
  turn: Whole.pipe(Schema.nonNegative()),
  tool: Text,
  input: Input,
  choice: Choice,
  rationale: Text,
  decided_at: Moment
})

const CandidateRow = Schema.Struct({ id: DecisionId, words: Schema.String, decided_at: Whole, recorded: Whole })

const decodeRows = Schema.decodeUnknown(Schema.Array(Row))
const decodeCandidates = Schema.decodeUnknown(Schema.Array(CandidateRow))
const encodeInput = Schema.encode(Input)
const encodeChoice = Schema.encode(Choice)

const toDecision = (row: typeof Row.Type) =>
  new Decision({
    id: row.id,
    goalId: row.goal_id,
    turn: row.turn,
    tool: row.tool,
    input: row.input,
    choice: row.choice,
    rationale: row.rationale,
    decidedAt: row.decided_at
  })

/** The index gives this many more than were asked for, best first by its own measure, to be ordered by ours. */
const spareCandidates = 256

// Words are letters, digits and marks only: none needs escaping inside the quotes.
const anyInFts5 = (words: ReadonlyArray<string>) => words.map((word) => `"${word}"`).join(" OR ")
const anyInTsquery = (words: ReadonlyArray<string>) => words.map((word) => `'${word}'`).join(" | ")

const make = (sql: SqlClient.SqlClient) => {
  const columns = sql.literal(Object.keys(Row.fields).join(", "))
  const read = (rows: Effect.Effect<ReadonlyArray<unknown>, SqlError>) =>
    rows.pipe(
      Effect.flatMap(decodeRows),
      Effect.map((all) => all.map(toDecision))
    )

  const candidates = (words: ReadonlyArray<string>, tool: string, goalId: GoalId | undefined, limit: number) => {
    const ofGoal = goalId === undefined ? sql.literal("") : sql`AND d.goal_id = ${goalId}`
    return sql.onDialectOrElse({
      pg: () => sql`
        SELECT d.id, d.words, d.decided_at, d.recorded FROM driver_decisions d, CAST(${anyInTsquery(words)} AS tsquery) q
        WHERE d.search @@ q AND d.tool = ${toColumn(tool)} ${ofGoal}
        ORDER BY ts_rank(d.search, q) DESC, d.decided_at DESC LIMIT ${limit}`,
      orElse: () => sql`
        SELECT d.id, d.words, d.decided_at, d.recorded
        FROM driver_decision_words JOIN driver_decisions d ON d.recorded = driver_decision_words.rowid
        WHERE driver_decision_words MATCH ${anyInFts5(words)} AND d.tool = ${toColumn(tool)} ${ofGoal}
        ORDER BY driver_decision_words.rank LIMIT ${limit}`
    })
  }

  return DecisionStore.of({
    record: (decision) =>
      Effect.gen(function* () {
        const input = yield* encodeInput(decision.input)
        const choice = yield* encodeChoice(decision.choice)
        yield* sql`
          INSERT INTO driver_decisions (${columns}, words)
          VALUES (${decision.id}, ${decision.goalId}, ${decision.turn}, ${toColumn(decision.tool)}, ${input}, ${choice},
            ${toColumn(decision.rationale)}, ${Math.floor(DateTime.toEpochMillis(decision.decidedAt))},
            ${wordsOfDecision(decision).join(" ")})
          ON CONFLICT (id) DO NOTHING`
      }).pipe(storeCall("DecisionStore.record")),

    list: (goalId) =>
      read(sql`SELECT ${columns} FROM driver_decisions WHERE goal_id = ${goalId} ORDER BY decided_at, recorded`).pipe(
        storeCall("DecisionStore.list")
      ),

    recall: (query) =>
      Effect.gen(function* () {
        const words = wordsOfQuery(query.text)
        const limit = wholeLimit(query.limit)
        if (words.length === 0 || limit === 0) return []
        const found = yield* Effect.flatMap(
          candidates(words, query.tool, query.goalId, limit + spareCandidates),
          decodeCandidates
        )
        const best = rankRecalled(
          words,
          found.map((row) => ({
            id: row.id,
            words: row.words.split(" "),
            decidedAt: row.decided_at,
            recorded: row.recorded
          })),
          limit
        )
        if (best.length === 0) return []
        // Only now the inputs, which can be large.
        const decisions = yield* read(
          sql`SELECT ${columns} FROM driver_decisions WHERE ${sql.in(
            "id",
            best.map(({ id }) => id)
          )}`
        )
        const byId = new Map(decisions.map((decision) => [decision.id, decision]))
        return best.flatMap(({ id }) => {
          const decision = byId.get(id)
          return decision === undefined ? [] : [decision]
        })
      }).pipe(storeCall("DecisionStore.recall"))
  })
}
