/**
 * `driver ask` killed behind each write of its intent: whoever goes on with the session asks no model again what is in
 * the journal, and runs no goal twice.
 */
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { assess, columnIn, crystallize, makeAskWorld, responseOf, review } from "./support/ask.js"
import { writeHello } from "./support/process.js"

const killer = fileURLToPath(new URL("support/intentKiller.cjs", import.meta.url))

/** The records of the intent, two commits of its session, and the goal's result. */
const places = Array.from({ length: 13 }, (_, index) => index + 1)

const answers = [assess({}), crystallize(), review()]
const recordOf: Readonly<Record<string, string>> = {
  assess: "assessed",
  crystallize: "crystallized",
  review: "reviewed"
}

/** The kinds of what the intents of this database have come to. */
const recordsIn = (file: string): ReadonlyArray<unknown> =>
  columnIn(file, "SELECT json_extract(record, '$.record.kind') AS it FROM driver_intent_records ORDER BY sequence")

describe.concurrent("driver ask, killed between two phases", () => {
  for (const place of places) {
    it(`goes on behind write ${place}`, async (context) => {
      const world = makeAskWorld(context, answers)
      world.write(
        "driver.yaml",
        "agent: { kind: stub, scenario: scenario.json }\nmodel: { provider: scripted, script: answers.json }\nstore: { sqlite: driver.sqlite }\ndeliver: { mode: merge, target: delivered }\n"
      )
      world.git("branch", "delivered")
      world.scenario({ turns: [{ steps: [writeHello] }, { steps: [{ say: "A second turn." }] }] })
      const message = "I want a greeting"
      const common = ["--session", "s1", "--yes", "--json", "--events", "events.jsonl"]
      const first = await world.driver(["ask", message, ...common], {
        NODE_OPTIONS: `--require ${killer}`,
        INTENT_DIE_BEHIND: String(place)
      })
      const known = recordsIn(join(world.repository, "driver.sqlite"))
      assert.strictEqual(first.code, "SIGKILL", first.stderr)
      world.answers(answers.filter(({ ask }) => !known.includes(recordOf[ask] ?? "")))
      // Behind the first write nobody knows of the session yet.
      const ended = await world.driver(place === 1 ? ["ask", message, ...common] : ["ask", ...common])
      assert.strictEqual(ended.code, 0, `${known.join()}\n${ended.stderr}`)
      const { cost, degradations, result } = responseOf(ended, "TaskResult")
      assert.deepStrictEqual(degradations, [])
      assert.deepStrictEqual(
        cost.modelCalls.map(({ step }) => step),
        ["assess", "crystallize", "review"]
      )
      const events = world.events(join(world.repository, "events.jsonl"))
      assert.deepStrictEqual(
        events.filter(({ event }) => event._tag === "AttemptStarted").map(({ goalId }) => goalId),
        [result.outcome.goalId]
      )
      assert.strictEqual(result.outcome.totalTurns, 1)
      assert.strictEqual(world.git("rev-list", "--count", "delivered").trim(), "2")
      await world.until("everybody to be gone", () => world.processes().length === 0)
    })
  }

  it("has no further writes to be killed behind", async (context) => {
    const world = makeAskWorld(context, answers)
    const ended = await world.driver(["ask", "I want a greeting", "--yes"], {
      NODE_OPTIONS: `--require ${killer}`,
      INTENT_DIE_BEHIND: String(places.length + 1)
    })
    assert.strictEqual(ended.code, 0, ended.stderr)
  })
})
