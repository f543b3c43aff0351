/** All stores in memory: nothing survives the process. For tests and for goals that need no tomorrow. */
import * as Layer from "effect/Layer"
import { BindingStore } from "./BindingStore.js"
import { CompactSummaryStore } from "./CompactSummaryStore.js"
import { DecisionStore } from "./DecisionStore.js"

export const layer: Layer.Layer<BindingStore | CompactSummaryStore | DecisionStore> = Layer.mergeAll(
  BindingStore.layerMemory(),
  CompactSummaryStore.layerMemory,
  DecisionStore.layerMemory
)
