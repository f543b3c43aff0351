#!/usr/bin/env node
/**
 * The program. It starts the command line on Node, with logs and failures on
 * standard error; which implementations the commands work with is said in
 * `Composition.ts`, which is loaded by those that need it.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { makeCli } from "./Cli.js"
import { failureText, teardown } from "./exitCode.js"
import { Host } from "./Host.js"
import * as HostNode from "./HostNode.js"
import { leanHeap } from "./leanHeap.js"
import { endOnSecondSignal } from "./signals.js"

leanHeap()

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

const PlatformLayer = Layer.mergeAll(
  NodeFileSystem.layer,
  NodePath.layer,
  NodeTerminal.layer,
  HostNode.layer,
  // Standard output belongs to what was asked for.
  Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.stringLogger)),
  Logger.minimumLogLevel(LogLevel.Warning)
)

makeCli(composition)(process.argv).pipe(
  Effect.tapErrorCause((cause) => Effect.flatMap(Host, ({ stderr }) => stderr.write(failureText(cause)))),
  Effect.provide(PlatformLayer),
  NodeRuntime.runMain({ teardown, disableErrorReporting: true, disablePrettyLogger: true })
)
