// Latency of the SQLite stores against better-sqlite3 with the same statements on the same tables.
//   node scripts/bench-store.mjs [calls per round]     prints one JSON object
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { register } from "tsx/esm/api"

register()
const { Effect, Layer, ManagedRuntime, Option, DateTime } = await import("effect")
const { BindingStore } = await import("@driver/runtime/BindingStore")
const { DecisionStore, wordsOfDecision } = await import("@driver/runtime/DecisionStore")
const { ChoiceAllow, Decision } = await import("@driver/domain/Permission")
const { Journal, JournalRecord } = await import("@driver/runtime/Journal")
const { foldAll } = await import("@driver/runtime/GoalFold")
const { LoopEntry } = await import("@driver/runtime/LoopEntry")
const { DriverEvent } = await import("@driver/domain/DriverEvent")
const { Schema } = await import("effect")
const Database = await import("@driver/store/Database")
const Stores = await import("@driver/store/Stores")
const { default: Sqlite } = await import("better-sqlite3")

const calls = Number(process.argv[2] ?? 300)
const rounds = 10
const directory = mkdtempSync(join(tmpdir(), "driver-bench-"))

const uuid = (n) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`
const input = (n) => ({ command: `git commit -m "change ${n}"`, description: "Commit what has been done so far" })
const decisionOf = (n) =>
  new Decision({
    id: uuid(n),
    goalId: uuid(n % 50),
    turn: 1,
    tool: "Bash",
    input: input(n),
    choice: new ChoiceAllow(),
    rationale: "the goal's own criteria run this command",
    decidedAt: DateTime.unsafeMake(1_700_000_000_000 + n)
  })

/** Steps and events of a turn, over and over. */
const usage = {
  turns: 3,
  wall_time: 81_000,
  tokens: { input: 1_200, output: 800, cache_read: 45_000, cache_creation: 3_000 },
  known_cost_usd: 0.31,
  cost_complete: true,
  consecutive_denies: 0,
  consecutive_errors: 0,
  consecutive_prompt_too_long: 0
}
const turn = [
  { kind: "turn_begun", turn: 3, message_ids: [], checkpoint: "3" },
  { kind: "attempt_started", goal_id: uuid(1), turn: 3, usage },
  ...[1, 2, 3, 4].map((n) => ({
    kind: "agent_activity",
    goal_id: uuid(1),
    turn: 3,
    activity: "tool",
    text: `Bash: npm test --workspace packages/part-${n} -- --reporter dot`
  })),
  { kind: "turn_metered", tokens: usage.tokens, wall_time: 40_000 },
  { kind: "progress", goal_id: uuid(1), turn: 3, usage },
  {
    kind: "turn_decided",
    turn: 3,
    next: { kind: "advance", rollback_to: null },
    usage,
    trace: { failures: ["`npm test`"], diff_empty: false, tool_calls: ["Bash", "Edit", "Edit", "Bash"] },
    diff_stat: " 3 files changed, 41 insertions(+), 7 deletions(-)",
    messages: [],
    context_tokens: 49_000,
    context_window: 200_000,
    focus: "",
    final_text: "The parser now keeps comments; two of its tests still fail."
  },
  { kind: "turn_settled", rolled_back: false, stuck: { kind: "fine" } }
].map((entry) => Schema.decodeUnknownSync(Schema.Union(LoopEntry, DriverEvent))(entry))
const recordOf = (goal, sequence) =>
  new JournalRecord({
    goalId: uuid(goal),
    sequence,
    id: `${uuid(goal)}:mi5x2k9abcd:${sequence}`,
    at: DateTime.unsafeMake(1_700_000_000_000 + sequence),
    epoch: 0,
    entry: turn[sequence % turn.length]
  })

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const round = (n) => Math.round(n * 1000) / 1000

/** Median of the medians of the rounds, in milliseconds; the two take turns. */
const compare = async (store, raw) => {
  const all = { store: [], raw: [] }
  let n = 1
  for (let at = -1; at < rounds; at++) {
    for (const [name, call] of [
      ["store", store],
      ["raw", raw]
    ]) {
      const times = []
      for (let i = 0; i < calls; i++, n++) {
        const start = performance.now()
        await call(n)
        times.push(performance.now() - start)
      }
      if (at >= 0) all[name].push(median(times)) // the first round warms up
    }
  }
  const [ours, floor] = [median(all.store), median(all.raw)]
  return { store_ms: round(ours), raw_ms: round(floor), ratio: round(ours / floor) }
}

const filename = join(directory, "store.db")
const runtime = ManagedRuntime.make(
  Layer.provide(Stores.layer({}, { consumers: ["nats"] }), Database.layerSqlite({ filename }))
)
const raw = await (async () => {
  const file = join(directory, "raw.db")
  await Effect.runPromise(Effect.scoped(Layer.build(Database.layerSqlite({ filename: file }))))
  const db = new Sqlite(file)
  db.pragma("journal_mode = WAL")
  db.pragma("synchronous = NORMAL")
  return db
})()
const upsert = raw.prepare(`INSERT INTO driver_bindings AS old VALUES (?, ?, ?, ?, ?, ?, 1, NULL, ?, ?, ?)
  ON CONFLICT (goal_id) DO UPDATE SET session_id = excluded.session_id, model = excluded.model, workspace = excluded.workspace,
  origin_channel = excluded.origin_channel, dispatcher = excluded.dispatcher, live = 1, updated_at = excluded.updated_at,
  last_active_at = excluded.last_active_at RETURNING *`)
const insert =
  raw.prepare(`INSERT INTO driver_decisions (id, goal_id, turn, tool, input, choice, rationale, decided_at, words)
  VALUES (?, ?, 1, 'Bash', ?, '{"kind":"allow"}', ?, ?, ?) ON CONFLICT (id) DO NOTHING`)

const append = raw.prepare(`INSERT INTO driver_journal SELECT ?, ?, ?, 1, ?, ?, 0, ?, ? WHERE
  COALESCE((SELECT epoch FROM driver_leases WHERE goal_id = ?), 0) = 0
  AND (SELECT COALESCE(MAX(sequence), 0) FROM driver_journal WHERE goal_id = ?) = ? RETURNING sequence`)
const encode = Schema.encodeSync(Schema.Union(LoopEntry, DriverEvent))

try {
  const bindings = await runtime.runPromise(BindingStore)
  const decisions = await runtime.runPromise(DecisionStore)
  const journal = await runtime.runPromise(Journal)
  const prepared = Array.from({ length: (rounds + 1) * calls }, (_, n) => recordOf(1, n + 1))
  let appended = 0
  let rawAppended = 0
  const result = {
    calls: calls * rounds,
    bare_runPromise_ms: round(
      (
        await compare(
          () => Effect.runPromise(Effect.void),
          () => Promise.resolve()
        )
      ).store_ms
    ),
    binding_upsert: await compare(
      (n) =>
        runtime.runPromise(
          bindings.upsert({
            goalId: uuid(n % 50),
            sessionId: `session-${n}`,
            model: Option.some("opus"),
            workspace: `/workspaces/${n % 50}`,
            originChannel: Option.none(),
            dispatcher: Option.none()
          })
        ),
      async (n) => upsert.get(uuid(n % 50), `session-${n}`, "opus", `/workspaces/${n % 50}`, null, null, n, n, n)
    ),
    decision_record: await compare(
      (n) => runtime.runPromise(decisions.record(decisionOf(n))),
      async (n) => {
        const words = wordsOfDecision(decisionOf(n)).join(" ")
        insert.run(
          uuid(n),
          uuid(n % 50),
          JSON.stringify(input(n)),
          "the goal's own criteria run this command",
          n,
          words
        )
      }
    ),
    // One step or event at a time, the events into one outbox too.
    journal_append: await compare(
      () => runtime.runPromise(journal.append([prepared[appended++]])),
      async () => {
        const record = prepared[rawAppended++]
        const entry = encode(record.entry)
        const out = "goal_id" in entry ? '["nats"]' : null
        const id = record.goalId
        append.all(
          id,
          record.sequence,
          record.id,
          entry.kind,
          1,
          JSON.stringify(entry),
          out,
          id,
          id,
          record.sequence - 1
        )
      }
    )
  }
  const measured = async (count, call) => {
    const times = []
    for (let i = 0; i < count; i++) {
      const start = performance.now()
      await call(i)
      times.push(performance.now() - start)
    }
    return { first_ms: round(times[0]), median_ms: round(median(times)) }
  }
  for (let at = 0; at < 1_000; at += 20) {
    await runtime.runPromise(journal.append(Array.from({ length: 20 }, (_, n) => recordOf(3, at + n + 1))))
  }
  const journals = {
    append_20: await measured(100, (i) =>
      runtime.runPromise(journal.append(Array.from({ length: 20 }, (_, n) => recordOf(2, i * 20 + n + 1))))
    ),
    read_1000: await measured(30, () => runtime.runPromise(journal.read(uuid(1), { limit: 1_000 }))),
    // What a driver does that takes up the goal with 1,000 records: reads what the fold looks at, and folds it.
    recover_1000: await measured(30, async () =>
      foldAll(await runtime.runPromise(journal.read(uuid(3), { folded: true })))
    )
  }
  const times = []
  for (let i = 0; i < 100; i++) {
    const start = performance.now()
    await runtime.runPromise(decisions.recall({ tool: "Bash", text: `git commit change ${i}`, limit: 5 }))
    times.push(performance.now() - start)
  }
  const stored = (rounds + 1) * calls
  console.log(
    JSON.stringify(
      { ...result, journal: journals, decision_recall: { decisions: stored, median_ms: round(median(times)) } },
      null,
      2
    )
  )
} finally {
  await runtime.dispose()
  raw.close()
  rmSync(directory, { recursive: true, force: true })
}
