/** `driver schema`: the JSON Schema of a goal file, a policy file or the configuration, for editors. */
import { goalFileJsonSchema } from "@driver/domain/GoalFile"
import { Policy } from "@driver/permission/Policy"
import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import { Config } from "../Config.js"
import { Host } from "../Host.js"

export interface SchemaArguments {
  readonly of: "goal" | "config" | "policy"
}

export const schemaOf = (of: SchemaArguments["of"]): JSONSchema.JsonSchema7Root => {
  switch (of) {
    case "goal":
      return goalFileJsonSchema()
    case "policy":
      return JSONSchema.make(Policy.annotations({ title: "policy.yaml" }))
    case "config":
      return JSONSchema.make(
        Config.annotations({
          title: "driver.yaml",
          description: "The configuration of driver. Every key is optional."
        })
      )
  }
}

export const schema = ({ of }: SchemaArguments): Effect.Effect<void, never, Host> =>
  Effect.flatMap(Host, ({ stdout }) => stdout.write(`${JSON.stringify(schemaOf(of), null, 2)}\n`))
