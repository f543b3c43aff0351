/**
 * The words on the gate's socket: one JSON object per line, `kind` first to tell
 * them apart, answers matched to questions by `id`.
 *
 *   hello{id, token}           ─▶  welcome{id}
 *   decide{id, token, request} ─▶  waiting{id, timeout_ms}*  decision{id, response}
 *   cancel{id, token}          ─▶  the question is withdrawn, and answered with a denial
 *   anything else              ─▶  error{id | null, message}
 *
 * `hello` is not needed, but only who has shown a valid token may send long lines.
 * Every frame carries the token: it says whose question it is. An id is used once
 * per connection.
 */
import { isAllowed, type PermissionOutcome, type ToolInput } from "@driver/domain/Permission"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { messageOf } from "./GoalGate.js"
import { deepest, isShallow } from "./internal/canonicalJson.js"

/** A number or a short text, chosen by who asks. */
export const FrameId = Schema.Union(Schema.Finite, Schema.String.pipe(Schema.minLength(1), Schema.maxLength(128)))
export type FrameId = typeof FrameId.Type

const token = Schema.String.pipe(Schema.maxLength(512))
const shortText = Schema.String.pipe(Schema.maxLength(512))
const optionalText = Schema.optionalWith(shortText, { as: "Option", nullable: true })

/** Taken as it is: a copy of a record would turn a key `__proto__` into something else. No tool has one. */
const input = Schema.declare(
  (it): it is ToolInput =>
    typeof it === "object" && it !== null && !Array.isArray(it) && !Object.hasOwn(it, "__proto__"),
  { identifier: "ToolInput" }
)

export const Hello = Schema.Struct({ kind: Schema.Literal("hello"), id: FrameId, token })

export const Decide = Schema.Struct({
  kind: Schema.Literal("decide"),
  id: FrameId,
  token,
  request: Schema.Struct({
    tool: Schema.String.pipe(Schema.minLength(1), Schema.maxLength(512)),
    input,
    tool_use_id: optionalText,
    agent_id: optionalText
  })
})
export type Decide = typeof Decide.Type

/** Withdraws the question with this id. */
export const Cancel = Schema.Struct({ kind: Schema.Literal("cancel"), id: FrameId, token })

/** What a client says. */
export const ClientFrame = Schema.Union(Hello, Decide, Cancel)
export type ClientFrame = typeof ClientFrame.Type

/** What the agent's program makes of an outcome. */
export type Response =
  | { readonly behavior: "allow"; readonly updatedInput?: ToolInput }
  | { readonly behavior: "deny"; readonly message: string }

/** What the driver says. */
export type ServerFrame =
  | { readonly kind: "welcome"; readonly id: FrameId }
  | { readonly kind: "waiting"; readonly id: FrameId; readonly timeout_ms: number }
  | { readonly kind: "decision"; readonly id: FrameId; readonly response: Response }
  | { readonly kind: "error"; readonly id: FrameId | null; readonly message: string }

export const encode = (frame: ServerFrame): string => `${JSON.stringify(frame)}\n`

/** An allowed call carries its input only when that was changed: an echo of a long input is rejected by the agent. */
export const responseOf = (outcome: PermissionOutcome): Response =>
  isAllowed(outcome)
    ? Option.match(outcome.updatedInput, {
        onNone: () => ({ behavior: "allow" }),
        onSome: (updatedInput) => ({ behavior: "allow", updatedInput })
      })
    : { behavior: "deny", message: messageOf(outcome) }

/** A line that is no frame. `message` never repeats what stood in it: that could be a token. */
export interface BadFrame {
  readonly id: Option.Option<FrameId>
  readonly message: string
}

const decodeClientFrame = Schema.decodeUnknownEither(ClientFrame)
const decodeId = Schema.decodeUnknownOption(Schema.Struct({ id: FrameId }))

/** Reads one line. Never throws. */
export const decode = (line: Uint8Array): Either.Either<ClientFrame, BadFrame> => {
  const parsed = Either.try(() => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line)) as unknown)
  if (Either.isLeft(parsed)) return Either.left({ id: Option.none(), message: "The line is not JSON in UTF-8" })
  const value = parsed.right
  const idOf = () => Option.map(decodeId(value), (it) => it.id)
  // The frame and its request stand around the input.
  if (!isShallow(value, deepest + 2)) {
    return Either.left({ id: idOf(), message: `The frame is nested more than ${deepest} levels deep` })
  }
  return Either.mapLeft(decodeClientFrame(value), (error) => ({
    id: idOf(),
    message: `The frame is not understood: expected hello{id, token}, decide{id, token, request{tool, input}} or cancel{id, token}; look at ${placesOf(error)}`
  }))
}

const placesOf = (error: ParseResult.ParseError): string => {
  const paths = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) => path.join(".") || "the whole")
  return [...new Set(paths)].slice(0, 5).join(", ").slice(0, 200)
}
