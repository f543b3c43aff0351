/** Makes a world that fails smaller: fewer goals, then fewer faults, then fewer actions of the operator. */
import * as Plan from "./Plan.js"
import { type Options, type Report, run } from "./Simulation.js"

export interface Shrunk {
  /** The items that are needed, by their number in the whole plan. */
  readonly kept: ReadonlyArray<number>
  readonly report: Report
  /** Worlds that were run for it. */
  readonly runs: number
}

const isGoal = (item: Plan.Item | undefined) => item?._tag === "Goal"
const isOperator = (item: Plan.Item | undefined) => item?._tag === "Operator"

/**
 * Leaves out one item after the other as long as something is still wrong, until nothing more can go or `maxRuns`
 * worlds were run. What is wrong in the small world may be something else than in the large one: both are wrong.
 */
export const shrink = (plan: Plan.Plan, options: Options = {}, maxRuns = 300): Shrunk => {
  const all = plan.items.map((_, index) => index)
  const order = [
    all.filter((index) => isGoal(plan.items[index])),
    all.filter((index) => !isGoal(plan.items[index]) && !isOperator(plan.items[index])),
    all.filter((index) => isOperator(plan.items[index]))
  ]
  let best: Shrunk = { kept: all, report: run(plan, options), runs: 1 }
  if (best.report.violations.length === 0) return best

  let before: number
  do {
    before = best.kept.length
    for (const candidates of order) {
      for (const index of [...candidates].reverse()) {
        if (!best.kept.includes(index) || best.runs >= maxRuns) continue
        const kept = withoutOrphans(
          plan,
          best.kept.filter((it) => it !== index)
        )
        const report = run(Plan.keep(plan, kept), options)
        best = report.violations.length > 0 ? { kept, report, runs: best.runs + 1 } : { ...best, runs: best.runs + 1 }
      }
    }
  } while (best.kept.length < before && best.runs < maxRuns)
  return best
}

/** What belongs to a goal that is left out goes with it. */
const withoutOrphans = (plan: Plan.Plan, kept: ReadonlyArray<number>): ReadonlyArray<number> => {
  const goals = new Set(
    kept.flatMap((index) => {
      const item = plan.items[index]
      return item?._tag === "Goal" ? [item.goal] : []
    })
  )
  return kept.filter((index) => {
    const item = plan.items[index]
    return item !== undefined && (!("goal" in item) || goals.has(item.goal))
  })
}
