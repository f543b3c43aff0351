/** A collector of OTLP over HTTP on loopback: keeps what it gets, and answers as the test says. */
import * as http from "node:http"
import { Effect, type Scope } from "effect"

export interface Received {
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number; readonly boolValue?: boolean }
}

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: ReadonlyArray<Attribute>
  readonly events: ReadonlyArray<unknown>
  readonly status: { readonly code: number; readonly message?: string }
}

export interface Collector {
  readonly endpoint: string
  readonly received: () => ReadonlyArray<Received>
  readonly spans: () => ReadonlyArray<ReceivedSpan>
  /** Resolves once so many requests have come. */
  readonly requests: (count: number) => Effect.Effect<void>
}

/** Status of the answer, or no answer at all. */
export type Answer = number | "never"

export const makeCollector = (
  answer: (request: Received) => Answer = () => 200
): Effect.Effect<Collector, never, Scope.Scope> =>
  Effect.gen(function* () {
    const received: Array<Received> = []
    const waiting = new Set<() => void>()
    const server = http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const it = { path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() }
        received.push(it)
        for (const look of [...waiting]) look()
        const status = answer(it)
        if (status !== "never") response.writeHead(status, { "content-type": "application/json" }).end("{}")
      })
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.dieMessage("the collector has no port")
    return {
      endpoint: `http://127.0.0.1:${address.port}`,
      received: () => received,
      spans: () =>
        received
          .filter((it) => it.path === "/v1/traces")
          .flatMap((it) => JSON.parse(it.body).resourceSpans[0].scopeSpans[0].spans),
      requests: (count) =>
        Effect.async<void>((resume) => {
          const look = () => {
            if (received.length < count) return
            waiting.delete(look)
            resume(Effect.void)
          }
          waiting.add(look)
          look()
          return Effect.sync(() => waiting.delete(look))
        })
    }
  })

export const attributesOf = (span: ReceivedSpan): Readonly<Record<string, unknown>> =>
  Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
