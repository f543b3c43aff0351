/**
 * What prompts and answers look like to a model that speaks text only: its messages,
 * and JSON that is asked for in words. Pure.
 */
import type * as Prompt from "@effect/ai/Prompt"
import * as Tool from "@effect/ai/Tool"
import type * as Schema from "effect/Schema"

export interface ModelMessage {
  readonly role: "system" | "user" | "assistant"
  readonly text: string
}

/** Files and calls of tools have no text. */
export const messagesOf = (prompt: Prompt.Prompt): ReadonlyArray<ModelMessage> =>
  prompt.content.flatMap(({ content, role }) =>
    role === "tool"
      ? []
      : [
          {
            role,
            text:
              typeof content === "string"
                ? content
                : content.map((part) => (part.type === "text" ? part.text : "")).join("\n")
          }
        ]
  )

/** The JSON Schema of the form in which a value is sent. */
export const jsonSchemaOf = (schema: Schema.Schema.Any): object => Tool.getJsonSchemaFromSchemaAst(schema.ast)

/** Asks for JSON of this schema, in words. */
export const jsonOnly = (schema: Schema.Schema.Any): string =>
  `Answer with one JSON object and nothing else: no text around it, no code fence. It has this JSON Schema:\n${JSON.stringify(jsonSchemaOf(schema))}`

/** From the first brace to the last: models like to put a sentence or a fence around. */
export const jsonIn = (text: string): string => {
  const [from, to] = [text.indexOf("{"), text.lastIndexOf("}")]
  return from >= 0 && to > from ? text.slice(from, to + 1) : text
}
