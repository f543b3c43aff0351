// Runs simulated worlds in workers and adds up what they saw; `simulate.mjs` builds and starts it.
//
//   --seed N      seed of the campaign. Default 1
//   --goals M     at least so many goals. Default 10000
//   --jobs J      workers. Default: one per processor, at most 4
//   --world W     only this world of the campaign
//   --keep a,b,…  only these items of the world, as a failure prints them
//   --verbose     with --world: prints its items, its log and its journals
import { createHash } from "node:crypto"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import * as Campaign from "../packages/simulation/src/Campaign.js"
import * as Plan from "../packages/simulation/src/Plan.js"
import * as Shrink from "../packages/simulation/src/Shrink.js"
import * as Simulation from "../packages/simulation/src/Simulation.js"

interface Job {
  readonly seed: number
  readonly worlds: number
  readonly first: number
  readonly step: number
}

interface Seen {
  readonly tally: Campaign.Tally
  /** SHA-256 of each world's journals, by its number. */
  readonly digests: ReadonlyArray<readonly [world: number, digest: string]>
}

const work = ({ first, seed, step, worlds }: Job): Seen => {
  const tally = Campaign.emptyTally()
  const digests: Array<readonly [number, string]> = []
  for (let world = first; world < worlds; world += step) {
    const { journals } = Campaign.runWorld(tally, seed, world)
    digests.push([world, createHash("sha256").update(Campaign.bytesOf(journals)).digest("hex")])
  }
  return { tally, digests }
}

const start = (job: Job): Promise<Seen> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: job,
      // Simulated goals die young.
      resourceLimits: { maxYoungGenerationSizeMb: 128 }
    })
    worker.once("message", resolve)
    worker.once("error", reject)
  })

const number = (text: string, name: string): number => {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`--${name} must be a whole number of at least 0, not ${text}`)
  process.exit(2)
}

const counts = (map: ReadonlyMap<string, number>) =>
  [...map]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join(" · ")

const replay = (seed: number, world: number, keep: ReadonlyArray<number> | undefined) =>
  `npm run simulate -- --seed ${seed} --world ${world}${keep === undefined ? "" : ` --keep ${keep.join(",")}`} --verbose`

/** One world, as large as it is or with some of its items. */
const one = (seed: number, world: number, keep: ReadonlyArray<number> | undefined, verbose: boolean): boolean => {
  const whole = Campaign.planOf(seed, world)
  const plan = keep === undefined ? whole : Plan.keep(whole, keep)
  if (verbose) {
    whole.items.forEach((item, index) => {
      if (plan.items.includes(item)) console.log(`item ${index}: ${JSON.stringify(item)}`)
    })
  }
  const report = Simulation.check(plan, verbose ? { log: (line) => console.log(line) } : {})
  if (verbose) console.log(Campaign.bytesOf(report.journals))
  for (const violation of report.violations) console.log(violation)
  console.log(
    `world ${world} of seed ${seed}: ${plan.items.length} items, ${report.violations.length === 0 ? "all is well" : "failed"}`
  )
  return report.violations.length === 0
}

/** Prints the first world that failed, and how to see it again with as little as it needs. */
const showFailure = (seed: number, world: number) => {
  const plan = Campaign.planOf(seed, world)
  const { kept, report, runs } = Shrink.shrink(plan)
  console.log(
    `\nworld ${world} of seed ${seed} failed; of its ${plan.items.length} items ${kept.length} are needed (${runs} runs):`
  )
  for (const index of kept) console.log(`  ${index}: ${JSON.stringify(plan.items[index])}`)
  for (const violation of report.violations) console.log(`  ${violation}`)
  console.log(`again: ${replay(seed, world, kept)}`)
}

const campaign = async (seed: number, goals: number, jobs: number): Promise<boolean> => {
  const { worlds } = Campaign.worldsFor(seed, goals)
  const began = performance.now()
  const seen = await Promise.all(Array.from({ length: jobs }, (_, first) => start({ seed, worlds, first, step: jobs })))
  const seconds = (performance.now() - began) / 1_000
  const tally = Campaign.emptyTally()
  for (const it of seen) Campaign.merge(tally, it.tally)
  const digest = createHash("sha256")
  for (const [, one] of seen.flatMap((it) => it.digests).sort(([a], [b]) => a - b)) digest.update(one)
  console.log(`seed      ${seed}`)
  console.log(`goals     ${tally.goals} in ${tally.worlds} worlds, ${tally.turns} turns, ${tally.records} records`)
  console.log(`faults    ${counts(tally.faults)}`)
  console.log(`outcomes  ${counts(tally.outcomes)}`)
  console.log(`digest    ${digest.digest("hex")}`)
  console.log(`time      ${seconds.toFixed(1)} s, ${Math.round((tally.goals / seconds) * 60)} goals per minute`)
  const failed = [...tally.failed].sort((a, b) => a - b)
  console.log(
    `failed    ${failed.length === 0 ? "none" : `${failed.length} worlds: ${failed.slice(0, 20).join(", ")}`}`
  )
  const [first] = failed
  if (first !== undefined) showFailure(seed, first)
  return first === undefined
}

if (isMainThread) {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      goals: { type: "string", default: "10000" },
      jobs: { type: "string", default: String(Math.min(4, availableParallelism())) },
      world: { type: "string" },
      keep: { type: "string" },
      verbose: { type: "boolean", default: false }
    }
  })
  const seed = number(values.seed, "seed")
  const keep = values.keep?.split(",").map((it) => number(it, "keep"))
  const fine =
    values.world === undefined
      ? await campaign(seed, number(values.goals, "goals"), Math.max(1, number(values.jobs, "jobs")))
      : one(seed, number(values.world, "world"), keep, values.verbose)
  process.exitCode = fine ? 0 : 1
} else {
  // Started by `campaign` with a job.
  parentPort?.postMessage(work(workerData as Job))
}
