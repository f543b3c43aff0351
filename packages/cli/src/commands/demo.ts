/**
 * `driver demo`: the main job on a sample repository with the stand-in agent. No
 * keys, no network, nothing of the user's is touched: everything lies in a
 * directory of its own that is removed afterwards.
 */
import { GoalId } from "@driver/domain/Goal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { assetPath } from "../Assets.js"
import { defaults } from "../Config.js"
import { files, goal } from "../demo/sampleRepository.js"
import { agentEnvironment, criteriaEnvironment, secretValues } from "../Environment.js"
import { type CaptureError, Host } from "../Host.js"
import { policySettings } from "../PolicyFile.js"
import type { RunGoal } from "../RunGoal.js"
import type { Settings } from "../Settings.js"
import { drive } from "./run.js"

export interface DemoArguments {
  readonly json: boolean
  /** Leave the sample repository and the goal's worktree. */
  readonly keep: boolean
}

/** The sample repository could not be made. */
export class DemoError extends Data.TaggedError("DemoError")<{ readonly detail: string }> {
  override get message() {
    return `The sample repository of the demo could not be made: ${this.detail}`
  }
}

export const demo = <E, R>({ json, keep }: DemoArguments, layer: (settings: Settings) => Layer.Layer<RunGoal, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const host = yield* Host
      const path = yield* Path.Path
      const say = (text: string) => (json ? host.stderr : host.stdout).write(`${text}\n`)
      const scenario = yield* assetPath("demo.yaml")
      const root = yield* makeRoot(keep)
      const repository = path.join(root, "greet")
      yield* makeRepository(repository)
      yield* say(`A sample repository in ${repository}, the stand-in agent, no keys, no network.`)
      const settings = settingsFor(host, { root, repository, scenario, join: path.join })
      const program = Effect.scoped(drive(goal(GoalId.make(yield* host.uuid)), { json, transient: !keep }))
      yield* Effect.provide(program, layer(settings)).pipe(
        Effect.ensuring(
          say(
            keep
              ? `The sample repository stays in ${repository}: look at it with \`git -C ${repository} log --all --stat\`.`
              : "The sample repository has been removed again (--keep leaves it)."
          )
        )
      )
    })
  )

const makeRoot = (keep: boolean) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = yield* keep
      ? fs.makeTempDirectory({ prefix: "driver-demo-" })
      : fs.makeTempDirectoryScoped({ prefix: "driver-demo-" })
    // Below /tmp on some systems is a link; git answers with real paths.
    return yield* fs.realPath(directory)
  }).pipe(Effect.mapError((error) => new DemoError({ detail: error.message })))

const makeRepository = (directory: string) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { capture, environment } = yield* Host
    yield* fs.makeDirectory(directory, { recursive: true })
    yield* Effect.forEach(
      Object.entries(files),
      ([name, text]) => fs.writeFileString(path.join(directory, name), text),
      {
        discard: true
      }
    )
    const git = (...args: ReadonlyArray<string>) =>
      capture("git", ["-C", directory, ...identity, ...args], {
        timeout: Duration.seconds(20),
        // The user's own configuration (signing, hooks, templates) has no place in a demo.
        environment: {
          ...criteriaEnvironment(environment, []),
          GIT_CONFIG_GLOBAL: "/dev/null",
          GIT_CONFIG_NOSYSTEM: "1"
        }
      }).pipe(
        Effect.mapError(
          (error: CaptureError) => new DemoError({ detail: `${error.message}. Install git, then try again` })
        ),
        Effect.filterOrFail(
          ({ exitCode }) => exitCode === 0,
          ({ stderr }) => new DemoError({ detail: `git ${args[0]} said: ${stderr.trim()}` })
        )
      )
    yield* git("init", "--quiet", "--initial-branch=main", "--template=")
    yield* git("add", "--all")
    yield* git("commit", "--quiet", "--no-verify", "--message", "Greet people")
  }).pipe(Effect.mapError((error) => (error instanceof DemoError ? error : new DemoError({ detail: error.message }))))

const identity = ["-c", "user.name=driver demo", "-c", "user.email=demo@driver.invalid", "-c", "commit.gpgsign=false"]

const settingsFor = (
  host: Host["Type"],
  places: {
    readonly root: string
    readonly repository: string
    readonly scenario: string
    readonly join: (...parts: ReadonlyArray<string>) => string
  }
): Settings => ({
  file: Option.none(),
  config: { ...defaults, agent: { ...defaults.agent, kind: "stub" } },
  budget: {},
  repository: Option.some(places.repository),
  stateDirectory: places.join(places.root, "state"),
  worktreeRoot: places.join(places.root, "worktrees"),
  store: { kind: "sqlite", filename: places.join(places.root, "state", "driver.sqlite") },
  models: { judge: Option.none(), llm: Option.none(), others: [] },
  policy: policySettings(defaults.permission),
  policyFiles: [],
  eventFiles: [],
  agent: {
    kind: "stub",
    binary: Option.none(),
    scenario: Option.some(places.scenario),
    environment: agentEnvironment(host.environment, []),
    endAtLimit: false
  },
  otherAgents: [],
  sandbox: { mode: "auto", agent: false, hosts: [], home: host.home, writable: [], readable: [], mask: [] },
  secrets: secretValues(host.environment).map((value) => Redacted.make(value)),
  criteriaEnvironment: criteriaEnvironment(host.environment, []),
  deliver: { mode: "branch" },
  directory: places.root,
  ownEnvironment: {},
  nats: Option.none(),
  daemon: {
    socket: places.join(places.root, "state", "driver.sock"),
    listen: Option.none(),
    tokenFile: Option.none()
  }
})
