/**
 * Who decides about tool calls, by configuration:
 *
 *   rules ─▶ model ─▶ person ─▶ denied
 *
 * each of which is a layer; and, beside them, a shadow that only observes. Without a
 * model, or with nobody to ask, that link denies what comes to it.
 */
import type { Containment } from "@driver/agent/Subprocess"
import type { Approvals } from "@driver/permission/Approvals"
import { AskDecider } from "@driver/permission/AskDecider"
import type { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { LlmDecider } from "@driver/permission/LlmDecider"
import { PastDecisions, PastDecisionsError } from "@driver/permission/PastDecisions"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import * as RulesDecider from "@driver/permission/RulesDecider"
import * as Shadow from "@driver/permission/Shadow"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as LanguageModels from "./LanguageModels.js"
import type { Settings } from "./Settings.js"

type Needs = Approvals | CommandAnalyzer | Containment | DecisionStore | FileSystem.FileSystem | Path.Path

export const deciderLayer = (
  settings: Settings
): Layer.Layer<PermissionDecider, LanguageModels.ModelConfigError, Needs> => {
  const { ask, decider, shadow } = settings.config.permission
  // Bound once: the model and the shadow hand on to the same person.
  const person =
    Duration.toMillis(ask.timeout) === 0 ? AskDecider.layerNone : AskDecider.layer({ timeout: ask.timeout })
  const real = chain(settings, { decider, person, llm: true })
  return Option.match(shadow, {
    onNone: () => real,
    onSome: ({ decider, llm, preset, rules }) =>
      Shadow.layer(
        real,
        chain(settings, {
          decider,
          person: AskDecider.layerUnasked,
          llm,
          rules: { rules, preset: Option.getOrElse(preset, () => settings.policy.preset) }
        })
      )
  })
}

/** How long the gate waits: a model that is asked needs its time, and the record some. */
export const decideTimeout = ({ config, models }: Settings): Duration.Duration =>
  Option.isNone(models.llm)
    ? config.permission.timeout
    : Duration.max(config.permission.timeout, Duration.sum(config.permission.llm.timeout, "5 seconds"))

interface Link {
  readonly decider: Settings["config"]["permission"]["decider"]
  readonly person: Layer.Layer<AskDecider, never, Approvals>
  /** Whether a model may be asked, where there is one. */
  readonly llm: boolean
  /** Default: those of the policy in force. */
  readonly rules?: Pick<RulesDecider.Options, "rules" | "preset">
}

const chain = (
  settings: Settings,
  { decider, llm, person, rules = settings.policy }: Link
): Layer.Layer<PermissionDecider, LanguageModels.ModelConfigError, Needs> => {
  switch (decider) {
    case "allow_all":
      return PermissionDecider.layerAllowAll
    case "deny_all":
      return PermissionDecider.layerDenyAll()
    case "rules":
      return RulesDecider.layer({
        rules: rules.rules ?? [],
        preset: rules.preset ?? settings.policy.preset,
        protectedPaths: [settings.stateDirectory],
        protectedFiles: settings.policyFiles
      }).pipe(Layer.provide(llm ? modelLayer(settings) : LlmDecider.layerNone), Layer.provide(person))
  }
}

const modelLayer = (
  settings: Settings
): Layer.Layer<
  LlmDecider,
  LanguageModels.ModelConfigError,
  AskDecider | CommandAnalyzer | Containment | DecisionStore | FileSystem.FileSystem
> =>
  Option.match(settings.models.llm, {
    onNone: () => LlmDecider.layerNone,
    onSome: (model) => {
      const { ask, llm } = settings.config.permission
      return Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("@driver/permission/LlmDeciderModel")),
          (it) =>
            // Nobody who cannot be asked may win a race.
            it.layer({
              timeout: llm.timeout,
              race: llm.race && Duration.toMillis(ask.timeout) > 0,
              prices: LanguageModels.pricesOf(Option.orElse(llm.model, () => settings.config.model))
            })
        )
      ).pipe(Layer.provide([LanguageModels.layer(model), pastLayer(llm.past)]))
    }
  })

/** Decisions that a similarity is looked for in, the most similar by words first. */
const recalled = 50

const pastLayer = (of: "goal" | "all"): Layer.Layer<PastDecisions, never, DecisionStore> =>
  Layer.effect(
    PastDecisions,
    Effect.map(DecisionStore, ({ recall }) => ({
      recall: ({ goalId, tool }, text) =>
        Effect.mapError(
          recall({ tool, text, limit: recalled, ...(of === "goal" ? { goalId } : {}) }),
          (error) => new PastDecisionsError({ detail: error.message })
        )
    }))
  )
