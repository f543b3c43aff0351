/**
 * Language models by configuration: what asks one (the decider of permissions, the
 * judge of criteria) gets a layer and does not know whose model it is.
 *
 * The providers' code is loaded when a layer is built: a run without a model does
 * not pay for it.
 */
import type { ModelPrices } from "@driver/agent/ModelLedger"
import type { Containment } from "@driver/agent/Subprocess"
import type { LanguageModel } from "@effect/ai/LanguageModel"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { assetPath } from "./Assets.js"
import type { ModelConfig } from "./Config.js"
import * as ModelHttp from "./ModelHttp.js"

/** A model that the configuration names cannot be used. */
export class ModelConfigError extends Schema.TaggedError<ModelConfigError>()("ModelConfigError", {
  provider: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `The language model of ${this.provider} cannot be used: ${this.detail}`
  }
}

/** A model behind an API. */
interface ApiAccess {
  /** As the provider names the model. */
  readonly name: string
  /** Default: the provider's own. */
  readonly baseUrl: Option.Option<string>
  /** Name of the environment variable. */
  readonly apiKeyEnv: string
  readonly apiKey: Option.Option<Redacted.Redacted<string>>
  readonly proxy: Option.Option<ModelHttp.Proxy>
}

export type ModelSettings =
  | ({ readonly provider: "anthropic" } & ApiAccess)
  | ({ readonly provider: "openai"; readonly api: "chat" | "responses" } & ApiAccess)
  | {
      readonly provider: "agent"
      readonly name: Option.Option<string>
      /** A name on the PATH, or an absolute path. None: the stand-in that comes with driver. */
      readonly binary: Option.Option<string>
      readonly environment: Readonly<Record<string, string>>
      /** Absolute path. Made where it is not there. */
      readonly directory: string
    }
  | {
      readonly provider: "scripted"
      /** Absolute path. */
      readonly file: string
    }

/** None: what a call costs is unknown where the provider does not say it. */
export const pricesOf = (model: Option.Option<ModelConfig>): Option.Option<ModelPrices> =>
  Option.flatMap(model, ({ prices }) => prices)

export interface Options {
  /** Tokens of one answer. Default 1,024: a judgement is a few sentences. The agent's program has its own limit. */
  readonly maxTokens?: number
}

const defaultMaxTokens = 1_024

/** Fails when the model cannot be used; whether it answers is only known when it is asked. */
export const layer = (
  settings: ModelSettings,
  { maxTokens = defaultMaxTokens }: Options = {}
): Layer.Layer<LanguageModel, ModelConfigError, Containment | FileSystem.FileSystem> => {
  if (settings.provider === "agent") return agentLayer(settings)
  if (settings.provider === "scripted") return scriptedLayer(settings.file)
  const { apiKey, apiKeyEnv, baseUrl, provider } = settings
  // A server of one's own may want no key.
  if (Option.isNone(apiKey) && Option.isNone(baseUrl)) {
    return Layer.fail(
      new ModelConfigError({
        provider,
        detail: `there is no key: set ${apiKeyEnv} in the environment, or name another variable in \`api_key_env\``
      })
    )
  }
  if (settings.provider === "anthropic") return anthropicLayer(settings, maxTokens)
  return settings.api === "chat" ? chatLayer(settings, maxTokens) : responsesLayer(settings, maxTokens)
}

type ApiSettings = Extract<ModelSettings, ApiAccess>

const httpLayer = ({ provider, proxy }: ApiSettings) =>
  Layer.catchAll(ModelHttp.layer(proxy), ({ message }) =>
    Layer.fail(new ModelConfigError({ provider, detail: message }))
  )

const clientOptions = ({ apiKey, baseUrl }: ApiAccess) => ({
  ...(Option.isSome(apiKey) ? { apiKey: apiKey.value } : {}),
  ...(Option.isSome(baseUrl) ? { apiUrl: baseUrl.value.replace(/\/+$/, "") } : {})
})

const anthropicLayer = (settings: ApiSettings, maxTokens: number): Layer.Layer<LanguageModel, ModelConfigError> =>
  Layer.unwrapEffect(
    Effect.promise(async () => {
      const [client, model] = await Promise.all([
        import("@effect/ai-anthropic/AnthropicClient"),
        import("@effect/ai-anthropic/AnthropicLanguageModel")
      ])
      return model
        .layer({ model: settings.name, config: { max_tokens: maxTokens } })
        .pipe(Layer.provide(client.layer(clientOptions(settings))), Layer.provide(httpLayer(settings)))
    })
  )

const chatLayer = (settings: ApiSettings, maxTokens: number): Layer.Layer<LanguageModel, ModelConfigError> =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.promise(() => import("./ChatLanguageModel.js")),
      (chat) =>
        chat
          .layer({ model: settings.name, baseUrl: settings.baseUrl, apiKey: settings.apiKey, maxTokens })
          .pipe(Layer.provide(httpLayer(settings)))
    )
  )

const responsesLayer = (settings: ApiSettings, maxTokens: number): Layer.Layer<LanguageModel, ModelConfigError> =>
  Layer.unwrapEffect(
    Effect.promise(async () => {
      const [client, model] = await Promise.all([
        import("@effect/ai-openai/OpenAiClient"),
        import("@effect/ai-openai/OpenAiLanguageModel")
      ])
      return model
        .layer({ model: settings.name, config: { max_output_tokens: maxTokens } })
        .pipe(Layer.provide(client.layer(clientOptions(settings))), Layer.provide(httpLayer(settings)))
    })
  )

const agentLayer = ({
  binary,
  directory,
  environment,
  name
}: Extract<ModelSettings, { readonly provider: "agent" }>): Layer.Layer<
  LanguageModel,
  ModelConfigError,
  Containment | FileSystem.FileSystem
> =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const program = yield* Option.match(binary, {
        onNone: () => assetPath("driver-stub.mjs"),
        onSome: Effect.succeed
      })
      yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
      const model = yield* Effect.promise(() => import("@driver/agent/ClaudeLanguageModel"))
      return model.layer({
        binary: program,
        directory,
        env: environment,
        ...(Option.isSome(name) ? { model: name.value } : {})
      })
    }).pipe(
      Effect.mapError(({ message }) => new ModelConfigError({ provider: "the agent's program", detail: message }))
    )
  )

const scriptedLayer = (file: string): Layer.Layer<LanguageModel, ModelConfigError> =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.promise(() => import("./scriptedModel.js")),
      (it) => it.layer(file)
    )
  )
