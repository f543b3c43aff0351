/**
 * What the driver is made of: the only place that picks implementations. Loaded by
 * the commands that work with them, never by `driver --help`.
 */
import * as Git from "@driver/runtime/Git"
import type { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceDirectory from "@driver/runtime/WorkspaceDirectory"
import * as WorkspaceGit from "@driver/runtime/WorkspaceGit"
import * as Database from "@driver/store/Database"
import * as Stores from "@driver/store/Stores"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Composition } from "./Cli.js"
import { RunError } from "./RunGoal.js"
import type { Settings } from "./Settings.js"
import { ProbeError, SystemProbes } from "./SystemProbes.js"

type Platform = FileSystem.FileSystem | Path.Path

const GitLayer = Git.Git.layer().pipe(Layer.provide(NodeCommandExecutor.layer))

const workspaceLayer = (settings: Settings): Layer.Layer<Workspace, never, Platform> =>
  Option.match(settings.repository, {
    onNone: () => WorkspaceDirectory.layer({ root: settings.worktreeRoot, stateDirectory: settings.stateDirectory }),
    onSome: (repository) =>
      WorkspaceGit.layer({
        repository,
        root: settings.worktreeRoot,
        stateDirectory: settings.stateDirectory,
        base: settings.config.base
      })
  }).pipe(Layer.provide(GitLayer))

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

const missing = (what: string) => new RunError({ detail: `${what} is not part of this build` })

export const composition: Composition<{ readonly message: string }, Platform> = {
  goals: (settings) => Layer.mergeAll(workspaceLayer(settings), storesLayer(settings)),
  rehearsal: () => Layer.fail(missing("the evaluator of criteria")),
  run: () => Layer.fail(missing("the goal loop")),
  probes: (settings) =>
    Layer.effect(
      SystemProbes,
      Effect.map(Effect.context<Platform>(), (platform) => ({
        containment: Effect.succeed({ contained: false, kind: "unknown", reason: "not part of this build" }),
        database: Effect.scoped(Layer.build(databaseLayer(settings))).pipe(
          Effect.as(settings.store.kind === "sqlite" ? settings.store.filename : "PostgreSQL"),
          Effect.mapError((error) => new ProbeError({ detail: error.message, mend: "mend `store` in driver.yaml" })),
          Effect.provide(platform)
        ),
        socket: Effect.fail(new ProbeError({ detail: "not part of this build", mend: "build driver whole" }))
      }))
    ),
  checkPattern: () => Option.none()
}
