/**
 * What outlives the process: sessions (who said what, what was asked back, what is
 * being done) and the journal of each intent.
 *
 * Both are fenced: a journal's place can be taken once, and a session is changed only
 * by whoever has seen its last change. Who comes second gets `IntentConflict`.
 */
import { key, optional, WireTime } from "@driver/domain/Wire"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { Directive, IntentId, IntentSessionId } from "./Directive.js"
import { OpenClarification, type StoredIntentRecord } from "./IntentRecord.js"

/** The store could not read or write. `operation` names the call, `detail` what the database said. */
export class IntentStoreError extends Schema.TaggedError<IntentStoreError>()("IntentStoreError", {
  /** `IntentStore.append`, … */
  operation: Schema.String,
  detail: Schema.String,
  /** The database was busy or away: the same call may succeed later. */
  retryable: Schema.Boolean
}) {
  override get message() {
    return `${this.operation} failed: ${this.detail}`
  }
}

/** Somebody else has gone on with the session or the intent meanwhile. Read it again. */
export class IntentConflict extends Schema.TaggedError<IntentConflict>()("IntentConflict", {
  /** The session or the intent. */
  id: Schema.String
}) {
  override get message() {
    return `Somebody else has gone on with ${this.id} meanwhile: look at what came of that, then ask again`
  }
}

/** One message of a session. */
export class SessionMessage extends Schema.Class<SessionMessage>("SessionMessage")({
  role: Schema.Literal("user", "agent"),
  text: Schema.String,
  at: WireTime,
  intentId: key(IntentId, "intent_id")
}) {}

/** A session without its messages. */
export class Session extends Schema.Class<Session>("Session")({
  id: IntentSessionId,
  /** The number of commits so far: 1 after the first. */
  revision: Schema.NonNegativeInt,
  createdAt: key(WireTime, "created_at"),
  updatedAt: key(WireTime, "updated_at"),
  /** What the session waits for. */
  open: optional(OpenClarification, "open"),
  /** The intent that has begun and has no answer yet. */
  activeIntent: optional(IntentId, "active_intent"),
  /** What was run last, or is running. */
  activeDirective: optional(Directive, "active_directive")
}) {}

export interface SessionChange {
  /** With the revision that was read, 0 for a new session. The store gives it the next. */
  readonly session: Session
  /** Appended in this order. */
  readonly messages: ReadonlyArray<SessionMessage>
}

export class IntentStore extends Context.Tag("@driver/intent/IntentStore")<
  IntentStore,
  {
    /** The session, when there is one. */
    readonly session: (id: IntentSessionId) => Effect.Effect<Option.Option<Session>, IntentStoreError>
    /** The last messages of a session, oldest first, at most `limit` of them. */
    readonly messages: (
      id: IntentSessionId,
      limit: number
    ) => Effect.Effect<ReadonlyArray<SessionMessage>, IntentStoreError>
    /** Changes the session and appends the messages, both or neither. Resolves with the session as it is now. */
    readonly commit: (change: SessionChange) => Effect.Effect<Session, IntentStoreError | IntentConflict>
    /** Every session, the latest change first. */
    readonly sessions: Effect.Effect<ReadonlyArray<Session>, IntentStoreError>
    /** Appends one record. Fails with `IntentConflict` when its place is taken, or would leave a gap. */
    readonly append: (record: StoredIntentRecord) => Effect.Effect<void, IntentStoreError | IntentConflict>
    /** The records of an intent in their order; none for one that is not known. */
    readonly records: (id: IntentId) => Effect.Effect<ReadonlyArray<StoredIntentRecord>, IntentStoreError>
  }
>() {
  /** Forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<IntentStore> = Layer.effect(
    this,
    Effect.map(Ref.make(emptyMemory()), makeMemory)
  )
}

interface Memory {
  readonly sessions: HashMap.HashMap<IntentSessionId, Session>
  readonly messages: HashMap.HashMap<IntentSessionId, ReadonlyArray<SessionMessage>>
  readonly records: HashMap.HashMap<IntentId, ReadonlyArray<StoredIntentRecord>>
}

function emptyMemory(): Memory {
  return { sessions: HashMap.empty(), messages: HashMap.empty(), records: HashMap.empty() }
}

function makeMemory(memory: Ref.Ref<Memory>): IntentStore["Type"] {
  const listOf = <K, A>(map: HashMap.HashMap<K, ReadonlyArray<A>>, id: K) =>
    Option.getOrElse(HashMap.get(map, id), (): ReadonlyArray<A> => [])
  return {
    session: (id) => Effect.map(Ref.get(memory), ({ sessions }) => HashMap.get(sessions, id)),
    messages: (id, limit) =>
      Effect.map(Ref.get(memory), ({ messages }) => {
        const all = listOf(messages, id)
        return all.slice(Math.max(0, all.length - limit))
      }),
    commit: ({ messages, session }) =>
      Effect.flatten(
        Ref.modify(memory, (before): readonly [Effect.Effect<Session, IntentConflict>, Memory] => {
          const revision = Option.match(HashMap.get(before.sessions, session.id), {
            onNone: () => 0,
            onSome: (it) => it.revision
          })
          if (revision !== session.revision) return [Effect.fail(new IntentConflict({ id: session.id })), before]
          const after = new Session({ ...session, revision: revision + 1 })
          return [
            Effect.succeed(after),
            {
              ...before,
              sessions: HashMap.set(before.sessions, session.id, after),
              messages: HashMap.set(before.messages, session.id, [...listOf(before.messages, session.id), ...messages])
            }
          ]
        })
      ),
    sessions: Effect.map(Ref.get(memory), ({ sessions }) =>
      [...HashMap.values(sessions)].sort((a, b) => b.updatedAt.epochMillis - a.updatedAt.epochMillis)
    ),
    append: (record) =>
      Effect.flatten(
        Ref.modify(memory, (before): readonly [Effect.Effect<void, IntentConflict>, Memory] => {
          const records = listOf(before.records, record.intentId)
          return records.length === record.sequence
            ? [Effect.void, { ...before, records: HashMap.set(before.records, record.intentId, [...records, record]) }]
            : [Effect.fail(new IntentConflict({ id: record.intentId })), before]
        })
      ),
    records: (id) => Effect.map(Ref.get(memory), ({ records }) => listOf(records, id))
  }
}
