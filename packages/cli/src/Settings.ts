/**
 * The configuration of one invocation: which file was found, what it says, and
 * every path in it made absolute.
 *
 * No file is needed. It reads files and looks at directories; it makes none.
 */
import type { SandboxMode } from "@driver/agent/SandboxMode"
import { decodeStrict } from "@driver/domain/StrictDecode"
import type { NatsConfig } from "@driver/nats/NatsConfig"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type AgentKind, Config, defaults, type ModelConfig } from "./Config.js"
import { socketVariable } from "./DaemonSocket.js"
import { agentEnvironment, criteriaEnvironment, type Environment, secretValues } from "./Environment.js"
import { readDocument } from "./Files.js"
import { Host } from "./Host.js"
import { fileError, formatPath, fromDecodeIssue, InputError, type InputIssue } from "./InputError.js"
import type { ModelSettings } from "./LanguageModels.js"
import { proxyOf } from "./ModelHttp.js"
import { agentComplaints, agentConfigOf, type OtherAgent } from "./otherAgents.js"
import { type PolicySettings, policySettings, readPolicy } from "./PolicyFile.js"

export type StoreSettings =
  /** Absolute path of the file. */
  | { readonly kind: "sqlite"; readonly filename: string }
  /** The URL, which may hold a password. */
  | { readonly kind: "postgres"; readonly url: Redacted.Redacted<string> }

export type DeliverSettings =
  | { readonly mode: "branch" }
  | { readonly mode: "squash" }
  /** Absolute path. */
  | { readonly mode: "patch"; readonly file: string }
  | { readonly mode: "merge"; readonly target: string }

export interface SandboxSettings {
  readonly mode: SandboxMode
  /** The agent's whole program is confined. */
  readonly agent: boolean
  /** What confined commands may reach: entries of an allow list. */
  readonly hosts: ReadonlyArray<string>
  /** Absolute path. */
  readonly home: string
  /** Absolute paths, these and the following. */
  readonly writable: ReadonlyArray<string>
  readonly readable: ReadonlyArray<string>
  readonly mask: ReadonlyArray<string>
}

export interface AgentSettings {
  readonly kind: AgentKind
  /** A name on the PATH or an absolute path. None: the default of this kind. */
  readonly binary: Option.Option<string>
  /** Absolute path. */
  readonly scenario: Option.Option<string>
  readonly environment: Environment
  /** A usage limit ends its goal, which another agent then goes on with; else it is waited for. */
  readonly endAtLimit: boolean
}

export interface Settings {
  /** The file that was read, if any. */
  readonly file: Option.Option<string>
  readonly config: Config
  /** The budget as the file has it, in the file's own spelling: goals inherit it key by key before they are decoded. */
  readonly budget: Readonly<Record<string, unknown>>
  /** Absolute path of the repository that goals work on. None: there is none, or the workspace is `directory`. */
  readonly repository: Option.Option<string>
  /** Absolute path. The driver's own files: below it nothing belongs to a goal's work but the worktrees. */
  readonly stateDirectory: string
  /** Absolute path. */
  readonly worktreeRoot: string
  readonly store: StoreSettings
  readonly models: {
    /** For criteria. */
    readonly judge: Option.Option<ModelSettings>
    /** For calls that rules leave to a model. */
    readonly llm: Option.Option<ModelSettings>
    /** For the intent path, where `judge` has no quota, no login or is not there. */
    readonly others: ReadonlyArray<ModelSettings>
  }
  readonly policy: PolicySettings
  /** Files of the repository, relative to its root, that say what agents may do: no agent writes them. */
  readonly policyFiles: ReadonlyArray<string>
  /** Absolute paths of JSONL files that get the events. */
  readonly eventFiles: ReadonlyArray<string>
  readonly agent: AgentSettings
  /** Those that take over for `agent`, in this order. */
  readonly otherAgents: ReadonlyArray<OtherAgent>
  readonly sandbox: SandboxSettings
  /** Values of our environment that may appear in nothing that leaves the driver. */
  readonly secrets: ReadonlyArray<Redacted.Redacted<string>>
  /** For criteria and the gate program: no keys. */
  readonly criteriaEnvironment: Environment
  readonly deliver: DeliverSettings
  /** Absolute path: what paths of the file are relative to, and where hooks run. */
  readonly directory: string
  /** Of this process: for hooks, NATS and telemetry. None of it is given to agents or criteria. */
  readonly ownEnvironment: Environment
  /** With absolute paths. */
  readonly nats: Option.Option<NatsConfig>
  readonly daemon: {
    /** Absolute path. */
    readonly socket: string
    /** `127.0.0.1:7717` */
    readonly listen: Option.Option<string>
    /** Absolute path. */
    readonly tokenFile: Option.Option<string>
  }
}

export interface LoadOptions {
  /** As the person gave it, relative to the current directory. */
  readonly config: Option.Option<string>
  /** Overrides `agent.kind`. */
  readonly agent?: Option.Option<AgentKind>
  /** A further file for events, relative to the current directory. */
  readonly events?: Option.Option<string>
}

const names = ["driver.yaml", "driver.yml", "driver.json"]

/** Finds, reads and resolves the configuration. All problems of the file come in one `InputError`. */
export const loadSettings = (
  options: LoadOptions
): Effect.Effect<Settings, InputError, FileSystem.FileSystem | Path.Path | Host> =>
  Effect.gen(function* () {
    const host = yield* Host
    const path = yield* Path.Path
    const here = yield* realPath(host.directory)
    const around = yield* findRepository(here)
    const file = yield* findConfig(options.config, here, around)
    const { config, document } = yield* Option.match(file, {
      onNone: () => Effect.succeed({ config: defaults, document: undefined }),
      onSome: (name) =>
        Effect.gen(function* () {
          const document = yield* readDocument(name, host.environment, { whenEmpty: {} })
          const decoded = decodeConfig(document.value)
          if (Either.isLeft(decoded)) {
            return yield* new InputError({
              issues: decoded.left.map((issue) => fromDecodeIssue(document.file, document.positionOf, issue))
            })
          }
          return { config: decoded.right, document }
        })
    })
    const directory = document === undefined ? here : path.dirname(document.file)
    const resolve = (text: string) => resolvePath(path, host.home, directory, text)

    const issues: Array<InputIssue> = []
    const complain = (at: ReadonlyArray<PropertyKey>, message: string) =>
      issues.push({
        file: document?.file ?? "the command line",
        position: document?.positionOf(at),
        path: formatPath(at),
        message: `${formatPath(at)}: ${message}`
      })

    const named = Option.map(config.repository, resolve)
    const repository =
      config.workspace === "directory"
        ? Option.none<string>()
        : Option.isSome(named)
          ? yield* findRepository(yield* realPath(named.value))
          : around
    if (Option.isSome(named) && Option.isNone(repository) && config.workspace === "git") {
      complain(
        ["repository"],
        `${named.value} is not inside a git repository: run \`git init\` there, or mend the path`
      )
    }

    const kind = Option.getOrElse(options.agent ?? Option.none<AgentKind>(), () => config.agent.kind)
    const deliver = deliverSettings(config, resolve)
    if (deliver === undefined) {
      complain(
        ["deliver", "target"],
        `is missing: with mode ${config.deliver.mode} it names the ${config.deliver.mode === "merge" ? "branch to merge into" : "patch file to write"}`
      )
    }
    if (Option.isNone(config.model) && config.intent.otherModels.length > 0) {
      complain(
        ["intent", "other_models"],
        "are for when `model` cannot answer, and there is none: name it under `model`"
      )
    }
    if (kind === "stub" && Option.isNone(config.agent.scenario)) {
      complain(["agent", "scenario"], "is missing: the stub agent needs a scenario file to play")
    }
    for (const { at, message } of agentComplaints(config, kind)) complain(at, message)
    const models: ReadonlyArray<readonly [ReadonlyArray<PropertyKey>, Option.Option<ModelConfig>]> = [
      [["model"], config.model],
      [["permission", "llm", "model"], config.permission.llm.model],
      ...config.intent.otherModels.map((it, index) => [["intent", "other_models", index], Option.some(it)] as const)
    ]
    for (const [at, model] of models) {
      if (Option.exists(model, ({ name, provider }) => /^(anthropic|openai)$/.test(provider) && Option.isNone(name))) {
        complain([...at, "name"], "is missing: the provider has several models")
      }
      if (Option.exists(model, ({ api, provider }) => provider !== "openai" && Option.isSome(api))) {
        complain([...at, "api"], "goes with the provider openai only: take it out")
      }
      if (Option.exists(model, ({ provider, script }) => provider === "scripted" && Option.isNone(script))) {
        complain([...at, "script"], "is missing: a scripted model needs a file with its answers")
      }
    }
    if (config.agent.permissionDoor === "stdio" && config.agent.mode === "one_shot") {
      complain(
        ["agent", "permission_door"],
        "stdio works in warm mode only: set agent.mode to warm, or the door to socket"
      )
    }
    if (config.sandbox.agent && config.sandbox.mode === "off") {
      complain(["sandbox", "agent"], "needs the sandbox: set sandbox.mode to required, or take this out")
    }
    if (issues.length > 0 || deliver === undefined) return yield* new InputError({ issues })
    const policy = yield* Effect.transposeMapOption(config.permission.policy, (name) =>
      readPolicy(resolve(name), host.environment)
    )

    return settingsOf(path, host, {
      file,
      config,
      budget: budgetOf(document?.value),
      repository,
      directory,
      kind,
      deliver,
      policy: policySettings(config.permission, policy),
      further: Option.map(options.events ?? Option.none<string>(), (name) => path.resolve(here, name))
    })
  })

const decodeConfig = decodeStrict(Config)

/** What is gone on with when the configuration itself is wrong: the defaults, in the repository around. */
export const defaultSettings: Effect.Effect<Settings, never, FileSystem.FileSystem | Path.Path | Host> = Effect.gen(
  function* () {
    const host = yield* Host
    const path = yield* Path.Path
    const repository = yield* findRepository(yield* realPath(host.directory))
    return settingsOf(path, host, {
      file: Option.none(),
      config: defaults,
      budget: {},
      repository,
      directory: host.directory,
      kind: defaults.agent.kind,
      deliver: { mode: "branch" },
      policy: policySettings(defaults.permission),
      further: Option.none()
    })
  }
)

interface Found {
  readonly file: Option.Option<string>
  readonly config: Config
  readonly budget: Readonly<Record<string, unknown>>
  readonly repository: Option.Option<string>
  /** What paths of the file are relative to. */
  readonly directory: string
  readonly kind: AgentKind
  readonly deliver: DeliverSettings
  readonly policy: PolicySettings
  /** Absolute path of a further file for events. */
  readonly further: Option.Option<string>
}

/** Makes every path absolute. Pure. */
const settingsOf = (path: Path.Path, host: Host["Type"], found: Found): Settings => {
  const { config, directory, repository } = found
  const resolve = (text: string) => resolvePath(path, host.home, directory, text)
  const stateDir = Option.match(config.stateDir, {
    onNone: () =>
      stateDirectory(
        path,
        host,
        Option.getOrElse(repository, () => directory)
      ),
    onSome: resolve
  })
  const agentSettings = (agent: Config["agent"], kind: AgentKind, env: Environment = {}): AgentSettings => ({
    kind,
    binary: Option.map(agent.binary, (name) => (isPath(name) ? resolve(name) : name)),
    scenario: Option.map(agent.scenario, resolve),
    environment: { ...agentEnvironment(host.environment, agent.passEnv), ...env },
    endAtLimit: false
  })
  const agent = agentSettings(config.agent, found.kind)
  const modelOf = (model: ModelConfig): ModelSettings =>
    modelSettings(model, host.environment, config, agent, stateDir, resolve)
  const models = {
    judge: Option.map(config.model, modelOf),
    llm: Option.map(
      Option.orElse(config.permission.llm.model, () => config.model),
      modelOf
    ),
    others: config.intent.otherModels.map(modelOf)
  }
  const otherAgents = config.intent.otherAgents.map((other): OtherAgent => {
    const own = agentConfigOf(config.agent, found.kind, other)
    return {
      name: other.name,
      config: own,
      agent: agentSettings(own, own.kind, other.env),
      account: Option.getOrElse(other.account, () => other.name)
    }
  })
  // Whatever its variable is called.
  const keys = [...Option.toArray(models.judge), ...Option.toArray(models.llm), ...models.others].flatMap((model) =>
    "apiKey" in model ? Option.toArray(model.apiKey) : []
  )
  const tokens = config.intent.remoteAgents.flatMap(({ tokenEnv }) =>
    Option.toArray(
      Option.map(
        Option.flatMap(tokenEnv, (name) => Option.fromNullable(host.environment[name] || undefined)),
        Redacted.make
      )
    )
  )
  return {
    file: found.file,
    config,
    budget: found.budget,
    repository,
    stateDirectory: stateDir,
    worktreeRoot: Option.match(config.worktreeRoot, {
      onNone: () => path.join(stateDir, "worktrees"),
      onSome: resolve
    }),
    store: Option.match(config.store, {
      onNone: (): StoreSettings => ({ kind: "sqlite", filename: path.join(stateDir, "driver.sqlite") }),
      onSome: (store): StoreSettings =>
        "postgres" in store
          ? { kind: "postgres", url: Redacted.make(store.postgres) }
          : { kind: "sqlite", filename: resolve(store.sqlite) }
    }),
    models,
    policy: found.policy,
    policyFiles: Option.match(repository, {
      onNone: () => [],
      onSome: (root) =>
        [...Option.toArray(found.file), ...Option.toArray(found.policy.file)]
          .map((file) => path.relative(root, file))
          .filter((it) => it !== "" && it !== ".." && !it.startsWith(`..${path.sep}`) && !path.isAbsolute(it))
    }),
    eventFiles: [...new Set([...config.events.map(({ jsonl }) => resolve(jsonl)), ...Option.toArray(found.further)])],
    agent,
    otherAgents,
    sandbox: {
      mode: config.sandbox.mode,
      agent: config.sandbox.agent,
      hosts: config.sandbox.network === "none" ? [] : config.sandbox.network,
      home: host.home,
      writable: config.sandbox.writable.map(resolve),
      readable: config.sandbox.readable.map(resolve),
      mask: config.sandbox.mask.map(resolve)
    },
    secrets: [
      ...[host.environment, ...config.intent.otherAgents.map(({ env }) => env)]
        .flatMap(secretValues)
        .map((value) => Redacted.make(value)),
      ...keys,
      ...tokens
    ],
    criteriaEnvironment: criteriaEnvironment(host.environment, config.acceptance.passEnv),
    deliver: found.deliver,
    directory,
    ownEnvironment: host.environment,
    nats: Option.map(config.nats, (nats) => ({
      ...nats,
      credentials: Option.map(nats.credentials, resolve),
      ca: Option.map(nats.ca, resolve),
      cert: Option.map(nats.cert, resolve),
      key: Option.map(nats.key, resolve)
    })),
    daemon: {
      socket: Option.match(Option.fromNullable(host.environment[socketVariable] || undefined), {
        onSome: (name) => resolvePath(path, host.home, host.directory, name),
        onNone: () =>
          Option.match(config.daemon.socket, { onNone: () => path.join(stateDir, "driver.sock"), onSome: resolve })
      }),
      listen: config.daemon.listen,
      tokenFile: Option.map(config.daemon.tokenFile, resolve)
    }
  }
}

/** The repository that a command needs, or a sentence that says how to have one. */
export const requireRepository = (settings: Settings): Effect.Effect<string, InputError, Host> =>
  Option.match(settings.repository, {
    onSome: Effect.succeed,
    onNone: () =>
      Effect.flatMap(Host, ({ directory }) =>
        fileError(
          directory,
          "is not inside a git repository: go to one, run `git init`, or set `repository` in driver.yaml (or `workspace: directory` to work without git)"
        )
      )
  })

/** `~` is the home directory; what is relative is relative to `directory`. */
export const resolvePath = (path: Path.Path, home: string, directory: string, text: string): string =>
  text === "~" || text.startsWith("~/") ? path.join(home, text.slice(1)) : path.resolve(directory, text)

/** What is missing in it is complained about by `loadSettings`; a key only when the model is needed. */
const modelSettings = (
  model: ModelConfig,
  environment: Environment,
  { agent }: Config,
  found: AgentSettings,
  directory: string,
  resolve: (text: string) => string
): ModelSettings => {
  const { provider } = model
  if (provider === "scripted") {
    return { provider, file: resolve(Option.getOrElse(model.script, () => "")) }
  }
  if (provider === "agent") {
    const isStub = found.kind === "stub"
    const scenario = isStub ? Option.toArray(found.scenario) : []
    return {
      provider,
      name: Option.orElse(model.name, () => agent.model),
      binary: isStub ? found.binary : Option.orElse(found.binary, () => Option.some("claude")),
      environment: {
        ...found.environment,
        ...Object.fromEntries(scenario.map((it) => ["DRIVER_STUB_SCENARIO", it]))
      },
      directory
    }
  }
  const apiKeyEnv = Option.getOrElse(model.apiKeyEnv, () =>
    provider === "anthropic" ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY"
  )
  const access = {
    name: Option.getOrElse(model.name, () => ""),
    baseUrl: model.baseUrl,
    apiKeyEnv,
    apiKey: Option.map(
      Option.filter(Option.fromNullable(environment[apiKeyEnv]), (key) => key !== ""),
      Redacted.make
    ),
    proxy: proxyOf(
      environment,
      Option.getOrElse(model.baseUrl, () => "https:")
    )
  }
  if (provider === "anthropic") return { provider, ...access }
  // Servers of others have this one, if any.
  const api = Option.getOrElse(model.api, () => (Option.isSome(model.baseUrl) ? "chat" : "responses"))
  return { provider, api, ...access }
}

const isPath = (name: string): boolean => name.includes("/") || name.startsWith("~")

const budgetOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" &&
  value !== null &&
  "budget" in value &&
  typeof value.budget === "object" &&
  value.budget !== null
    ? Object.fromEntries(Object.entries(value.budget))
    : {}

const deliverSettings = ({ deliver }: Config, resolve: (text: string) => string): DeliverSettings | undefined => {
  switch (deliver.mode) {
    case "branch":
    case "squash":
      return { mode: deliver.mode }
    case "patch":
      return Option.getOrUndefined(
        Option.map(deliver.target, (file) => ({ mode: "patch" as const, file: resolve(file) }))
      )
    case "merge":
      return Option.getOrUndefined(Option.map(deliver.target, (target) => ({ mode: "merge" as const, target })))
  }
}

const findConfig = (
  given: Option.Option<string>,
  here: string,
  repository: Option.Option<string>
): Effect.Effect<Option.Option<string>, InputError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    if (Option.isSome(given)) return Option.some(path.resolve(here, given.value))
    for (const directory of new Set([here, ...Option.toArray(repository)])) {
      const found = yield* Effect.filter(
        names.map((name) => path.join(directory, name)),
        (file) => Effect.orElseSucceed(fs.exists(file), () => false)
      )
      const [first, second] = found
      if (first !== undefined && second !== undefined) {
        return yield* fileError(
          first,
          `stands beside ${path.basename(second)}: keep one of them, or name it with --config`
        )
      }
      if (first !== undefined) return Option.some(first)
    }
    return Option.none()
  })

/** The nearest directory upwards that has a `.git`, or is a bare repository itself. */
export const findRepository = (
  from: string
): Effect.Effect<Option.Option<string>, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const has = (...parts: ReadonlyArray<string>) => Effect.orElseSucceed(fs.exists(path.join(...parts)), () => false)
    let directory = from
    for (;;) {
      if (yield* has(directory, ".git")) return Option.some(directory)
      const bare = yield* Effect.every(["HEAD", "objects", "refs"], (name) => has(directory, name))
      if (bare) return Option.some(directory)
      const parent = path.dirname(directory)
      if (parent === directory) return Option.none()
      directory = parent
    }
  })

/** Symlinks resolved, so that one repository has one state directory. A path that is not there stays as it is. */
const realPath = (path: string): Effect.Effect<string, never, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.orElseSucceed(fs.realPath(path), () => path))

/** `~/.local/state/driver/<repository>-<hash of its path>`: short, since sockets below it may not have long paths. */
const stateDirectory = (path: Path.Path, host: Host["Type"], repository: string): string => {
  const configured = host.environment["XDG_STATE_HOME"]
  // The specification says that a relative one is to be ignored.
  const root =
    configured !== undefined && path.isAbsolute(configured) ? configured : path.join(host.home, ".local", "state")
  const name = path
    .basename(repository)
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .slice(0, 24)
    .replace(/^[.-]+/, "")
  return path.join(root, "driver", `${name === "" ? "repository" : name}-${host.sha256(repository).slice(0, 8)}`)
}
