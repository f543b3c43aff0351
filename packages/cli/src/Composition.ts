/**
 * What the driver is made of: the only place that picks implementations. Loaded by
 * the commands that work with them, never by `driver --help`.
 */
import type { Agent } from "@driver/agent/Agent"
import * as ClaudeCode from "@driver/agent/ClaudeCode"
import { Containment, sweepOrphans } from "@driver/agent/Subprocess"
import type { GoalId } from "@driver/domain/Goal"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import * as PermissionSocket from "@driver/permission/PermissionSocket"
import * as RulesDecider from "@driver/permission/RulesDecider"
import { UnixSockets } from "@driver/permission/UnixSockets"
import { Acceptance } from "@driver/runtime/Acceptance"
import { CompactPolicy } from "@driver/runtime/CompactPolicy"
import { CriterionRegistry } from "@driver/runtime/CriterionRegistry"
import { Driver } from "@driver/runtime/Driver"
import { EventSink } from "@driver/runtime/EventSink"
import * as Git from "@driver/runtime/Git"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import { Judge } from "@driver/runtime/Judge"
import { PostTurnHooks } from "@driver/runtime/PostTurnHooks"
import { ReplayPolicy } from "@driver/runtime/ReplayPolicy"
import { StuckPolicy } from "@driver/runtime/StuckPolicy"
import type { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceDirectory from "@driver/runtime/WorkspaceDirectory"
import * as WorkspaceGit from "@driver/runtime/WorkspaceGit"
import * as Database from "@driver/store/Database"
import * as Stores from "@driver/store/Stores"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { assetPath, type MissingAsset } from "./Assets.js"
import type { Composition } from "./Cli.js"
import * as GoalLock from "./GoalLock.js"
import { gateDirectory } from "./gateDirectory.js"
import { RunError, RunGoal, type RunOptions } from "./RunGoal.js"
import type { Settings } from "./Settings.js"
import { ProbeError, SystemProbes } from "./SystemProbes.js"

type Platform = FileSystem.FileSystem | Path.Path

const ExecutorLayer = NodeCommandExecutor.layer

/** What a caller may have its own of. */
export interface Parts {
  readonly agent: Layer.Layer<Agent, MissingAsset, Platform | Containment>
  readonly executor: Layer.Layer<CommandExecutor.CommandExecutor, never, FileSystem.FileSystem>
}

const ContainmentLayer = Containment.layer

const gitLayer = (executor: Parts["executor"]) => Git.Git.layer().pipe(Layer.provide(executor))

const workspaceLayer = (
  settings: Settings,
  executor: Parts["executor"] = ExecutorLayer
): Layer.Layer<Workspace, never, Platform> =>
  Option.match(settings.repository, {
    onNone: () => WorkspaceDirectory.layer({ root: settings.worktreeRoot, stateDirectory: settings.stateDirectory }),
    onSome: (repository) =>
      WorkspaceGit.layer({
        repository,
        root: settings.worktreeRoot,
        stateDirectory: settings.stateDirectory,
        base: settings.config.base
      })
  }).pipe(Layer.provide(gitLayer(executor)))

/** The database's directory is ours to make when it lies in the state directory. */
const databaseLayer = ({ stateDirectory, store }: Settings) =>
  store.kind === "postgres"
    ? Database.layerPostgres({ url: store.url })
    : Layer.unwrapEffect(
        Effect.gen(function* () {
          const fs = yield* FileSystem.FileSystem
          const path = yield* Path.Path
          if (path.dirname(store.filename) === stateDirectory) {
            yield* Effect.ignore(fs.makeDirectory(stateDirectory, { recursive: true, mode: 0o700 }))
          }
          return Database.layerSqlite({ filename: store.filename })
        })
      )

const storesLayer = (settings: Settings) => Stores.layer().pipe(Layer.provide(databaseLayer(settings)))

const deciderLayer = ({ config, stateDirectory }: Settings): Layer.Layer<PermissionDecider, never, Platform> => {
  switch (config.permission.decider) {
    case "allow_all":
      return PermissionDecider.layerAllowAll
    case "deny_all":
      return PermissionDecider.layerDenyAll()
    case "rules":
      return RulesDecider.layer({ rules: config.permission.rules, protectedPaths: [stateDirectory] })
  }
}

const SocketsLayer = Layer.succeed(UnixSockets, {
  listen: (path) => NodeSocketServer.make({ path }),
  connect: (path) => NodeSocket.makeNet({ path })
})

const gateLayer = (settings: Settings) =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const program = yield* assetPath("driver-gate.mjs")
      return PermissionSocket.layer({
        directory: yield* gateDirectory(settings.stateDirectory),
        program: { command: process.execPath, args: [program] },
        settings: { decideTimeout: settings.config.permission.timeout }
      })
    })
  ).pipe(Layer.provide([deciderLayer(settings), SocketsLayer]))

export const agentLayer = (settings: Settings): Layer.Layer<Agent, MissingAsset, Platform | Containment> =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const { agent } = settings.config
      const isStub = settings.agent.kind === "stub"
      const binary = yield* Option.match(settings.agent.binary, {
        onNone: () => (isStub ? assetPath("driver-stub.mjs") : Effect.succeed("claude")),
        onSome: Effect.succeed
      })
      const scenario = isStub ? Option.toArray(settings.agent.scenario) : []
      return ClaudeCode.layer({
        binary,
        env: {
          ...settings.agent.environment,
          ...Object.fromEntries(scenario.map((it) => ["DRIVER_STUB_SCENARIO", it]))
        },
        mode: agent.mode,
        permissionDoor: agent.permissionDoor,
        idleLimit: agent.idleLimit,
        backgroundDeadline: agent.backgroundDeadline,
        extraArgs: agent.extraArgs,
        ...(Option.isSome(agent.model) ? { model: agent.model.value } : {})
      })
    })
  ).pipe(Layer.provide(ExecutorLayer))

const acceptanceLayer = ({ config, criteriaEnvironment, secrets }: Settings) =>
  Acceptance.layer({
    env: criteriaEnvironment,
    secrets,
    timeout: config.acceptance.timeout,
    concurrency: config.acceptance.concurrency,
    evidenceBytes: config.acceptance.evidenceBytes
  }).pipe(Layer.provide([CriterionRegistry.layer(), Judge.layerNone]))

const policiesLayer = ({ config }: Settings) =>
  Layer.mergeAll(
    CompactPolicy.layer(config.compact),
    ReplayPolicy.layer(config.replay),
    StuckPolicy.layer(config.stuck),
    PostTurnHooks.layerNone
  )

const loopLayer = ({ config, deliver }: Settings) =>
  GoalLoop.layer({
    turnTimeout: config.agent.turnTimeout,
    maxSleep: config.agent.maxSleep,
    progressEveryTurns: config.progressEveryTurns,
    preflight: config.acceptance.preflight,
    delivery: deliver,
    cleanup: config.cleanup
  })

/** Everything that a goal needs while it runs, but for where its events go. */
export const driverLayer = (settings: Settings, parts: Partial<Parts> = {}) =>
  Driver.layer.pipe(
    Layer.provide(loopLayer(settings)),
    Layer.provide([
      parts.agent ?? agentLayer(settings),
      gateLayer(settings),
      acceptanceLayer(settings),
      policiesLayer(settings),
      storesLayer(settings)
    ]),
    // Both ask the system for something, so they do it at the same time.
    Layer.provide([workspaceLayer(settings, parts.executor), ContainmentLayer])
  )

/** Runs goals, each with its events told to whoever runs it. */
const runLayer = (settings: Settings): Layer.Layer<RunGoal, { readonly message: string }, Platform> =>
  Layer.unwrapEffect(
    Effect.sync(() => {
      const running = new Map<GoalId, RunOptions>()
      const observed = Layer.succeed(EventSink, {
        publish: (stored) => {
          const options = running.get(stored.goalId)
          return options === undefined ? Effect.void : options.onEvent(stored)
        },
        flush: Effect.void
      })
      const sink = EventSink.layerAll([observed, ...settings.eventFiles.map((file) => EventSink.layerJsonl(file))])
      const service = Layer.effect(
        RunGoal,
        Effect.gen(function* () {
          const driver = yield* Driver
          const events = yield* EventSink
          return {
            run: (goal, options) =>
              Effect.gen(function* () {
                yield* GoalLock.acquire(settings.stateDirectory, goal.id)
                // What a driver left that was killed in the middle of this goal.
                yield* sweepOrphans({ markers: [goal.id] })
                yield* Effect.acquireRelease(
                  Effect.sync(() => running.set(goal.id, options)),
                  () => Effect.sync(() => running.delete(goal.id))
                )
                return yield* Effect.ensuring(driver.run(goal), events.flush)
              }).pipe(
                Effect.scoped,
                Effect.catchTag("GoalAlreadyRunning", (error) => new RunError({ detail: error.message }))
              )
          }
        })
      )
      return service.pipe(Layer.provide(driverLayer(settings)), Layer.provide(sink))
    })
  )

const probesLayer = (settings: Settings): Layer.Layer<SystemProbes, never, Platform> =>
  Layer.effect(
    SystemProbes,
    Effect.map(Effect.context<Platform>(), (platform) => ({
      containment: Effect.flatMap(Containment, ({ kind, reason }) =>
        Effect.succeed({
          contained: kind === "namespace",
          kind,
          reason: Option.getOrElse(reason, () => "process-id namespaces work here")
        })
      ).pipe(Effect.provide(ContainmentLayer)),
      database: Effect.scoped(Layer.build(databaseLayer(settings))).pipe(
        Effect.as(settings.store.kind === "sqlite" ? settings.store.filename : "PostgreSQL"),
        Effect.mapError((error) => new ProbeError({ detail: error.message, mend: "mend `store` in driver.yaml" })),
        Effect.provide(platform)
      ),
      socket: Effect.scoped(Layer.build(gateLayer(settings))).pipe(
        Effect.as(settings.stateDirectory),
        Effect.mapError(
          (error) =>
            new ProbeError({ detail: error.message, mend: "set `state_dir` in driver.yaml to a short path of yours" })
        ),
        Effect.timeoutFail({
          duration: Duration.seconds(5),
          onTimeout: () =>
            new ProbeError({
              detail: "the socket did not open in 5 seconds",
              mend: "look at the disk of the state directory"
            })
        }),
        Effect.provide(platform)
      )
    }))
  )

export const composition: Composition<{ readonly message: string }, Platform> = {
  goals: (settings) => Layer.mergeAll(workspaceLayer(settings), storesLayer(settings)),
  rehearsal: (settings) =>
    acceptanceLayer(settings).pipe(Layer.provideMerge(workspaceLayer(settings)), Layer.provide(ContainmentLayer)),
  run: runLayer,
  probes: probesLayer
}
