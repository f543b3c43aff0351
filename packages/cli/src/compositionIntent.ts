/**
 * What `driver ask` is made of: the intent path over the goal loop of `Composition.ts`.
 * Loaded by that command only.
 */
import { Containment } from "@driver/agent/Subprocess"
import { Budget } from "@driver/domain/Goal"
import { Redactor } from "@driver/domain/Redactor"
import * as DelegatingExecutor from "@driver/intent/DelegatingExecutor"
import { Delegation } from "@driver/intent/Delegation"
import { DelegationPlanner } from "@driver/intent/DelegationPlanner"
import { Intent } from "@driver/intent/Intent"
import { IntentEvents } from "@driver/intent/IntentEvents"
import { IntentModel } from "@driver/intent/IntentModel"
import * as IntentModelLanguageModel from "@driver/intent/IntentModelLanguageModel"
import { MountSummaries } from "@driver/intent/MountSummaries"
import * as RegistryEnvironments from "@driver/intent/RegistryEnvironments"
import { RemoteAgents } from "@driver/intent/RemoteAgents"
import type { Acceptance } from "@driver/runtime/Acceptance"
import type { Workspace } from "@driver/runtime/Workspace"
import * as IntentStores from "@driver/store/IntentStores"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AskOptions, AskServices } from "./Cli.js"
import * as GoalCheckerLayer from "./goalChecker.js"
import * as GoalExecutorLayer from "./goalExecutor.js"
import { Host } from "./Host.js"
import * as LanguageModels from "./LanguageModels.js"
import type { RunGoal } from "./RunGoal.js"
import type { Settings } from "./Settings.js"

type Platform = FileSystem.FileSystem | Path.Path

/** What the composition of the goal loop gives. */
export interface IntentParts<E> {
  readonly database: Layer.Layer<SqlClient.SqlClient, E, Platform>
  readonly rehearsal: Layer.Layer<Workspace | Acceptance, E, Platform>
  readonly run: (settings: Settings) => Layer.Layer<RunGoal, E, Platform>
}

export const askLayer = <E extends { readonly message: string }>(
  settings: Settings,
  { onEvent, onIntentEvent }: AskOptions,
  { database, rehearsal, run }: IntentParts<E>
): Layer.Layer<AskServices, E | LanguageModels.ModelConfigError, Platform | Host> => {
  const stores = Layer.provide(IntentStores.layer, database)
  const languageModel = Option.map(settings.models.judge, (model) =>
    LanguageModels.layer(model, { maxTokens: longestAnswer }).pipe(Layer.provide(Containment.layer))
  )
  const { divideFrom, maxRetries, parallel, timeout } = settings.config.intent
  const prices = Option.flatMap(settings.config.model, (it) => it.prices)
  const model = Option.match(languageModel, {
    onNone: () => IntentModel.layerNone,
    onSome: (it) =>
      IntentModelLanguageModel.layer({ timeout, prices }).pipe(Layer.provide([it, Redactor.layer(settings.secrets)]))
  })
  const single = GoalExecutorLayer.layer({ settings, onEvent, run })
  const planner = Option.match(languageModel, {
    onNone: () => DelegationPlanner.layerNone,
    onSome: (it) =>
      DelegationPlanner.layerLanguageModel({ minCriteria: divideFrom, timeout, prices }).pipe(Layer.provide(it))
  })
  const dividing = DelegatingExecutor.layer.pipe(
    Layer.provide([Delegation.layer({ parallel }), planner]),
    Layer.provide([single, remoteAgents(settings)])
  )
  const intent = Intent.layer({
    maxRetries,
    budget: Schema.decodeUnknownSync(Budget)(settings.budget)
  }).pipe(
    Layer.provide([
      divideFrom > 0 ? dividing : single,
      GoalCheckerLayer.layer,
      environments(settings),
      model,
      Layer.succeed(IntentEvents, { publish: onIntentEvent })
    ])
  )
  return intent.pipe(Layer.provideMerge(stores), Layer.provideMerge(rehearsal))
}

/** Tokens: a directive with its criteria is some hundred words. */
const longestAnswer = 8_000

const environments = (settings: Settings) =>
  Layer.unwrapEffect(
    Effect.map(Host, ({ directory, home }) =>
      RegistryEnvironments.layer({
        home: Option.some(home),
        directory: Option.some(directory),
        // In a repository it is this one that is meant.
        recent: Option.isSome(settings.repository) ? Duration.zero : settings.config.intent.recent
      })
    )
  ).pipe(Layer.provide(MountSummaries.layer))

const remoteAgents = (settings: Settings) =>
  settings.config.intent.remoteAgents.length === 0
    ? RemoteAgents.layerNone
    : Layer.unwrapEffect(
        Effect.map(Host, ({ environment }) =>
          RemoteAgents.layerHttp(
            settings.config.intent.remoteAgents.map(({ tokenEnv, ...agent }) => ({
              ...agent,
              token: Option.map(
                Option.flatMap(tokenEnv, (name) => Option.fromNullable(environment[name])),
                Redacted.make
              )
            }))
          )
        )
      ).pipe(Layer.provide(FetchHttpClient.layer))
