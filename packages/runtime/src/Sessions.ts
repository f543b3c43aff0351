/**
 * The agent session of one goal: opened when a turn needs it, resumed from the
 * goal's binding, replaced when the replay policy says so, and closed with the
 * goal's scope.
 *
 * A store that fails does not stop the work: the binding is then only less good
 * after a restart, and the log says so.
 */
import { Agent, type AgentError, type AgentEvent, type AgentSession } from "@driver/agent/Agent"
import type { GateTicket } from "@driver/agent/PermissionGate"
import type { SessionId } from "@driver/domain/Binding"
import { type Goal, metadataText } from "@driver/domain/Goal"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import { BindingStore } from "./BindingStore.js"
import type { GoalControl } from "./GoalControl.js"
import type { WorkspaceInfo } from "./Workspace.js"

export interface OpenSession {
  readonly session: AgentSession
  /** True until the first turn has started: the agent remembers nothing of this goal. */
  readonly fresh: boolean
  /** When the conversation began: milliseconds since the epoch. */
  readonly since: number
}

export interface Sessions {
  /** The running session, or a new one: resumed when the goal has a live binding. */
  readonly acquire: Effect.Effect<OpenSession, AgentError>
  /** Begins to open one, when none is running, and does not wait for it: the next `acquire` does. */
  readonly prepare: Effect.Effect<void>
  /** Keeps the binding up to date: called with every event of a turn. */
  readonly observe: (event: AgentEvent) => Effect.Effect<void>
  /** When the running conversation began: milliseconds since the epoch. */
  readonly since: Effect.Effect<Option.Option<number>>
  /** Ends the agent's processes. The next `acquire` resumes the conversation. */
  readonly close: Effect.Effect<void>
  /** Ends them, and forgets the conversation: the next `acquire` starts a new one. */
  readonly abandon: (reason: string) => Effect.Effect<void>
}

interface Slot extends OpenSession {
  readonly scope: Scope.CloseableScope
}

export const make = (options: {
  readonly goal: Goal
  readonly control: GoalControl
  readonly workspace: WorkspaceInfo
  readonly ticket: GateTicket
}): Effect.Effect<Sessions, never, Agent | BindingStore | Scope.Scope> =>
  Effect.gen(function* () {
    const { control, goal, ticket, workspace } = options
    const agent = yield* Agent
    const bindings = yield* BindingStore
    const goalScope = yield* Effect.scope
    const slot = yield* Ref.make(Option.none<Slot>())
    const saved = yield* Ref.make(Option.none<SessionId>())

    const open = Effect.gen(function* () {
      const binding = yield* orLogged(bindings.get(goal.id), "read the binding", Option.none())
      const scope = yield* Scope.fork(goalScope, ExecutionStrategy.sequential)
      const session = yield* agent
        .open({
          goalId: goal.id,
          workspace: workspace.path,
          resume: Option.map(binding, (it) => it.sessionId),
          gate: ticket
        })
        .pipe(
          Scope.extend(scope),
          Effect.tapErrorCause(() => Scope.close(scope, Exit.void))
        )
      const since = Option.match(binding, {
        onNone: () => Clock.currentTimeMillis,
        onSome: (it) => Effect.succeed(DateTime.toEpochMillis(it.createdAt))
      })
      const opened: Slot = { session, fresh: Option.isNone(binding), since: yield* since, scope }
      yield* Ref.set(slot, Option.some(opened))
      yield* Ref.set(control.session, Option.some(session))
      if (opened.fresh) yield* ticket.startSession
      return opened
    })

    // A session that is being opened ahead of its turn. Whatever ends or uses sessions takes it from here first.
    const ahead = yield* Ref.make(Option.none<Fiber.Fiber<OpenSession, AgentError>>())

    const acquire = Effect.flatMap(Ref.getAndSet(ahead, Option.none()), (opening) =>
      Option.isSome(opening)
        ? Effect.onInterrupt(Fiber.join(opening.value), () => Fiber.interrupt(opening.value))
        : Effect.flatMap(Ref.get(slot), Option.match({ onNone: () => open, onSome: Effect.succeed }))
    )

    const prepare = Effect.gen(function* () {
      if (Option.isSome(yield* Ref.get(slot)) || Option.isSome(yield* Ref.get(ahead))) return
      const opening = yield* Effect.forkIn(Effect.interruptible(open), goalScope)
      yield* Ref.set(ahead, Option.some(opening))
    }).pipe(Effect.uninterruptible)

    const close = Effect.gen(function* () {
      const opening = yield* Ref.getAndSet(ahead, Option.none())
      if (Option.isSome(opening)) yield* Fiber.interrupt(opening.value)
      const current = yield* Ref.getAndSet(slot, Option.none())
      yield* Ref.set(control.session, Option.none())
      if (Option.isSome(current)) yield* Scope.close(current.value.scope, Exit.void)
    }).pipe(Effect.uninterruptible)

    const save = (sessionId: SessionId, model: Option.Option<string>) =>
      Effect.gen(function* () {
        yield* bindings.upsert({
          goalId: goal.id,
          sessionId,
          model,
          workspace: workspace.path,
          originChannel: Option.fromNullable(metadataText(goal, "origin_channel")),
          dispatcher: Option.fromNullable(metadataText(goal, "dispatcher"))
        })
        yield* Ref.set(saved, Option.some(sessionId))
      })

    const started = (sessionId: SessionId, model: Option.Option<string>) =>
      Effect.gen(function* () {
        yield* Ref.update(
          slot,
          Option.map((it) => ({ ...it, fresh: false }))
        )
        const known = Option.contains(yield* Ref.get(saved), sessionId)
        const write = known ? bindings.touch(goal.id) : save(sessionId, model)
        yield* orLogged(write, "save the binding", undefined)
      })

    return {
      acquire,
      prepare,
      observe: (event) => (event._tag === "SessionStarted" ? started(event.sessionId, event.model) : Effect.void),
      since: Effect.map(
        Ref.get(slot),
        Option.map((it) => it.since)
      ),
      close,
      abandon: (reason) =>
        Effect.gen(function* () {
          yield* close
          yield* Ref.set(saved, Option.none())
          yield* orLogged(
            bindings.markInvalid(goal.id, control.redactor.text(reason)),
            "mark the binding invalid",
            undefined
          )
        })
    }
  })

const orLogged = <A, E, B>(effect: Effect.Effect<A, E>, what: string, otherwise: B): Effect.Effect<A | B> =>
  Effect.catchAll(effect, (error) => Effect.as(Effect.logError(`Could not ${what}`, error), otherwise))
