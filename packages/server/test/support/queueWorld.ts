/**
 * The queue and the operator's service on memory stores, with a driver that does what the test says: a goal that is
 * spawned holds its lease and writes its journal, and ends when the test ends it. Everything else is real.
 */
import { GoalCompleted, GoalPaused, GoalResumed, OperatorMessage } from "@driver/domain/DriverEvent"
import { Goal, GoalId } from "@driver/domain/Goal"
import { type AttemptOutcome, Cancelled, Continue, Done, GoalOutcome } from "@driver/domain/Outcome"
import { Usage } from "@driver/domain/Usage"
import { Approvals } from "@driver/permission/Approvals"
import { AccountLimits } from "@driver/runtime/AccountLimits"
import { Driver, GoalAlreadyRunning, NoSuchGoal } from "@driver/runtime/Driver"
import type { GoalProgress } from "@driver/runtime/GoalControl"
import { GoalRow, type GoalStore, type Lease } from "@driver/runtime/GoalStore"
import { DriverTrouble, Submission } from "@driver/runtime/Goals"
import { Journal, type JournalEntry, JournalRecord } from "@driver/runtime/Journal"
import * as JournalMemory from "@driver/runtime/JournalMemory"
import { Leases } from "@driver/runtime/Leases"
import { CommandHandled, RunStarted } from "@driver/runtime/LoopEntry"
import { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceMemory from "@driver/runtime/WorkspaceMemory"
import { Dispatcher, type DispatcherSettings } from "@driver/server/Dispatcher"
import { GoalRunners } from "@driver/server/GoalRunners"
import * as GoalsLive from "@driver/server/GoalsLive"
import { Context, DateTime, Deferred, Duration, Effect, Exit, Layer, Option, Ref, Scope, SubscriptionRef } from "effect"

export const id = (n: number) => GoalId.make(`${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`)

export interface Fields {
  readonly priority?: number
  readonly after?: ReadonlyArray<number>
  readonly repository?: string
  readonly account?: string
}

export const submission = (n: number, fields: Fields = {}) =>
  new Submission({
    goal: new Goal({ id: id(n), description: `goal ${n}` }),
    repository: fields.repository ?? "/repository",
    priority: fields.priority ?? 0,
    dependsOn: (fields.after ?? []).map(id),
    account: fields.account ?? "default"
  })

export const rowOf = (n: number, fields: Fields = {}) =>
  new GoalRow({ ...submission(n, fields), state: "queued", submittedAt: DateTime.unsafeMake(n) })

export const outcomeOf = (goalId: GoalId, outcome: AttemptOutcome) =>
  new GoalOutcome({ goalId, outcome, totalTurns: 2, usage: Usage.zero, elapsed: Duration.zero })

interface Run {
  readonly goal: Goal
  readonly lease: Lease
  readonly scope: Scope.CloseableScope
  readonly done: Deferred.Deferred<GoalOutcome>
  readonly paused: boolean
  readonly messages: ReadonlyArray<string>
  readonly maxTurns: number
  readonly phase: string
  readonly account: string
}

/** What the test sees and does of the scripted driver. */
export class Script extends Context.Tag("@driver/server/test/Script")<
  Script,
  {
    /** `spawn 1`, `pause 1`, `suspend 1`, …, oldest first; goals by their number. */
    readonly log: Effect.Effect<ReadonlyArray<string>>
    /** Numbers of the goals at work. */
    readonly running: Effect.Effect<ReadonlyArray<number>>
    /** Ends a goal: its last event is in the journal, unless `lost`. */
    readonly end: (n: number, outcome?: AttemptOutcome, options?: { readonly lost?: boolean }) => Effect.Effect<void>
    readonly phase: (n: number, phase: string) => Effect.Effect<void>
    /** Writes to the journal of a goal at work. */
    readonly write: (n: number, ...entries: ReadonlyArray<JournalEntry>) => Effect.Effect<void>
    /** Runtimes that are in use. */
    readonly runtimes: Effect.Effect<number>
  }
>() {}

export const numberOf = (goalId: GoalId) => Number.parseInt(goalId.slice(0, 8), 16)

const makeWorld = Effect.gen(function* () {
  const journal = yield* Journal
  const leases = yield* Leases
  const log = yield* Ref.make<ReadonlyArray<string>>([])
  const runs = yield* Ref.make<ReadonlyMap<GoalId, Run>>(new Map())
  const runtimes = yield* Ref.make(0)
  const note = (line: string) => Ref.update(log, (all) => [...all, line])
  const context = yield* Layer.build(WorkspaceMemory.layer())
  const workspace = Context.get(context, Workspace)

  const find = (goalId: GoalId) =>
    Effect.flatMap(Ref.get(runs), (all) => {
      const run = all.get(goalId)
      return run === undefined ? new NoSuchGoal({ goalId }) : Effect.succeed(run)
    })
  const update = (goalId: GoalId, change: (run: Run) => Partial<Run>) =>
    Ref.update(runs, (all) => {
      const run = all.get(goalId)
      return run === undefined ? all : new Map(all).set(goalId, { ...run, ...change(run) })
    })

  const write = (goalId: GoalId, { epoch }: Lease, entries: ReadonlyArray<JournalEntry>) =>
    Effect.forEach(
      entries,
      (entry) =>
        Effect.gen(function* () {
          const sequence = (yield* journal.head(goalId)) + 1
          const at = yield* DateTime.now
          yield* journal.append([
            new JournalRecord({ goalId, sequence, id: `${goalId}:${epoch}:${sequence}`, at, epoch, entry })
          ])
        }),
      { discard: true }
    ).pipe(Effect.orDie)

  const release = (goalId: GoalId, outcome: GoalOutcome, entries: ReadonlyArray<JournalEntry>) =>
    Effect.gen(function* () {
      const run = yield* find(goalId)
      yield* write(goalId, run.lease, entries)
      yield* Ref.update(runs, (all) => new Map([...all].filter(([it]) => it !== goalId)))
      yield* Scope.close(run.scope, Exit.void)
      yield* Deferred.succeed(run.done, outcome)
    })

  const end = (goalId: GoalId, outcome: AttemptOutcome) => {
    const whole = outcomeOf(goalId, outcome)
    return release(goalId, whole, [new GoalCompleted({ goalId, outcome: whole })])
  }
  const leave = (goalId: GoalId) => release(goalId, outcomeOf(goalId, new Continue({ reason: "suspended" })), [])

  const tell = (
    goalId: GoalId,
    message: string,
    delivery: "queued" | "steered",
    ...also: ReadonlyArray<JournalEntry>
  ) =>
    Effect.gen(function* () {
      const { lease } = yield* find(goalId)
      yield* update(goalId, (it) => ({ messages: [...it.messages, message] }))
      yield* write(goalId, lease, [new OperatorMessage({ goalId, message, delivery }), ...also])
      return (yield* find(goalId)).messages.length
    })
  const setPaused = (goalId: GoalId, paused: boolean, ...also: ReadonlyArray<JournalEntry>) =>
    Effect.gen(function* () {
      const { lease } = yield* find(goalId)
      yield* note(`${paused ? "pause" : "resume"} ${numberOf(goalId)}`)
      yield* update(goalId, () => ({ paused }))
      yield* write(goalId, lease, [paused ? new GoalPaused({ goalId }) : new GoalResumed({ goalId }), ...also])
    })
  const setMaxTurns = (goalId: GoalId, maxTurns: number) =>
    Effect.gen(function* () {
      yield* update(goalId, (it) => ({ maxTurns: Math.max(it.maxTurns, maxTurns) }))
      return (yield* find(goalId)).maxTurns
    })
  const cancel = (goalId: GoalId) =>
    Effect.gen(function* () {
      yield* find(goalId)
      yield* note(`cancel ${numberOf(goalId)}`)
      yield* end(goalId, new Cancelled({}))
    })

  const driver = Driver.of({
    spawn: (goal, options) =>
      Effect.gen(function* () {
        if ((yield* Ref.get(runs)).has(goal.id)) return yield* new GoalAlreadyRunning({ goalId: goal.id })
        const scope = yield* Scope.make()
        const lease = yield* Effect.onError(
          Scope.extend(leases.hold(goal.id, { dead: Option.fromNullable(options?.dead) }), scope),
          () => Scope.close(scope, Exit.void)
        )
        const continued = (yield* journal.head(goal.id)) > 0
        yield* note(`${continued ? "continue" : "spawn"} ${numberOf(goal.id)}`)
        yield* write(goal.id, lease, [new RunStarted({ goal, driver: leases.owner, continued })])
        const run: Run = {
          goal,
          lease,
          scope,
          done: yield* Deferred.make<GoalOutcome>(),
          paused: false,
          messages: [],
          maxTurns: goal.budget.maxTurns,
          phase: "Ready",
          account: options?.account ?? ""
        }
        yield* Ref.update(runs, (all) => new Map(all).set(goal.id, run))
        yield* Effect.orDie(workspace.ensure(goal))
        return {
          goalId: goal.id,
          await: Deferred.await(run.done),
          cancel: Effect.ignore(cancel(goal.id)),
          progress: yield* SubscriptionRef.make(progressOf(run))
        }
      }),
    run: () => Effect.dieMessage("not used here"),
    preRegister: () => Effect.void,
    await: (goalId) => Effect.flatMap(find(goalId), ({ done }) => Deferred.await(done)),
    cancel,
    suspend: (goalId) =>
      Effect.gen(function* () {
        yield* find(goalId)
        yield* note(`suspend ${numberOf(goalId)}`)
        yield* leave(goalId)
      }),
    pause: (goalId) => setPaused(goalId, true),
    resume: (goalId) => setPaused(goalId, false),
    isPaused: (goalId) => Effect.map(find(goalId), ({ paused }) => paused),
    interrupt: (goalId, message) =>
      Effect.zipRight(note(`interrupt ${numberOf(goalId)} ${message}`), tell(goalId, message, "queued")),
    steer: (goalId, message) =>
      Effect.zipRight(note(`steer ${numberOf(goalId)} ${message}`), tell(goalId, message, "steered")).pipe(
        Effect.as("steered" as const)
      ),
    redirect: (goalId, message) =>
      Effect.zipRight(note(`redirect ${numberOf(goalId)} ${message}`), tell(goalId, message, "queued")).pipe(
        Effect.as("redirected" as const)
      ),
    setMaxTurns,
    wake: (goalId) => Effect.zipRight(find(goalId), note(`wake ${numberOf(goalId)}`)),
    handle: ({ command, goalId, id: commandId }) =>
      Effect.gen(function* () {
        const { lease } = yield* find(goalId)
        yield* note(`handle ${numberOf(goalId)} ${command._tag}`)
        const handled = new CommandHandled({ commandId })
        if (command._tag === "Pause" || command._tag === "Resume") {
          return yield* setPaused(goalId, command._tag === "Pause", handled)
        }
        yield* write(goalId, lease, [handled])
        if (command._tag === "Cancel") yield* cancel(goalId)
        if (command._tag === "RaiseTurns") yield* setMaxTurns(goalId, command.maxTurns)
      }),
    list: Effect.map(Ref.get(runs), (all) =>
      [...all.values()].map((run) => ({
        goalId: run.goal.id,
        goal: Option.some(run.goal),
        paused: run.paused,
        queued: run.messages.length,
        maxTurns: run.maxTurns,
        progress: progressOf(run)
      }))
    )
  })

  const runners = GoalRunners.of({
    forRow: ({ repository }) =>
      repository === "/gone"
        ? new DriverTrouble({ detail: "there is no repository /gone" })
        : Effect.acquireRelease(
            Effect.as(
              Ref.update(runtimes, (n) => n + 1),
              {
                driver,
                workspace,
                deliver: ({ id: goalId }: Goal) => Effect.succeed(`goal ${numberOf(goalId)} is on its branch`)
              }
            ),
            () => Ref.update(runtimes, (n) => n - 1)
          ),
    check: () => Effect.void
  })

  const script = Script.of({
    log: Ref.get(log),
    running: Effect.map(Ref.get(runs), (all) => [...all.keys()].map(numberOf).sort((a, b) => a - b)),
    end: (n, outcome = new Done({}), { lost = false } = {}) => Effect.orDie(lost ? leave(id(n)) : end(id(n), outcome)),
    phase: (n, phase) => update(id(n), () => ({ phase })),
    write: (n, ...entries) => Effect.orDie(Effect.flatMap(find(id(n)), ({ lease }) => write(id(n), lease, entries))),
    runtimes: Ref.get(runtimes)
  })
  return Context.make(GoalRunners, runners).pipe(Context.add(Script, script))
})

const progressOf = ({ phase }: Run): GoalProgress => ({
  phase,
  startedAt: 0,
  activeSince: Option.none(),
  usage: Usage.zero,
  verdict: Option.none(),
  finalText: Option.none(),
  workspace: Option.none()
})

/** What outlives a driver. */
export const stores = Layer.mergeAll(JournalMemory.layer(), AccountLimits.layerMemory, Approvals.layerMemory)

export const leasesOf = (
  owner: string,
  settings?: Partial<DispatcherSettings>
): Layer.Layer<Leases, never, GoalStore> =>
  Leases.layer({ owner, ...(settings?.liveness === undefined ? {} : { liveness: settings.liveness }) })

/** The scripted driver, its queue and the operator's service; give it `stores`. */
export const daemon = (settings?: Partial<DispatcherSettings>, owner = "here") =>
  GoalsLive.layer.pipe(
    Layer.provideMerge(Dispatcher.layer({ lookGap: Duration.zero, ...settings })),
    Layer.provideMerge(Layer.scopedContext(makeWorld)),
    Layer.provideMerge(leasesOf(owner, settings))
  )

/** Runs until it is so, giving everybody else their turn; no time passes. */
export const until = <A, E, R>(what: Effect.Effect<A, E, R>, isSo: (value: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 2_000; tries++) {
      const value = yield* what
      if (isSo(value)) return value
      yield* Effect.yieldNow({ priority: 1 })
    }
    return yield* Effect.dieMessage(`this did not come to be, it is ${JSON.stringify(yield* what)}`)
  })

export const runningUntil = (...wanted: ReadonlyArray<number>) =>
  Effect.flatMap(Script, (script) => until(script.running, (now) => JSON.stringify(now) === JSON.stringify(wanted)))
