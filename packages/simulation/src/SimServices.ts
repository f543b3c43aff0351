/** What a driver works with in a simulated world, beside the agent and the stores: gate, workspace and criteria. */
import {
  choiceOf,
  type GateRegistration,
  type GateTicket,
  PermissionGate,
  withMessages
} from "@driver/agent/PermissionGate"
import { type AcceptanceCriterion, describeCriterion, type GoalId } from "@driver/domain/Goal"
import { AllowOnce, Decision, DecisionId, Deny, PermissionRequest, Unavailable } from "@driver/domain/Permission"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { type Acceptance, AcceptanceError } from "@driver/runtime/Acceptance"
import {
  type Checkpoint,
  CheckpointId,
  type Workspace,
  WorkspaceError,
  type WorkspaceInfo
} from "@driver/runtime/Workspace"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Item, type WorkspaceCall } from "./Plan.js"
import type { SimClock } from "./SimClock.js"
import * as World from "./World.js"

const allow = new AllowOnce({ updatedInput: Option.none(), rationale: "simulated" })
const deny = new Deny({ message: "Not that. Try another way.", rationale: "simulated" })

/** Answers as the plan says, and reports like the real gate. */
export const makeGate = (world: World.World, holdings: World.Holdings, clock: SimClock) =>
  PermissionGate.of({
    register: (registration) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          holdings.gates += 1
          return ticketOf(world, holdings, clock, registration)
        }),
        () =>
          Effect.sync(() => {
            holdings.gates -= 1
          })
      )
  })

const isDenied = (world: World.World, goal: World.GoalWorld): boolean =>
  world.plan.items.some(
    (item) =>
      Item.$is("Deny")(item) &&
      item.goal === goal.planned.goal &&
      goal.asked >= item.from &&
      goal.asked < item.from + item.count
  )

const ticketOf = (
  world: World.World,
  holdings: World.Holdings,
  clock: SimClock,
  registration: GateRegistration
): GateTicket => {
  const goal = World.goalIn(world, registration.goalId)
  let turn = 0
  return {
    program: Option.none(),
    socket: Option.none(),
    startTurn: (number) =>
      Effect.sync(() => {
        turn = number
      }),
    startSession: Effect.void,
    decide: ({ agentId, input, tool, toolUseId }) =>
      Effect.gen(function* () {
        const { goalId, workspace } = registration
        const request = new PermissionRequest(
          { goalId, turn, workspace, tool, input, toolUseId, agentId, advisories: [] },
          { disableValidation: true }
        )
        yield* registration.onRequest(request)
        const refused = isDenied(world, goal)
        if (refused) World.count(world.faults, "denied call")
        const outcome = yield* registration.review(request, JSON.stringify(input), refused ? deny : allow)
        // Unique, and the same in every run of this world.
        const decision = World.count(goal.times, "decision")
        yield* registration.onDecision(
          new Decision(
            {
              id: DecisionId.make(
                `${goalId.slice(0, 8)}-0000-4000-9${goalId.slice(-3)}-${String(decision).padStart(12, "0")}`
              ),
              goalId,
              turn,
              tool,
              input,
              choice: choiceOf(outcome),
              rationale: "simulated",
              decidedAt: DateTime.unsafeMake(clock.unsafeCurrentTimeMillis())
            },
            { disableValidation: true }
          )
        )
        if (outcome._tag !== "Deny") return outcome
        const riding = yield* registration.claimMessages
        if (Option.isNone(riding)) return outcome
        goal.heard.push(...riding.value.texts)
        yield* riding.value.delivered(toolUseId)
        return withMessages(outcome, riding.value.texts)
      }).pipe(
        Effect.catchAllCause((cause) =>
          Effect.as(
            Effect.logError(`The gate of process ${holdings.process} failed`, cause),
            new Unavailable({ reason: "the decision failed" })
          )
        )
      )
  }
}

/** A workspace whose files are a number: the units of work that are done. */
export const makeWorkspace = (world: World.World, clock: SimClock): Context.Tag.Service<Workspace> => {
  const infoOf = (goal: World.GoalWorld): WorkspaceInfo => ({
    goalId: goal.goal.id,
    path: `/work/${goal.planned.goal}`,
    branch: Option.some(`driver/${goal.goal.id}`),
    base: Option.some("0"),
    repository: Option.none(),
    reused: goal.checkpoints.length > 0
  })
  /** Does it, unless the plan says that it fails. */
  const call = <A>(
    name: WorkspaceCall,
    goalId: GoalId,
    run: (goal: World.GoalWorld) => A
  ): Effect.Effect<A, WorkspaceError> =>
    Effect.suspend(() => {
      const goal = World.goalIn(world, goalId)
      const nth = World.count(goal.times, name)
      const fault = world.plan.items.find(
        (item) =>
          Item.$is("Workspace")(item) && item.goal === goal.planned.goal && item.call === name && item.nth === nth
      )
      if (fault === undefined || !Item.$is("Workspace")(fault)) return Effect.sync(() => run(goal))
      World.count(world.faults, `workspace ${name}`)
      return new WorkspaceError({
        operation: name,
        reason: fault.diskFull ? "disk_full" : "git_failed",
        detail: fault.diskFull ? "no space left on device" : "another git process holds the lock"
      })
    })
  const addCheckpoint = (goal: World.GoalWorld, label: string): Checkpoint => {
    goal.checkpoints.push(goal.work)
    const id = String(goal.checkpoints.length)
    return {
      id: CheckpointId.make(id),
      commit: id.padStart(40, "0"),
      createdAt: clock.unsafeCurrentTimeMillis(),
      label
    }
  }
  const unused = (operation: string) =>
    Effect.dieMessage(`the simulated workspace has no ${operation}: the driver never asked for it`)
  return {
    ensure: (goal) => call("ensure", goal.id, infoOf),
    checkpoint: (goalId, label) => call("checkpoint", goalId, (goal) => addCheckpoint(goal, label)),
    rollback: (goalId, to) =>
      call("rollback", goalId, (goal) => {
        const undo = addCheckpoint(goal, `before rollback to ${to}`)
        goal.work = goal.checkpoints[Number(to) - 1] ?? goal.work
        return undo
      }),
    diffStat: (goalId, since) =>
      call("diffStat", goalId, (goal) => {
        const changed = Math.abs(goal.work - (goal.checkpoints[Number(since) - 1] ?? 0))
        return { text: changed === 0 ? "" : `${changed} units`, filesChanged: changed, fingerprint: String(goal.work) }
      }),
    deliver: (goal, { mode }) =>
      call("deliver", goal.id, () => ({ mode, branch: Option.none(), commit: Option.none(), summary: "delivered" })),
    changedPaths: () => unused("changedPaths"),
    diff: () => unused("diff"),
    isClean: () => unused("isClean"),
    cleanup: () => Effect.void,
    list: unused("list"),
    prune: () => unused("prune")
  }
}

/** The criteria hold when the work is done. */
export const makeAcceptance = (world: World.World, clock: SimClock): Context.Tag.Service<Acceptance> => ({
  evaluate: (goal, _, options) =>
    Effect.gen(function* () {
      const its = World.goalIn(world, goal.id)
      const nth = World.count(its.times, "evaluate")
      const fault = world.plan.items.find(
        (item) =>
          Item.$is("Criteria")(item) &&
          item.goal === its.planned.goal &&
          nth >= item.nth &&
          nth < item.nth + Math.max(1, item.errors)
      )
      if (fault !== undefined && Item.$is("Criteria")(fault)) {
        World.count(world.faults, fault.errors > 0 ? "criteria cannot run" : "criteria slow")
        yield* Effect.sleep(Duration.millis(fault.millis))
        if (fault.errors > 0) {
          return yield* new AcceptanceError({ index: 0, criterion: "check 0", detail: "cannot fork" })
        }
      }
      const met = World.isDone(its)
      const results = goal.acceptance.map((criterion, index) => resultOf(criterion, index, met, its.work))
      if (options?.onResult !== undefined) yield* Effect.forEach(results, options.onResult, { discard: true })
      return new AcceptanceVerdict(
        {
          met: results.every((it) => it.passed),
          results,
          evaluatedAt: DateTime.unsafeMake(clock.unsafeCurrentTimeMillis()),
          elapsed: Duration.zero
        },
        { disableValidation: true }
      )
    })
})

const resultOf = (criterion: AcceptanceCriterion, index: number, passed: boolean, work: number) =>
  new CriterionResult(
    {
      index,
      criterion: describeCriterion(criterion),
      passed,
      message: passed ? "passed" : `${work} units are done`,
      evidence: Option.none(),
      elapsed: Duration.zero
    },
    { disableValidation: true }
  )
