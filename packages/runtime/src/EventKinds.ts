/** The names that events have outside (`goal_completed`), by those that they have inside (`GoalCompleted`). */
import { DriverEvent } from "@driver/domain/DriverEvent"
import * as AST from "effect/SchemaAST"

/** The value of a field that can have only one. */
const literalOf = (ast: AST.AST, field: string): string => {
  const type = AST.getPropertySignatures(ast).find(({ name }) => name === field)?.type
  return type !== undefined && AST.isLiteral(type) ? String(type.literal) : ""
}

const kinds: ReadonlyMap<string, string> = new Map(
  DriverEvent.members.map(({ ast }) => [literalOf(AST.typeAST(ast), "_tag"), literalOf(AST.encodedAST(ast), "kind")])
)

/** Every kind that there is. */
export const eventKinds: ReadonlyArray<string> = [...kinds.values()]

/** `goal_completed`, … */
export const kindOf = (event: DriverEvent): string => kinds.get(event._tag) ?? event._tag
