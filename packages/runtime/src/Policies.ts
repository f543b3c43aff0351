/** The policies of the goal loop with their defaults, and no hooks: for applications that have no wishes of their own. */
import * as Layer from "effect/Layer"
import { CompactPolicy } from "./CompactPolicy.js"
import { PostTurnHooks } from "./PostTurnHooks.js"
import { ReplayPolicy } from "./ReplayPolicy.js"
import { StuckPolicy } from "./StuckPolicy.js"

export const layer: Layer.Layer<CompactPolicy | PostTurnHooks | ReplayPolicy | StuckPolicy> = Layer.mergeAll(
  CompactPolicy.layer(),
  PostTurnHooks.layerNone,
  ReplayPolicy.layer(),
  StuckPolicy.layer()
)
