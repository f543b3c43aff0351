#!/usr/bin/env node
/**
 * The program. It starts the command line on Node, with logs and failures on
 * standard error; which implementations the commands work with is said in
 * `Composition.ts`, which is loaded by those that need it.
 */
import { setFlagsFromString } from "node:v8"
import * as Redactor from "@driver/domain/Redactor"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import { makeCli } from "./Cli.js"
import { secretValues } from "./Environment.js"
import { failureText, teardown } from "./exitCode.js"
import { Host } from "./Host.js"
import * as HostNode from "./HostNode.js"
import { endOnSecondSignal } from "./signals.js"

endOnSecondSignal(
  process,
  () => performance.now(),
  () => {
    HostNode.restoreTerminals()
    process.exit(130)
  }
)
// A terminal that is closed ends the goal like a cancel.
process.on("SIGHUP", () => process.kill(process.pid, "SIGTERM"))

const composition = Effect.map(
  Effect.promise(() => import("./Composition.js")),
  (it) => it.composition
)

/** Takes the secrets of this process out of what it says on standard error. */
const cleanText = Effect.map(
  Host,
  ({ environment }) => Redactor.make(secretValues(environment).map((it) => Redacted.make(it))).text
)

const PlatformLayer = Layer.mergeAll(
  NodeFileSystem.layer,
  NodePath.layer,
  NodeTerminal.layer,
  HostNode.layer,
  // Standard output belongs to what was asked for.
  Layer.unwrapEffect(
    Effect.map(cleanText, (clean) =>
      Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.map(Logger.stringLogger, clean)))
    )
  ).pipe(Layer.provide(HostNode.layer)),
  Logger.minimumLogLevel(LogLevel.Warning)
)

/** The launcher has switched it off. */
const optimizeSoon = Effect.sync(() => setFlagsFromString("--opt")).pipe(Effect.delay("1 second"), Effect.forkScoped)

Effect.scoped(Effect.zipRight(optimizeSoon, makeCli(composition)(process.argv))).pipe(
  Effect.tapErrorCause((cause) =>
    Effect.flatMap(Effect.all([Host, cleanText]), ([{ stderr }, clean]) => stderr.write(clean(failureText(cause))))
  ),
  Effect.provide(PlatformLayer),
  // Switched on where telemetry is configured: spans that nobody keeps cost a quarter of what the gate does.
  Effect.withTracerEnabled(false),
  NodeRuntime.runMain({
    // What is left has no owner: compilers, collectors, the heap. Nobody needs to wait for them to be put away.
    teardown: (exit, onExit) => {
      teardown(exit, onExit)
      process.stdout.write("", () => process.exit())
    },
    disableErrorReporting: true,
    disablePrettyLogger: true
  })
)
