/** The providers' layers against servers on loopback that speak as theirs do. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { type AddressInfo, connect } from "node:net"
import type { Duplex } from "node:stream"
import { askModel, askModelText } from "@driver/agent/ModelQuestion"
import { Containment } from "@driver/agent/Subprocess"
import * as LanguageModels from "@driver/cli/LanguageModels"
import { proxyOf } from "@driver/cli/ModelHttp"
import { Judgement } from "@driver/permission/LlmDeciderModel"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Layer, Option, Redacted } from "effect"

interface Served {
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  readonly body: unknown
  /** In milliseconds. */
  readonly at: number
}

type Reply = (response: ServerResponse) => void

const json =
  (status: number, value: unknown): Reply =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))

/** Answers request by request; the last reply goes on. */
const serve = (replies: ReadonlyArray<Reply>) =>
  Effect.acquireRelease(
    Effect.async<{ url: string; served: Array<Served>; close: () => void }>((resume) => {
      const served: Array<Served> = []
      const server = createServer((request, response) => {
        let text = ""
        request.setEncoding("utf8").on("data", (part: string) => {
          text += part
        })
        request.on("end", () => {
          const reply = replies[Math.min(served.length, replies.length - 1)]
          served.push({
            path: request.url ?? "",
            headers: request.headers,
            body: JSON.parse(text),
            at: performance.now()
          })
          reply?.(response)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}/`, served, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const said = { verdict: "deny", reason: "it publishes", message: "Use the staging registry." }

const anthropic = (content: ReadonlyArray<unknown>, stop = "tool_use") => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude-test",
  content,
  stop_reason: stop,
  stop_sequence: null,
  container: null,
  context_management: null,
  usage: {
    input_tokens: 10,
    output_tokens: 5,
    cache_creation: null,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    server_tool_use: null,
    service_tier: "standard"
  }
})

const openai = (text: string) => ({
  id: "resp_1",
  object: "response",
  created_at: 1,
  status: "completed",
  error: null,
  incomplete_details: null,
  instructions: null,
  model: "gpt-test",
  output: [
    {
      type: "message",
      id: "msg_1",
      status: "completed",
      role: "assistant",
      content: [{ type: "output_text", text, annotations: [], logprobs: [] }]
    }
  ],
  parallel_tool_calls: true,
  temperature: 1,
  tool_choice: "none",
  tools: [],
  top_p: 1,
  metadata: {},
  usage: {
    input_tokens: 10,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 15
  }
})

const chat = (text: string | null, changes: object = {}) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model: "some-model",
  choices: [{ index: 0, message: { role: "assistant", content: text, ...changes }, finish_reason: "stop" }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
})

type Api = "anthropic" | "openai chat" | "openai responses"

const settingsOf = (api: Api, url: string): LanguageModels.ModelSettings => {
  const access = {
    name: "some-model",
    baseUrl: Option.some(api === "anthropic" ? url : `${url}v1`),
    apiKeyEnv: "SOME_KEY",
    apiKey: Option.some(Redacted.make("key-of-the-test")),
    proxy: Option.none()
  }
  return api === "anthropic"
    ? { provider: api, ...access }
    : { provider: "openai", api: api === "openai chat" ? "chat" : "responses", ...access }
}

const judging = { instructions: "Judge.", text: "npm publish", schema: Judgement, name: "judgement" }

const question = (timeout: Duration.DurationInput) => askModel({ ...judging, timeout })

const ask = (settings: LanguageModels.ModelSettings, timeout: Duration.DurationInput = "20 seconds") =>
  question(timeout).pipe(
    Effect.provide(
      LanguageModels.layer(settings).pipe(Layer.provide([Containment.layerProcessGroup, NodeFileSystem.layer]))
    )
  )

const providers = [
  {
    provider: "anthropic",
    path: "/v1/messages",
    good: anthropic([{ type: "tool_use", id: "toolu_1", name: "judgement", input: said }]),
    prose: anthropic([{ type: "text", text: "I would allow it." }], "end_turn"),
    refusal: anthropic([], "refusal"),
    wrong: anthropic([{ type: "tool_use", id: "toolu_1", name: "judgement", input: { verdict: "maybe" } }]),
    error: { type: "error", error: { type: "rate_limit_error", message: "slow down" } },
    hasKey: (headers: IncomingMessage["headers"]) => headers["x-api-key"] === "key-of-the-test"
  },
  {
    provider: "openai responses",
    path: "/v1/responses",
    good: openai(JSON.stringify(said)),
    prose: openai("I would allow it."),
    refusal: { ...openai(""), output: [] },
    wrong: openai(JSON.stringify({ verdict: "maybe" })),
    error: { error: { message: "slow down", type: "rate_limit", code: null, param: null } },
    hasKey: (headers: IncomingMessage["headers"]) => headers.authorization === "Bearer key-of-the-test"
  },
  {
    provider: "openai chat",
    path: "/v1/chat/completions",
    good: chat(JSON.stringify(said)),
    prose: chat("I would allow it."),
    refusal: chat(null, { refusal: "I cannot help with that." }),
    wrong: chat(JSON.stringify({ verdict: "maybe" })),
    error: { error: { message: "slow down", type: "rate_limit", code: null, param: null } },
    hasKey: (headers: IncomingMessage["headers"]) => headers.authorization === "Bearer key-of-the-test"
  }
] as const

for (const { error, good, hasKey, path, prose, provider, refusal, wrong } of providers) {
  describe.concurrent(`The language model of ${provider}`, () => {
    it.scopedLive("is asked with the key, the model's name and the schema, and its answer is decoded", () =>
      Effect.gen(function* () {
        const { served, url } = yield* serve([json(200, good)])
        assert.deepStrictEqual({ ...(yield* ask(settingsOf(provider, url))) }, said)
        assert.strictEqual(served.length, 1)
        const [request] = served
        assert.isTrue(request?.path.startsWith(path), request?.path)
        assert.isTrue(hasKey(request?.headers ?? {}))
        const body = JSON.stringify(request?.body)
        for (const part of ["some-model", "npm publish", "Judge.", '"verdict"', '"enum":["allow","deny","ask"]']) {
          assert.include(body, part)
        }
      })
    )

    it.scopedLive("is asked again after 429 and 500", () =>
      Effect.gen(function* () {
        const { served, url } = yield* serve([json(429, error), json(500, error), json(200, good)])
        assert.deepInclude(yield* ask(settingsOf(provider, url)), { verdict: "deny" })
        assert.strictEqual(served.length, 3)
      })
    )

    it.scopedLive("is asked again no sooner than the server wants", () =>
      Effect.gen(function* () {
        const slow: Reply = (response) => json(429, error)(response.setHeader("retry-after", "2"))
        const { served, url } = yield* serve([slow, json(200, good)])
        assert.deepInclude(yield* ask(settingsOf(provider, url)), { verdict: "deny" })
        const [first, second] = served
        assert.isAtLeast((second?.at ?? 0) - (first?.at ?? 0), 1_900)
      })
    )

    const failures: ReadonlyArray<readonly [string, Reply, object, number]> = [
      ["goes on with 500", json(500, error), { reason: "unavailable", retryable: true }, 3],
      ["goes on with 429", json(429, error), { reason: "limited", retryable: true }, 3],
      ["refuses the key", json(401, error), { reason: "unauthorized", retryable: false }, 1],
      ["does not know the model", json(404, error), { reason: "rejected", retryable: false }, 1],
      ["answers with prose", json(200, prose), { reason: "unusable" }, 1],
      ["refuses to answer", json(200, refusal), { reason: "unusable" }, 1],
      ["answers with another shape", json(200, wrong), { reason: "unusable" }, 1],
      ["answers with JSON of something else", json(200, { hello: "world" }), { reason: "unusable" }, 1],
      [
        "answers with garbage",
        (response) => response.writeHead(200, { "content-type": "application/json" }).end("<html>\u0000"),
        { reason: "unusable" },
        1
      ],
      ["drops the connection", (response) => response.destroy(), { reason: "unavailable", retryable: true }, 3]
    ]
    for (const [name, reply, expected, requests] of failures) {
      it.scopedLive(`gives a typed error when the server ${name}`, () =>
        Effect.gen(function* () {
          const { served, url } = yield* serve([reply])
          const failed = yield* Effect.flip(ask(settingsOf(provider, url)))
          assert.deepInclude(failed, { _tag: "ModelError", ...expected })
          assert.strictEqual(served.length, requests)
          assert.notInclude(`${failed.message} ${JSON.stringify(failed)}`, "key-of-the-test")
        })
      )
    }

    it.scopedLive("is given up when the server hangs, before or in the middle of its answer", () =>
      Effect.gen(function* () {
        for (const reply of [() => undefined, (response: ServerResponse) => response.writeHead(200).write("{")]) {
          const { url } = yield* serve([reply])
          const failed = yield* Effect.flip(ask(settingsOf(provider, url), "300 millis"))
          assert.deepInclude(failed, { reason: "timeout", retryable: true })
        }
      })
    )

    it.effect("is refused with the mend when there is no key", () =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(
          ask({
            ...settingsOf(provider, ""),
            apiKey: Option.none(),
            baseUrl: Option.none()
          } as LanguageModels.ModelSettings)
        )
        assert.match(failed.message, /there is no key: set SOME_KEY in the environment/)
      })
    )
  })
}

describe.concurrent("The language model of openai chat", () => {
  const formats = (served: ReadonlyArray<Served>) =>
    served.map(({ body }) => (body as { response_format?: { type: string } }).response_format?.type)

  it.scopedLive("is asked in words when the server refuses a schema, and from then on", () =>
    Effect.gen(function* () {
      const text = `<think>{"verdict":"allow"}</think>\n\`\`\`json\n${JSON.stringify(said)}\n\`\`\``
      const refused = json(400, { error: { message: "response_format is not supported" } })
      const { served, url } = yield* serve([refused, json(200, chat(text))])
      const { first, second } = yield* Effect.all({
        first: question("20 seconds"),
        second: question("20 seconds")
      }).pipe(
        Effect.provide(
          LanguageModels.layer(settingsOf("openai chat", url)).pipe(
            Layer.provide([Containment.layerProcessGroup, NodeFileSystem.layer])
          )
        )
      )
      assert.deepStrictEqual([{ ...first }, { ...second }], [said, said])
      assert.deepStrictEqual(formats(served), ["json_schema", undefined, undefined])
      for (const { body } of served) assert.include(JSON.stringify(body), "Answer with one JSON object")
    })
  )

  it.scopedLive("gives up when the server refuses what is asked in words too", () =>
    Effect.gen(function* () {
      const { served, url } = yield* serve([json(400, { error: { message: "no such parameter" } })])
      const failed = yield* Effect.flip(ask(settingsOf("openai chat", url)))
      assert.deepInclude(failed, { reason: "rejected", retryable: false })
      assert.deepStrictEqual(formats(served), ["json_schema", undefined])
    })
  )

  it.scopedLive("says what an answer took, as far as the server does", () =>
    Effect.gen(function* () {
      const cut = { ...chat("{"), choices: [{ message: { content: "{" }, finish_reason: "length" }] }
      const { usage: _, ...bare } = chat(JSON.stringify(said))
      const { served, url } = yield* serve([json(200, cut), json(200, bare)])
      const answers = yield* Effect.replicateEffect(askModelText(judging), 2).pipe(
        Effect.provide(
          LanguageModels.layer(settingsOf("openai chat", url)).pipe(
            Layer.provide([Containment.layerProcessGroup, NodeFileSystem.layer])
          )
        )
      )
      assert.deepStrictEqual(answers, [
        { text: "{", inputTokens: Option.some(10), outputTokens: Option.some(5), costUsd: Option.none(), cutOff: true },
        {
          text: JSON.stringify(said),
          inputTokens: Option.none(),
          outputTokens: Option.none(),
          costUsd: Option.none(),
          cutOff: false
        }
      ])
      const body = served[0]?.body as { messages: ReadonlyArray<{ role: string }> } | undefined
      assert.deepInclude({ ...body }, { model: "some-model", max_tokens: 1024 } as object)
      assert.deepStrictEqual(
        body?.messages.map(({ role }) => role),
        ["system", "user"]
      )
    })
  )
})

/** A proxy: hands on what it is asked to connect to, and keeps the names. */
const proxy = Effect.acquireRelease(
  Effect.async<{ address: string; asked: Array<string>; close: () => void }>((resume) => {
    const asked: Array<string> = []
    const sockets = new Set<Duplex>()
    const server = createServer((_, response) => response.writeHead(500).end())
    server.on("connect", (request: IncomingMessage, socket: Duplex) => {
      asked.push(`${request.url} ${request.headers["proxy-authorization"]}`)
      const target = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
        target.pipe(socket).pipe(target)
      })
      for (const it of [socket, target]) sockets.add(it.on("error", () => it.destroy()))
    })
    server.listen(0, "127.0.0.1", () => {
      const port = (server.address() as AddressInfo).port
      const close = () => {
        for (const it of sockets) it.destroy()
        server.close()
      }
      resume(Effect.succeed({ address: `me:pw@127.0.0.1:${port}`, asked, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

describe.concurrent("A language model behind a proxy", () => {
  const behind = (url: string, environment: Record<string, string>): LanguageModels.ModelSettings =>
    ({ ...settingsOf("openai chat", url), proxy: proxyOf(environment, url) }) as LanguageModels.ModelSettings

  it.scopedLive("is reached through it, unless NO_PROXY names its host", () =>
    Effect.gen(function* () {
      const { served, url } = yield* serve([json(200, chat(JSON.stringify(said)))])
      const { address, asked } = yield* proxy
      const login = `Basic ${Buffer.from("me:pw").toString("base64")}`
      for (const environment of [
        { http_proxy: address },
        { HTTP_PROXY: `http://${address}`, NO_PROXY: "example.org" }
      ]) {
        assert.deepStrictEqual({ ...(yield* ask(behind(url, environment))) }, said)
      }
      assert.deepStrictEqual(asked, Array(2).fill(`${new URL(url).host} ${login}`))
      for (const environment of [
        { http_proxy: address, no_proxy: "example.org, 127.0.0.1" },
        { HTTPS_PROXY: "http://127.0.0.1:1" }
      ]) {
        assert.deepStrictEqual({ ...(yield* ask(behind(url, environment))) }, said)
      }
      assert.deepStrictEqual([asked.length, served.length], [2, 4])
    })
  )

  it.scopedLive("gives the same errors as without it, also when it hangs or the proxy is not there", () =>
    Effect.gen(function* () {
      const { address } = yield* proxy
      for (const [reply, expected] of [
        [json(401, {}), { reason: "unauthorized", retryable: false }],
        [() => undefined, { reason: "timeout", retryable: true }],
        [(response: ServerResponse) => response.writeHead(200).write("{"), { reason: "timeout", retryable: true }]
      ] as const) {
        const { url } = yield* serve([reply])
        const failed = yield* Effect.flip(ask(behind(url, { http_proxy: address }), "500 millis"))
        assert.deepInclude(failed, expected)
      }
      const failed = yield* Effect.flip(
        ask(behind("http://127.0.0.1:1/", { http_proxy: "http://me:secret-word@127.0.0.1:1" }))
      )
      assert.deepInclude(failed, { _tag: "ModelError", reason: "unavailable", retryable: true })
      assert.notInclude(`${failed.message} ${JSON.stringify(failed)}`, "secret-word")
    })
  )

  it.effect("cannot be used when the proxy is none of HTTP", () =>
    Effect.gen(function* () {
      for (const address of ["socks5://me:secret-word@127.0.0.1:1", "http://me:secret-word@:x"]) {
        const failed = yield* Effect.flip(ask(behind("http://127.0.0.1:1/", { http_proxy: address })))
        assert.match(failed.message, /http_proxy is no address of an HTTP proxy/)
        assert.notInclude(failed.message, "secret-word")
      }
    })
  )
})
