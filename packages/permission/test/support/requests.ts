/** Requests and registrations as the agents and the loop make them. */
import type { GateRegistration, ToolCall } from "@driver/agent/PermissionGate"
import { GoalId } from "@driver/domain/Goal"
import { type Decision, PermissionRequest, type ToolInput } from "@driver/domain/Permission"
import { Effect, Option, Ref } from "effect"

export const goalId = GoalId.make("6f1c2b1e-8d61-4c0a-9d55-0d6a3e6b7c11")

export const requestOf = (tool: string, input: ToolInput, workspace = "/work/tree"): PermissionRequest =>
  new PermissionRequest({ goalId, turn: 1, workspace, tool, input, advisories: [] })

export const callOf = (tool: string, input: ToolInput = {}): ToolCall => ({
  tool,
  input,
  toolUseId: Option.some(`toolu_${tool}`),
  agentId: Option.none()
})

/** A registration that keeps what it is told. */
export const recording = (changes: Partial<GateRegistration> = {}) =>
  Effect.gen(function* () {
    const requests = yield* Ref.make<ReadonlyArray<PermissionRequest>>([])
    const decisions = yield* Ref.make<ReadonlyArray<Decision>>([])
    const registration: GateRegistration = {
      goalId,
      workspace: "/",
      criteriaCommands: [],
      description: "Make the tests pass",
      onApproval: () => Effect.void,
      review: (_request, _key, outcome) => Effect.succeed(outcome),
      claimMessages: Effect.succeedNone,
      onRequest: (request) => Ref.update(requests, (it) => [...it, request]),
      onDecision: (decision) => Ref.update(decisions, (it) => [...it, decision]),
      ...changes
    }
    return { registration, requests: Ref.get(requests), decisions: Ref.get(decisions) }
  })
