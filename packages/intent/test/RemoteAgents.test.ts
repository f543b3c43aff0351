/** The HTTP layer against a server on loopback. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Goal } from "@driver/domain/Goal"
import { type HttpAgent, RemoteAgents, type RemoteError, RemoteResult, RemoteTask } from "@driver/intent/RemoteAgents"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Option, Redacted } from "effect"
import { goalIdOf } from "./support/values.js"

const task = new RemoteTask({
  goal: new Goal({ id: goalIdOf(1), description: "Prüfe das 商店" }),
  role: "worker",
  workspaceContext: "### Active mounts"
})

interface Got {
  readonly headers: IncomingMessage["headers"]
  readonly body: string
}

/** A server that answers like this, gone with the scope; and what it got. */
const serving = (answer: (response: ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly got: Array<Got>; readonly close: () => void }>((resume) => {
      const got: Array<Got> = []
      const server = createServer((request, response) => {
        let body = ""
        request.setEncoding("utf8").on("data", (text: string) => {
          body += text
        })
        request.on("end", () => {
          got.push({ headers: request.headers, body })
          answer(response)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${port}/goals`,
            got,
            close: () => {
              server.closeAllConnections()
              server.close()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const agentAt = (url: string, changes: Partial<HttpAgent> = {}): HttpAgent => ({
  name: "rita",
  capabilities: ["review"],
  url,
  token: Option.none(),
  timeout: Duration.seconds(10),
  ...changes
})

const call = (agent: HttpAgent): Effect.Effect<RemoteResult, RemoteError> =>
  Effect.flatMap(RemoteAgents, (it) => it.run(agent, task)).pipe(
    Effect.provide(RemoteAgents.layerHttp([agent]).pipe(Layer.provide(NodeHttpClient.layer)))
  )

const saying =
  (text: string, status = 200) =>
  (response: ServerResponse) => {
    response.writeHead(status, { "content-type": "application/json" }).end(text)
  }

describe("RemoteAgents over HTTP", () => {
  it.scopedLive("posts the goal, and reads what came of it", () =>
    Effect.gen(function* () {
      const { got, url } = yield* serving(saying('{"success":true,"output":"gut 👍","branch":"work/1"}'))
      const result = yield* call(agentAt(url, { token: Option.some(Redacted.make("secret")) }))
      assert.deepStrictEqual(
        result,
        new RemoteResult({ success: true, output: "gut 👍", branch: Option.some("work/1") })
      )
      assert.deepInclude(JSON.parse(got[0]?.body ?? "{}"), { role: "worker", workspace_context: "### Active mounts" })
      assert.strictEqual(JSON.parse(got[0]?.body ?? "{}").goal.description, "Prüfe das 商店")
      assert.strictEqual(got[0]?.headers.authorization, "Bearer secret")
      assert.strictEqual(got[0]?.headers["idempotency-key"], task.goal.id)
    })
  )

  const refusals: ReadonlyArray<readonly [string, (response: ServerResponse) => void, boolean, RegExp]> = [
    ["an error of the server", saying("{}", 503), true, /status 503/],
    ["too many calls", saying("{}", 429), true, /status 429/],
    ["a refusal", saying("{}", 403), false, /status 403/],
    ["what is no result", saying('{"success":"yes"}'), false, /not a result/],
    ["what is no JSON", saying("<html>"), false, /not a result/],
    ["more than may be", saying(`{"success":true,"output":"${"x".repeat(1024 * 1024)}"}`), true, /longer than/],
    [
      "half an answer",
      (response) => response.writeHead(200, { "content-length": 100 }).end("{"),
      true,
      /broke off|call failed|cannot be reached/
    ],
    ["a connection that is cut", (response) => void response.destroy(), true, /cannot be reached/]
  ]
  for (const [what, answer, retryable, why] of refusals) {
    it.scopedLive(`tells ${what} by its error, ${retryable ? "worth" : "not worth"} another try`, () =>
      Effect.gen(function* () {
        const { url } = yield* serving(answer)
        const error = yield* Effect.flip(call(agentAt(url, { timeout: Duration.seconds(5) })))
        assert.strictEqual(error.retryable, retryable)
        assert.match(error.message, why)
      })
    )
  }

  it.scopedLive("does not wait for ever, and does not say where the agent is", () =>
    Effect.gen(function* () {
      const { url } = yield* serving(() => {})
      const error = yield* Effect.flip(call(agentAt(url, { timeout: Duration.millis(50) })))
      assert.match(error.message, /within 50ms/)
      const away = yield* Effect.flip(call(agentAt("http://user:password@127.0.0.1:1/goals")))
      assert.isTrue(away.retryable)
      assert.notInclude(away.message, "password")
    })
  )
})
