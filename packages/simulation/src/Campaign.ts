/** Many worlds from one seed: what was seen in them, added up. */
import type { JournalRecord } from "@driver/runtime/Journal"
import * as Plan from "./Plan.js"
import * as Prng from "./Prng.js"
import * as Simulation from "./Simulation.js"

/** Sums over worlds. */
export interface Tally {
  worlds: number
  goals: number
  turns: number
  records: number
  operations: number
  readonly outcomes: Map<string, number>
  readonly faults: Map<string, number>
  /** Worlds in which something was wrong, by their number. */
  readonly failed: Array<number>
}

export const emptyTally = (): Tally => ({
  worlds: 0,
  goals: 0,
  turns: 0,
  records: 0,
  operations: 0,
  outcomes: new Map(),
  faults: new Map(),
  failed: []
})

/** The plan of a campaign's world, from 0. */
export const planOf = (seed: number, world: number): Plan.Plan => Plan.make(Prng.seedOf(seed, world))

/** The number of worlds that have at least so many goals, and how many they have. */
export const worldsFor = (seed: number, goals: number): { readonly worlds: number; readonly goals: number } => {
  let count = 0
  let worlds = 0
  while (count < goals) {
    count += Plan.goalsOf(planOf(seed, worlds)).length
    worlds += 1
  }
  return { worlds, goals: count }
}

/** Runs one world of a campaign and adds it to the tally. */
export const runWorld = (tally: Tally, seed: number, world: number): Simulation.Report => {
  const report = Simulation.check(planOf(seed, world))
  tally.worlds += 1
  tally.goals += report.journals.length
  tally.turns += report.turns
  tally.records += report.journals.reduce((sum, records) => sum + records.length, 0)
  tally.operations += report.operations
  addAll(tally.outcomes, report.outcomes)
  addAll(tally.faults, report.faults)
  if (report.violations.length > 0) tally.failed.push(world)
  return report
}

/** What a worker of a campaign has seen, added to what the others have. */
export const merge = (into: Tally, other: Tally): void => {
  into.worlds += other.worlds
  into.goals += other.goals
  into.turns += other.turns
  into.records += other.records
  into.operations += other.operations
  addAll(into.outcomes, other.outcomes)
  addAll(into.faults, other.faults)
  into.failed.push(...other.failed)
}

const addAll = (into: Map<string, number>, counts: ReadonlyMap<string, number>): void => {
  for (const [name, count] of counts) into.set(name, (into.get(name) ?? 0) + count)
}

/** The bytes of a world's journals: one line per record. */
export const bytesOf = (journals: ReadonlyArray<ReadonlyArray<JournalRecord>>): string =>
  journals.map((records) => records.map((record) => `${JSON.stringify(record)}\n`).join("")).join("")
