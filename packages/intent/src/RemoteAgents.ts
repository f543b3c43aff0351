/**
 * Agents elsewhere that take goals: who there is, what they can do, and a call that
 * hands one of them a goal. When to call, how often, and what to do when nobody
 * answers, is decided in `Delegation.ts`.
 */
import { Goal } from "@driver/domain/Goal"
import { Redactor } from "@driver/domain/Redactor"
import { key, optional, withDefault } from "@driver/domain/Wire"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** Who an agent is, and what it offers. */
export interface AgentCard {
  /** Unique. */
  readonly name: string
  /** Words like `code-review`, compared as they are. */
  readonly capabilities: ReadonlyArray<string>
}

/** A goal for somebody else. The same goal may arrive twice: its id says so. */
export class RemoteTask extends Schema.Class<RemoteTask>("RemoteTask")({
  goal: Goal,
  role: Schema.Literal("worker", "manager"),
  /** What the agent is told of the place; data, as everything in it. */
  workspaceContext: key(Schema.String, "workspace_context")
}) {}

/** What the agent says came of it: a claim, which the criteria of the whole have to bear out. */
export class RemoteResult extends Schema.Class<RemoteResult>("RemoteResult")({
  success: Schema.Boolean,
  output: withDefault(Schema.String, "output", () => ""),
  /** Where the work can be fetched. */
  branch: optional(Schema.NonEmptyTrimmedString, "branch")
}) {}

/** The agent could not be asked, or its answer cannot be read. Whether it has worked is not known. */
export class RemoteError extends Schema.TaggedError<RemoteError>()("RemoteError", {
  agent: Schema.String,
  detail: Schema.String,
  /** Asking again may help. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `The agent ${this.agent} gave no answer: ${this.detail}`
  }
}

export class RemoteAgents extends Context.Tag("@driver/intent/RemoteAgents")<
  RemoteAgents,
  {
    /** In the order in which they are preferred. */
    readonly agents: ReadonlyArray<AgentCard>
    /** One try. Resolves when the agent has ended with the goal. Interrupting it withdraws the call, not the agent's work. */
    readonly run: (agent: AgentCard, task: RemoteTask) => Effect.Effect<RemoteResult, RemoteError>
  }
>() {
  /** There is nobody: everything is done here. */
  static readonly layerNone: Layer.Layer<RemoteAgents> = Layer.succeed(this, {
    agents: [],
    run: ({ name }) => new RemoteError({ agent: name, detail: "there are no remote agents", retryable: false })
  })

  /** Answers the n-th call of all with the n-th function, the last one answers all that follow; `RemoteCalls` has the calls. */
  static readonly layerScripted = (
    agents: ReadonlyArray<AgentCard>,
    answers: ReadonlyArray<(task: RemoteTask) => Effect.Effect<RemoteResult, RemoteError>>
  ): Layer.Layer<RemoteAgents | RemoteCalls> =>
    Layer.effectContext(
      Effect.map(Ref.make<ReadonlyArray<RemoteCall>>([]), (calls) =>
        Context.make(RemoteAgents, {
          agents,
          run: ({ name }, task) =>
            Effect.flatMap(
              Ref.modify(calls, (before) => [before.length, [...before, { agent: name, task }]]),
              (index) =>
                answers[Math.min(index, answers.length - 1)]?.(task) ??
                new RemoteError({ agent: name, detail: "the script has no answer", retryable: false })
            )
        }).pipe(Context.add(RemoteCalls, Ref.get(calls)))
      )
    )

  /** Agents behind HTTP: `POST <url>` with a `RemoteTask` without secrets, answered by a `RemoteResult`. */
  static readonly layerHttp = (
    agents: ReadonlyArray<HttpAgent>
  ): Layer.Layer<RemoteAgents, never, HttpClient.HttpClient> =>
    Layer.effect(
      this,
      Effect.map(Effect.all([HttpClient.HttpClient, Redactor]), ([client, redactor]) => ({
        agents,
        run: Effect.fn("RemoteAgents.run")(({ name }, task) => {
          const agent = agents.find((it) => it.name === name)
          return agent === undefined
            ? new RemoteError({ agent: name, detail: "nobody knows where it is", retryable: false })
            : post(client, agent, redactor.value(task))
        })
      }))
    )

  /** All of them, in this order. */
  static readonly together = (parts: ReadonlyArray<RemoteAgents["Type"]>): RemoteAgents["Type"] => ({
    agents: parts.flatMap(({ agents }) => agents),
    run: (agent, task) =>
      parts.find(({ agents }) => agents.some(({ name }) => name === agent.name))?.run(agent, task) ??
      new RemoteError({ agent: agent.name, detail: "nobody knows where it is", retryable: false })
  })
}

export interface RemoteCall {
  readonly agent: string
  readonly task: RemoteTask
}

/** The calls that `RemoteAgents.layerScripted` got, oldest first. */
export class RemoteCalls extends Context.Tag("@driver/intent/RemoteAgents/RemoteCalls")<
  RemoteCalls,
  Effect.Effect<ReadonlyArray<RemoteCall>>
>() {}

export interface HttpAgent extends AgentCard {
  readonly url: string
  /** Sent as a bearer token. */
  readonly token: Option.Option<Redacted.Redacted<string>>
  /** For one try, until the whole answer is there. */
  readonly timeout: Duration.Duration
}

/** In bytes. An answer is a result and no work: that is on a branch. */
const longestAnswer = 1024 * 1024

const decodeResult = Schema.decodeUnknown(Schema.parseJson(RemoteResult))
const encodeTask = Schema.encodeSync(RemoteTask)

const post = (
  client: HttpClient.HttpClient,
  { name, timeout, token, url }: HttpAgent,
  task: RemoteTask
): Effect.Effect<RemoteResult, RemoteError> => {
  const failed = (detail: string, retryable: boolean) => new RemoteError({ agent: name, detail, retryable })
  const request = HttpClientRequest.post(url, { headers: { "idempotency-key": task.goal.id } }).pipe(
    HttpClientRequest.bodyUnsafeJson(encodeTask(task)),
    Option.isSome(token) ? HttpClientRequest.bearerToken(token.value) : (it) => it
  )
  return client.execute(request).pipe(
    Effect.mapError((error) => failed(reasonOf(error), true)),
    Effect.flatMap((response) =>
      response.status >= 200 && response.status < 300
        ? textOf(response).pipe(Effect.mapError((detail) => failed(detail, true)))
        : failed(
            `it answered with status ${response.status}`,
            response.status >= 500 || response.status === 408 || response.status === 429
          )
    ),
    Effect.flatMap((text) => Effect.mapError(decodeResult(text), () => failed("its answer is not a result", false))),
    Effect.timeoutFail({
      duration: timeout,
      onTimeout: () => failed(`there was no answer within ${Duration.format(timeout)}`, true)
    })
  )
}

/** Without the URL, which may hold a password. */
const reasonOf = (error: HttpClientError.HttpClientError): string =>
  error._tag === "RequestError" && error.reason === "Transport"
    ? "it cannot be reached"
    : `the call failed (${error.reason})`

const textOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string, string> =>
  response.stream.pipe(
    Stream.mapError(() => "the answer broke off"),
    Stream.mapAccum(0, (length, bytes) => [length + bytes.length, { bytes, length: length + bytes.length }]),
    Stream.mapEffect(({ bytes, length }) =>
      length > longestAnswer ? Effect.fail(`the answer is longer than ${longestAnswer} bytes`) : Effect.succeed(bytes)
    ),
    Stream.decodeText(),
    Stream.mkString
  )
