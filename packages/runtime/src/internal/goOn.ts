/** Settles what a driver that went away left in the middle, before the loop goes on. */
import { CompactCompleted } from "@driver/domain/DriverEvent"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { AttemptEnd } from "../Attempt.js"
import type { CompactPolicy } from "../CompactPolicy.js"
import { type GoalFold, usageSoFar } from "../GoalFold.js"
import type { GoalRun } from "../GoalRun.js"
import type { JournalError } from "../Journal.js"
import { CompactionEnded, TurnCut, TurnDecided } from "../LoopEntry.js"
import { countTurn, nextOfReplay } from "../LoopState.js"
import type { ReplayPolicy } from "../ReplayPolicy.js"
import type { StuckPolicy } from "../StuckPolicy.js"
import type { Workspace } from "../Workspace.js"
import { nextOnWire, traceOnWire } from "./onWire.js"
import { replayEvent, replayOf, settle } from "./workingStep.js"

/** Whether a turn was cut off: its end is not known. */
export const isCut = ({ pending }: GoalFold): boolean => pending._tag === "Turn" || pending._tag === "Compaction"

export const goOn = (
  run: GoalRun
): Effect.Effect<void, JournalError, CompactPolicy | ReplayPolicy | StuckPolicy | Workspace> =>
  Effect.gen(function* () {
    const { control, goal } = run
    const state = yield* control.journal.state
    const { loop, pending } = state
    const usage = usageSoFar(state)
    switch (pending._tag) {
      case "Nothing":
        return
      case "Decided":
        return yield* settle(run, loop, pending.entry, [])
      case "Compaction": {
        const { contextTokens } = loop.compaction
        return yield* control.journal.write(
          new CompactionEnded({ usage, succeeded: false, contextTokens }),
          new CompactCompleted({
            goalId: goal.id,
            turn: usage.turns,
            succeeded: false,
            before: contextTokens,
            error: Option.some(cutMessage)
          })
        )
      }
      case "Turn": {
        const { messages, turn } = pending
        const failed = AttemptEnd.Failed({
          failure: Option.none(),
          message: cutMessage,
          hint: "Continue",
          by: "driver"
        })
        const decide = yield* replayOf(run, { turn, checkpoint: pending.checkpoint, usage })
        const decision = decide(failed, true)
        const replayed = replayEvent(goal.id, turn, decision, cutMessage)
        if (decision._tag === "SameTurn") return yield* control.journal.write(new TurnCut({ usage }), replayed)
        const next = nextOfReplay(decision, "driver")
        const decided = new TurnDecided({
          turn,
          next: nextOnWire(next),
          usage: countTurn(usage, next),
          trace: traceOnWire({ failures: [], diffEmpty: false, toolCalls: [] }),
          diffStat: loop.carry.diffStat,
          messages,
          contextTokens: loop.compaction.contextTokens,
          focus: "",
          error: cutMessage
        })
        yield* control.progress.update((it) => ({ ...it, usage: decided.usage }))
        return yield* settle(run, loop, decided, [decided, replayed])
      }
    }
  })

const cutMessage = "the driver went away in the middle of the turn"
