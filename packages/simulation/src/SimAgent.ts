/**
 * The agent of a simulated world: what a prompt is answered with follows from the
 * plan, and from how much of the work is done. Its conversations are the world's
 * and survive the driver; what runs in a process ends with it.
 */
import {
  type Agent,
  type AgentError,
  AgentEvent,
  AgentExited,
  AgentLineTooLong,
  AgentNotJson,
  type AgentSession,
  AgentStalled,
  AgentTornLine,
  AgentUnavailable,
  AgentUnsafe,
  type SessionOptions,
  TurnEnd
} from "@driver/agent/Agent"
import { SessionId } from "@driver/domain/Binding"
import { isAllowed, type ToolInput } from "@driver/domain/Permission"
import { TokenUsage, totalTokens } from "@driver/domain/Usage"
import { trusted } from "@driver/domain/Wire"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Behaviour, Item } from "./Plan.js"
import type { SimClock } from "./SimClock.js"
import * as World from "./World.js"

/** One thing that the agent does in a turn. */
type Step = Data.TaggedEnum<{
  Emit: { readonly event: AgentEvent }
  Wait: { readonly millis: number }
  /** Asks the gate; the call does a unit of work when it `works` and is allowed. */
  Call: { readonly input: ToolInput; readonly works: boolean }
  Break: { readonly error: AgentError }
  Hang: {}
}>
const Step = Data.taggedEnum<Step>()

/** Of the model's window, in tokens. */
const contextWindow = 200_000

const longestSilence = 10 * 60_000

const say = (text: string) => Step.Emit({ event: AgentEvent.Said({ text, parentToolUseId: Option.none() }) })

const endsWith = (goal: World.GoalWorld, spent: ReadonlyArray<Step>, end: TurnEnd, metered: boolean): Step => {
  const tokens = spent.flatMap((step) =>
    step._tag === "Emit" && step.event._tag === "Metered" ? [step.event.tokens] : []
  )
  return Step.Emit({
    event: AgentEvent.TurnEnded({
      result: {
        end,
        sessionId: Option.none(),
        usage: metered ? Option.some(tokens.reduce(addUp, TokenUsage.zero)) : Option.none(),
        costUsd: metered ? Option.some(tokens.length / 100) : Option.none(),
        contextTokens: Option.some(goal.context),
        contextWindow: Option.some(contextWindow),
        abandonedTasks: 0
      }
    })
  })
}

const addUp = (a: TokenUsage, b: TokenUsage): TokenUsage =>
  new TokenUsage(
    {
      input: a.input + b.input,
      output: a.output + b.output,
      cacheRead: a.cacheRead + b.cacheRead,
      cacheCreation: a.cacheCreation + b.cacheCreation
    },
    trusted
  )

const meter = (goal: World.GoalWorld, output: number): Step => {
  goal.context += goal.prng.below(goal.planned.appetite)
  const tokens = new TokenUsage({ input: 10, output, cacheRead: goal.prng.below(500), cacheCreation: 5 }, trusted)
  return Step.Emit({ event: AgentEvent.Metered({ tokens, contextTokens: Option.some(goal.context) }) })
}

const workSteps = (goal: World.GoalWorld, units: number): Array<Step> =>
  Array.from({ length: units }, (_, index) => [
    Step.Wait({ millis: goal.prng.between(500, 60_000) }),
    Step.Call({ input: { command: `work ${goal.calls.length}.${index}` }, works: true }),
    meter(goal, goal.prng.between(20, 900))
  ]).flat()

const stepsOf = (goal: World.GoalWorld, behaviour: Behaviour, now: number): Array<Step> => {
  const { pace } = goal.planned
  const some = () => workSteps(goal, goal.prng.below(pace + 1))
  const claim = (steps: Array<Step>, text: string, metered = true) => [
    ...steps,
    endsWith(goal, steps, TurnEnd.Completed({ text }), metered)
  ]
  return Behaviour.$match(behaviour, {
    Works: () => claim([say("working"), ...workSteps(goal, pace)], "done"),
    Idles: () => claim([Step.Wait({ millis: 500 }), meter(goal, 20)], "done"),
    Sleeps: ({ millis }) =>
      claim(some(), JSON.stringify({ __driver_sleep__: true, duration_ms: millis, reason: "a build runs" })),
    Wanders: ({ calls, same }) =>
      claim(
        Array.from({ length: calls }, (_, index) => [
          Step.Wait({ millis: 200 }),
          Step.Call({ input: { command: same ? "ls" : `ls ${index}` }, works: false }),
          meter(goal, 10)
        ]).flat(),
        "done"
      ),
    Fails: ({ failure, resetsIn, status }) => {
      const steps = some()
      if (failure === "session_dead") goal.sessions.clear()
      const end = TurnEnd.Failed({
        failure: {
          class: failure,
          message: `simulated: ${failure}`,
          status: status === 0 ? Option.none() : Option.some(status),
          resetsAt: Option.map(resetsIn, (millis) => now + millis)
        }
      })
      return [...steps, endsWith(goal, steps, end, true)]
    },
    Exits: () => [...some(), Step.Break({ error: new AgentExited({ exit: "signal SIGKILL", stderrTail: "" }) })],
    Hangs: () => [...some(), Step.Hang()],
    Stalls: () => [
      ...some(),
      Step.Wait({ millis: longestSilence }),
      Step.Break({ error: new AgentStalled({ idleFor: Duration.millis(longestSilence) }) })
    ],
    Babbles: ({ how }) => [...some(), Step.Break({ error: babble(how) })],
    Refuses: () => [],
    Trails: () => some(),
    Stops: ({ limit }) => {
      const steps = some()
      return [...steps, endsWith(goal, steps, TurnEnd.LimitReached({ limit }), true)]
    },
    Forgets: () => {
      goal.sessions.clear()
      const end = TurnEnd.Failed({
        failure: {
          class: "session_dead",
          message: "No conversation found",
          status: Option.none(),
          resetsAt: Option.none()
        }
      })
      return [endsWith(goal, [], end, true)]
    },
    Unmetered: () =>
      claim(
        workSteps(goal, pace).filter((step) => step._tag !== "Emit" || step.event._tag !== "Metered"),
        "done",
        false
      ),
    Devours: ({ tokens }) => claim([...workSteps(goal, pace), meter(goal, tokens)], "done")
  })
}

const babble = (how: "not_json" | "torn" | "too_long"): AgentError => {
  switch (how) {
    case "not_json":
      return new AgentNotJson({ excerpt: "Segmentation fault" })
    case "torn":
      return new AgentTornLine({ excerpt: `{"type":"assis`, exit: "code 1" })
    case "too_long":
      return new AgentLineTooLong({ limit: 1_024 })
  }
}

const refusal = (how: "unavailable" | "unsafe"): AgentError =>
  how === "unavailable"
    ? new AgentUnavailable({ program: "agent", reason: "not_found", detail: "it is gone", hint: "Install it." })
    : new AgentUnsafe({ problem: "permission_mode", detail: "bypassPermissions" })

const compactSteps = (goal: World.GoalWorld, fails: boolean): Array<Step> => {
  const before = goal.context
  if (!fails) goal.context = Math.floor(before / 10)
  const steps = [
    Step.Wait({ millis: goal.prng.between(1_000, 30_000) }),
    meter(goal, 300),
    Step.Emit({
      event: AgentEvent.Compacted({
        trigger: "manual",
        result: {
          succeeded: !fails,
          summary: fails ? Option.none() : Option.some(`${goal.work} units are done`),
          before: Option.some(before),
          after: fails ? Option.none() : Option.some(goal.context),
          error: fails ? Option.some("simulated") : Option.none()
        }
      })
    })
  ]
  return [...steps, endsWith(goal, steps, TurnEnd.Completed({ text: "" }), true)]
}

interface Running {
  /** Ends the wait of the turn, when it waits. */
  stop: () => void
  stopped: boolean
}

export const make = (world: World.World, holdings: World.Holdings, clock: SimClock): Context.Tag.Service<Agent> => ({
  kind: "simulated",
  open: (options) =>
    Effect.suspend(() => {
      const goal = World.goalIn(world, options.goalId)
      const next = goal.behaviours.get(World.count(goal.times, "opened") && goal.calls.length + 1)
      if (next?._tag === "Refuses" && World.count(goal.times, `refused ${goal.calls.length}`) === 1) {
        World.count(world.faults, `agent ${next.how}`)
        return Effect.fail(refusal(next.how))
      }
      return Effect.acquireRelease(
        Effect.sync(() => {
          holdings.sessions += 1
          return sessionOf(world, holdings, clock, goal, options)
        }),
        () =>
          Effect.sync(() => {
            holdings.sessions -= 1
          })
      )
    })
})

const sessionOf = (
  world: World.World,
  holdings: World.Holdings,
  clock: SimClock,
  goal: World.GoalWorld,
  options: SessionOptions
): AgentSession => {
  let id = Option.getOrUndefined(options.resume)
  let announced = false
  let running: Running | undefined

  const begin = (): ReadonlyArray<Step> => {
    if (announced) return []
    announced = true
    if (id === undefined) {
      goal.begun += 1
      goal.context = 1_000
      id = SessionId.make(`session-${goal.begun}`)
      goal.sessions.add(id)
    }
    return [
      Step.Emit({ event: AgentEvent.SessionStarted({ sessionId: id, model: Option.none(), version: Option.none() }) })
    ]
  }

  const play = (kind: World.AgentCall["kind"], prompt: string, turn: number) =>
    Stream.suspend(() => {
      const other = goal.calls.find((it) => it.ended === undefined && !world.dead.has(it.process))
      if (other !== undefined) {
        world.violations.push(`process ${holdings.process} asks the agent while it answers process ${other.process}`)
      }
      if (world.owners.get(goal.goal.id) !== holdings.process) {
        world.violations.push(`process ${holdings.process} asks the agent without the lease`)
      }
      if (goal.pending !== (kind === "turn" ? "Turn" : "Compaction")) {
        world.violations.push(`process ${holdings.process} asks the agent before the journal says so`)
      }
      const call: World.AgentCall = {
        kind,
        process: holdings.process,
        turn,
        prompt,
        began: world.timeline.now(),
        head: goal.head,
        ended: undefined
      }
      goal.calls.push(call)
      holdings.turns += 1
      const mine: Running = { stop: () => {}, stopped: false }
      running = mine
      const forgotten = id !== undefined && !goal.sessions.has(id)
      const turns = goal.calls.filter((it) => it.kind === "turn").length
      const behaviour = forgotten ? Behaviour.Forgets() : (goal.behaviours.get(turns) ?? Behaviour.Works())
      if (kind === "turn" && behaviour._tag !== "Works") World.count(world.faults, `turn ${behaviour._tag}`)
      const fails = kind === "compact" && compactionFails(world, goal)
      const steps = [
        ...begin(),
        ...(kind === "compact" ? compactSteps(goal, fails) : stepsOf(goal, behaviour, clock.unsafeCurrentTimeMillis()))
      ]
      return Stream.repeatEffectChunkOption(pullOf(clock, goal, options, steps, mine)).pipe(
        Stream.ensuring(
          Effect.sync(() => {
            call.ended = world.timeline.now()
            holdings.turns -= 1
            if (running === mine) running = undefined
          })
        )
      )
    })

  return {
    turn: ({ prompt, turn }) => play("turn", prompt, turn),
    compact: (focus) => play("compact", focus, 0),
    steer: (message) =>
      Effect.sync(() => {
        if (running === undefined) return false
        goal.heard.push(message)
        return true
      }),
    interrupt: Effect.sync(() => {
      if (running === undefined) return
      running.stopped = true
      running.stop()
    })
  }
}

const compactionFails = (world: World.World, goal: World.GoalWorld): boolean => {
  const nth = World.count(goal.times, "compact")
  const fails = world.plan.items.some(
    (item) => Item.$is("Compaction")(item) && item.goal === goal.planned.goal && item.nth === nth
  )
  if (fails) World.count(world.faults, "compaction")
  return fails
}

/** Resolves with the next events of the turn; as many as there are without waiting. */
const pullOf = (
  clock: SimClock,
  goal: World.GoalWorld,
  options: SessionOptions,
  steps: ReadonlyArray<Step>,
  running: Running
): Effect.Effect<Chunk.Chunk<AgentEvent>, Option.Option<AgentError>> => {
  let at = 0
  let over = false
  const wait = (millis: number) =>
    Effect.async<void>((resume) => {
      const callOff = clock.alarm(millis, () => resume(Effect.void))
      running.stop = () => {
        callOff()
        resume(Effect.void)
      }
      return Effect.sync(callOff)
    })

  /** What comes after these events, which are there already. */
  const pullAfter = (
    before: ReadonlyArray<AgentEvent>
  ): Effect.Effect<Chunk.Chunk<AgentEvent>, Option.Option<AgentError>> => {
    const events = [...before]
    while (!over) {
      if (running.stopped) {
        over = true
        const end = endsWith(goal, [], TurnEnd.Interrupted(), false)
        return Effect.succeed(Chunk.unsafeFromArray(end._tag === "Emit" ? [...events, end.event] : events))
      }
      const step = steps[at]
      if (step === undefined) break
      if (step._tag === "Emit") {
        if (step.event._tag === "Metered") goal.spent += totalTokens(step.event.tokens)
        events.push(step.event)
        at += 1
        continue
      }
      if (events.length > 0) break
      at += 1
      switch (step._tag) {
        case "Wait":
          return Effect.zipRight(wait(step.millis), pull)
        case "Hang":
          return Effect.zipRight(wait(Number.POSITIVE_INFINITY), pull)
        case "Break":
          over = true
          return Effect.fail(Option.some(step.error))
        case "Call":
          return Effect.flatMap(callOf(goal, options, step), pullAfter)
      }
    }
    return events.length > 0 ? Effect.succeed(Chunk.unsafeFromArray(events)) : Effect.fail(Option.none())
  }

  const pull = Effect.suspend(() => pullAfter([]))
  return pull
}

const callOf = (goal: World.GoalWorld, { gate }: SessionOptions, { input, works }: Extract<Step, { _tag: "Call" }>) => {
  goal.asked += 1
  const toolUseId = `call-${goal.asked}`
  const called = AgentEvent.ToolCalled({ toolUseId, name: "Bash", input, parentToolUseId: Option.none() })
  return Effect.map(
    gate.decide({ tool: "Bash", input, toolUseId: Option.some(toolUseId), agentId: Option.none() }),
    (outcome) => {
      const allowed = isAllowed(outcome)
      if (allowed && works) goal.work += 1
      const ended = AgentEvent.ToolEnded({ toolUseId, failed: !allowed, text: "ok", denied: !allowed })
      return [called, ended]
    }
  )
}
