/**
 * `AccountLimits` on SQLite and PostgreSQL: `AccountDecisions` on one row per account
 * that has a limit. A row is changed only when it is still as it was read, so that of
 * several goals, in whatever processes, one probes.
 */
import { GoalId } from "@driver/domain/Goal"
import * as AccountDecisions from "@driver/runtime/AccountDecisions"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { StoreError } from "@driver/runtime/StoreError"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { nullable, Text, toColumn, Whole } from "./internal/columns.js"
import { storeCall } from "./internal/sqlFailure.js"

/** For a database that has been migrated, as those of `Database.ts` are. */
export const layer: Layer.Layer<AccountLimits, never, SqlClient.SqlClient> = Layer.effect(
  AccountLimits,
  Effect.map(SqlClient.SqlClient, (sql) => make(sql))
)

const Row = Schema.Struct({
  account: Text,
  until: Whole,
  reason: Text,
  probe_goal: nullable(GoalId),
  probe_since: nullable(Whole),
  revision: Whole
})

const columns = Object.keys(Row.fields).join(", ")
const decodeRows = Schema.decodeUnknown(Schema.Array(Row))

interface Known {
  readonly state: AccountDecisions.ClosedAccount
  readonly revision: number
}

const toKnown = (row: typeof Row.Type): Known => ({
  state: {
    until: row.until,
    reason: row.reason,
    probe: Option.map(Option.all([row.probe_goal, row.probe_since]), ([goalId, since]) => ({ goalId, since }))
  },
  revision: row.revision
})

/** So often others may have changed the row between reading and writing, before that counts as being busy. */
const attempts = 20

const make = (sql: SqlClient.SqlClient) => {
  const now = Effect.map(Clock.currentTimeMillis, Math.floor)

  const read = (account: string) =>
    Effect.map(
      Effect.flatMap(
        sql`SELECT ${sql.literal(columns)} FROM driver_account_limits WHERE account = ${toColumn(account)}`,
        decodeRows
      ),
      ([row]) => Option.map(Option.fromNullable(row), toKnown)
    )

  /** True when the row was still as it was read. */
  const replace = (
    account: string,
    known: Option.Option<Known>,
    next: Option.Option<AccountDecisions.ClosedAccount>
  ) => {
    const name = toColumn(account)
    // A row that was deleted and made anew begins at revision 1 too, with another moment.
    const asRead = Option.match(known, {
      onNone: () => sql`account = ${name}`,
      onSome: ({ revision, state }) => sql`account = ${name} AND revision = ${revision} AND until = ${state.until}`
    })
    if (Option.isNone(next)) return sql`DELETE FROM driver_account_limits WHERE ${asRead} RETURNING account`
    const { probe, reason, until } = next.value
    const goalId = Option.getOrNull(Option.map(probe, (it) => it.goalId))
    const since = Option.getOrNull(Option.map(probe, (it) => it.since))
    return Option.isNone(known)
      ? sql`
          INSERT INTO driver_account_limits (${sql.literal(columns)})
          VALUES (${name}, ${until}, ${toColumn(reason)}, ${goalId}, ${since}, 1)
          ON CONFLICT (account) DO NOTHING RETURNING account`
      : sql`
          UPDATE driver_account_limits SET until = ${until}, reason = ${toColumn(reason)}, probe_goal = ${goalId},
            probe_since = ${since}, revision = revision + 1
          WHERE ${asRead} RETURNING account`
  }

  const change = <A>(
    operation: string,
    account: string,
    decide: (
      state: Option.Option<AccountDecisions.ClosedAccount>,
      now: number
    ) => readonly [A, Option.Option<AccountDecisions.ClosedAccount>]
  ): Effect.Effect<A, StoreError> => {
    const attempt = (left: number): Effect.Effect<A, StoreError> =>
      Effect.gen(function* () {
        const known = yield* storeCall(operation)(read(account))
        const state = Option.map(known, (it) => it.state)
        const [result, next] = decide(state, yield* now)
        const unchanged = Option.isNone(next)
          ? Option.isNone(state)
          : Option.isSome(state) && state.value === next.value
        if (unchanged || (yield* storeCall(operation)(replace(account, known, next))).length > 0) return result
        if (left > 0) return yield* attempt(left - 1)
        return yield* new StoreError({
          operation,
          detail: `others change account ${account} all the time`,
          retryable: true
        })
      })
    return attempt(attempts)
  }

  return AccountLimits.of({
    admit: (account, goalId) =>
      change("AccountLimits.admit", account, (state, at) => AccountDecisions.admit(state, at, goalId)),
    limited: (account, until, reason) =>
      change("AccountLimits.limited", account, (state) => [
        undefined,
        Option.some(AccountDecisions.limited(state, until, reason))
      ]),
    open: (account) =>
      change("AccountLimits.open", account, (state, at) => [undefined, AccountDecisions.open(state, at)]),
    list: Effect.flatMap(
      now,
      (at) => sql`SELECT ${sql.literal(columns)} FROM driver_account_limits WHERE until > ${at} ORDER BY account`
    ).pipe(
      Effect.flatMap(decodeRows),
      Effect.map((rows) => rows.map(({ account, reason, until }) => ({ account, until, reason }))),
      storeCall("AccountLimits.list")
    )
  })
}
