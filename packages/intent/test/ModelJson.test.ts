import { parseModelJson } from "@driver/intent/ModelJson"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"

const jsonObject = fc
  .dictionary(fc.string(), fc.jsonValue())
  .map((value): Record<string, unknown> => JSON.parse(JSON.stringify(value)))
/** Prose as models write it: without braces, of which the answer would be one. */
const prose = fc.string().map((text) => text.replace(/[{}"/]/g, ""))

const reads = (text: string, value: { readonly [key: string]: unknown }) =>
  assert.deepStrictEqual(parseModelJson(text), Either.right(value))
const refuses = (text: string, problem: RegExp) =>
  assert.match(Either.match(parseModelJson(text), { onLeft: (it) => it, onRight: () => "it was read" }), problem)

describe("parseModelJson", () => {
  it.prop("reads what JSON.stringify writes", [jsonObject, fc.constantFrom(undefined, 2)], ([value, indent]) => {
    reads(JSON.stringify(value, null, indent), value)
  })

  it.prop(
    "reads it in prose and fences",
    [jsonObject, prose, prose, fc.boolean()],
    ([value, before, after, fenced]) => {
      const text = JSON.stringify(value, null, 2)
      reads(fenced ? `${before}\n\`\`\`json\n${text}\n\`\`\`\n${after}` : `${before}\n${text}\n${after}`, value)
    }
  )

  it.prop(
    "reads it with a comma too many, comments and line breaks in strings",
    [jsonObject, fc.string()],
    ([value, extra]) => {
      const members = Object.entries({ ...value, extra: `a\n\t${extra}` })
        .map(([key, it]) => `${JSON.stringify(key)}: ${JSON.stringify(it).replace('"a\\n\\t', '"a\n\t')},`)
        .join("\n// a remark, with a comma\n")
      reads(`{ /* {"x": 1} */ ${members} }`, { ...value, extra: `a\n\t${extra}` })
    }
  )

  it.prop("has an answer for everything", [fc.string({ unit: "binary", maxLength: 400 })], ([text]) => {
    const result = parseModelJson(text)
    if (Either.isLeft(result)) assert.isAbove(result.left.length, 0)
  })

  it.prop("never makes up the end of an answer that is cut off", [jsonObject, fc.nat()], ([value, at]) => {
    const text = JSON.stringify({ ...value, last: "a value with some length" })
    const cut = text.slice(0, 1 + (at % (text.length - 1)))
    assert.isTrue(Either.isLeft(parseModelJson(cut)))
  })

  it("says what is the matter", () => {
    refuses("", /no JSON object/)
    refuses("I would say it is a task.", /no JSON object/)
    refuses("[1, 2]", /no JSON object/)
    refuses('{"kind": "task", "scope": "triv', /cut off/)
    // What is whole in it is a part of the answer.
    refuses('{"kind": "clarify", "questions": [{"id": "a"}, {"id"', /cut off/)
    refuses('{"kind": "task"} no, {"kind": "conv', /cut off/)
    refuses('{"kind": "task"} or rather {"kind": "conversation"}', /more than one/)
    refuses(`{"a": "${"x".repeat(200_000)}"}`, /too long/)
  })

  it("reads Python's words, a brace in the prose, and the same object twice", () => {
    reads('{"a": True, "b": None, "c": "True"}', { a: true, b: null, c: "True" })
    reads('The shape {kind, reply}: {"kind": "task"}', { kind: "task" })
    reads('I open with a { and then: {"kind": "task"}', { kind: "task" })
    reads('{"kind": "task"}\n{ "kind": "task" }', { kind: "task" })
    reads('\uFEFF{"a": "}{"}', { a: "}{" })
  })

  it("takes no time for braces without end", () => {
    refuses("{".repeat(190_000), /cut off|no JSON object/)
    refuses('{"'.repeat(95_000), /cut off|no JSON object/)
  })
})
