/**
 * Everything that a goal needs and that has a sensible default without a file or a
 * process: policies, stores in memory, no events, no judge, no sandbox. What an
 * application wants otherwise it provides instead.
 */
import { Sandbox } from "@driver/agent/Sandbox"
import * as Layer from "effect/Layer"
import type { BindingStore } from "./BindingStore.js"
import type { CompactPolicy } from "./CompactPolicy.js"
import type { CompactSummaryStore } from "./CompactSummaryStore.js"
import type { DecisionStore } from "./DecisionStore.js"
import { EventSink } from "./EventSink.js"
import { Judge } from "./Judge.js"
import * as MemoryStores from "./MemoryStores.js"
import * as Policies from "./Policies.js"
import type { PostTurnHooks } from "./PostTurnHooks.js"
import type { ReplayPolicy } from "./ReplayPolicy.js"
import type { StuckPolicy } from "./StuckPolicy.js"

export const layer: Layer.Layer<
  | BindingStore
  | CompactPolicy
  | CompactSummaryStore
  | DecisionStore
  | EventSink
  | Judge
  | PostTurnHooks
  | ReplayPolicy
  | Sandbox
  | StuckPolicy
> = Layer.mergeAll(Policies.layer, MemoryStores.layer, EventSink.layerNoop, Judge.layerNone, Sandbox.layerOff)
