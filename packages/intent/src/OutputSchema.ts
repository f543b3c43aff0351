/**
 * Whether a JSON value has the form that was asked for: the everyday part of JSON Schema
 * (`type`, `properties`, `required`, `additionalProperties: false`, `items`, `enum`,
 * `const`). Other keywords are not looked at. Pure.
 */

/** Deeper schemas are not looked at: no answer here needs them. */
const deepest = 32

/** What does not fit, a phrase each, at most a few; empty when the value fits. */
export const schemaProblems = (schema: unknown, value: unknown): ReadonlyArray<string> =>
  problemsOf(schema, value, "it", deepest).slice(0, 5)

const problemsOf = (schema: unknown, value: unknown, where: string, depth: number): ReadonlyArray<string> => {
  if (!isRecord(schema) || depth === 0) return []
  const types =
    typeof schema["type"] === "string" ? [schema["type"]] : Array.isArray(schema["type"]) ? schema["type"] : []
  if (types.length > 0 && !types.some((type) => isOfType(type, value))) {
    return [`${where} is not of type ${types.join(" or ")}`]
  }
  const problems: Array<string> = []
  const { const: only, enum: options } = schema
  if (Array.isArray(options) && !options.some((it) => isSame(it, value)))
    problems.push(`${where} is none of the allowed values`)
  if ("const" in schema && !isSame(only, value)) problems.push(`${where} is not ${JSON.stringify(only)}`)
  if (isRecord(value)) problems.push(...problemsOfObject(schema, value, where, depth))
  if (Array.isArray(value)) {
    value.forEach((item, index) => problems.push(...problemsOf(schema["items"], item, `${where}[${index}]`, depth - 1)))
  }
  return problems
}

const problemsOfObject = (
  schema: Readonly<Record<string, unknown>>,
  value: Readonly<Record<string, unknown>>,
  where: string,
  depth: number
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const properties = isRecord(schema["properties"]) ? schema["properties"] : {}
  for (const key of Array.isArray(schema["required"]) ? schema["required"] : []) {
    if (typeof key === "string" && !Object.hasOwn(value, key)) problems.push(`${where} has no ${JSON.stringify(key)}`)
  }
  for (const [key, inner] of Object.entries(value)) {
    if (Object.hasOwn(properties, key))
      problems.push(...problemsOf(properties[key], inner, `${where}.${key}`, depth - 1))
    else if (schema["additionalProperties"] === false)
      problems.push(`${where} has an unknown key ${JSON.stringify(key)}`)
  }
  return problems
}

const isOfType = (type: unknown, value: unknown): boolean => {
  switch (type) {
    case "null":
      return value === null
    case "array":
      return Array.isArray(value)
    case "object":
      return isRecord(value)
    case "integer":
      return Number.isInteger(value)
    case "string":
    case "number":
    case "boolean":
      return typeof value === type
    default:
      return true
  }
}

/** JSON values, by value; the order of keys does not count. */
const isSame = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((it, index) => isSame(it, b[index]))
  if (isRecord(a) && isRecord(b)) {
    const keys = Object.keys(a)
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]))
  }
  return a === b
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
