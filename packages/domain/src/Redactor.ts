/**
 * Takes secrets out of whatever leaves the driver, with the secrets that this process knows: texts, and values such as
 * events and decisions, whose classes stay what they are.
 *
 * There is one in every context: without a layer it knows no values and goes by shape only.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { isSecretName, mark, minimumLength, redactor } from "./Redaction.js"

export class Redactor extends Context.Reference<Redactor>()("@driver/domain/Redactor", {
  defaultValue: () => make([])
}) {
  static readonly layer = (secrets: ReadonlyArray<Redacted.Redacted<string>>): Layer.Layer<never> =>
    Layer.succeed(Redactor, make(secrets))
}

export interface RedactorService {
  readonly text: (text: string) => string
  /** The value without secrets in any of its texts; the same value when there are none. What was cleaned before is not looked at again. */
  readonly value: <A>(value: A) => A
}

export const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): RedactorService => {
  const text = redactor(secrets)
  const cleaned = new WeakSet<object>()

  /** Copies what changes on the way to a changed text, and nothing else. */
  const clean = (value: unknown): unknown => {
    if (typeof value === "string") return value.length < minimumLength ? value : text(value)
    if (typeof value !== "object" || value === null || cleaned.has(value)) return value
    const result = Array.isArray(value) ? cleanArray(value) : cleanObject(value)
    cleaned.add(result)
    return result
  }

  const cleanArray = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
    const result = values.map(clean)
    return result.some((it, index) => it !== values[index]) ? result : values
  }

  const cleanObject = (value: object): object => {
    const prototype: unknown = Object.getPrototypeOf(value)
    const isRecord = prototype === Object.prototype || prototype === null
    let changed = false
    const entries = Object.entries(value).map(([name, before]): readonly [string, unknown] => {
      const key = isRecord && name.length >= minimumLength ? text(name) : name
      const isSecret = isRecord && typeof before === "string" && before.length >= minimumLength && isSecretName(name)
      const after = isSecret ? mark : name === "_tag" ? before : clean(before)
      changed ||= after !== before || key !== name
      return [key, after]
    })
    if (!changed) return value
    const copy: object = Object.create(Object.getPrototypeOf(value))
    for (const [name, it] of entries)
      Object.defineProperty(copy, name, { value: it, enumerable: true, writable: true, configurable: true })
    return copy
  }

  // A value is copied with its own class.
  return { text, value: <A>(value: A) => clean(value) as A }
}
