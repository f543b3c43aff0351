/** One try of a hook: a post, or a command. Never fails; what came of it is a value. */
import * as Subprocess from "@driver/agent/Subprocess"
import { StoredEvent } from "@driver/domain/DriverEvent"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { kindOf } from "../EventKinds.js"
import type { HookAction, HookSettings } from "../HookSettings.js"
import { judgeAnswer, Tried } from "./hookDecisions.js"

type Post = Extract<HookAction, { readonly _tag: "Post" }>
type Run = Extract<HookAction, { readonly _tag: "Run" }>

type Needs = HttpClient.HttpClient | Subprocess.Containment

/** One try, at most as long as the hook's `timeout`. */
export const call = ({ action, timeout }: HookSettings, event: StoredEvent): Effect.Effect<Tried, never, Needs> =>
  Effect.flatMap(
    Effect.orDie(encode(event)),
    (json): Effect.Effect<Tried, never, Needs> =>
      action._tag === "Post" ? post(action, event, json) : run(action, event, json)
  ).pipe(
    Effect.timeoutTo({
      duration: timeout,
      onSuccess: (tried) => tried,
      onTimeout: () =>
        Tried.Failed({ reason: `there was no answer within ${Duration.format(timeout)}`, after: Option.none() })
    }),
    Effect.catchAllDefect((defect) => Effect.succeed(Tried.Refused({ reason: `it met a defect: ${String(defect)}` })))
  )

const encode = Schema.encode(StoredEvent.FromJson)
const encoder = new TextEncoder()

/** `sha256=` and the HMAC of `<timestamp>.<body>` in hexadecimal. */
export const signatureOf = (
  secret: Redacted.Redacted<string>,
  timestamp: string,
  body: string
): Effect.Effect<string> =>
  Effect.promise(async () => {
    const { subtle } = globalThis.crypto
    const algorithm = { name: "HMAC", hash: "SHA-256" }
    const key = await subtle.importKey("raw", encoder.encode(Redacted.value(secret)), algorithm, false, ["sign"])
    const bytes = new Uint8Array(await subtle.sign("HMAC", key, encoder.encode(`${timestamp}.${body}`)))
    return `sha256=${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`
  })

const post = Effect.fnUntraced(function* ({ headers, secret, token, url }: Post, event: StoredEvent, json: string) {
  // Addresses can be secrets: they belong in no span.
  const client = HttpClient.withTracerDisabledWhen(yield* HttpClient.HttpClient, () => true)
  const now = yield* Clock.currentTimeMillis
  const timestamp = String(Math.floor(now / 1_000))
  const signature = yield* Effect.transposeMapOption(secret, (it) => signatureOf(it, timestamp, json))
  const request = HttpClientRequest.post(Redacted.value(url)).pipe(
    HttpClientRequest.setHeaders({ "user-agent": "driver", ...headers }),
    Option.isSome(token) ? HttpClientRequest.bearerToken(token.value) : (it) => it,
    HttpClientRequest.setHeaders({
      "x-driver-event": kindOf(event.event),
      "x-driver-delivery": event.messageId,
      "x-driver-timestamp": timestamp,
      ...Option.match(signature, { onNone: () => ({}), onSome: (it) => ({ "x-driver-signature": it }) })
    }),
    HttpClientRequest.bodyText(json, "application/json")
  )
  return yield* client.execute(request).pipe(
    Effect.flatMap((response) =>
      Effect.map(beginningOf(response), (text) =>
        judgeAnswer(response.status, response.headers["retry-after"], text, now)
      )
    ),
    Effect.catchAll((error) => Effect.succeed(judgeError(error))),
    // A post that is sent elsewhere arrives there as a get, without its body.
    Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
  )
})

/** Without the URL, which may be a secret. */
const judgeError = (error: HttpClientError.HttpClientError): Tried =>
  error._tag === "RequestError" && error.reason !== "Transport"
    ? Tried.Refused({ reason: `the request cannot be made (${error.reason})` })
    : Tried.Failed({ reason: "it cannot be reached", after: Option.none() })

/** Bytes that are read of an answer, and characters of it in the log. */
const longestAnswer = { read: 4_096, shown: 200 }

/** Reads no more than a little, and so also lets go of the connection. An answer that breaks off has still a status. */
const beginningOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  response.stream.pipe(
    Stream.mapAccum(0, (before, bytes) => [before + bytes.length, { bytes, before }]),
    Stream.takeWhile(({ before }) => before < longestAnswer.read),
    Stream.map(({ bytes }) => bytes),
    Stream.decodeText(),
    Stream.mkString,
    Effect.map((text) => text.slice(0, longestAnswer.shown).replace(/\s+/g, " ")),
    Effect.orElseSucceed(() => "")
  )

const run = ({ argv, cwd, env }: Run, event: StoredEvent, json: string) =>
  Subprocess.run({
    argv,
    cwd,
    env: {
      ...env,
      DRIVER_EVENT: kindOf(event.event),
      DRIVER_GOAL_ID: event.goalId,
      DRIVER_DELIVERY: event.messageId
    },
    stdin: Stream.make(encoder.encode(json)),
    owner: event.goalId,
    maxOutputBytes: 16 * 1024
  }).pipe(
    Effect.map(({ exit, stderr, stdout }) => {
      if (exit._tag === "Exited" && exit.code === 0) return Tried.Taken()
      const said = new TextDecoder().decode(stderr.length > 0 ? stderr : stdout).trim()
      const how = exit._tag === "Exited" ? `it exited with ${exit.code}` : `it was ended by ${exit.signal}`
      const reason = said === "" ? how : `${how}: ${said.slice(-longestAnswer.shown).replace(/\s+/g, " ")}`
      return Tried.Failed({ reason, after: Option.none() })
    }),
    Effect.catchAll((error) =>
      Effect.succeed(
        error.reason === "too_many_files" || error.reason === "other"
          ? Tried.Failed({ reason: error.message, after: Option.none() })
          : Tried.Refused({ reason: error.message })
      )
    )
  )
