import { Project, RegisteredMount, Registry } from "@driver/intent/Registry"
import { assert, it } from "@effect/vitest"
import { Arbitrary, DateTime, FastCheck as fc, Option, Schema } from "effect"
import { mountOf, projectOf, registryContract } from "./support/registryContract.js"

registryContract("memory", () => Registry.layerMemory)

const survivesJson = <A, I>(schema: Schema.Schema<A, I>) => {
  const json = Schema.parseJson(schema)
  fc.assert(
    fc.property(Arbitrary.make(schema), (value) => {
      assert.deepStrictEqual(Schema.decodeUnknownSync(json)(Schema.encodeSync(json)(value)), value)
    }),
    { numRuns: 100 }
  )
}

it("gives back a mount that was written as JSON", () => survivesJson(RegisteredMount))

it("gives back a project that was written as JSON", () => survivesJson(Project))

it("reads for ever what was once written", () => {
  const mount =
    '{"id":"00000000-0000-4000-8000-000000000001","name":"shop","path":"/work/shop","summary":"Sells things.","last_used_at":"2026-01-02T03:04:05.000Z"}'
  const project =
    '{"id":"00000000-0000-4000-8000-0000000003e9","name":"store","mounts":["00000000-0000-4000-8000-000000000001"],"instructions":"Be kind."}'
  const shop = mountOf(1, {
    name: "shop",
    path: "/work/shop",
    summary: Option.some("Sells things."),
    lastUsedAt: Option.some(DateTime.unsafeMake("2026-01-02T03:04:05Z"))
  })
  const store = projectOf(1, { name: "store", mounts: [shop.id], instructions: "Be kind." })
  assert.deepStrictEqual(Schema.decodeSync(Schema.parseJson(RegisteredMount))(mount), shop)
  assert.strictEqual(Schema.encodeSync(Schema.parseJson(RegisteredMount))(shop), mount)
  assert.deepStrictEqual(Schema.decodeSync(Schema.parseJson(Project))(project), store)
  assert.strictEqual(Schema.encodeSync(Schema.parseJson(Project))(store), project)
})
