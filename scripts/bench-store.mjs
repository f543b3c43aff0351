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
const runtime = ManagedRuntime.make(Layer.provide(Stores.layer(), Database.layerSqlite({ filename })))
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

try {
  const bindings = await runtime.runPromise(BindingStore)
  const decisions = await runtime.runPromise(DecisionStore)
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
    JSON.stringify({ ...result, decision_recall: { decisions: stored, median_ms: round(median(times)) } }, null, 2)
  )
} finally {
  await runtime.dispose()
  raw.close()
  rmSync(directory, { recursive: true, force: true })
}
