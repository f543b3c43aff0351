import { Api } from "@driver/server/Api"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as daemon from "./support/daemon.js"

const Spec = Schema.parseJson(
  Schema.Struct({
    openapi: Schema.String,
    paths: Schema.Record({ key: Schema.String, value: Schema.Record({ key: Schema.String, value: Schema.Any }) }),
    components: Schema.Struct({
      schemas: Schema.Record({ key: Schema.String, value: Schema.Any }),
      securitySchemes: Schema.Record({ key: Schema.String, value: Schema.Any })
    })
  })
)

/** Every `$ref` in a value. */
const refs = (value: unknown): ReadonlyArray<string> => {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "$ref" && typeof inner === "string" ? [inner] : refs(inner)
  )
}

describe("The OpenAPI document", () => {
  it.scopedLive("has each endpoint, with answers that resolve", () =>
    Effect.gen(function* () {
      const { http } = yield* daemon.remote()
      const response = yield* http.execute(HttpClientRequest.get("http://localhost/openapi.json"))
      assert.strictEqual(response.status, 200)
      const spec = yield* Schema.decode(Spec)(yield* response.text)
      assert.match(spec.openapi, /^3\.1\./)
      assert.deepStrictEqual(spec.components.securitySchemes["token"], { type: "http", scheme: "bearer" })

      const wanted: Array<string> = []
      HttpApi.reflect(Api, {
        onGroup: () => undefined,
        onEndpoint: ({ endpoint }) => {
          wanted.push(`${endpoint.method} ${endpoint.path.replace(/:(\w+)/g, "{$1}")}`)
        }
      })
      const there = Object.entries(spec.paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
      )
      assert.deepStrictEqual([...there].sort(), [...wanted].sort())
      assert.isAbove(there.length, 18)

      const found = new Set(refs(spec))
      assert.isAbove(found.size, 5)
      for (const ref of found) {
        assert.isDefined(spec.components.schemas[ref.replace("#/components/schemas/", "")], ref)
      }

      const operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
        Object.values(methods).map((operation) => ({ path, ...operation }))
      )
      assert.strictEqual(new Set(operations.map(({ operationId }) => operationId)).size, operations.length)
      for (const operation of operations) {
        assert.isString(operation.summary)
        assert.includeMembers(Object.keys(operation.responses), ["400", "401", "403", "413", "503"])
        const inPath = operation.parameters.flatMap((it: { in: string; name: string }) =>
          it.in === "path" ? [it.name] : []
        )
        assert.deepStrictEqual(
          inPath,
          [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        )
      }
    })
  )
})
