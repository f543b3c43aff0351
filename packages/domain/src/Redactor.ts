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

/** A value with more text than this is remembered, once it is clean. In UTF-16 units. */
const remembered = 500

export const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): RedactorService => {
  const text = redactor(secrets)
  const cleaned = new WeakSet<object>()
  /** Characters looked at so far. */
  let looked = 0

  /** Copies what changes on the way to a changed text, and nothing else. */
  const clean = (value: unknown): unknown => {
    if (typeof value === "string") {
      if (value.length < minimumLength) return value
      looked += value.length
      return text(value)
    }
    if (typeof value !== "object" || value === null) return value
    const before = looked
    if (cleaned.has(value)) return value
    const result = Array.isArray(value) ? cleanArray(value) : cleanObject(value)
    // What is small is looked at again sooner than it is remembered.
    if (looked - before > remembered) cleaned.add(result)
    return result
  }

  const cleanArray = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
    const result = values.map(clean)
    return result.some((it, index) => it !== values[index]) ? result : values
  }

  const cleanObject = (value: object): object => {
    const prototype: unknown = Object.getPrototypeOf(value)
    const isRecord = prototype === Object.prototype || prototype === null
    // What has changed, by its name before; most values have nothing.
    let changed: Map<string, readonly [key: string, value: unknown]> | undefined
    for (const name of Object.keys(value)) {
      const before: unknown = Reflect.get(value, name)
      const key = isRecord && name.length >= minimumLength ? text(name) : name
      const isSecret = isRecord && typeof before === "string" && before.length >= minimumLength && isSecretName(name)
      const after = isSecret ? mark : name === "_tag" ? before : clean(before)
      if (after === before && key === name) continue
      changed ??= new Map()
      changed.set(name, [key, after])
    }
    if (changed === undefined) return value
    const copy: object = Object.create(Object.getPrototypeOf(value))
    for (const [name, before] of Object.entries(value)) {
      const [key, it] = changed.get(name) ?? [name, before]
      Object.defineProperty(copy, key, { value: it, enumerable: true, writable: true, configurable: true })
    }
    return copy
  }

  // A value is copied with its own class.
  return { text, value: <A>(value: A) => clean(value) as A }
}
