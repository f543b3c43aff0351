// How well the configured language model assesses messages: scores packages/intent/eval/messages.jsonl.
//   node scripts/eval-intent.mjs [--config driver.yaml] [--only <category>] [--at-least <0..1>] [--json]
// It asks the model of `model` in the configuration once per message, which costs as usual. Exits with 1 below --at-least.
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { register } from "tsx/esm/api"

const giveUp = (detail) => {
  console.error(`eval-intent: ${detail}`)
  process.exit(2)
}

const readArguments = () => {
  try {
    return parseArgs({
      options: {
        config: { type: "string" },
        only: { type: "string" },
        "at-least": { type: "string", default: "0" },
        json: { type: "boolean", default: false }
      }
    }).values
  } catch (error) {
    return giveUp(error.message)
  }
}
const options = readArguments()
const wanted = Number(options["at-least"])
if (!(wanted >= 0 && wanted <= 1)) giveUp(`--at-least ${options["at-least"]}: expected a number from 0 to 1`)

// Not before the arguments are in order: it takes a second.
register()
const { Effect, Layer, Option } = await import("effect")
const NodeContext = await import("@effect/platform-node/NodeContext")
const { Containment } = await import("@driver/agent/Subprocess")
const { Redactor } = await import("@driver/domain/Redactor")
const { evaluate, parseMessages } = await import("@driver/intent/Evaluation")
const IntentModelLanguageModel = await import("@driver/intent/IntentModelLanguageModel")
const HostNode = await import("../packages/cli/src/HostNode.ts")
const LanguageModels = await import("../packages/cli/src/LanguageModels.ts")
const { loadSettings } = await import("../packages/cli/src/Settings.ts")

const modelOf = (settings) =>
  Option.match(settings.models.judge, {
    onNone: () =>
      giveUp("no model is configured: name one under `model` in driver.yaml, or another file with --config"),
    onSome: (model) =>
      IntentModelLanguageModel.layer({
        timeout: settings.config.intent.timeout,
        prices: LanguageModels.pricesOf(settings.config.model)
      }).pipe(
        Layer.provide([
          LanguageModels.layer(model, { maxTokens: 4_000 }).pipe(Layer.provide(Containment.layer)),
          Redactor.layer(settings.secrets)
        ])
      )
  })

const program = Effect.gen(function* () {
  const settings = yield* loadSettings({ config: Option.fromNullable(options.config) })
  const text = readFileSync(new URL("../packages/intent/eval/messages.jsonl", import.meta.url), "utf8")
  const all = yield* parseMessages(text)
  const messages = all.filter(({ category }) => options.only === undefined || category === options.only)
  if (messages.length === 0) {
    giveUp(`--only ${options.only}: expected one of ${[...new Set(all.map(({ category }) => category))].join(", ")}`)
  }
  return yield* evaluate(messages).pipe(Effect.provide(modelOf(settings)))
}).pipe(Effect.provide(Layer.merge(HostNode.layer, NodeContext.layer)))

const report = await Effect.runPromise(program).catch((error) => giveUp(error.message))

const share = ({ right, total }) => (total === 0 ? 0 : right / total)
const score = share(report.overall)

if (options.json) {
  const scores = (groups) => Object.fromEntries(groups)
  console.log(
    JSON.stringify(
      {
        score,
        ...report.overall,
        categories: scores(report.categories),
        languages: scores(report.languages),
        degraded: report.degraded,
        cost_usd: Option.getOrNull(report.costUsd),
        wrong: report.wrong.map(({ got, label }) => ({ id: label.id, message: label.message, got }))
      },
      null,
      2
    )
  )
} else {
  for (const { got, label } of report.wrong) console.log(`${label.id}: got ${got}: ${JSON.stringify(label.message)}`)
  for (const [name, it] of report.categories) console.log(`${name.padEnd(14)} ${it.right}/${it.total}`)
  console.log(`${"all".padEnd(14)} ${report.overall.right}/${report.overall.total} (${(100 * score).toFixed(0)} %)`)
  if (report.degraded > 0) console.log(`${report.degraded} answers could not be used`)
  console.log(Option.match(report.costUsd, { onNone: () => "cost not known", onSome: (usd) => `$${usd.toFixed(4)}` }))
}
process.exitCode = score >= wanted ? 0 : 1
