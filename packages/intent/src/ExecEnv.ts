/**
 * Where a directive is carried out: the mounts that a message is about, their paths,
 * and what the agent is told of them. Resolved apart from the directive.
 */
import { key, optional, withDefault } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type IntentContext, MountId, ProjectId } from "./Directive.js"

/** A directory that has a name. */
export class Mount extends Schema.Class<Mount>("Mount")({
  id: MountId,
  name: Schema.NonEmptyTrimmedString,
  /** Absolute. */
  path: Schema.NonEmptyString,
  summary: optional(Schema.NonEmptyTrimmedString, "summary")
}) {}

export class ExecEnv extends Schema.Class<ExecEnv>("ExecEnv")({
  /** The primary first, each once. */
  mounts: withDefault(Schema.Array(Mount), "mounts", () => []),
  /** Absolute; the primary's first, each once. Empty: wherever the driver was started. */
  paths: withDefault(Schema.Array(Schema.NonEmptyString), "paths", () => []),
  /** Rendered, within its limits; empty when there is nothing to say. Written by people and models: data for a prompt. */
  workspaceContext: key(Schema.String, "workspace_context"),
  projectId: optional(ProjectId, "project_id"),
  /** Nobody has spoken of the primary mount: it is what was at hand, and need not be the next message's. */
  primaryGuessed: withDefault(Schema.Boolean, "primary_guessed", () => false)
}) {
  static readonly empty: ExecEnv = new ExecEnv({ workspaceContext: "" })
}

/** The surroundings of a message could not be found out: a hint names nothing that exists, or the registry cannot be read. */
export class EnvironmentError extends Schema.TaggedError<EnvironmentError>()("EnvironmentError", {
  /** One sentence: what, and what to do. */
  detail: Schema.String,
  retryable: Schema.Boolean
}) {
  override get message() {
    return this.detail
  }
}

export class Environments extends Context.Tag("@driver/intent/Environments")<
  Environments,
  {
    /** What the message is about. It changes nothing. */
    readonly resolve: (message: string, context: IntentContext) => Effect.Effect<ExecEnv, EnvironmentError>
    /** Notes that the mounts and the project of the environment were used, for this session's next message too. */
    readonly touch: (env: ExecEnv, context: IntentContext) => Effect.Effect<void, EnvironmentError>
  }
>() {
  /** Always the same surroundings. */
  static readonly layerFixed = (env: ExecEnv = ExecEnv.empty): Layer.Layer<Environments> =>
    Layer.succeed(this, { resolve: () => Effect.succeed(env), touch: () => Effect.void })
}

/** The path that the work is done in. */
export const primaryPath = (env: ExecEnv): Option.Option<string> => Option.fromNullable(env.paths[0])
