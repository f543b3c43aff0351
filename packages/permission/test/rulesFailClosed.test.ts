// Breaks what the rules depend on, one thing at a time, behind the whole gate and on real files: a call that is allowed
// while nothing is broken is refused with a reason.

import { PermissionGate } from "@driver/agent/PermissionGate"
import { AllowOnce, isAllowed, type PermissionOutcome } from "@driver/domain/Permission"
import { SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel } from "effect"
import { AskDecider } from "../src/AskDecider.js"
import { type Analysis, CommandAnalyzer } from "../src/CommandAnalyzer.js"
import { messageOf } from "../src/GoalGate.js"
import * as InProcessGate from "../src/InProcessGate.js"
import { LlmDecider } from "../src/LlmDecider.js"
import type { Rule } from "../src/Rules.js"
import * as RulesDecider from "../src/RulesDecider.js"
import { analysisOf, reasonOf } from "./support/analyses.js"
import { callOf, recording } from "./support/requests.js"

const dies = Effect.dieMessage("broken")
const allowed = Effect.succeed(new AllowOnce({ rationale: "test" }))
const harmless = analysisOf({
  label: "read_only",
  reasons: [reasonOf("read_only", "reads")]
})

interface World {
  readonly fs?: Partial<FileSystem.FileSystem>
  readonly path?: Partial<Path.Path>
  readonly analyze?: () => Analysis
  readonly rules?: ReadonlyArray<Rule>
  readonly ask?: () => Effect.Effect<PermissionOutcome>
  readonly llm?: () => Effect.Effect<PermissionOutcome>
}

/** Calls that need everything: files that exist, that do not, and that are reached by a link; a command. */
const calls = [
  callOf("Write", { file_path: "src/a.ts" }),
  callOf("Write", { file_path: "src/../new/dir/file" }),
  callOf("Edit", { file_path: "link/b.ts" }),
  callOf("Write", { file_path: "dangling" }),
  callOf("Bash", { command: "ls" })
]

/** What becomes of each call: `allow`, or why not. */
const askAll = (world: World = {}) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = yield* Effect.flatMap(fs.makeTempDirectoryScoped({ prefix: "rules-" }), fs.realPath)
    const workspace = path.join(directory, "tree")
    yield* fs.makeDirectory(path.join(workspace, "src"), { recursive: true })
    yield* fs.writeFileString(path.join(workspace, "src", "a.ts"), "x")
    yield* fs.symlink(path.join(workspace, "src"), path.join(workspace, "link"))
    yield* fs.symlink(path.join(workspace, "src", "later.ts"), path.join(workspace, "dangling"))
    const decider = RulesDecider.layer({
      preset: "default",
      ...(world.rules === undefined ? {} : { rules: world.rules })
    })
    const context = yield* Layer.build(
      InProcessGate.layer({ decideTimeout: "250 millis" }).pipe(
        Layer.provide(decider),
        Layer.provide([
          Layer.succeed(FileSystem.FileSystem, Object.assign(Object.create(fs), world.fs)),
          Layer.succeed(Path.Path, { ...path, ...world.path }),
          Layer.succeed(CommandAnalyzer, { analyze: world.analyze ?? (() => harmless) }),
          Layer.succeed(LlmDecider, { decide: world.llm ?? (() => allowed) }),
          Layer.succeed(AskDecider, { decide: world.ask ?? (() => allowed) })
        ])
      )
    )
    const { decisions, registration } = yield* recording({ workspace })
    const ticket = yield* Context.get(context, PermissionGate).register(registration)
    const outcomes = yield* Effect.forEach(calls, ticket.decide, { concurrency: "unbounded" })
    assert.strictEqual((yield* decisions).length, calls.length)
    return outcomes.map((it) => (isAllowed(it) ? "allow" : messageOf(it)))
  }).pipe(Effect.scoped)

const live = (name: string, test: () => Effect.Effect<void, unknown, FileSystem.FileSystem | Path.Path>) =>
  it.scopedLive(name, () => test().pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(NodeContext.layer)))

const all = calls.map(() => "allow")

/** None of these calls is allowed, and each says why not. */
const refused = (answers: ReadonlyArray<string>, which: (call: (typeof calls)[number]) => boolean) => {
  for (const [index, call] of calls.entries()) {
    if (!which(call)) continue
    assert.notStrictEqual(answers[index], "allow", JSON.stringify(call.input))
    assert.match(answers[index] ?? "", /.{20,}/)
  }
}
const isFile = ({ tool }: (typeof calls)[number]) => tool !== "Bash"
const isCommand = ({ tool }: (typeof calls)[number]) => tool === "Bash"

/** The methods of `service` that are used for these calls. */
const usedMethods = <S extends object>(
  service: S,
  run: (spied: Partial<S>) => Effect.Effect<unknown, unknown, FileSystem.FileSystem | Path.Path>
) =>
  Effect.gen(function* () {
    const used = new Set<keyof S>()
    const spied: Partial<S> = {}
    for (const name of Object.keys(service) as Array<keyof S>) {
      const method = service[name]
      if (typeof method !== "function") continue
      spied[name] = ((...args: ReadonlyArray<unknown>) => {
        used.add(name)
        return method(...args)
      }) as never
    }
    yield* run(spied)
    return [...used]
  })

describe("The gate with rules", () => {
  live("allows these calls while nothing is broken", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* askAll(), all)
    })
  )

  live("refuses what it cannot look up, whichever look at the files fails, dies, hangs or lies", () =>
    Effect.gen(function* () {
      const used = yield* usedMethods(yield* FileSystem.FileSystem, (fs) => askAll({ fs }))
      assert.isAbove(used.length, 1)
      const denied = new SystemError({ reason: "PermissionDenied", module: "FileSystem", method: "any" })
      for (const name of used) {
        for (const broken of [
          () => Effect.fail(denied),
          () => dies,
          () => Effect.never,
          () => {
            throw new Error("broken")
          },
          () => Effect.succeed(7)
        ]) {
          const answers = yield* askAll({ fs: { [name]: broken } })
          // A look that none of the calls needed can break without harm; each of these is needed by one.
          const needed = name === "readLink" ? calls.filter(({ input }) => input["file_path"] === "dangling") : calls
          refused(answers, (call) => isFile(call) && needed.includes(call))
        }
      }
    })
  )

  live("refuses what it cannot place, whichever reading of paths throws", () =>
    Effect.gen(function* () {
      const used = yield* usedMethods(yield* Path.Path, (path) => askAll({ path }))
      assert.isAbove(used.length, 3)
      for (const name of used) {
        const answers = yield* askAll({
          path: {
            [name]: () => {
              throw new Error("broken")
            }
          }
        })
        assert.notDeepEqual(answers, all, String(name))
      }
    })
  )

  for (const [name, analyze] of [
    [
      "throws",
      () => {
        throw new Error("broken")
      }
    ],
    ["answers nothing", () => undefined],
    ["answers something else", () => 7],
    ["answers with an unknown label", () => ({ ...harmless, label: "fine" })],
    ["answers without a label", () => ({ ...harmless, label: undefined })],
    ["answers without paths", () => ({ ...harmless, paths: undefined })],
    ["says that it is dangerous", () => ({ ...harmless, label: "dangerous" })]
  ] as const) {
    live(`refuses a command when the analyzer ${name}`, () =>
      Effect.gen(function* () {
        refused(yield* askAll({ analyze: analyze as () => Analysis }), isCommand)
      })
    )
  }

  for (const verdict of ["ask", "llm"] as const) {
    const rules: ReadonlyArray<Rule> = [{ tool: "*", verdict } as Rule]
    const with_ = (decide: () => Effect.Effect<PermissionOutcome>) => askAll({ rules, [verdict]: decide })
    live(`allows what ${verdict} allows, and refuses when it dies, throws, fails, hangs or lies`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* with_(() => allowed), all)
        for (const broken of [
          () => dies,
          () => {
            throw new Error("broken")
          },
          () => Effect.fail("broken") as unknown as Effect.Effect<never>,
          () => Effect.never,
          () => Effect.interrupt,
          () => Effect.succeed(true as unknown as PermissionOutcome),
          () => Effect.succeed({ _tag: "AllowOnce" } as PermissionOutcome)
        ]) {
          refused(yield* with_(broken), () => true)
        }
      })
    )
  }
})
