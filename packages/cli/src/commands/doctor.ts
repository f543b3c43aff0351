/**
 * `driver doctor`: tries out everything that the main job needs, and says how to mend
 * what does not work. It spends nothing: no request is made to any provider.
 */
import type { SandboxState } from "@driver/agent/Sandbox"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { assetPath } from "../Assets.js"
import { EndWith } from "../exitCode.js"
import { Host } from "../Host.js"
import { describeIssue } from "../InputError.js"
import { plural } from "../Render.js"
import { defaultSettings, findRepository, loadSettings, type Settings } from "../Settings.js"
import { broken, type Check, fine, SystemProbes, warning } from "../SystemProbes.js"
import { printable } from "../Text.js"
import { marks, paint, themeOf } from "../Theme.js"

export interface DoctorArguments {
  readonly config: Option.Option<string>
  readonly json: boolean
}

export const doctor = <R>(
  { config, json }: DoctorArguments,
  layer: (settings: Settings) => Layer.Layer<SystemProbes, never, R>
) =>
  Effect.gen(function* () {
    const { environment, nodeVersion, stdout } = yield* Host
    const loaded = yield* Effect.either(loadSettings({ config }))
    const settings = yield* Either.match(loaded, { onLeft: () => defaultSettings, onRight: Effect.succeed })
    const parts = yield* Effect.all(
      [
        Effect.succeed([nodeCheck(nodeVersion)]),
        gitChecks(settings),
        Effect.succeed([configCheck(loaded)]),
        repositoryChecks(settings),
        agentChecks(settings),
        stateChecks(settings)
      ],
      { concurrency: "unbounded" }
    )
    // After the directories have been looked at: the database and the socket lie in them.
    const checks = [...parts.flat(), ...(yield* Effect.provide(probeChecks(settings), layer(settings)))]
    const isBroken = checks.some(({ status }) => status === "broken")
    if (json) yield* stdout.write(`${JSON.stringify({ ok: !isBroken, checks }, null, 2)}\n`)
    else {
      const theme = themeOf(environment, stdout.isTerminal)
      const mark = marks(theme)
      const signs = {
        fine: paint(theme, "good", mark.ok),
        warning: paint(theme, "warn", mark.warn),
        broken: paint(theme, "bad", mark.failed)
      }
      for (const { detail, mend, name, status } of checks) {
        yield* stdout.write(
          `${signs[status]} ${name}: ${printable(detail)}\n${mend === "" ? "" : `    ${printable(mend)}\n`}`
        )
      }
      const count = (status: Check["status"]) => checks.filter((it) => it.status === status).length
      yield* stdout.write(
        isBroken
          ? `\n${plural(count("broken"), "thing is", "things are")} broken: \`driver run\` will not work before that is mended.\n`
          : `\n\`driver run\` can do its job${count("warning") > 0 ? `, with ${plural(count("warning"), "warning")}` : ""}.\n`
      )
    }
    if (isBroken) return yield* new EndWith({ code: 1 })
  })

/** The numbers of the first version in a text. */
export const versionIn = (text: string): readonly [number, number, number] | undefined => {
  const found = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text)
  return found === null ? undefined : [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)]
}

const isAtLeast = ([a, b]: readonly [number, number, number], major: number, minor: number) =>
  a > major || (a === major && b >= minor)

export const nodeCheck = (version: string): Check => {
  const parsed = versionIn(version)
  return parsed !== undefined && isAtLeast(parsed, 20, 19)
    ? fine("node", version)
    : broken("node", `${version} is too old`, "install Node.js 20.19 or later")
}

export const gitVersionCheck = (text: string, delivers: boolean): Check => {
  const version = versionIn(text)
  const found = text.replace(/^git version /, "").trim()
  if (version === undefined)
    return warning(
      "git",
      `its version could not be read from ${JSON.stringify(found)}`,
      "driver wants git 2.38 or later"
    )
  if (!isAtLeast(version, 2, 31)) return broken("git", `${found} is too old`, "install git 2.38 or later")
  if (isAtLeast(version, 2, 38)) return fine("git", found)
  return delivers
    ? broken(
        "git",
        `${found} cannot merge without a working tree, which \`deliver: merge\` needs`,
        "install git 2.38 or later, or deliver otherwise"
      )
    : warning("git", `${found}: delivering by merge will not work`, "install git 2.38 or later")
}

const gitEnvironment = (environment: Readonly<Record<string, string>>) => ({
  ...Object.fromEntries(
    ["PATH", "HOME", "LANG"].flatMap((name) =>
      environment[name] === undefined ? [] : [[name, environment[name] ?? ""]]
    )
  ),
  GIT_OPTIONAL_LOCKS: "0",
  GIT_TERMINAL_PROMPT: "0"
})

const gitChecks = (settings: Settings) =>
  Effect.gen(function* () {
    const { capture, environment } = yield* Host
    const result = yield* Effect.either(
      capture("git", ["--version"], { timeout: Duration.seconds(10), environment: gitEnvironment(environment) })
    )
    return [
      Either.match(result, {
        onLeft: (error) => broken("git", error.detail, "install git 2.38 or later and put it on the PATH"),
        onRight: ({ stdout }) => gitVersionCheck(stdout, settings.deliver.mode === "merge")
      })
    ]
  })

const configCheck = (
  loaded: Either.Either<Settings, { readonly issues: ReadonlyArray<Parameters<typeof describeIssue>[0]> }>
): Check =>
  Either.match(loaded, {
    onLeft: ({ issues }) =>
      broken(
        "configuration",
        issues.map(describeIssue).join("; "),
        "mend the file; `driver schema config` helps an editor to"
      ),
    onRight: ({ file }) =>
      fine(
        "configuration",
        Option.getOrElse(file, () => "none, the defaults hold")
      )
  })

const repositoryChecks = (settings: Settings) =>
  Effect.gen(function* () {
    const { capture, directory, environment } = yield* Host
    if (settings.config.workspace === "directory")
      return [fine("repository", "not needed: goals work in plain directories")]
    if (Option.isNone(settings.repository)) {
      return [
        broken(
          "repository",
          `${directory} is not inside a git repository`,
          "go to one, run `git init` and make a first commit, or set `repository` in driver.yaml"
        )
      ]
    }
    const repository = settings.repository.value
    const base = settings.config.base
    const result = yield* Effect.either(
      capture(
        "git",
        [
          "-C",
          repository,
          "-c",
          "core.fsmonitor=false",
          "rev-parse",
          "--verify",
          "--quiet",
          "--end-of-options",
          `${base}^{commit}`
        ],
        { timeout: Duration.seconds(10), environment: gitEnvironment(environment) }
      )
    )
    const head = Either.match(result, {
      onLeft: (error) => broken("repository", `${repository}: ${error.detail}`, "see what `git status` says there"),
      onRight: ({ exitCode, stderr, stdout }) =>
        exitCode === 0
          ? fine("repository", `${repository}, goals start from ${base} (${stdout.trim().slice(0, 10)})`)
          : broken(
              "repository",
              `${repository}: ${base} names no commit${stderr.trim() === "" ? "" : ` (${stderr.trim()})`}`,
              base === "HEAD" ? "make a first commit" : "mend `base` in driver.yaml"
            )
    })
    return [head, ...(yield* worktreeRootChecks(settings))]
  })

/** Inside another repository the worktrees would show up there as untracked files, unless they are ignored. */
const worktreeRootChecks = (settings: Settings) =>
  Effect.gen(function* () {
    const { capture, environment } = yield* Host
    const around = yield* findRepository(settings.worktreeRoot)
    if (Option.isNone(around)) return []
    const ignored = yield* capture(
      "git",
      ["-C", around.value, "-c", "core.fsmonitor=false", "check-ignore", "--quiet", "--", settings.worktreeRoot],
      {
        timeout: Duration.seconds(10),
        environment: gitEnvironment(environment)
      }
    ).pipe(
      Effect.map(({ exitCode }) => exitCode === 0),
      Effect.orElseSucceed(() => false)
    )
    return ignored
      ? []
      : [
          broken(
            "worktree root",
            `${settings.worktreeRoot} is inside the repository ${around.value}`,
            "set `worktree_root` in driver.yaml to a directory outside every repository, or have it ignored there"
          )
        ]
  })

const agentChecks = (settings: Settings) =>
  Effect.gen(function* () {
    const { capture } = yield* Host
    if (settings.agent.kind === "stub") {
      const fs = yield* FileSystem.FileSystem
      const program = yield* Effect.either(assetPath("driver-stub.mjs"))
      const scenario = Option.getOrElse(settings.agent.scenario, () => "")
      const there = yield* Effect.orElseSucceed(fs.exists(scenario), () => false)
      return [
        Either.match(program, {
          onLeft: (error) => broken("agent", error.message, "install driver again"),
          onRight: (path) => fine("agent", `the stand-in ${path}`)
        }),
        there
          ? fine("scenario", scenario)
          : broken("scenario", `${scenario} is not there`, "mend `agent.scenario` in driver.yaml")
      ]
    }
    const program = Option.getOrElse(settings.agent.binary, () => "claude")
    const result = yield* Effect.either(
      capture(program, ["--version"], { timeout: Duration.seconds(15), environment: settings.agent.environment })
    )
    if (Either.isLeft(result)) {
      const mends = {
        not_found:
          "install Claude Code (npm install -g @anthropic-ai/claude-code), or set `agent.binary` in driver.yaml",
        not_executable: "make it executable, or set `agent.binary` in driver.yaml",
        timeout: `run \`${program} --version\` by hand and see what it waits for`,
        failed: `run \`${program} --version\` by hand and see what it says`
      }
      return [broken("agent", `${program}: ${result.left.detail}`, mends[result.left.reason])]
    }
    return [agentVersionCheck(program, result.right), yield* loginCheck(settings)]
  })

export const agentVersionCheck = (
  program: string,
  { exitCode, stderr, stdout }: { readonly exitCode: number; readonly stdout: string; readonly stderr: string }
): Check => {
  const said = `${stdout}${stderr}`.trim().split("\n")[0] ?? ""
  const version = versionIn(stdout)
  if (exitCode !== 0 || version === undefined) {
    return broken(
      "agent",
      `${program} --version ended with ${exitCode} and said: ${said}`,
      "see whether this is Claude Code, and install it again"
    )
  }
  if (!isAtLeast(version, 2, 1))
    return broken("agent", `${program} ${said} is too old`, "update it: driver wants Claude Code 2.1 or later")
  return version[0] > 2
    ? warning(
        "agent",
        `${program} ${said} is newer than what driver was tested with (2.1)`,
        "if turns fail, install version 2.1"
      )
    : fine("agent", `${program} ${said}`)
}

const keys = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"]
const providers = ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"]

/** Whether the agent will find a login, as far as its files and variables tell. Whether that is still good, only a turn shows. */
const loginCheck = (settings: Settings) =>
  Effect.gen(function* () {
    const { home, platform } = yield* Host
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const environment = settings.agent.environment
    const key = [...keys, ...providers].find((name) => (environment[name] ?? "") !== "")
    if (key !== undefined) return fine("login", `by ${key}`)
    const directory = environment["CLAUDE_CONFIG_DIR"] ?? path.join(environment["HOME"] ?? home, ".claude")
    const read = (file: string) =>
      Effect.map(Effect.option(fs.readFileString(file)), (text) => Option.flatMap(text, asRecord))
    const credentials = yield* read(path.join(directory, ".credentials.json"))
    const oauth = Option.flatMap(credentials, (it) => asRecordValue(it["claudeAiOauth"]))
    if (Option.isSome(oauth) && typeof oauth.value["accessToken"] === "string")
      return fine("login", `by ${path.join(directory, ".credentials.json")}`)
    const own = yield* read(path.join(directory, "settings.json"))
    if (Option.exists(own, (it) => typeof it["apiKeyHelper"] === "string"))
      return fine("login", "by the apiKeyHelper of the agent's settings")
    const state = yield* read(
      environment["CLAUDE_CONFIG_DIR"] === undefined
        ? path.join(environment["HOME"] ?? home, ".claude.json")
        : path.join(directory, ".claude.json")
    )
    if (Option.exists(state, (it) => typeof it["primaryApiKey"] === "string"))
      return fine("login", "by the key in the agent's own file")
    const mend = "run `claude` once and log in, or set ANTHROPIC_API_KEY"
    return platform === "darwin" || Option.exists(state, (it) => "oauthAccount" in it)
      ? warning("login", "it may be in the system's keychain, which is not looked into", mend)
      : broken("login", `neither ${keys.join(", ")} nor a login in ${directory} was found`, mend)
  })

const asRecord = (text: string): Option.Option<Readonly<Record<string, unknown>>> => {
  try {
    return asRecordValue(JSON.parse(text))
  } catch {
    // A file that is no JSON holds no login.
    return Option.none()
  }
}

const asRecordValue = (value: unknown): Option.Option<Readonly<Record<string, unknown>>> =>
  typeof value === "object" && value !== null ? Option.some(Object.fromEntries(Object.entries(value))) : Option.none()

const mebibyte = 1024 * 1024

export const spaceCheck = (directory: string, free: Option.Option<number>): Check => {
  if (Option.isNone(free))
    return warning("free space", `the system does not say how much there is for ${directory}`, "see to it yourself")
  const shown = `${Math.floor(free.value / mebibyte)} MiB for ${directory}`
  if (free.value < 50 * mebibyte)
    return broken("free space", `only ${shown}`, "make room, or set `state_dir` in driver.yaml to another disk")
  return free.value < 1024 * mebibyte
    ? warning("free space", `only ${shown}`, "every goal has a worktree: make room before long runs")
    : fine("free space", shown)
}

const stateChecks = (settings: Settings) =>
  Effect.gen(function* () {
    const { freeBytes, uuid } = yield* Host
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const writable = (directory: string) =>
      Effect.gen(function* () {
        yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
        const probe = path.join(directory, `.doctor-${yield* uuid}`)
        yield* Effect.acquireUseRelease(
          fs.writeFileString(probe, "probe", { flag: "wx" }),
          () => Effect.void,
          () => Effect.ignore(fs.remove(probe, { force: true }))
        )
      })
    const check = (name: string, key: string, directory: string) =>
      writable(directory).pipe(
        Effect.match({
          onFailure: (error) =>
            broken(
              name,
              `${directory} cannot be written to: ${error.message}`,
              `mend its permissions, or set \`${key}\` in driver.yaml`
            ),
          onSuccess: () => fine(name, directory)
        })
      )
    const state = yield* check("state directory", "state_dir", settings.stateDirectory)
    const root = yield* check("worktree root", "worktree_root", settings.worktreeRoot)
    const space =
      state.status === "fine" ? [spaceCheck(settings.stateDirectory, yield* freeBytes(settings.stateDirectory))] : []
    return [state, root, ...space]
  })

/** What is wanted, and what there is. */
export const sandboxCheck = ({ agent, hosts, mode }: Settings["sandbox"], state: SandboxState): Check => {
  const what = agent ? "criteria, Bash calls and the agent's program" : "criteria and Bash calls"
  const reach = hosts.length === 0 ? "no network" : `network to ${hosts.join(", ")}`
  if (mode === "off") {
    return warning("sandbox", "it is switched off: nothing is confined", "set `sandbox.mode` in driver.yaml to auto")
  }
  if (state.kind === "bubblewrap") return fine("sandbox", `${what} are confined by ${state.detail}, ${reach}`)
  const { mend, reason } =
    state.kind === "missing" ? state : { reason: "it was not tried", mend: "set `sandbox.mode` in driver.yaml to auto" }
  return mode === "required"
    ? broken("sandbox", `it is required, and ${reason}`, mend)
    : warning("sandbox", `nothing is confined: ${reason}`, mend)
}

const probeChecks = (settings: Settings) =>
  Effect.gen(function* () {
    const probes = yield* SystemProbes
    const { contained, kind, reason } = yield* probes.containment
    const tried = (name: string, probe: typeof probes.database) =>
      Effect.match(probe, {
        onFailure: ({ detail, mend }) => broken(name, detail, mend),
        onSuccess: (detail) => fine(name, detail)
      })
    return [
      contained
        ? fine("containment", `${kind}: ${reason}`)
        : warning(
            "containment",
            `${kind}: ${reason}`,
            "agents are ended by process group and by a sweep; after a kill -9 of driver some may be left until its next start"
          ),
      sandboxCheck(settings.sandbox, yield* probes.sandbox),
      yield* tried("database", probes.database),
      yield* tried("socket", probes.socket),
      ...(yield* probes.outward)
    ]
  })
