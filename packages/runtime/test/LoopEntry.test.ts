import { isLoopEntry, JournalEntry, JournalRecord, storedEventOf } from "@driver/runtime/Journal"
import { LoopEntry } from "@driver/runtime/LoopEntry"
import { assert, describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Option, Schema, SchemaAST } from "effect"
import { eventLines } from "../../domain/test/frozen/lines.js"
import { decisionLines, recordLine, stepLines } from "./frozen/journalLines.js"
import * as frozen from "./frozen/journalValues.js"

const read = Schema.decodeUnknownSync(Schema.parseJson(JournalEntry))

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
const survives = (name: string, schema: Schema.Schema.AnyNoContext) =>
  it.prop(`${name} survives the trip to JSON and back`, [schema], ([value]) => {
    const text = JSON.stringify(Schema.encodeSync(schema)(value))
    deepStrictEqual(Schema.decodeUnknownSync(schema)(JSON.parse(text)), value)
  })

describe("The journal's format", () => {
  survives("LoopEntry", LoopEntry)
  survives("JournalRecord", JournalRecord)

  it("has no two entries of the same kind", () => {
    const kinds = kindsOf(JournalEntry.ast)
    assert.strictEqual(new Set(kinds).size, kinds.length)
  })

  describe("of version 1 is still read:", () => {
    it("every kind of step has a line", () => {
      assert.deepStrictEqual(Object.keys(stepLines).sort(), [...kindsOf(LoopEntry.ast)].sort())
    })

    for (const [kind, line] of Object.entries(stepLines)) {
      it(kind, () => deepStrictEqual(read(line), frozen.steps[kind]))
    }

    for (const [next, line] of Object.entries(decisionLines)) {
      it(`turn_decided, ${next}`, () => deepStrictEqual(read(line), frozen.decisions[next]))
    }

    it("a record", () => {
      deepStrictEqual(Schema.decodeUnknownSync(JournalRecord.FromJson)(recordLine), frozen.record)
    })
  })

  it("tells steps from events", () => {
    for (const line of Object.values(stepLines)) assert.isTrue(isLoopEntry(read(line)))
    for (const line of Object.values(eventLines)) {
      const entry = read(line)
      if (isLoopEntry(entry)) return assert.fail(`${entry._tag} is an event`)
      const stored = Option.getOrThrow(storedEventOf(new JournalRecord({ ...frozen.record, entry })))
      assert.deepInclude(stored, { sequence: 4, messageId: frozen.record.id, at: frozen.record.at, event: entry })
    }
    const step = new JournalRecord({ ...frozen.record, entry: frozen.steps["turn_cut"] ?? frozen.record.entry })
    assert.deepStrictEqual(storedEventOf(step), Option.none())
  })
})
