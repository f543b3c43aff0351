/** The gate for agents that live in this process: no socket, no program, no files. */
import { PermissionGate } from "@driver/agent/PermissionGate"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as GoalGate from "./GoalGate.js"
import type { PermissionDecider } from "./PermissionDecider.js"

/** Tickets of this gate have neither `program` nor `socket`. */
export const layer = (
  settings: Partial<GoalGate.Settings> = {}
): Layer.Layer<PermissionGate, never, PermissionDecider> =>
  Layer.effect(
    PermissionGate,
    Effect.map(GoalGate.factory(settings), (open) => ({
      register: Effect.fn("InProcessGate.register")((registration) =>
        Effect.map(open(registration), (gate) => ({
          program: Option.none(),
          socket: Option.none(),
          decide: gate.decide,
          startTurn: gate.startTurn,
          startSession: gate.startSession,
          spans: gate.spans
        }))
      )
    }))
  )
