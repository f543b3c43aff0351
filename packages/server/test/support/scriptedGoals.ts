/**
 * `Goals` over a list of events in memory, and a log of what was asked: what the API
 * is tested against. `events` is honest, `find` and `show` too unless told otherwise; the other calls answer as `answers` says.
 */
import type { ApprovalQuestion } from "@driver/domain/Approval"
import {
  AgentActivity,
  GoalCompleted,
  GoalPaused,
  StoredEvent as Stored,
  type StoredEvent
} from "@driver/domain/DriverEvent"
import { Goal, GoalId } from "@driver/domain/Goal"
import { Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import type { GoalState } from "@driver/runtime/GoalStore"
import {
  AmbiguousGoal,
  DriverTrouble,
  GoalDetail,
  GoalSummary,
  Goals,
  type SteerReceipt,
  UnknownApproval,
  UnknownGoal
} from "@driver/runtime/Goals"
import { Chunk, Context, DateTime, Duration, Effect, Layer, Option, Schema, Stream } from "effect"

const goalIdOf = Schema.decodeSync(GoalId)
export const goalA = goalIdOf("7c9e6679-7425-40de-944b-e07fc1f90ae7")
export const goalB = goalIdOf("7c9e6679-ffff-40de-944b-e07fc1f90ae7")
export const goalC = goalIdOf("0a0e6679-7425-40de-944b-e07fc1f90ae7")

const at = DateTime.unsafeMake(1_790_000_000_000)

export const goalOf = (id: GoalId) => new Goal({ id, description: "Make it so" })

export const summaryOf = (goalId: GoalId, state: GoalState = "running") =>
  new GoalSummary({
    goalId,
    description: "Make it so",
    state,
    phase: "Working",
    paused: false,
    priority: 0,
    repository: "/r",
    dependsOn: [],
    turns: 1,
    maxTurns: 20,
    usage: Usage.zero,
    queued: 0,
    waitsFor: Option.none(),
    submittedAt: at,
    endedAt: Option.none(),
    outcome: Option.none()
  })

/** Event number `sequence` of a goal. */
export const eventOf = (goalId: GoalId, sequence: number): StoredEvent =>
  new Stored({ goalId, sequence, messageId: `${goalId}-${sequence}`, at, event: new GoalPaused({ goalId }) })

/** One that carries so many characters. */
export const longEventOf = (goalId: GoalId, sequence: number, length: number): StoredEvent =>
  new Stored({
    goalId,
    sequence,
    messageId: `${goalId}-${sequence}`,
    at,
    event: new AgentActivity({ goalId, turn: 1, activity: "said", text: "x".repeat(length) })
  })

export const completedOf = (goalId: GoalId, sequence: number): StoredEvent =>
  new Stored({
    goalId,
    sequence,
    messageId: `${goalId}-${sequence}`,
    at,
    event: new GoalCompleted({
      goalId,
      outcome: new GoalOutcome({
        goalId,
        outcome: new Done({}),
        totalTurns: 1,
        usage: Usage.zero,
        elapsed: Duration.seconds(1)
      })
    })
  })

type Answers = Omit<Goals["Type"], "events">

/** The script, as a test holds it. */
export class Script extends Context.Tag("test/Script")<
  Script,
  {
    /** Appends to the goal's journal. */
    readonly publish: (...events: ReadonlyArray<StoredEvent>) => Effect.Effect<void>
    readonly setState: (goalId: GoalId, state: GoalState) => Effect.Effect<void>
    /** What was asked, oldest first: the method and what it was given. */
    readonly asked: Effect.Effect<ReadonlyArray<readonly [method: string, ...args: ReadonlyArray<unknown>]>>
    /** Events handed out to readers so far: how often the journal was read. */
    readonly read: Effect.Effect<number>
    readonly answers: { current: Partial<Answers> }
  }
>() {}

export const layer = (answers: Partial<Answers> = {}): Layer.Layer<Goals | Script> =>
  Layer.effectContext(
    Effect.sync(() => {
      const journals = new Map<GoalId, Array<StoredEvent>>()
      const states = new Map<GoalId, GoalState>()
      const asked: Array<readonly [string, ...ReadonlyArray<unknown>]> = []
      let more = Effect.unsafeMakeLatch(false)
      let read = 0
      const held = { current: answers }

      const journal = (goalId: GoalId) => journals.get(goalId) ?? []
      const ids = () => [
        goalA,
        goalB,
        goalC,
        ...[...journals.keys()].filter((id) => ![goalA, goalB, goalC].includes(id))
      ]
      const answer = <K extends keyof Answers>(name: K, ...args: ReadonlyArray<unknown>) => {
        asked.push([name, ...args])
        return held.current[name]
      }
      const missing = (name: string) => new DriverTrouble({ detail: `the script has no answer for ${name}` })

      const events: Goals["Type"]["events"] = (goalId, { after, follow }) =>
        Stream.suspend(() => {
          let cursor = after
          let over = false
          return Stream.repeatEffectChunkOption(
            Effect.suspend(function pull(): Effect.Effect<Chunk.Chunk<StoredEvent>, Option.Option<never>> {
              const page = journal(goalId).filter(({ sequence }) => sequence > cursor)
              const last = page.at(-1)
              if (over || (last === undefined && !follow)) return Effect.fail(Option.none())
              if (last === undefined) return Effect.zipRight(more.await, Effect.suspend(pull))
              cursor = last.sequence
              over = follow && last.event._tag === "GoalCompleted"
              read += page.length
              return Effect.succeed(Chunk.fromIterable(page))
            })
          )
        })

      const goals = Goals.of({
        find: (name) => {
          if (held.current.find !== undefined) return held.current.find(name)
          const found = ids().filter((id) => id.startsWith(name))
          const [only] = found
          if (only === undefined || name.length < 4) return Effect.fail(new UnknownGoal({ name }))
          return found.length === 1 ? Effect.succeed(only) : Effect.fail(new AmbiguousGoal({ name, candidates: found }))
        },
        show: (goalId) =>
          held.current.show?.(goalId) ??
          Effect.sync(
            () =>
              new GoalDetail({
                summary: summaryOf(goalId, states.get(goalId)),
                goal: goalOf(goalId),
                head: journal(goalId).at(-1)?.sequence ?? 0
              })
          ),
        events,
        submit: (submissions) => answer("submit", submissions)?.(submissions) ?? Effect.fail(missing("submit")),
        list: (options) => answer("list", options)?.(options) ?? Effect.succeed([summaryOf(goalA)]),
        pause: (goalId) => answer("pause", goalId)?.(goalId) ?? Effect.void,
        resume: (goalId) => answer("resume", goalId)?.(goalId) ?? Effect.void,
        cancel: (goalId) => answer("cancel", goalId)?.(goalId) ?? Effect.void,
        wake: (goalId) => answer("wake", goalId)?.(goalId) ?? Effect.void,
        steer: (goalId, message, mode) =>
          answer("steer", goalId, message, mode)?.(goalId, message, mode) ??
          Effect.succeed<SteerReceipt>({ delivery: "queued", queued: 1 }),
        setMaxTurns: (goalId, maxTurns) =>
          answer("setMaxTurns", goalId, maxTurns)?.(goalId, maxTurns) ?? Effect.succeed(maxTurns),
        approvals: Effect.suspend(() => answer("approvals") ?? Effect.succeed<ReadonlyArray<ApprovalQuestion>>([])),
        approve: (id, session) =>
          answer("approve", id, session)?.(id, session) ?? Effect.fail(new UnknownApproval({ detail: `no ${id}` })),
        deny: (id, message) =>
          answer("deny", id, message)?.(id, message) ?? Effect.fail(new UnknownApproval({ detail: `no ${id}` })),
        rollback: (goalId, checkpoint) =>
          answer("rollback", goalId, checkpoint)?.(goalId, checkpoint) ?? Effect.succeed("undo"),
        deliver: (goalId) => answer("deliver", goalId)?.(goalId) ?? Effect.succeed("Delivered")
      })

      return Context.make(Goals, goals).pipe(
        Context.add(Script, {
          publish: (...added) =>
            Effect.suspend(() => {
              for (const event of added) journals.set(event.goalId, [...journal(event.goalId), event])
              const latch = more
              more = Effect.unsafeMakeLatch(false)
              return Effect.asVoid(latch.open)
            }),
          setState: (goalId, state) => Effect.sync(() => states.set(goalId, state)),
          asked: Effect.sync(() => asked),
          read: Effect.sync(() => read),
          answers: held
        })
      )
    })
  )
