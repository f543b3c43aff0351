/** The captures of the real program: what it printed, and how it ended. */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { AgentEvent, TurnResult } from "@driver/agent/Agent"
import * as ClaudeEvents from "@driver/agent/ClaudeEvents"
import { Option } from "effect"

const directory = fileURLToPath(new URL("../fixtures/claude/", import.meta.url))

export const names: ReadonlyArray<string> = readdirSync(directory)
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))

export const exits: Readonly<Record<string, { code: number | null; signal: string | null; stderr: string }>> =
  JSON.parse(readFileSync(`${directory}exits.json`, "utf8"))

export const path = (name: string): string => `${directory}${name}.jsonl`

export const text = (name: string): string => readFileSync(path(name), "utf8")

export const lines = (name: string): ReadonlyArray<string> =>
  text(name)
    .split("\n")
    .filter((line) => line !== "")

export const events = (name: string): ReadonlyArray<ClaudeEvents.ClaudeEvent> =>
  lines(name).map((line) => ClaudeEvents.decode(JSON.parse(line)))

export interface FoldedTurn {
  readonly events: ReadonlyArray<AgentEvent>
  /** None: the output ended before the turn did. */
  readonly result: Option.Option<TurnResult>
  readonly turn: ClaudeEvents.Turn
}

/** Folds a whole capture, one turn after the other, as a session does: the next begins where one is drained. */
export const turns = (name: string, options?: { readonly compacts: boolean }): ReadonlyArray<FoldedTurn> => {
  const done: Array<FoldedTurn> = []
  let turn = ClaudeEvents.begin({ sessionId: Option.none(), compacts: options?.compacts ?? false })
  let told: Array<AgentEvent> = []
  let printed = false
  for (const event of events(name)) {
    const [next, more] = ClaudeEvents.step(turn, event)
    turn = next
    told.push(...more)
    // What is told between two turns (that the session is idle, what became of a message) begins none.
    printed ||= ["Init", "Assistant", "Result", "Status"].includes(event._tag)
    if (ClaudeEvents.isDrained(turn)) {
      done.push({ events: told, result: ClaudeEvents.result(turn, 0), turn })
      turn = ClaudeEvents.begin({ sessionId: turn.sessionId, compacts: false })
      told = []
      printed = false
    }
  }
  return printed || done.length === 0 ? [...done, { events: told, result: Option.none(), turn }] : done
}
