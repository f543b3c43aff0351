import { join } from "node:path"
import * as ClaudeLanguageModel from "@driver/agent/ClaudeLanguageModel"
import { askModel, askModelText } from "@driver/agent/ModelQuestion"
import { Containment } from "@driver/agent/Subprocess"
import * as LanguageModel from "@effect/ai/LanguageModel"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schema } from "effect"
import { makeWorld, stub, type World } from "./support/claude.js"

const Answer = Schema.Struct({ verdict: Schema.Literal("allow", "deny"), reason: Schema.String })

const ask = (world: World, options: Partial<ClaudeLanguageModel.Options> = {}, timeout = "20 seconds" as const) =>
  askModel({
    instructions: "Judge the call.",
    text: "/npm publish --dangerous",
    schema: Answer,
    name: "answer",
    timeout
  }).pipe(
    Effect.provide(
      ClaudeLanguageModel.layer({ binary: stub, env: world.env, directory: world.root, ...options }).pipe(
        Layer.provide(Containment.layerProcessGroup)
      )
    )
  )

const saying = (...texts: ReadonlyArray<string>) => ({ turns: texts.map((say) => ({ steps: [{ say }] })) })

const good = { verdict: "deny", reason: "it publishes" }

describe("ClaudeLanguageModel", () => {
  it.scopedLive("asks the program once, without tools, hooks, servers and the project's settings", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(saying(JSON.stringify(good)))
      assert.deepStrictEqual(yield* ask(world, { model: "some-model" }), good)
      assert.strictEqual(world.starts().length, 1)
      const [args = []] = world.starts()
      const valueOf = (flag: string) => args[args.indexOf(flag) + 1]
      assert.strictEqual(valueOf("--tools"), "")
      assert.strictEqual(valueOf("--model"), "some-model")
      assert.strictEqual(valueOf("--setting-sources"), "user")
      assert.strictEqual(valueOf("--settings"), '{"disableAllHooks":true}')
      assert.includeMembers([...args], ["--strict-mcp-config", "--no-session-persistence"])
      assert.match(valueOf("--system-prompt") ?? "", /^Judge the call\.\n\nAnswer with one JSON object.*"verdict"/s)
      // The question is data: never on the command line, which everybody on the machine can read.
      assert.notInclude(args.join(" "), "npm publish")
      assert.include(JSON.stringify(world.log()), "npm publish")
    })
  )

  it.scopedLive("says what the answer took and cost", () =>
    Effect.gen(function* () {
      const usage = { input: 1_000, output: 20, cache_read: 300, cache_creation: 50 }
      const world = yield* makeWorld({ turns: [{ usage, steps: [{ say: JSON.stringify(good) }] }] })
      const said = yield* askModelText({ instructions: "i", text: "t", schema: Answer, name: "answer" }).pipe(
        Effect.provide(
          ClaudeLanguageModel.layer({ binary: stub, env: world.env, directory: world.root }).pipe(
            Layer.provide(Containment.layerProcessGroup)
          )
        )
      )
      assert.deepStrictEqual([said.inputTokens, said.outputTokens], [Option.some(1_350), Option.some(20)])
      assert.isAbove(Option.getOrThrow(said.costUsd), 0)
    })
  )

  it.scopedLive("finds the answer in a fence or a sentence", () =>
    Effect.gen(function* () {
      for (const text of [
        `\`\`\`json\n${JSON.stringify(good)}\n\`\`\``,
        `Here it is: ${JSON.stringify(good)} Regards.`
      ]) {
        assert.deepStrictEqual(yield* ask(yield* makeWorld(saying(text))), good)
      }
    })
  )

  it.scopedLive("gives text where text is asked for", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld(saying("a {plain} text"))
      const { text } = yield* LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.provide(
          ClaudeLanguageModel.layer({ binary: stub, env: world.env, directory: world.root }).pipe(
            Layer.provide(Containment.layerProcessGroup)
          )
        )
      )
      assert.strictEqual(text, "a {plain} text")
    })
  )

  const failures: ReadonlyArray<readonly [string, Record<string, unknown>, object]> = [
    ["answers with prose", saying("I would deny it."), { reason: "unusable" }],
    ["answers with another shape", saying('{"verdict":"maybe"}'), { reason: "unusable" }],
    [
      "is not logged in",
      { turns: [{ error: { class: "not_logged_in" } }] },
      { reason: "unauthorized", retryable: false }
    ],
    [
      "has a key that is refused",
      { turns: [{ error: { class: "authentication_failed" } }] },
      { reason: "unauthorized" }
    ],
    ["does not know the model", { turns: [{ error: { class: "model_not_found" } }] }, { reason: "rejected" }],
    [
      "dies without a result",
      { turns: [{ steps: [{ exit: { code: 1, stderr: "boom" } }] }] },
      { reason: "unavailable" }
    ]
  ]
  for (const [name, scenario, expected] of failures) {
    it.scopedLive(`gives a typed error when the program ${name}`, () =>
      Effect.gen(function* () {
        const { detail, reason, retryable } = yield* Effect.flip(ask(yield* makeWorld(scenario)))
        assert.deepInclude({ detail, reason, retryable }, expected)
      })
    )
  }

  it.scopedLive("asks again when the program's provider is overloaded", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ turns: [{ error: { class: "overloaded" } }] })
      const { reason, retryable } = yield* Effect.flip(ask(world))
      assert.deepStrictEqual([reason, retryable], ["unavailable", true])
      assert.strictEqual(world.starts().length, 3)
    })
  )

  it.scopedLive("gives a typed error when there is no such program", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(ask(yield* makeWorld(), { binary: join("/", "no", "such", "program") }))
      assert.deepInclude(failed, { reason: "unavailable", retryable: false })
      assert.match(failed.message, /Install it, or give its full path/)
    })
  )

  it.scopedLive("ends the program when the answer is not wanted any more, or takes too long", () =>
    Effect.gen(function* () {
      const hanging = { turns: [{ steps: [{ say: "I think" }, { hang: "forever" }] }] }
      const world = yield* makeWorld(hanging)
      const fiber = yield* Effect.fork(ask(world))
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => world.starts().length > 0 })
      yield* Fiber.interrupt(fiber)
      assert.deepInclude(yield* Effect.flip(ask(yield* makeWorld(hanging), {}, "1 second" as never)), {
        reason: "timeout"
      })
    })
  )
})
