/**
 * What an operator wants done when something happens: a URL that is told, or a
 * command that is run.
 *
 *     outbox ─▶ is it for the hook? ─▶ try ─┬─ taken (2xx, exit 0) ───────────────────▶ removed
 *                                   ▲       ├─ refused (4xx, no such program) ────────▶ given up
 *                                   │       └─ failed (5xx, no answer, exit 1) ─┬─ again, later and later
 *                                   └───────────────────────────────────────────┘  after the last try: given up
 *
 * Each hook is a consumer of the outbox by its own name (`consumersOf`), so that one
 * that is dead holds up no other. In order per goal and hook, at least once: a
 * receiver knows what it had before by `X-Driver-Delivery`. What is given up is
 * logged and counted. After that the hook counts as dead: an event gets one try,
 * until one is taken, so that the outbox of a hook that is gone does not grow for ever.
 */
import type { Containment } from "@driver/agent/Subprocess"
import type { StoredEvent } from "@driver/domain/DriverEvent"
import type { HttpClient } from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { SinkReport } from "./EventSink.js"
import { type HookSettings, isFor } from "./HookSettings.js"
import { call } from "./internal/hookCall.js"
import { delayAfter, type Tried } from "./internal/hookDecisions.js"
import { Outbox } from "./Outbox.js"
import type { Claimant } from "./OutboxClaims.js"
import * as OutboxDrain from "./OutboxDrain.js"

/** The consumer as which a hook is known to the outbox. */
export const consumerOf = ({ name }: { readonly name: string }): string => `hook:${name}`

/** For the layer of the store: an event is kept for a consumer only when the store was told of it. */
export const consumersOf = (hooks: ReadonlyArray<{ readonly name: string }>): ReadonlyArray<string> =>
  hooks.map(consumerOf)

export interface EventHooksOptions {
  /** Goals that one hook is told of at once. Default 8. */
  readonly concurrency?: number
  /** How often the outbox is looked at for what other processes wrote. Default 2 seconds. */
  readonly pollEvery?: Duration.DurationInput
  /** The longest that closing waits for tries under way and for events that were not tried yet. Default 5 seconds. */
  readonly closeTimeout?: Duration.DurationInput
  /** As whom this driver claims the hooks: of several with one store, one calls each. */
  readonly claimant?: Claimant
}

export class EventHooks extends Context.Tag("@driver/runtime/EventHooks")<
  EventHooks,
  {
    /** One per hook, in the order of the settings. `queued` is what is in the outbox, also what the hook does not want. */
    readonly reports: Effect.Effect<ReadonlyArray<SinkReport>>
  }
>() {
  /**
   * Runs the hooks for as long as the layer lives. When it closes, each event that is there gets its first try; what has
   * failed stays in the outbox, for the next driver.
   */
  static readonly layer = (
    hooks: ReadonlyArray<HookSettings>,
    options: EventHooksOptions = {}
  ): Layer.Layer<EventHooks, never, Outbox | HttpClient | Containment> => Layer.scoped(this, make(hooks, options))
}

const make = Effect.fnUntraced(function* (hooks: ReadonlyArray<HookSettings>, options: EventHooksOptions) {
  const closeTimeout = Duration.decode(options.closeTimeout ?? "5 seconds")
  const closing = yield* Deferred.make<void>()
  const running = yield* Effect.forEach(hooks, (hook) => makeHook(hook, closing, options))

  // Not `forkScoped`: what is there is delivered before the fibers end.
  yield* Effect.acquireRelease(
    Effect.forEach(running, ({ run }) => Effect.forkDaemon(Effect.interruptible(run))),
    (fibers) =>
      Effect.gen(function* () {
        yield* Deferred.succeed(closing, undefined)
        yield* Effect.forEach(running, ({ settled }) => settled, { concurrency: "unbounded", discard: true }).pipe(
          Effect.timeoutOption(closeTimeout)
        )
        yield* Fiber.interruptAll(fibers)
      }).pipe(Effect.interruptible)
  )
  return EventHooks.of({ reports: Effect.forEach(running, ({ report }) => report) })
})

const makeHook = Effect.fnUntraced(function* (
  hook: HookSettings,
  closing: Deferred.Deferred<void>,
  { claimant, concurrency = 8, pollEvery = "2 seconds" }: EventHooksOptions
) {
  const outbox = yield* Outbox
  const context = yield* Effect.context<HttpClient | Containment>()
  const consumer = consumerOf(hook)
  const drain = yield* OutboxDrain.make({
    consumer,
    concurrency,
    pollEvery,
    wants: isFor(hook),
    ...(claimant === undefined ? {} : { claimant })
  })
  let lastError: string | undefined
  let queued = 0
  // The last event that was tried to the end was given up for want of an answer.
  let dead = false

  const taken = Effect.suspend(() => {
    if (!dead) return Effect.void
    dead = false
    return Effect.logWarning(`The hook ${hook.name} works again`)
  })

  const giveUp = (event: StoredEvent, tries: number, reason: string) => {
    lastError = reason
    return Effect.logError(
      `The hook ${hook.name} did not get event ${event.messageId} (${event.event._tag}) of goal ${event.goalId}, and will not: ${reason} (${tries === 1 ? "1 try" : `${tries} tries`})`
    )
  }

  /** None: it is to be tried again, after that long. */
  const judge = (
    event: StoredEvent,
    tries: number,
    tried: Tried
  ): Effect.Effect<Option.Option<OutboxDrain.Delivered>> =>
    Effect.gen(function* () {
      if (tried._tag === "Taken") {
        yield* taken
        return Option.some("delivered")
      }
      if (tried._tag === "Refused") {
        yield* giveUp(event, tries, tried.reason)
        return Option.some("given_up")
      }
      lastError = tried.reason
      if (tries >= hook.tries || dead) {
        if (!dead) yield* Effect.logError(`The hook ${hook.name} counts as dead: events get one try until one is taken`)
        dead = true
        yield* giveUp(event, tries, tried.reason)
        return Option.some("given_up")
      }
      const delay = delayAfter(tries, hook, tried.after, yield* Random.next)
      yield* (tries === 1 ? Effect.logWarning : Effect.logDebug)(
        `The hook ${hook.name} did not take event ${event.messageId}: ${tried.reason}. Next try in ${Duration.format(Duration.seconds(Math.round(Duration.toSeconds(delay))))}`
      )
      yield* Effect.raceFirst(Effect.sleep(delay), Deferred.await(closing))
      return (yield* Deferred.isDone(closing)) ? Option.some("later") : Option.none()
    })

  const deliver = (event: StoredEvent, tries = 1): Effect.Effect<OutboxDrain.Delivered> =>
    call(hook, event).pipe(
      Effect.provide(context),
      Effect.flatMap((tried) => judge(event, tries, tried)),
      Effect.flatMap((done) => (Option.isSome(done) ? Effect.succeed(done.value) : deliver(event, tries + 1)))
    )

  return {
    // A defect, which would be a mistake of ours, costs this hook a pause and the others nothing.
    run: drain
      .run((event) => deliver(event))
      .pipe(
        Effect.catchAllDefect((defect) =>
          Effect.zipRight(
            Effect.logError(`The hook ${hook.name} met a defect and begins anew`, defect),
            Effect.sleep("5 seconds")
          )
        ),
        Effect.forever
      ),
    settled: drain.settled,
    report: Effect.gen(function* () {
      queued = yield* Effect.orElseSucceed(outbox.count(consumer), () => queued)
      const { delivered, givenUp } = yield* drain.counts
      return {
        sink: consumer,
        queued,
        delivered,
        dropped: givenUp,
        droppedActivity: 0,
        lastError: Option.fromNullable(lastError)
      } satisfies SinkReport
    })
  }
})
