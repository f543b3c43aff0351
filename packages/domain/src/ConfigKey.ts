/**
 * Keys of `driver.yaml`, as the packages whose sections stand in it spell them: each
 * with its description and with how its default reads, which the file that `driver
 * init` writes and the schema for editors are made of.
 */
import * as Schema from "effect/Schema"

/** The annotation that has how the default, or an example, reads in the file. */
export const DefaultText = Symbol.for("@driver/domain/ConfigKey/DefaultText")

/** A key with a default: absent outside, always there inside. `shown` is the default as a person would write it. */
export const configKey = <A, I>(
  name: string,
  schema: Schema.Schema<A, I>,
  value: () => NoInfer<A>,
  shown: string,
  description: string
) =>
  Schema.optionalWith(schema, { default: value })
    .pipe(Schema.fromKey(name))
    .annotations({ description, [DefaultText]: shown })

/** A key that may be absent; `shown` is an example. */
export const configMaybe = <A, I>(name: string, schema: Schema.Schema<A, I>, shown: string, description: string) =>
  Schema.optionalWith(schema, { as: "Option", nullable: true })
    .pipe(Schema.fromKey(name))
    .annotations({ description, [DefaultText]: shown })
