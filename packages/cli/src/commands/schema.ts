/** `driver schema`: the JSON Schema of a goal file or of the configuration, for editors. */
import { goalFileJsonSchema } from "@driver/domain/GoalFile"
import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import { Config } from "../Config.js"
import { Host } from "../Host.js"

export interface SchemaArguments {
  readonly of: "goal" | "config"
}

export const schemaOf = (of: SchemaArguments["of"]): JSONSchema.JsonSchema7Root =>
  of === "goal"
    ? goalFileJsonSchema()
    : JSONSchema.make(
        Config.annotations({ title: "driver.yaml", description: "The configuration of driver. Every key is optional." })
      )

export const schema = ({ of }: SchemaArguments): Effect.Effect<void, never, Host> =>
  Effect.flatMap(Host, ({ stdout }) => stdout.write(`${JSON.stringify(schemaOf(of), null, 2)}\n`))
