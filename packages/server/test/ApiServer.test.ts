import {
  AmbiguousGoal,
  DriverTrouble,
  NotPossible,
  SubmitRefused,
  UnknownApproval,
  UnknownGoal
} from "@driver/runtime/Goals"
import * as ApiServer from "@driver/server/ApiServer"
import { Access } from "@driver/server/ApiServer"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Option, Redacted, Schema } from "effect"
import * as daemon from "./support/daemon.js"
import { goalA, goalB, Script } from "./support/scriptedGoals.js"

const Problem = Schema.parseJson(Schema.Struct({ _tag: Schema.String, message: Schema.String }))

/** The status, and the error in the body. */
const answered = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.gen(function* () {
    const response = yield* HttpClient.execute(request)
    const { _tag, message } = yield* Schema.decode(Problem)(yield* response.text)
    assert.match(response.headers["content-type"] ?? "", /^application\/json/)
    return { status: response.status, _tag, message }
  })

const to = (method: HttpMethod.HttpMethod, path: string, body?: string) =>
  HttpClientRequest.make(method)(`http://localhost${path}`).pipe(
    body === undefined ? (it) => it : HttpClientRequest.setBody(HttpBody.text(body, "application/json"))
  )

describe("The API", () => {
  it.scopedLive("says what is wrong with a request, and where", () =>
    Effect.gen(function* () {
      const { http, script } = yield* daemon.remote()
      const ask = (...args: Parameters<typeof to>) =>
        Effect.provideService(answered(to(...args)), HttpClient.HttpClient, http)
      const goal = { id: goalA, description: "Make it so" }

      const nothing = yield* ask("GET", "/nothing/here")
      assert.deepStrictEqual(nothing, {
        status: 404,
        _tag: "UnknownPath",
        message: "There is nothing at GET /nothing/here: /openapi.json shows what there is"
      })
      assert.strictEqual((yield* ask("DELETE", "/goals")).status, 404)

      const noJson = yield* ask("POST", "/goals", `{"goals": [`)
      assert.strictEqual(noJson.status, 400)
      assert.match(noJson.message, /could not be read: .*JSON/)

      const depth = 200_000
      const nested = yield* ask("POST", "/goals", `{"goals":${"[".repeat(depth)}${"]".repeat(depth)}}`)
      assert.strictEqual(nested.status, 400)
      assert.match(nested.message, /nested/)

      const cases: ReadonlyArray<readonly [body: unknown, says: RegExp]> = [
        [{}, /\["goals"\]\n.*is missing/],
        [{ goals: [{ goal, repository: 7 }] }, /\["repository"\]\n[\s\S]*Expected string, actual 7/],
        [
          { goals: [{ goal: { ...goal, budget: { max_turn: 3 } }, repository: "/r" }] },
          /\["max_turn"\]\n.*is unexpected/
        ],
        [{ goals: [{ goal: { ...goal, id: "x" }, repository: "/r" }] }, /\["id"\][\s\S]*"x"/]
      ]
      for (const [body, says] of cases) {
        const refused = yield* ask("POST", "/goals", JSON.stringify(body))
        assert.deepStrictEqual(
          { status: refused.status, _tag: refused._tag },
          { status: 400, _tag: "HttpApiDecodeError" }
        )
        assert.match(refused.message, says)
      }
      assert.strictEqual((yield* ask("GET", `/goals/${goalA}/logs?limit=0`)).status, 400)
      assert.strictEqual((yield* ask("GET", `/goals/${goalA}/logs?after=-1`)).status, 400)
      assert.strictEqual((yield* ask("GET", "/goals?all=perhaps")).status, 400)
      assert.strictEqual((yield* ask("GET", "/goals/abc%2F..%2F..")).status, 404)

      assert.deepStrictEqual(yield* script.asked, [])
    })
  )

  it.scopedLive("answers each error of goals with a status that fits", () =>
    Effect.gen(function* () {
      const { http, script } = yield* daemon.remote()
      const ask = (...args: Parameters<typeof to>) =>
        Effect.provideService(answered(to(...args)), HttpClient.HttpClient, http)
      const detail = "so it is"
      const statuses: Array<readonly [tag: string, status: number, message: string]> = []
      const see = (answers: typeof script.answers.current, ...args: Parameters<typeof to>) =>
        Effect.gen(function* () {
          script.answers.current = answers
          const { _tag, message, status } = yield* ask(...args)
          statuses.push([_tag, status, message])
        })
      yield* see({}, "GET", "/goals/ffff")
      yield* see({}, "GET", "/goals/7c9e")
      yield* see(
        { submit: () => Effect.fail(new SubmitRefused({ reason: "cycle", detail })) },
        "POST",
        "/goals",
        `{"goals":[]}`
      )
      yield* see(
        { pause: (goalId) => Effect.fail(new NotPossible({ goalId, detail })) },
        "POST",
        `/goals/${goalA}/pause`
      )
      yield* see({ list: () => Effect.fail(new DriverTrouble({ detail })) }, "GET", "/goals")
      yield* see({ deny: () => Effect.fail(new UnknownApproval({ detail })) }, "POST", "/approvals/ab/deny", "{}")
      assert.deepStrictEqual(statuses, [
        ["UnknownGoal", 404, new UnknownGoal({ name: "ffff" }).message],
        ["AmbiguousGoal", 409, new AmbiguousGoal({ name: "7c9e", candidates: [goalA, goalB] }).message],
        ["SubmitRefused", 422, detail],
        ["NotPossible", 409, detail],
        ["DriverTrouble", 503, detail],
        ["UnknownApproval", 404, detail]
      ])
    })
  )

  it.scopedLive("reads bodies up to its limit", () =>
    Effect.gen(function* () {
      const { http, script } = yield* daemon.remote()
      const ofSize = (bytes: number) => {
        const empty = JSON.stringify({ message: "" })
        return to("POST", `/goals/${goalA}/steer`, JSON.stringify({ message: "x".repeat(bytes - empty.length) }))
      }
      const fits = yield* http.execute(ofSize(ApiServer.maxBodyBytes))
      assert.strictEqual(fits.status, 200)
      const tooLarge = yield* Effect.provideService(
        answered(ofSize(ApiServer.maxBodyBytes + 1)),
        HttpClient.HttpClient,
        http
      )
      assert.deepStrictEqual({ status: tooLarge.status, _tag: tooLarge._tag }, { status: 413, _tag: "BodyTooLarge" })
      assert.strictEqual((yield* script.asked).length, 1)
    })
  )

  it.scopedLive("tells a failure of its own without its inside, and goes on", () =>
    Effect.gen(function* () {
      const { client, http, script } = yield* daemon.remote()
      script.answers.current = { list: () => Effect.die("the inside") }
      const failed = yield* Effect.provideService(answered(to("GET", "/goals")), HttpClient.HttpClient, http)
      assert.deepStrictEqual(failed, {
        status: 500,
        _tag: "InternalError",
        message: "The daemon failed: its log says how"
      })
      script.answers.current = {}
      yield* client.probe()
    })
  )

  it.scopedLive("answers calls that wait when it stops, and lets go of the socket", () =>
    Effect.gen(function* () {
      const { goals, script, stop } = yield* daemon.remoteToStop
      const begun = yield* Deferred.make<void>()
      script.answers.current = { cancel: () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never) }
      const cancelling = yield* Effect.fork(Effect.flip(goals.cancel(goalA)))
      yield* Deferred.await(begun)
      const closing = yield* Effect.fork(stop)
      const error = yield* Fiber.join(cancelling)
      assert.strictEqual(error.message, "The daemon is stopping: ask again when it runs")
      yield* Fiber.join(closing)
    })
  )

  it.scopedLive("stops asking for who has gone away", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      script.answers.current = {
        cancel: () =>
          Effect.onInterrupt(Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never), () =>
            Deferred.succeed(ended, undefined)
          )
      }
      const cancelling = yield* Effect.fork(goals.cancel(goalA))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(cancelling)
      yield* Deferred.await(ended)
    })
  )
})

describe("The API over TCP", () => {
  it.scopedLive("is for who has the token, and for no web page", () =>
    Effect.gen(function* () {
      const { services, url } = yield* daemon.onPort()
      const port = new URL(url).port
      const ask = (headers: Record<string, string>, path = "/health") =>
        HttpClient.execute(HttpClientRequest.get(`${url}${path}`, { headers })).pipe(Effect.map(({ status }) => status))
      const authorization = `Bearer ${Redacted.value(daemon.token)}`

      assert.strictEqual(yield* ask({}), 401)
      assert.strictEqual(yield* ask({ authorization: "Bearer a-token-of-the-daemoN" }), 401)
      assert.strictEqual(yield* ask({ authorization: `Basic ${Redacted.value(daemon.token)}` }), 401)
      assert.strictEqual(yield* ask({}, "/openapi.json"), 401)
      assert.strictEqual(yield* ask({}, "/nothing"), 401)
      assert.strictEqual(yield* ask({ authorization }), 200)
      assert.strictEqual(yield* ask({ authorization, host: "evil.example" }), 403)
      assert.strictEqual(yield* ask({ authorization, origin: "https://evil.example" }), 403)
      assert.strictEqual(yield* ask({ authorization, origin: "null" }), 403)
      assert.strictEqual(yield* ask({ authorization, origin: `http://127.0.0.1:${port}` }), 200)
      assert.deepStrictEqual(
        (yield* Context.get(services, Script).asked).filter(([name]) => name !== "list"),
        []
      )
      const { headers } = yield* HttpClient.execute(
        HttpClientRequest.get(`${url}/health`, { headers: { authorization } })
      )
      assert.deepStrictEqual(
        Object.keys(headers).filter((name) => name.startsWith("access-control")),
        []
      )
    }).pipe(Effect.provide(NodeHttpClient.layerUndici))
  )

  it("refuses by these headers", () => {
    const access = Access.Token({ token: Redacted.make("secret"), hosts: ["build.example"] })
    const refused = (headers: Record<string, string>) =>
      Option.match(ApiServer.refusal(access, Headers.fromInput(headers)), {
        onNone: () => 0,
        onSome: ({ status }) => status
      })
    const authorization = "Bearer secret"
    const cases: ReadonlyArray<readonly [headers: Record<string, string>, status: number]> = [
      [{ authorization, host: "localhost:4711" }, 0],
      [{ authorization, host: "LOCALHOST" }, 0],
      [{ authorization, host: "[::1]:4711" }, 0],
      [{ authorization, host: "build.example:80" }, 0],
      [{ authorization: "bearer secret", host: "127.0.0.1:1" }, 0],
      [{ authorization }, 403],
      [{ authorization, host: "localhost.evil.example" }, 403],
      [{ authorization, host: "evil.example:4711" }, 403],
      [{ authorization, host: "127.0.0.1.evil.example" }, 403],
      [{ authorization, host: "localhost:4711", origin: "http://localhost:4711" }, 0],
      [{ authorization, host: "localhost:4711", origin: "http://localhost:80" }, 403],
      [{ authorization, host: "localhost:4711", origin: "https://localhost:4711" }, 403],
      [{ host: "localhost" }, 401],
      [{ authorization: "Bearer ", host: "localhost" }, 401],
      [{ authorization: "Bearer", host: "localhost" }, 401],
      [{ authorization: "Bearer secrets", host: "localhost" }, 401],
      [{ authorization: "Bearer secre", host: "localhost" }, 401],
      [{ authorization, host: "localhost", "content-length": "1048576" }, 0],
      [{ authorization, host: "localhost", "content-length": "1048577" }, 413]
    ]
    for (const [headers, status] of cases) assert.strictEqual(refused(headers), status, JSON.stringify(headers))
  })

  it("asks for no token on a socket, and still refuses pages", () => {
    const refused = (headers: Record<string, string>) =>
      Option.isSome(ApiServer.refusal(Access.Socket(), Headers.fromInput(headers)))
    assert.isFalse(refused({}))
    assert.isFalse(refused({ host: "anything" }))
    assert.isTrue(refused({ host: "localhost", origin: "https://evil.example" }))
  })
})
