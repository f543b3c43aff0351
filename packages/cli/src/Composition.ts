/**
 * What the driver is made of: the only place that picks implementations. Loaded by
 * the commands that work with them, never by `driver --help`.
 */
import type { Agent } from "@driver/agent/Agent"
import * as ClaudeCode from "@driver/agent/ClaudeCode"
import type { SandboxUnavailable } from "@driver/agent/Sandbox"
import { Containment } from "@driver/agent/Subprocess"
import { Redactor } from "@driver/domain/Redactor"
import { CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { PermissionDecider } from "@driver/permission/PermissionDecider"
import * as PermissionSocket from "@driver/permission/PermissionSocket"
import type { Programs } from "@driver/permission/Policy"
import * as SandboxedCommands from "@driver/permission/SandboxedCommands"
import { UnixSockets } from "@driver/permission/UnixSockets"
import { Acceptance } from "@driver/runtime/Acceptance"
import { CompactPolicy } from "@driver/runtime/CompactPolicy"
import { CriterionRegistry } from "@driver/runtime/CriterionRegistry"
import { Driver } from "@driver/runtime/Driver"
import * as Git from "@driver/runtime/Git"
import { GoalLoop } from "@driver/runtime/GoalLoop"
import { Judge } from "@driver/runtime/Judge"
import { Leases } from "@driver/runtime/Leases"
import { PostTurnHooks } from "@driver/runtime/PostTurnHooks"
import { ReplayPolicy } from "@driver/runtime/ReplayPolicy"
import { StuckPolicy } from "@driver/runtime/StuckPolicy"
import type { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceDirectory from "@driver/runtime/WorkspaceDirectory"
import * as WorkspaceGit from "@driver/runtime/WorkspaceGit"
import * as Database from "@driver/store/Database"
import type { AllStores } from "@driver/store/Stores"
import * as Stores from "@driver/store/Stores"
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
import type { DaemonParts } from "./compositionDaemon.js"
import { consumersOf } from "./compositionEvents.js"
import { runLayer } from "./compositionRun.js"
import { deciderLayer, decideTimeout } from "./deciderLayer.js"
import { gateEnvironment } from "./Environment.js"
import { GateDirectory } from "./gateDirectory.js"
import * as LanguageModels from "./LanguageModels.js"
import { leaseOwner, liveness } from "./leaseOwner.js"
import type { RunError } from "./RunGoal.js"
import type { Settings } from "./Settings.js"
import { ProbeError, SystemProbes } from "./SystemProbes.js"
import { agentSandboxLayer, sandboxLayer, sandboxProbe } from "./sandboxLayer.js"

type Platform = FileSystem.FileSystem | Path.Path

const ExecutorLayer = NodeCommandExecutor.layer

type AgentTrouble = MissingAsset | RunError | SandboxUnavailable

/** What a caller may have its own of. */
export interface Parts {
  readonly agent: Layer.Layer<Agent, AgentTrouble, Platform | Containment>
  readonly git: Layer.Layer<Git.Git>
  /** Of several runtimes in one process: on one database, with one heartbeat. */
  readonly shared: Layer.Layer<AllStores | Leases>
  /** What becomes of goals that have not ended when the layer's scope closes. Default `cancel`. */
  readonly onClose: "cancel" | "suspend"
}

const ContainmentLayer = Containment.layer

const GitLayer = Git.Git.layer()

const workspaceLayer = (settings: Settings, git: Parts["git"] = GitLayer): Layer.Layer<Workspace, never, Platform> =>
  Option.match(settings.repository, {
    onNone: () => WorkspaceDirectory.layer({ root: settings.worktreeRoot, stateDirectory: settings.stateDirectory }),
    onSome: (repository) =>
      WorkspaceGit.layer({
        repository,
        root: settings.worktreeRoot,
        stateDirectory: settings.stateDirectory,
        base: settings.config.base
      })
  }).pipe(Layer.provide(git))

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

export const storesLayer = (settings: Settings) =>
  Layer.unwrapEffect(
    Effect.map(consumersOf(settings), (consumers) =>
      Stores.layer({}, { consumers }).pipe(Layer.provide(databaseLayer(settings)))
    )
  )

/** One database, and this process as an owner of goals in it. */
export const sharedLayer = (settings: Settings) => Layer.provideMerge(LeasesLayer, storesLayer(settings))

const LeasesLayer = Layer.suspend(() =>
  Leases.layer({ owner: leaseOwner(), liveness: (owner) => Effect.sync(() => liveness(owner)) })
)

const analyzerLayer = (programs: Programs): Layer.Layer<CommandAnalyzer> => CommandAnalyzer.layer({ programs })

const confinedDeciderLayer = <E, R>(settings: Settings, stores: Layer.Layer<AllStores, E, R>) =>
  (settings.sandbox.agent
    ? deciderLayer(settings)
    : SandboxedCommands.layer({ env: settings.criteriaEnvironment }).pipe(Layer.provide(deciderLayer(settings)))
  ).pipe(Layer.provide([stores, analyzerLayer(settings.policy.programs), Redactor.layer(settings.secrets)]))

const SocketsLayer = Layer.succeed(UnixSockets, {
  listen: (path) => NodeSocketServer.make({ path }),
  connect: (path) => NodeSocket.makeNet({ path })
})

const gateLayer = <E, R>(settings: Settings, decider: Layer.Layer<PermissionDecider, E, R>) =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const program = yield* assetPath("driver-gate.mjs")
      return PermissionSocket.layer({
        directory: yield* GateDirectory,
        program: { command: process.execPath, args: [program], env: gateEnvironment(settings.agent.environment) },
        settings: { decideTimeout: decideTimeout(settings) }
      })
    })
  ).pipe(Layer.provide([decider, SocketsLayer]))

export const agentLayer = (
  settings: Settings
): Layer.Layer<Agent, AgentTrouble, Platform | Containment | GateDirectory> =>
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
      }).pipe(Layer.provide(agentSandboxLayer(settings, binary)))
    })
  ).pipe(Layer.provide(ExecutorLayer))

const judgeLayer = (
  settings: Settings
): Layer.Layer<Judge, LanguageModels.ModelConfigError, Containment | FileSystem.FileSystem> =>
  Option.match(settings.models.judge, {
    onNone: () => Judge.layerNone,
    onSome: (model) =>
      Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("@driver/runtime/JudgeLanguageModel")),
          (it) => it.layer({ prices: LanguageModels.pricesOf(settings.config.model) })
        )
      ).pipe(Layer.provide([LanguageModels.layer(model), Redactor.layer(settings.secrets)]))
  })

const acceptanceLayer = (settings: Settings) => {
  const { config, criteriaEnvironment, secrets } = settings
  return Acceptance.layer({
    env: criteriaEnvironment,
    secrets,
    timeout: config.acceptance.timeout,
    concurrency: config.acceptance.concurrency,
    evidenceBytes: config.acceptance.evidenceBytes
  }).pipe(Layer.provide([CriterionRegistry.layer(), judgeLayer(settings)]))
}

const policiesLayer = ({ agent, config }: Settings) =>
  Layer.mergeAll(
    CompactPolicy.layer(config.compact),
    ReplayPolicy.layer({ ...config.replay, endAtLimit: agent.endAtLimit }),
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
export const driverLayer = (settings: Settings, parts: Partial<Parts> = {}) => {
  // One database for all.
  const shared = parts.shared ?? sharedLayer(settings)
  return (parts.onClose === "suspend" ? Driver.layerSuspending : Driver.layer).pipe(
    Layer.provide(loopLayer(settings)),
    Layer.provide(Redactor.layer(settings.secrets)),
    Layer.provide([
      parts.agent ?? agentLayer(settings),
      gateLayer(settings, confinedDeciderLayer(settings, shared)),
      acceptanceLayer(settings),
      policiesLayer(settings),
      shared
    ]),
    Layer.provide(GateDirectory.layer(settings.stateDirectory)),
    Layer.provideMerge(sandboxLayer(settings)),
    // Both ask the system for something, so they do it at the same time.
    Layer.provideMerge(workspaceLayer(settings, parts.git)),
    Layer.provide(ContainmentLayer),
    Layer.merge(shared)
  )
}

const probesLayer = (settings: Settings): Layer.Layer<SystemProbes, never, Platform> =>
  Layer.effect(
    SystemProbes,
    Effect.map(Effect.context<Platform>(), (platform) => ({
      containment: Effect.flatMap(Containment, ({ state }) => state).pipe(
        Effect.map(({ kind, reason }) => ({
          contained: kind === "namespace",
          kind,
          reason: Option.getOrElse(reason, () => "process-id namespaces work here")
        })),
        Effect.provide(ContainmentLayer)
      ),
      sandbox: sandboxProbe(settings).pipe(Effect.provide(ContainmentLayer)),
      database: Effect.scoped(Layer.build(databaseLayer(settings))).pipe(
        Effect.as(settings.store.kind === "sqlite" ? settings.store.filename : "PostgreSQL"),
        Effect.mapError((error) => new ProbeError({ detail: error.message, mend: "mend `store` in driver.yaml" })),
        Effect.provide(platform)
      ),
      socket: Effect.scoped(
        Layer.build(
          gateLayer(settings, PermissionDecider.layerDenyAll()).pipe(
            Layer.provide(GateDirectory.layer(settings.stateDirectory))
          )
        )
      ).pipe(
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
      ),
      outward: Effect.flatMap(
        Effect.promise(() => import("./outwardProbes.js")),
        (it) =>
          Effect.zipWith(
            it.outwardChecks(settings),
            // A database that cannot be opened has a check of its own.
            Effect.orElseSucceed(Effect.provide(it.outboxChecks(settings), storesLayer(settings)), () => []),
            (outward, outbox) => [...outward, ...outbox]
          )
      ).pipe(Effect.provide(platform))
    }))
  )

const rehearsalLayer = (settings: Settings) =>
  acceptanceLayer(settings).pipe(
    Layer.provideMerge(workspaceLayer(settings)),
    Layer.provide(sandboxLayer(settings)),
    Layer.provide(ContainmentLayer)
  )

const daemon = Effect.promise(() => import("./compositionDaemon.js"))

const daemonParts: DaemonParts = { driver: driverLayer, shared: sharedLayer }

export const composition: Composition<{ readonly message: string }, Platform> = {
  goals: (settings) => Layer.mergeAll(workspaceLayer(settings), storesLayer(settings)),
  operator: (settings) => Layer.unwrapEffect(Effect.map(daemon, (it) => it.operatorLayer(settings, daemonParts))),
  journals: storesLayer,
  verify: Effect.map(daemon, (it) => it.verify),
  serve: (settings, options) =>
    Layer.unwrapEffect(Effect.map(daemon, (it) => it.serveLayer(settings, options, daemonParts))),
  analyzer: analyzerLayer,
  decisions: storesLayer,
  rehearsal: rehearsalLayer,
  run: (settings) => runLayer(settings, { listed: true, driver: driverLayer }),
  ask: (settings, options) =>
    Layer.unwrapEffect(
      Effect.map(
        Effect.promise(() => import("./compositionIntent.js")),
        (it) =>
          it.askLayer<{ readonly message: string }>(settings, options, {
            database: databaseLayer(settings),
            rehearsal: rehearsalLayer(settings),
            run: (own) => runLayer(own, { listed: false, driver: driverLayer })
          })
      )
    ),
  registry: (settings) =>
    Layer.unwrapEffect(
      Effect.map(
        Effect.promise(() => import("@driver/store/SqlRegistry")),
        (it) => it.layer
      )
    ).pipe(Layer.provide(databaseLayer(settings))),
  probes: probesLayer
}
