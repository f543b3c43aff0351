/** How the goal loop behaves, apart from what its policies decide. */
import * as Duration from "effect/Duration"
import type { Delivery } from "./Workspace.js"

export interface GoalLoopSettings {
  /** Longest turn, wall clock. Default 1 hour: long builds inside a turn are normal, a turn of two hours is not. */
  readonly turnTimeout: Duration.Duration
  /** Longest single sleep that an agent may ask for. Default 24 hours. */
  readonly maxSleep: Duration.Duration
  /** A `progress` event every so many turns. 0 = never. Default 1. */
  readonly progressEveryTurns: number
  /** Evaluate the criteria before the first turn. Default false: criteria can be slow. */
  readonly preflight: boolean
  /** What to do with accepted work; the message of a squash or merge is the goal's description. Default: the branch. */
  readonly delivery: DeliverySettings
  /** `on_done` removes the directory once accepted work was delivered. Default `keep`. */
  readonly cleanup: "keep" | "on_done"
}

export type DeliverySettings =
  | { readonly mode: "branch" }
  | { readonly mode: "squash" }
  | { readonly mode: "patch"; readonly file: string }
  | { readonly mode: "merge"; readonly target: string }

export const defaults: GoalLoopSettings = {
  turnTimeout: Duration.hours(1),
  maxSleep: Duration.hours(24),
  progressEveryTurns: 1,
  preflight: false,
  delivery: { mode: "branch" },
  cleanup: "keep"
}

/** The workspace's words for it. */
export const deliveryOf = (settings: DeliverySettings, description: string): Delivery => {
  switch (settings.mode) {
    case "branch":
      return { mode: "branch", message: description }
    case "patch":
      return settings
    case "squash":
      return { mode: "squash", message: description }
    case "merge":
      return { mode: "merge", target: settings.target, message: description }
  }
}
