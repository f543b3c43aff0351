import { ApprovalAnswer, ApprovalQuestion } from "@driver/domain/Approval"
import { Binding } from "@driver/domain/Binding"
import { DriverEvent, StoredEvent, subjectOf } from "@driver/domain/DriverEvent"
import { AcceptanceCriterion, Budget, Goal } from "@driver/domain/Goal"
import { AttemptOutcome, AttemptResult, Delivery, GoalOutcome } from "@driver/domain/Outcome"
import { Decision, DecisionChoice, PermissionOutcome, PermissionRequest } from "@driver/domain/Permission"
import { TokenUsage, Usage } from "@driver/domain/Usage"
import { AcceptanceVerdict, CriterionResult } from "@driver/domain/Verdict"
import { WireDuration, WireTime } from "@driver/domain/Wire"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Schema, SchemaAST } from "effect"
import {
  approvalAnswerLines,
  choiceLines,
  eventLines,
  lines,
  outcomeLines,
  permissionOutcomeLines,
  reportedLine
} from "./frozen/lines.js"
import * as frozen from "./frozen/values.js"

/** What `kind`s a union of our classes reads. */
const kindsOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  switch (ast._tag) {
    case "Union":
      return ast.types.flatMap(kindsOf)
    case "Transformation":
      return kindsOf(SchemaAST.encodedAST(ast))
    case "TypeLiteral":
      return ast.propertySignatures.flatMap(({ name, type }) =>
        name === "kind" && type._tag === "Literal" ? [String(type.literal)] : []
      )
    default:
      return []
  }
}

/** Written to JSON text and read back, a value is what it was. */
const survives = (name: string, schema: Schema.Schema.AnyNoContext) => {
  it.prop(`${name} survives the trip to JSON and back`, [schema], ([value]) => {
    const text = JSON.stringify(Schema.encodeSync(schema)(value))
    deepStrictEqual(Schema.decodeUnknownSync(schema)(JSON.parse(text)), value)
  })
  it.prop(`${name} is snake_case outside, with no _tag`, [schema], ([value]) => {
    for (const key of ownKeys(Schema.encodeSync(schema)(value))) assert.match(key, /^[a-z]+(_[a-z]+)*$/)
  })
}

/** The keys of our own objects: what lies in open records is not ours. */
const ownKeys = (value: unknown): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap(ownKeys)
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    ["metadata", "args", "extras", "input", "updated_input"].includes(key) ? [key] : [key, ...ownKeys(inner)]
  )
}

const decodes = <A, I>(name: string, schema: Schema.Schema<A, I>, line: string | undefined, value: A) =>
  it(`${name} of the first release is still read`, () => {
    deepStrictEqual(Schema.decodeUnknownSync(schema)(JSON.parse(line ?? "null")), value)
  })

describe("The wire format", () => {
  describe("round trips:", () => {
    survives("Goal", Goal)
    survives("Budget", Budget)
    survives("AcceptanceCriterion", AcceptanceCriterion)
    survives("TokenUsage", TokenUsage)
    survives("Usage", Usage)
    survives("CriterionResult", CriterionResult)
    survives("AcceptanceVerdict", AcceptanceVerdict)
    survives("AttemptOutcome", AttemptOutcome)
    survives("AttemptResult", AttemptResult)
    survives("Delivery", Delivery)
    survives("GoalOutcome", GoalOutcome)
    survives("PermissionRequest", PermissionRequest)
    survives("PermissionOutcome", PermissionOutcome)
    survives("DecisionChoice", DecisionChoice)
    survives("Decision", Decision)
    survives("ApprovalQuestion", ApprovalQuestion)
    survives("ApprovalAnswer", ApprovalAnswer)
    survives("Binding", Binding)
    survives("StoredEvent", StoredEvent)
    for (const event of DriverEvent.members) survives(event.name, event)
    it.prop("a duration survives the trip to JSON and back", [WireDuration], ([value]) => {
      const text = JSON.stringify(Schema.encodeSync(WireDuration)(value))
      deepStrictEqual(Schema.decodeUnknownSync(WireDuration)(JSON.parse(text)), value)
    })
    it.prop("a moment survives the trip to JSON and back", [WireTime], ([value]) => {
      const text = JSON.stringify(Schema.encodeSync(WireTime)(value))
      deepStrictEqual(Schema.decodeUnknownSync(WireTime)(JSON.parse(text)), value)
    })
  })

  describe("frozen lines:", () => {
    decodes("a Goal", Goal, lines.goal, frozen.goal)
    decodes("a Usage", Usage, lines.usage, frozen.usage)
    decodes("a CriterionResult", CriterionResult, lines.result, frozen.result)
    decodes("an AcceptanceVerdict", AcceptanceVerdict, lines.verdict, frozen.verdict)
    decodes("an AttemptResult", AttemptResult, lines.attemptResult, frozen.attemptResult)
    decodes("a GoalOutcome", GoalOutcome, lines.goalOutcome, frozen.goalOutcome)
    decodes("a Decision", Decision, lines.decision, frozen.decision)
    decodes("a PermissionRequest", PermissionRequest, lines.permissionRequest, frozen.permissionRequest)
    decodes("a Binding", Binding, lines.binding, frozen.binding)
    decodes("a StoredEvent", StoredEvent, lines.storedEvent, frozen.storedEvent)
    for (const [kind, value] of Object.entries(frozen.outcomes)) {
      decodes(`the outcome ${kind}`, AttemptOutcome, outcomeLines[kind], value)
    }
    decodes("an outcome with what was reported", AttemptOutcome, reportedLine, frozen.reported)
    for (const [kind, value] of Object.entries(frozen.decisions)) {
      decodes(`the choice ${kind}`, DecisionChoice, choiceLines[kind], value)
    }
    for (const [kind, value] of Object.entries(frozen.permissionOutcomes)) {
      decodes(`the permission outcome ${kind}`, PermissionOutcome, permissionOutcomeLines[kind], value)
    }
    for (const [kind, value] of Object.entries(frozen.approvalAnswers)) {
      decodes(`the answer ${kind}`, ApprovalAnswer, approvalAnswerLines[kind], value)
    }
    for (const [kind, value] of Object.entries(frozen.events)) {
      decodes(`the event ${kind}`, DriverEvent, eventLines[kind], value)
    }

    it("there is one for every variant of every union", () => {
      assert.sameMembers(Object.keys(outcomeLines), [...kindsOf(AttemptOutcome.ast)])
      assert.sameMembers(Object.keys(choiceLines), [...kindsOf(DecisionChoice.ast)])
      assert.sameMembers(Object.keys(permissionOutcomeLines), [...kindsOf(PermissionOutcome.ast)])
      assert.sameMembers(Object.keys(approvalAnswerLines), [...kindsOf(ApprovalAnswer.ast)])
      assert.sameMembers(Object.keys(eventLines), [...kindsOf(DriverEvent.ast)])
    })
  })

  it("ignores keys of a later release", () => {
    const later = { ...JSON.parse(lines.usage), new_in_2030: true }
    deepStrictEqual(Schema.decodeUnknownSync(Usage)(later), frozen.usage)
  })

  it("reads null as absent", () => {
    const goal = Schema.decodeUnknownSync(Goal)({ ...JSON.parse(lines.goal), agent: null, workspace: null })
    deepStrictEqual([goal.agent._tag, goal.workspace._tag], ["None", "None"])
  })

  it("reads JSON text directly", () => {
    deepStrictEqual(Schema.decodeSync(StoredEvent.FromJson)(lines.storedEvent), frozen.storedEvent)
    deepStrictEqual(Schema.decodeSync(GoalOutcome.FromJson)(lines.goalOutcome), frozen.goalOutcome)
    deepStrictEqual(Schema.decodeSync(Goal.FromJson)(lines.goal), frozen.goal)
  })

  it("gives every event a subject of its own, which never changes", () => {
    deepStrictEqual(
      Object.fromEntries(Object.entries(frozen.events).map(([kind, event]) => [kind, subjectOf(event)])),
      {
        goal_started: "agent.driver.goal.started",
        goal_recovered: "agent.driver.goal.recovered",
        goal_completed: "agent.driver.goal.completed",
        attempt_started: "agent.driver.attempt.started",
        attempt_completed: "agent.driver.attempt.completed",
        decision: "agent.driver.decision",
        acceptance: "agent.driver.acceptance",
        criterion_evaluated: "agent.driver.acceptance.criterion",
        budget_exhausted: "agent.driver.budget.exhausted",
        escalate: "agent.driver.escalate",
        replay_decision: "agent.driver.replay",
        compact_requested: "agent.driver.compact",
        compact_completed: "agent.driver.compact.completed",
        compact_summary_stored: "agent.driver.compact.summary_stored",
        progress: "agent.driver.progress",
        extract_memories_completed: "agent.driver.extract_memories.completed",
        extract_memories_skipped: "agent.driver.extract_memories.skipped",
        auto_dream_outcome: "agent.driver.auto_dream",
        goal_paused: "agent.driver.goal.paused",
        goal_resumed: "agent.driver.goal.resumed",
        operator_message: "agent.driver.goal.operator_message",
        loop_noticed: "agent.driver.loop_noticed",
        agent_activity: "agent.driver.agent.activity",
        permission_requested: "agent.driver.permission.requested",
        approval_requested: "agent.driver.permission.approval_requested",
        approval_answered: "agent.driver.permission.approval_answered",
        goal_sleeping: "agent.driver.goal.sleeping"
      }
    )
  })
})
