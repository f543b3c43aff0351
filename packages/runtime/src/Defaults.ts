/**
 * Everything that a goal needs and that has a sensible default without a file or a
 * process: policies, stores and journal in memory, no events, no judge, no sandbox. What an
 * application wants otherwise it provides instead.
 */
import { Sandbox } from "@driver/agent/Sandbox"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import { AccountLimits } from "./AccountLimits.js"
import type { BindingStore } from "./BindingStore.js"
import type { CompactPolicy } from "./CompactPolicy.js"
import type { CompactSummaryStore } from "./CompactSummaryStore.js"
import type { DecisionStore } from "./DecisionStore.js"
import { EventSink } from "./EventSink.js"
import type { GoalStore } from "./GoalStore.js"
import type { Journal } from "./Journal.js"
import * as JournalMemory from "./JournalMemory.js"
import { Judge } from "./Judge.js"
import { Leases } from "./Leases.js"
import * as MemoryStores from "./MemoryStores.js"
import type { Outbox } from "./Outbox.js"
import * as Policies from "./Policies.js"
import type { PostTurnHooks } from "./PostTurnHooks.js"
import type { ReplayPolicy } from "./ReplayPolicy.js"
import type { StuckPolicy } from "./StuckPolicy.js"

export const layer: Layer.Layer<
  | AccountLimits
  | BindingStore
  | CompactPolicy
  | CompactSummaryStore
  | DecisionStore
  | EventSink
  | GoalStore
  | Journal
  | Judge
  | Leases
  | Outbox
  | PostTurnHooks
  | ReplayPolicy
  | Sandbox
  | StuckPolicy
> = Layer.mergeAll(
  Policies.layer,
  MemoryStores.layer,
  AccountLimits.layerMemory,
  // Nobody else can see what is in memory.
  Layer.provideMerge(Leases.layer({ owner: "this process", heartbeatEvery: Duration.days(1) }), JournalMemory.layer()),
  EventSink.layerNoop,
  Judge.layerNone,
  Sandbox.layerOff
)
