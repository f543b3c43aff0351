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
import { EnvironmentError, Environments } from "@driver/intent/ExecEnv"
import { Intent } from "@driver/intent/Intent"
import { IntentEvents } from "@driver/intent/IntentEvents"
import { IntentModel } from "@driver/intent/IntentModel"
import type { PricedModel } from "@driver/intent/IntentModelLanguageModel"
import * as IntentModelLanguageModel from "@driver/intent/IntentModelLanguageModel"
import { MountSummaries } from "@driver/intent/MountSummaries"
import * as RegistryEnvironments from "@driver/intent/RegistryEnvironments"
import { RemoteAgents } from "@driver/intent/RemoteAgents"
import type { Acceptance } from "@driver/runtime/Acceptance"
import type { Workspace } from "@driver/runtime/Workspace"
import * as IntentStores from "@driver/store/IntentStores"
import * as SqlAccountLimits from "@driver/store/SqlAccountLimits"
import { LanguageModel } from "@effect/ai/LanguageModel"
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
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
import * as ModelHttp from "./ModelHttp.js"
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
): Layer.Layer<AskServices, E | LanguageModels.ModelConfigError | ModelHttp.ProxyError, Platform | Host> => {
  const stores = Layer.provide(IntentStores.layer, database)
  const languageModel = Option.map(settings.models.judge, (model) =>
    LanguageModels.layer(model, { maxTokens: longestAnswer }).pipe(Layer.provide(Containment.layer))
  )
  const { divideFrom, maxRetries, parallel, timeout } = settings.config.intent
  const prices = LanguageModels.pricesOf(settings.config.model)
  const others = Effect.forEach(settings.models.others, (other, index) =>
    Effect.map(
      Layer.build(Layer.provide(LanguageModels.layer(other, { maxTokens: longestAnswer }), Containment.layer)),
      (built): PricedModel => ({
        model: Context.get(built, LanguageModel),
        prices: LanguageModels.pricesOf(Option.fromNullable(settings.config.intent.otherModels[index]))
      })
    )
  )
  const model = Option.match(languageModel, {
    onNone: () => IntentModel.layerNone,
    onSome: (it) =>
      Layer.unwrapScoped(
        Effect.map(others, (others) => IntentModelLanguageModel.layer({ timeout, prices, others }))
      ).pipe(Layer.provide([it, Redactor.layer(settings.secrets)]))
  })
  const single = GoalExecutorLayer.layer({ settings, onEvent, run }).pipe(
    Layer.provide(Layer.provide(SqlAccountLimits.layer, database))
  )
  const planner = Option.match(languageModel, {
    onNone: () => DelegationPlanner.layerNone,
    onSome: (it) =>
      Layer.unwrapScoped(
        Effect.map(others, (others) =>
          DelegationPlanner.layerLanguageModel({ minCriteria: divideFrom, timeout, prices, others })
        )
      ).pipe(Layer.provide([it, Redactor.layer(settings.secrets)]))
  })
  const dividing = DelegatingExecutor.layer.pipe(
    Layer.provide([Delegation.layer({ parallel }), planner]),
    Layer.provide([single, remoteAgents(settings).pipe(Layer.provide(Redactor.layer(settings.secrets)))])
  )
  const intent = Intent.layer({
    maxRetries,
    otherAgents: settings.otherAgents.map(({ name }) => name),
    budget: Schema.decodeUnknownSync(Budget)(settings.budget)
  }).pipe(
    Layer.provide([
      divideFrom > 0 ? dividing : single,
      GoalCheckerLayer.layer,
      environments(settings),
      model,
      Layer.succeed(IntentEvents, { publish: onIntentEvent }),
      Redactor.layer(settings.secrets)
    ])
  )
  return intent.pipe(Layer.provideMerge(stores), Layer.provideMerge(rehearsal))
}

/** Tokens: a directive with its criteria is some hundred words. */
const longestAnswer = 8_000

/** A place that is gone is said before a model is asked about the work there. */
const environments = (settings: Settings) =>
  Layer.effect(
    Environments,
    Effect.map(Effect.all([Environments, FileSystem.FileSystem]), ([registered, fs]) => ({
      ...registered,
      resolve: (message, context) =>
        Effect.tap(registered.resolve(message, context), ({ mounts: [primary] }) =>
          primary === undefined
            ? Effect.void
            : Effect.flatMap(
                Effect.orElseSucceed(fs.exists(primary.path), () => false),
                (isThere) =>
                  isThere
                    ? Effect.void
                    : new EnvironmentError({
                        detail: `The mount ${JSON.stringify(primary.name)} is not there any more (${primary.path}): bring it back, or forget it by \`driver mount remove\``,
                        retryable: false
                      })
              )
        )
    }))
  ).pipe(Layer.provide(registeredEnvironments(settings)))

const registeredEnvironments = (settings: Settings) =>
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

/** Each behind the proxy that the environment names for its URL, if any. */
const remoteAgents = ({ config, ownEnvironment }: Settings): Layer.Layer<RemoteAgents, ModelHttp.ProxyError> =>
  Layer.scoped(
    RemoteAgents,
    Effect.map(
      Effect.forEach(config.intent.remoteAgents, ({ tokenEnv, ...agent }) =>
        Effect.map(
          Layer.build(
            RemoteAgents.layerHttp([
              {
                ...agent,
                token: Option.map(
                  Option.flatMap(tokenEnv, (name) => Option.fromNullable(ownEnvironment[name] || undefined)),
                  Redacted.make
                )
              }
            ]).pipe(Layer.provide(ModelHttp.layer(ModelHttp.proxyOf(ownEnvironment, agent.url))))
          ),
          Context.get(RemoteAgents)
        )
      ),
      RemoteAgents.together
    )
  )
