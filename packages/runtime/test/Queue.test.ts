import { Goal, GoalId } from "@driver/domain/Goal"
import { type AttemptOutcome, BudgetExhausted, Cancelled, Done, Escalate, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { GoalRow, type GoalState } from "@driver/runtime/GoalStore"
import { next, type QueueFacts, type QueueLimits, validate, Wait, waitText } from "@driver/runtime/Queue"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Either, FastCheck, Option } from "effect"

const id = (n: number) => GoalId.make(`${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`)

const outcomeOf = (goalId: GoalId, outcome: AttemptOutcome) =>
  new GoalOutcome({ goalId, outcome, totalTurns: 1, usage: Usage.zero, elapsed: Duration.zero })

interface Fields {
  readonly state?: GoalState
  readonly priority?: number
  readonly after?: ReadonlyArray<number>
  readonly repository?: string
  readonly account?: string
  readonly outcome?: AttemptOutcome
}

const row = (n: number, fields: Fields = {}) =>
  new GoalRow({
    goal: new Goal({ id: id(n), description: `goal ${n}` }),
    state: fields.state ?? (fields.outcome === undefined ? "queued" : "ended"),
    repository: fields.repository ?? "/repository",
    priority: fields.priority ?? 0,
    dependsOn: (fields.after ?? []).map(id),
    account: fields.account ?? "default",
    submittedAt: DateTime.unsafeMake(n),
    outcome: fields.outcome === undefined ? Option.none() : Option.some(outcomeOf(id(n), fields.outcome))
  })

const nothing: QueueFacts = {
  here: new Set(),
  elsewhere: new Set(),
  paused: new Set(),
  closed: new Map(),
  trouble: new Map()
}
const roomy: QueueLimits = { maxConcurrent: 100, perRepository: 0 }

describe("Queue.validate", () => {
  const submitted = (n: number, ...after: ReadonlyArray<number>) => ({ id: id(n), dependsOn: after.map(id) })
  const refusal = (goals: ReadonlyArray<ReturnType<typeof submitted>>, known: ReadonlyArray<number> = []) =>
    Either.match(validate(goals, new Set(known.map(id))), {
      onLeft: (it) => [it.reason, it.detail] as const,
      onRight: () => ["taken", ""] as const
    })

  it("takes goals that depend on each other or on known ones, in any order", () => {
    assert.strictEqual(refusal([submitted(1, 2, 9), submitted(2, 3), submitted(3)], [9])[0], "taken")
  })

  it("names an id that is there twice, or was submitted before", () => {
    assert.deepStrictEqual(refusal([submitted(1), submitted(1)]), [
      "exists",
      `Two of the goals have the id ${id(1)}: give one of them another id`
    ])
    assert.deepStrictEqual(refusal([submitted(1)], [1]), [
      "exists",
      `The goal ${id(1)} was submitted before: give the new one another id`
    ])
  })

  it("names every unknown dependency", () => {
    const [reason, detail] = refusal([submitted(1), submitted(2, 1, 7, 8)])
    assert.strictEqual(reason, "unknown_dependency")
    assert.include(detail, `${id(2)} depends on ${id(7)}, ${id(8)}`)
  })

  it("prints the circle, and only the circle", () => {
    const [reason, detail] = refusal([
      submitted(5, 1),
      submitted(1, 4, 2),
      submitted(2, 3),
      submitted(3, 1),
      submitted(4)
    ])
    assert.strictEqual(reason, "cycle")
    assert.include(detail, [1, 2, 3, 1].map(id).join(" after "))
    assert.strictEqual(refusal([submitted(1, 1)])[0], "cycle")
  })

  it("finds a circle exactly where there is one, and prints one that exists", () => {
    const goals = FastCheck.integer({ min: 1, max: 12 }).chain((count) =>
      FastCheck.array(FastCheck.array(FastCheck.integer({ min: 0, max: count - 1 }), { maxLength: 3 }), {
        minLength: count,
        maxLength: count
      })
    )
    FastCheck.assert(
      FastCheck.property(goals, (edges) => {
        // Naively: some goal is reached from itself.
        const reached = (from: number, seen: Set<number> = new Set()): Set<number> => {
          for (const to of edges[from] ?? []) if (!seen.has(to)) reached(to, seen.add(to))
          return seen
        }
        const circular = edges.some((_, n) => reached(n).has(n))
        const [reason, detail] = refusal(edges.map((after, n) => submitted(n + 1, ...after.map((it) => it + 1))))
        assert.strictEqual(reason, circular ? "cycle" : "taken")
        if (!circular) return
        const printed = [...detail.matchAll(/[0-9a-f]{8}(?=-0000-4000)/g)].map(([it]) => Number.parseInt(it, 16) - 1)
        assert.strictEqual(printed[0], printed.at(-1))
        assert.isAtLeast(printed.length, 2)
        printed.slice(1).forEach((to, index) => {
          assert.include(edges[printed[index] ?? -1] ?? [], to)
        })
      }),
      { numRuns: 500 }
    )
  })

  it("takes a chain of 20,000 goals, and finds the circle when it is closed", () => {
    const chain = Array.from({ length: 20_000 }, (_, n) => submitted(n + 1, ...(n === 0 ? [] : [n])))
    assert.strictEqual(refusal(chain)[0], "taken")
    assert.strictEqual(refusal([...chain.slice(1), submitted(1, 20_000)])[0], "cycle")
  })
})

describe("Queue.next", () => {
  it("begins by priority, then in the order of submission", () => {
    const rows = [row(1), row(2, { priority: 5 }), row(3), row(4, { priority: 5 })]
    const { begin, waits } = next(rows, nothing, { maxConcurrent: 3, perRepository: 0 })
    assert.deepStrictEqual(begin, [id(2), id(4), id(1)])
    assert.deepStrictEqual([...waits], [[id(3), Wait.Place({ before: 0 })]])
  })

  it("lets others go before a goal whose repository is full", () => {
    const rows = [row(1, { repository: "/a" }), row(2, { repository: "/a" }), row(3, { repository: "/b" })]
    const decision = next(rows, nothing, { maxConcurrent: 2, perRepository: 1 })
    assert.deepStrictEqual(decision.begin, [id(1), id(3)])
    assert.deepStrictEqual(decision.waits.get(id(2)), Wait.Repository({ repository: "/a" }))
  })

  it("counts goals of other drivers for the repository, but not for its own places", () => {
    const rows = [
      row(1, { state: "running", repository: "/a" }),
      row(2, { repository: "/a" }),
      row(3, { repository: "/b" })
    ]
    const facts = { ...nothing, elsewhere: new Set([id(1)]) }
    assert.deepStrictEqual(next(rows, facts, { maxConcurrent: 1, perRepository: 1 }).begin, [id(3)])
  })

  it("continues what an earlier driver left before it begins anything", () => {
    const rows = [row(1, { priority: 9 }), row(2, { state: "running", after: [1] })]
    assert.deepStrictEqual(next(rows, nothing, { maxConcurrent: 1, perRepository: 0 }).begin, [id(2)])
  })

  it("skips what depends on a goal that was not accepted, and all that follows, with the goal to blame", () => {
    const rows = [
      row(1, { outcome: new Done({}) }),
      row(2, { outcome: new Cancelled({}) }),
      row(3, { after: [1, 2] }),
      row(4, { after: [3] }),
      row(5, { after: [1] }),
      row(6, { state: "skipped" }),
      row(7, { after: [6] })
    ]
    const { begin, skip } = next(rows, nothing, roomy)
    assert.deepStrictEqual(begin, [id(5)])
    assert.deepStrictEqual(
      new Map(skip.map((it) => [it.goalId, it.reason])),
      new Map([
        [id(3), `it depends on goal ${id(2)}, which was cancelled`],
        [id(4), `it depends on goal ${id(3)}, which was skipped`],
        [id(7), `it depends on goal ${id(6)}, which was skipped`]
      ])
    )
  })

  it("says of other ends than a cancel what they were", () => {
    const reasonAfter = (outcome: AttemptOutcome) =>
      next([row(1, { outcome }), row(2, { after: [1] })], nothing, roomy).skip[0]?.reason
    assert.include(reasonAfter(new BudgetExhausted({ axis: "turns" })), "which used up its budget (turns)")
    assert.include(reasonAfter(new Escalate({ reason: "stuck" })), "which was escalated: stuck")
  })

  it("says what a goal waits for", () => {
    const rows = [
      row(1, { state: "running" }),
      row(2),
      row(3, { after: [1, 2] }),
      row(4, { account: "team" }),
      row(5),
      row(6),
      row(7),
      row(8)
    ]
    const facts: QueueFacts = {
      here: new Set([id(1)]),
      elsewhere: new Set(),
      paused: new Set([id(2)]),
      closed: new Map([["team", 1_000]]),
      trouble: new Map([[id(8), "there is no repository"]])
    }
    const { begin, waits } = next(rows, facts, { maxConcurrent: 1, perRepository: 0 })
    assert.deepStrictEqual(begin, [])
    assert.deepStrictEqual(
      new Map([...waits].map(([goalId, wait]) => [goalId, waitText(wait)])),
      new Map([
        [id(2), "the end of a pause"],
        [id(3), "goals 00000001, 00000002"],
        [id(4), "the usage limit of account team until 1970-01-01T00:00:01.000Z"],
        [id(5), "a free place"],
        [id(6), "1 goal before it"],
        [id(7), "2 goals before it"],
        [id(8), "another try: there is no repository"]
      ])
    )
  })
})

/** A graph without circles: a goal depends on earlier ones of a shuffled order. */
const worlds = FastCheck.record({
  goals: FastCheck.array(
    FastCheck.record({
      priority: FastCheck.integer({ min: -1, max: 1 }),
      repository: FastCheck.constantFrom("/a", "/b", "/c"),
      after: FastCheck.array(FastCheck.nat(), { maxLength: 3 }),
      accepted: FastCheck.boolean(),
      paused: FastCheck.nat(3)
    }),
    { minLength: 1, maxLength: 14 }
  ),
  order: FastCheck.infiniteStream(FastCheck.nat()),
  maxConcurrent: FastCheck.integer({ min: 1, max: 4 }),
  perRepository: FastCheck.nat(2)
})

describe("Queue.next, whatever the goals", () => {
  it("never goes over a limit or before a dependency, passes nobody over, and brings every goal to an end", () => {
    FastCheck.assert(
      FastCheck.property(worlds, ({ goals, maxConcurrent, order, perRepository }) => {
        const limits = { maxConcurrent, perRepository }
        const draw = () => order.next().value
        const after = (n: number) => (n === 0 ? [] : [...new Set(goals[n]?.after.map((it) => it % n))])
        const ended = new Map<number, "accepted" | "failed" | "skipped">()
        const here = new Set<number>()
        const paused = new Set(goals.flatMap((it, n) => (it.paused === 0 ? [n] : [])))
        const rows = () =>
          goals.map(({ priority, repository }, n) => {
            const end = ended.get(n)
            return row(n, {
              priority,
              repository,
              after: after(n),
              ...(end === "skipped" ? { state: "skipped" as const } : {}),
              ...(end === "accepted" ? { outcome: new Done({}) } : {}),
              ...(end === "failed" ? { outcome: new Cancelled({}) } : {}),
              ...(here.has(n) ? { state: "running" as const } : {})
            })
          })

        for (let round = 0; ended.size < goals.length; round++) {
          assert.isBelow(round, 100, "the queue stands still")
          const facts: QueueFacts = { ...nothing, here: ids(here), paused: ids(paused) }
          const decision = next(rows(), facts, limits)
          const began = decision.begin.map(numberOf)
          const skipped = decision.skip.map(({ goalId }) => numberOf(goalId))

          // Skipped is exactly what a failure is above.
          const doomed = (n: number): boolean =>
            after(n).some(
              (it) =>
                ended.get(it) === "failed" ||
                ended.get(it) === "skipped" ||
                (!ended.has(it) && !here.has(it) && doomed(it))
            )
          const open = goals.map((_, n) => n).filter((n) => !ended.has(n) && !here.has(n))
          assert.sameMembers(skipped, open.filter(doomed))

          // The model: the best of those that may, again and again.
          const chosen: Array<number> = []
          const busy = (repository: string | undefined) =>
            [...here, ...chosen].filter((n) => goals[n]?.repository === repository).length
          for (;;) {
            const [best] = open
              .filter(
                (n) =>
                  !(chosen.includes(n) || skipped.includes(n) || paused.has(n)) &&
                  after(n).every((it) => ended.get(it) === "accepted") &&
                  here.size + chosen.length < maxConcurrent &&
                  (perRepository === 0 || busy(goals[n]?.repository) < perRepository)
              )
              .sort((a, b) => (goals[b]?.priority ?? 0) - (goals[a]?.priority ?? 0) || a - b)
            if (best === undefined) break
            chosen.push(best)
          }
          assert.deepStrictEqual(began, chosen)
          assert.sameMembers(
            [...decision.waits.keys()].map(numberOf),
            open.filter((n) => !began.includes(n) && !skipped.includes(n))
          )

          for (const n of began) here.add(n)
          for (const n of skipped) ended.set(n, "skipped")
          assert.isAtMost(here.size, maxConcurrent)
          const [running] = [...here].slice(draw() % Math.max(1, here.size))
          if (running !== undefined) {
            here.delete(running)
            ended.set(running, goals[running]?.accepted === true ? "accepted" : "failed")
          }
          const [held] = paused
          if (held !== undefined) paused.delete(held)
        }
      }),
      { numRuns: 300 }
    )
  })
})

const ids = (numbers: Iterable<number>): ReadonlySet<GoalId> => new Set([...numbers].map(id))
const numberOf = (goalId: GoalId): number => Number.parseInt(goalId.slice(0, 8), 16)
