/**
 * The operator's messages to one goal that have not reached its agent yet, oldest
 * first. Each leaves by one way only: with a prompt, with an answer of the gate, or
 * into the running turn.
 *
 *   add ─▶ waiting ─┬─ take ────────────────────────────▶ a prompt has them
 *             ▲     └─ claim ─▶ claimed ─┬─ delivered ──▶ the agent has them
 *             └───────────────────────────┴─ give back
 *
 * While some are claimed nobody else gets any, so that none overtakes another: a
 * claim is over when an answer is written, which is soon. What is given back waits
 * before what came meanwhile.
 */
import { randomUuid } from "@driver/agent/PermissionGate"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Watched from "./internal/watched.js"

export interface Message {
  /** A UUID, minted when the message came in. Joins the events about it. */
  readonly id: string
  readonly text: string
}

/** All messages that waited, held for one answer. The first of the two counts, and each can be called again. */
export interface Claim {
  /** Oldest first, at least one. */
  readonly messages: ReadonlyArray<Message>
  /** The agent has them. Resolves with whether this call was the one that counted. */
  readonly delivered: Effect.Effect<boolean>
  /** The agent has not got them: they wait again, before the others. */
  readonly giveBack: Effect.Effect<void>
}

export interface OperatorMessages {
  /** Resolves with the message and with how many wait now. */
  readonly add: (text: string) => Effect.Effect<{ readonly message: Message; readonly waiting: number }>
  /** Puts what waited before a restart in front. */
  readonly restore: (messages: ReadonlyArray<Message>) => Effect.Effect<void>
  /** Takes all for a prompt. While some are claimed it waits until that is over. */
  readonly take: Effect.Effect<ReadonlyArray<Message>>
  /** None when nothing waits, or when others are claimed. Resolves at once. */
  readonly claim: Effect.Effect<Option.Option<Claim>>
  /** Waits a moment until nothing is claimed; what then still is, is given back, and counts as not delivered. */
  readonly close: Effect.Effect<void>
  /** How many have not reached the agent. */
  readonly size: Effect.Effect<number>
  /** Resolves when at least one waits, at once when one does. */
  readonly arrived: Effect.Effect<void>
}

interface State {
  readonly waiting: ReadonlyArray<Message>
  /** Compared by identity. */
  readonly claimed: Option.Option<ReadonlyArray<Message>>
}

export const make: Effect.Effect<OperatorMessages> = Effect.gen(function* () {
  const state = yield* Watched.make<State>({ waiting: [], claimed: Option.none() })

  const settled = Effect.asVoid(state.until(({ claimed }) => Option.isNone(claimed)))

  const take: Effect.Effect<ReadonlyArray<Message>> = Effect.flatMap(
    state.modify((it) =>
      Option.isSome(it.claimed)
        ? [Option.none<ReadonlyArray<Message>>(), it]
        : [Option.some(it.waiting), { ...it, waiting: [] }]
    ),
    Option.match({ onNone: () => Effect.zipRight(settled, take), onSome: Effect.succeed })
  )

  const claimOf = (messages: ReadonlyArray<Message>): Claim => {
    const end = (waiting: (it: State) => ReadonlyArray<Message>) =>
      state.modify((it) =>
        Option.isSome(it.claimed) && it.claimed.value === messages
          ? [true, { waiting: waiting(it), claimed: Option.none() }]
          : [false, it]
      )
    return {
      messages,
      delivered: end((it) => it.waiting),
      giveBack: Effect.asVoid(end((it) => [...messages, ...it.waiting]))
    }
  }

  return {
    add: (text) =>
      Effect.flatMap(randomUuid, (id) =>
        state.modify((it) => {
          const message: Message = { id, text }
          const waiting = [...it.waiting, message]
          return [
            { message, waiting: waiting.length },
            { ...it, waiting }
          ]
        })
      ),
    restore: (messages) => state.update((it) => ({ ...it, waiting: [...messages, ...it.waiting] })),
    take,
    claim: state.modify((it) =>
      Option.isSome(it.claimed) || it.waiting.length === 0
        ? [Option.none(), it]
        : [Option.some(claimOf(it.waiting)), { waiting: [], claimed: Option.some(it.waiting) }]
    ),
    close: Effect.flatMap(state.get, ({ claimed }) =>
      Option.isNone(claimed) ? Effect.void : Effect.timeoutOption(Effect.interruptible(settled), "1 second")
    ).pipe(
      Effect.zipRight(
        state.update(({ claimed, waiting }) => ({
          waiting: [...Option.getOrElse(claimed, () => []), ...waiting],
          claimed: Option.none()
        }))
      )
    ),
    size: Effect.map(
      state.get,
      ({ claimed, waiting }) => waiting.length + Option.match(claimed, { onNone: () => 0, onSome: (it) => it.length })
    ),
    arrived: Effect.asVoid(state.until(({ waiting }) => waiting.length > 0))
  }
})
