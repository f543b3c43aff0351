/**
 * The places that a person works in, by name: mounts, which are directories, and
 * projects, which are several of them with instructions.
 *
 * It keeps what it is told and knows nothing of messages: which of them a message
 * means is said in `MountDetection.ts`, what a model is told of them in
 * `WorkspaceContext.ts`.
 */
import { optional, WireTime } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { type IntentSessionId, MountId, ProjectId } from "./Directive.js"
import { Mount } from "./ExecEnv.js"

/** What a person calls it: no white space around it, none but blanks in it, at most 100 characters. */
export const RegistryName = Schema.NonEmptyTrimmedString.pipe(
  Schema.maxLength(100),
  Schema.filter((name) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name) || "expected a name of one line")
)

/** Its id is a UUID, minted by whoever adds it; its path absolute. No summary: nobody has looked yet. */
export class RegisteredMount extends Schema.Class<RegisteredMount>("RegisteredMount")({
  ...Mount.fields,
  /** Unique among the mounts, whatever the case of its letters. */
  name: RegistryName,
  /** When it last was active. Absent: never. */
  lastUsedAt: optional(WireTime, "last_used_at")
}) {}

/** Its id is a UUID, minted by whoever adds it. */
export class Project extends Schema.Class<Project>("Project")({
  id: ProjectId,
  /** Unique among the projects, whatever the case of its letters. */
  name: RegistryName,
  /** In the order in which they become active. */
  mounts: Schema.Array(MountId),
  /** What holds for all work on it, in the words that a model gets. May be empty. */
  instructions: Schema.String
}) {}

/** The registry could not be read or written. */
export class RegistryError extends Schema.TaggedError<RegistryError>()("RegistryError", {
  /** `Registry.addMount`, … */
  operation: Schema.String,
  detail: Schema.String,
  /** The same call may succeed later. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `The registry of mounts and projects cannot be used (${this.operation}): ${this.detail}`
  }
}

/** Another one has this name. Nothing was added. */
export class NameTaken extends Schema.TaggedError<NameTaken>()("NameTaken", {
  kind: Schema.Literal("mount", "project"),
  name: Schema.String
}) {
  override get message() {
    return `There is a ${this.kind} of the name ${JSON.stringify(this.name)} already: remove it, or take another name`
  }
}

/** A project names a mount that is not there. Nothing was added. */
export class UnknownMount extends Schema.TaggedError<UnknownMount>()("UnknownMount", { mount: Schema.String }) {
  override get message() {
    return `There is no mount ${this.mount}`
  }
}

export class Registry extends Context.Tag("@driver/intent/Registry")<
  Registry,
  {
    /** By name. */
    readonly mounts: Effect.Effect<ReadonlyArray<RegisteredMount>, RegistryError>
    readonly addMount: (mount: RegisteredMount) => Effect.Effect<void, NameTaken | RegistryError>
    /** Takes it out of its projects as well, and is nobody's primary any more. One that is not there is no error. */
    readonly removeMount: (id: MountId) => Effect.Effect<void, RegistryError>
    /** The mounts were active just now. */
    readonly touchMounts: (ids: ReadonlyArray<MountId>) => Effect.Effect<void, RegistryError>
    /** What was found out about a mount. One that is gone meanwhile stays gone. */
    readonly summarizeMount: (id: MountId, summary: string) => Effect.Effect<void, RegistryError>
    /** By name. */
    readonly projects: Effect.Effect<ReadonlyArray<Project>, RegistryError>
    readonly addProject: (project: Project) => Effect.Effect<void, NameTaken | UnknownMount | RegistryError>
    /** The mounts stay. One that is not there is no error. */
    readonly removeProject: (id: ProjectId) => Effect.Effect<void, RegistryError>
    /** The mount that comes first in a session, once one has. */
    readonly primaryOf: (sessionId: IntentSessionId) => Effect.Effect<Option.Option<MountId>, RegistryError>
    /** From now on this one comes first in the session. */
    readonly setPrimary: (sessionId: IntentSessionId, id: MountId) => Effect.Effect<void, RegistryError>
  }
>() {
  /** For one process: forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<Registry> = Layer.effect(
    this,
    Effect.map(Ref.make<State>({ mounts: [], projects: [], primaries: new Map() }), (state) => makeMemory(state))
  )
}

/** Names are the same when these are. */
export const nameKey = (name: string): string => name.normalize("NFKC").toLowerCase()

/** By name, whatever its case; equal ones cannot be. */
export const byName = (a: { readonly name: string }, b: { readonly name: string }): number => {
  const [first, second] = [nameKey(a.name), nameKey(b.name)]
  return first < second ? -1 : first > second ? 1 : 0
}

interface State {
  readonly mounts: ReadonlyArray<RegisteredMount>
  readonly projects: ReadonlyArray<Project>
  /** By session. */
  readonly primaries: ReadonlyMap<IntentSessionId, MountId>
}

const makeMemory = (state: Ref.Ref<State>): Registry["Type"] => {
  const changeMounts = (change: (mount: RegisteredMount) => RegisteredMount) =>
    Ref.update(state, (it) => ({ ...it, mounts: it.mounts.map(change) }))
  const isTaken = (all: ReadonlyArray<{ readonly name: string }>, name: string) =>
    all.some((it) => nameKey(it.name) === nameKey(name))

  return {
    mounts: Effect.map(Ref.get(state), ({ mounts }) => [...mounts].sort(byName)),

    addMount: (mount) =>
      Ref.modify(state, (it): [Effect.Effect<void, NameTaken>, State] =>
        isTaken(it.mounts, mount.name)
          ? [new NameTaken({ kind: "mount", name: mount.name }), it]
          : [Effect.void, { ...it, mounts: [...it.mounts, mount] }]
      ).pipe(Effect.flatten),

    removeMount: (id) =>
      Ref.update(state, ({ mounts, primaries, projects }) => ({
        mounts: mounts.filter((it) => it.id !== id),
        projects: projects.map((it) => new Project({ ...it, mounts: it.mounts.filter((mount) => mount !== id) })),
        primaries: new Map([...primaries].filter(([, mount]) => mount !== id))
      })),

    touchMounts: (ids) =>
      Effect.flatMap(DateTime.now, (now) =>
        changeMounts((it) => (ids.includes(it.id) ? new RegisteredMount({ ...it, lastUsedAt: Option.some(now) }) : it))
      ),

    summarizeMount: (id, summary) =>
      changeMounts((it) => (it.id === id ? new RegisteredMount({ ...it, summary: Option.some(summary) }) : it)),

    projects: Effect.map(Ref.get(state), ({ projects }) => [...projects].sort(byName)),

    addProject: (project) =>
      Ref.modify(state, (it): [Effect.Effect<void, NameTaken | UnknownMount>, State] => {
        const unknown = project.mounts.find((id) => !it.mounts.some((mount) => mount.id === id))
        if (unknown !== undefined) return [new UnknownMount({ mount: unknown }), it]
        return isTaken(it.projects, project.name)
          ? [new NameTaken({ kind: "project", name: project.name }), it]
          : [Effect.void, { ...it, projects: [...it.projects, project] }]
      }).pipe(Effect.flatten),

    removeProject: (id) =>
      Ref.update(state, (it) => ({ ...it, projects: it.projects.filter((project) => project.id !== id) })),

    primaryOf: (sessionId) =>
      Effect.map(Ref.get(state), ({ primaries }) => Option.fromNullable(primaries.get(sessionId))),

    setPrimary: (sessionId, id) =>
      Ref.update(state, (it) => ({ ...it, primaries: new Map(it.primaries).set(sessionId, id) }))
  }
}
