/**
 * `driver.yaml`: what it may say, what each key means, and what is assumed when it
 * is absent.
 *
 * The descriptions and defaults stand here and nowhere else: the file that `driver
 * init` writes, `driver schema config` and the README are made of them. Reading the
 * file and turning its paths into absolute ones is done in `Settings.ts`.
 */
import { AllowedHost } from "@driver/agent/AllowList"
import { SandboxMode } from "@driver/agent/SandboxMode"
import { DefaultText, configKey as key, configMaybe as maybe } from "@driver/domain/ConfigKey"
import { Budget } from "@driver/domain/Goal"
import { Usd, WireDuration } from "@driver/domain/Wire"
import { NatsConfig } from "@driver/nats/NatsConfig"
import { Programs } from "@driver/permission/Policy"
import { PresetName } from "@driver/permission/Presets"
import { Rule } from "@driver/permission/Rules"
import { HookConfig } from "@driver/runtime/HookSettings"
import { TelemetryConfig } from "@driver/telemetry/TelemetryConfig"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"

const time = WireDuration.annotations({
  identifier: "Duration",
  jsonSchema: { type: ["string", "integer"], minimum: 0, examples: ["30 seconds", "1h 30m", 250] }
})

const positive = Schema.Int.pipe(Schema.positive({ message: () => "expected a whole number from 1" }))

/** A map of keys, all of them with defaults. A section whose keys are all commented out is null in YAML. */
const section = <A, I>(name: string, schema: Schema.Schema<A, I>, description: string) =>
  Schema.optionalWith(schema, { default: () => Schema.decodeUnknownSync(schema)({}), nullable: true })
    .pipe(Schema.fromKey(name))
    .annotations({ description })

export const AgentKind = Schema.Literal("claude-code", "stub")
export type AgentKind = typeof AgentKind.Type

const AgentConfig = Schema.Struct({
  kind: key(
    "kind",
    AgentKind,
    () => "claude-code" as const,
    "claude-code",
    "Which agent works: claude-code is the real one; stub plays a scenario file, without cost."
  ),
  binary: maybe(
    "binary",
    Schema.NonEmptyString,
    "claude",
    "The agent's program: a name on the PATH, or a path. Default: claude, or the stand-in that comes with driver."
  ),
  model: maybe("model", Schema.NonEmptyString, "sonnet", "The model, as the agent names it. Default: the agent's own."),
  mode: key(
    "mode",
    Schema.Literal("warm", "one_shot"),
    () => "warm" as const,
    "warm",
    "warm keeps one process per goal between turns, which saves more than half a second each; one_shot starts a process per turn."
  ),
  permissionDoor: key(
    "permission_door",
    Schema.Literal("socket", "stdio"),
    () => "socket" as const,
    "socket",
    "How the agent asks for permission: socket is an MCP server of its own; stdio is the agent's control protocol (warm mode only)."
  ),
  passEnv: key(
    "pass_env",
    Schema.Array(Schema.NonEmptyString),
    () => [],
    "[]",
    "Names of further environment variables that the agent gets. Everything but the basics, ANTHROPIC_* and CLAUDE_* is withheld."
  ),
  idleLimit: key(
    "idle_limit",
    time,
    () => Duration.minutes(7),
    "7 minutes",
    "How long the agent may print nothing while it waits for its provider, before it counts as stalled. Six minutes are normal."
  ),
  turnTimeout: key(
    "turn_timeout",
    time,
    () => Duration.hours(1),
    "1 hour",
    "The longest turn. Long builds inside a turn are normal, a turn of two hours is not."
  ),
  backgroundDeadline: key(
    "background_deadline",
    time,
    () => Duration.minutes(2),
    "2 minutes",
    "How long a finished turn waits for background tasks of the agent; then the turn counts as having abandoned them."
  ),
  maxSleep: key(
    "max_sleep",
    time,
    () => Duration.hours(24),
    "24 hours",
    "The longest pause that the agent may ask for."
  ),
  scenario: maybe("scenario", Schema.NonEmptyString, "scenario.yaml", "What the stub plays. Needed when kind is stub."),
  extraArgs: key(
    "extra_args",
    Schema.Array(Schema.String),
    () => [],
    "[]",
    "Further arguments for the agent's program. They may not weaken the permission gate: such a turn is stopped."
  )
}).annotations({ identifier: "Agent" })

/** The same keys as a goal's budget, each of them optional: a goal that does not say has these. */
const BudgetConfig = Schema.Struct({
  maxTurns: maybe(
    "max_turns",
    positive,
    String(Budget.defaults.maxTurns),
    "Turns of work. Compact turns are not counted."
  ),
  maxWallTime: maybe("max_wall_time", time, "2 hours", "Active time: neither paused nor sleeping time counts."),
  maxTokens: maybe("max_tokens", positive, String(Budget.defaults.maxTokens), "All four classes of tokens together."),
  maxCostUsd: maybe(
    "max_cost_usd",
    Schema.Positive,
    "10",
    "US dollars, as the agent reports them. Default: not limited."
  ),
  maxConsecutiveDenies: maybe(
    "max_consecutive_denies",
    Schema.NonNegativeInt,
    String(Budget.defaults.maxConsecutiveDenies),
    "Denied tool calls in a row: an agent that only runs into the wall is stopped. 0 = off."
  ),
  maxConsecutiveErrors: maybe(
    "max_consecutive_errors",
    Schema.NonNegativeInt,
    String(Budget.defaults.maxConsecutiveErrors),
    "Errors in a row that cost a fresh session. 0 = off."
  ),
  maxConsecutivePromptTooLong: maybe(
    "max_consecutive_prompt_too_long",
    Schema.NonNegativeInt,
    String(Budget.defaults.maxConsecutivePromptTooLong),
    '"Prompt too long" in a row, each followed by a compaction. 0 = off.'
  )
}).annotations({ identifier: "BudgetDefaults" })
export type BudgetConfig = typeof BudgetConfig.Type

const AcceptanceConfig = Schema.Struct({
  timeout: key(
    "timeout",
    time,
    () => Duration.minutes(5),
    "5 minutes",
    "Longest run of a criterion that names no timeout of its own. Then its whole process group is killed and it has failed."
  ),
  concurrency: key(
    "concurrency",
    positive,
    () => 4,
    "4",
    "How many criteria run at once. They share a directory: 1 when they disturb each other."
  ),
  evidenceBytes: key(
    "evidence_bytes",
    Schema.Int.pipe(Schema.between(256, 65_536)),
    () => 4_096,
    "4096",
    "How much of a failed criterion's output is kept and told to the agent. More costs tokens in every turn."
  ),
  preflight: key(
    "preflight",
    Schema.Boolean,
    () => false,
    "false",
    "Evaluate the criteria before the first turn, and end at once when they are met. Off: criteria can be slow."
  ),
  passEnv: key(
    "pass_env",
    Schema.Array(Schema.NonEmptyString),
    () => [],
    "[]",
    "Names of further environment variables that criteria get. Keys and tokens are withheld from them unless named here."
  )
}).annotations({ identifier: "Acceptance" })

const ModelConfig = Schema.Struct({
  provider: Schema.propertySignature(Schema.Literal("anthropic", "openai", "agent", "scripted")).annotations({
    description:
      "Whose model: anthropic and openai by their API (openai also for servers that are compatible with it); agent asks the agent's own program, for people with a subscription and no key; scripted plays the answers of a file, for rehearsals."
  }),
  name: maybe(
    "name",
    Schema.NonEmptyString,
    "claude-sonnet-5-5",
    "The model, as the provider names it. Needed for anthropic and openai."
  ),
  baseUrl: maybe(
    "base_url",
    Schema.NonEmptyString,
    "http://127.0.0.1:8080/v1",
    "Where the API is. Default: the provider's own. Reached through HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY names its host."
  ),
  api: maybe(
    "api",
    Schema.Literal("chat", "responses"),
    "chat",
    "Which API of openai: chat is /chat/completions, which compatible servers have; responses is its newer one. Default: chat where base_url is set, else responses."
  ),
  apiKeyEnv: maybe(
    "api_key_env",
    Schema.NonEmptyString,
    "ANTHROPIC_API_KEY",
    "Name of the environment variable with the key. Default: ANTHROPIC_API_KEY or OPENAI_API_KEY."
  ),
  script: maybe(
    "script",
    Schema.NonEmptyString,
    "answers.yaml",
    "The file with the answers of a scripted model, which needs one: a list of maps with ask, when, times and answer."
  ),
  prices: maybe(
    "prices",
    Schema.Struct({ input: Usd, output: Usd }),
    "{ input: 3, output: 15 }",
    "US dollars per million tokens, for the cost that `driver ask` shows. Default: that cost is unknown."
  )
}).annotations({ identifier: "LanguageModel" })

export type ModelConfig = typeof ModelConfig.Type

const AskConfig = Schema.Struct({
  timeout: key(
    "timeout",
    time,
    () => Duration.minutes(10),
    "10 minutes",
    "How long a person may take; then the call is denied. 0 = nobody is asked, such calls are denied at once."
  )
}).annotations({ identifier: "AskDecider" })

const LlmConfig = Schema.Struct({
  model: maybe(
    "model",
    ModelConfig,
    "{ provider: agent }",
    "The model that judges calls. Default: the one of `model` below."
  ),
  timeout: key(
    "timeout",
    time,
    () => Duration.seconds(20),
    "20 seconds",
    "How long one judgement may take, with all attempts; then the call is denied."
  ),
  race: key(
    "race",
    Schema.Boolean,
    () => false,
    "false",
    "Ask a person at the same time as the model; the first answer counts."
  ),
  past: key(
    "past",
    Schema.Literal("goal", "all"),
    () => "all" as const,
    "all",
    "Which earlier decisions the model is shown, and a pattern of denials is looked for in: this goal's, or all."
  )
}).annotations({ identifier: "LlmDecider" })

const ShadowConfig = Schema.Struct({
  decider: key(
    "decider",
    Schema.Literal("rules", "allow_all", "deny_all"),
    () => "rules" as const,
    "rules",
    "Who decides beside the real decider; what it would have said is recorded and enforces nothing."
  ),
  preset: maybe("preset", PresetName, "strict", "The preset of the shadow's rules. Default: that of the real ones."),
  rules: key("rules", Schema.Array(Rule), () => [], "[]", "Rules of the shadow, asked before its preset's."),
  llm: key("llm", Schema.Boolean, () => false, "false", "Whether the shadow may ask the model, which costs as usual.")
}).annotations({ identifier: "ShadowDecider" })

const PermissionConfig = Schema.Struct({
  decider: key(
    "decider",
    Schema.Literal("rules", "allow_all", "deny_all"),
    () => "rules" as const,
    "rules",
    "Who decides on tool calls: rules follows the rules below and the preset's, and denies the rest with a reason."
  ),
  timeout: key(
    "timeout",
    time,
    () => Duration.seconds(30),
    "30 seconds",
    "How long a decision may take; then the call is denied."
  ),
  preset: maybe(
    "preset",
    PresetName,
    "default",
    "The rules that come last: strict allows files of the workspace, the goal's criteria and a few plain commands; default also commands that only read, change named files or run the project's scripts; open all but what is dangerous. See `driver policy show`. Default: the policy file's, else default."
  ),
  rules: key(
    "rules",
    Schema.Array(Rule),
    () => [],
    "[]",
    "Rules asked before those of the policy file and the preset, the first match wins. Special paths (.git, .claude, shell start-up files) stay denied."
  ),
  policy: maybe(
    "policy",
    Schema.NonEmptyString,
    "policy.yaml",
    "A file with further rules, programs and a preset, and with cases for `driver policy test`. Read once, when a goal starts."
  ),
  programs: key(
    "programs",
    Programs,
    () => ({}),
    "{}",
    "What is known about further programs, so that the commands that run them are followed: { ourtool: { flags: -v, operands: read* } }."
  ),
  ask: key(
    "ask",
    AskConfig,
    () => ({ timeout: Duration.minutes(10) }),
    "{ timeout: 10 minutes }",
    "Calls that rules or the model leave to a person, who answers by `driver approvals`, `driver approve` and `driver deny`; with timeout 0 nobody is asked."
  ),
  llm: key(
    "llm",
    LlmConfig,
    () => Schema.decodeSync(LlmConfig)({}),
    "{ timeout: 20 seconds, race: false, past: all }",
    "Calls that rules leave to a language model; model: names another one than `model` does. Without a model they are denied."
  ),
  shadow: maybe(
    "shadow",
    ShadowConfig,
    "{ preset: strict }",
    "A decider that only observes, for `driver policy report`: what a change would mean, before it is made."
  )
}).annotations({ identifier: "Permission" })

const SandboxConfig = Schema.Struct({
  mode: key(
    "mode",
    SandboxMode,
    () => "auto" as const,
    "auto",
    "Confine criteria and the agent's Bash calls by bubblewrap: auto does where it works, required ends the run where it does not, off never does."
  ),
  agent: key(
    "agent",
    Schema.Boolean,
    () => false,
    "false",
    "Confine the agent's whole program as well. It reaches its provider, and what `network` lists, through a proxy of driver's."
  ),
  network: key(
    "network",
    Schema.Union(Schema.Literal("none"), Schema.Array(AllowedHost)),
    () => "none" as const,
    "none",
    "What confined commands reach: none, or a list of hosts, as example.org, *.example.org or example.org:8080. Ports are 443 and 80 unless given."
  ),
  writable: key(
    "writable",
    Schema.Array(Schema.NonEmptyString),
    () => [],
    "[]",
    "Paths that confined commands may write besides the worktree, such as a package cache. Whatever is put there stays."
  ),
  readable: key(
    "readable",
    Schema.Array(Schema.NonEmptyString),
    () => [],
    "[]",
    "Paths below a home directory that confined commands may read. Home directories are empty to them but for the tools on the PATH."
  ),
  mask: key(
    "mask",
    Schema.Array(Schema.NonEmptyString),
    () => [],
    "[]",
    "Further paths that confined commands may not read. Keys and logins of the usual tools are hidden anyway."
  )
}).annotations({ identifier: "Sandbox" })

const CompactConfig = Schema.Struct({
  enabled: key(
    "enabled",
    Schema.Boolean,
    () => true,
    "true",
    "Ask the agent to compact its context before it is full."
  ),
  contextWindow: maybe(
    "context_window",
    Schema.NonNegativeInt,
    "200000",
    "Tokens of the model's window. Default: what the agent reports. 0 = its fill does not matter."
  ),
  threshold: key(
    "threshold",
    Schema.Number.pipe(Schema.greaterThan(0), Schema.lessThanOrEqualTo(1)),
    () => 0.7,
    "0.7",
    "Compact from this share of the window on. Later leaves no room for the compaction itself."
  ),
  minTurnsBetween: key(
    "min_turns_between",
    Schema.NonNegativeInt,
    () => 5,
    "5",
    "Turns between two compactions, so that they do not chase each other."
  ),
  maxAge: key("max_age", time, () => Duration.zero, "0", "Compact a session that is older than this. 0 = off."),
  maxConsecutiveFailures: key(
    "max_consecutive_failures",
    Schema.NonNegativeInt,
    () => 3,
    "3",
    "Failed compactions in a row of one goal after which no more are tried. 0 = off."
  )
}).annotations({ identifier: "Compact" })

const ReplayConfig = Schema.Struct({
  maxFreshSessionRetries: key(
    "max_fresh_session_retries",
    Schema.NonNegativeInt,
    () => 1,
    "1",
    "How often a turn that failed for a passing reason is tried again in a new session, before a person is asked."
  ),
  maxSleep: key(
    "max_sleep",
    time,
    () => Duration.hours(6),
    "6 hours",
    "The longest wait for a usage limit to reset; then the turn is tried again, and waits again if it must."
  ),
  resetMargin: key(
    "reset_margin",
    time,
    () => Duration.seconds(5),
    "5 seconds",
    "Waited beyond the moment at which a limit resets: the provider's clock is not ours."
  ),
  backoffBase: key(
    "backoff_base",
    time,
    () => Duration.seconds(1),
    "1 second",
    "The first wait after an error that may pass. It doubles with every further one."
  ),
  backoffCap: key("backoff_cap", time, () => Duration.minutes(1), "1 minute", "The longest of these waits.")
}).annotations({ identifier: "Replay" })

const StuckConfig = Schema.Struct({
  sameDenials: key(
    "same_denials",
    Schema.NonNegativeInt,
    () => 3,
    "3",
    "Denials of the same call in one turn: from here on the agent is told, after as many again the turn is stopped and a person is asked. 0 = off."
  ),
  sameFailures: key(
    "same_failures",
    Schema.NonNegativeInt,
    () => 3,
    "3",
    "Turns in a row with the same failures and nothing changed: first the agent is told, then a person is asked. 0 = off."
  ),
  repeatedCalls: key(
    "repeated_calls",
    Schema.NonNegativeInt,
    () => 5,
    "5",
    "How often the same tool call may be made within `window` while no file changes, or in a row within one turn. 0 = off."
  ),
  window: key("window", positive, () => 20, "20", "How many of the last tool calls are looked at.")
}).annotations({ identifier: "Stuck" })

const EventsConfig = Schema.Struct({
  jsonl: Schema.NonEmptyString.annotations({
    description: "A file that gets one line of JSON per event. Made when absent."
  })
}).annotations({ identifier: "EventSink" })

const StoreConfig = Schema.Union(
  Schema.Struct({
    sqlite: Schema.NonEmptyString.annotations({
      description: "An SQLite file. Default: driver.sqlite in the state directory."
    })
  }).annotations({ identifier: "SqliteStore" }),
  Schema.Struct({
    postgres: Schema.NonEmptyString.annotations({
      description: "The URL of a PostgreSQL database: postgres://user:${PGPASSWORD}@host/database."
    })
  }).annotations({ identifier: "PostgresStore" })
)

const DeliverConfig = Schema.Struct({
  mode: key(
    "mode",
    Schema.Literal("branch", "squash", "patch", "merge"),
    () => "branch" as const,
    "branch",
    "What becomes of accepted work: it stays on the goal's branch, is squashed to one commit, written as a patch file, or merged into target when that is clean."
  ),
  target: maybe(
    "target",
    Schema.NonEmptyString,
    "main",
    "The branch to merge into (merge), or the patch file (patch). Needed for these two."
  )
}).annotations({ identifier: "Deliver" })

const RemoteAgentConfig = Schema.Struct({
  name: Schema.NonEmptyTrimmedString.annotations({ description: "What the agent is called. Unique." }),
  url: Schema.NonEmptyString.annotations({ description: "Where goals are posted to." }),
  capabilities: Schema.Array(Schema.NonEmptyTrimmedString).annotations({
    description: "What it offers: a part of a goal that needs one of these is given to it."
  }),
  tokenEnv: maybe("token_env", Schema.NonEmptyString, "REVIEWER_TOKEN", "Environment variable with its bearer token."),
  timeout: key("timeout", time, () => Duration.minutes(30), "30 minutes", "How long one answer may take.")
}).annotations({ identifier: "RemoteAgent" })

const OtherAgentConfig = Schema.Struct({
  name: Schema.NonEmptyTrimmedString.annotations({ description: "What the agent is called. Unique." }),
  kind: maybe("kind", AgentKind, "claude-code", "Which agent it is. Default: that of `agent`."),
  binary: maybe(
    "binary",
    Schema.NonEmptyString,
    "claude",
    "Its program. Default: that of `agent`, if it is of that kind."
  ),
  model: maybe("model", Schema.NonEmptyString, "haiku", "Its model. Default: that of `agent`, if it is of that kind."),
  env: key(
    "env",
    Schema.Record({ key: Schema.NonEmptyString, value: Schema.String }),
    () => ({}),
    "{}",
    "Variables that it gets on top, such as another login: { CLAUDE_CONFIG_DIR: /home/me/.claude-work }."
  ),
  scenario: maybe("scenario", Schema.NonEmptyString, "scenario.yaml", "What it plays, when it is the stub."),
  account: maybe("account", Schema.NonEmptyString, "work", "Whose usage limits it shares. Default: its name.")
}).annotations({ identifier: "OtherAgent" })
export type OtherAgentConfig = typeof OtherAgentConfig.Type

const IntentConfig = Schema.Struct({
  timeout: key(
    "timeout",
    time,
    () => Duration.minutes(2),
    "2 minutes",
    "How long the model may take for one question, with all attempts."
  ),
  maxRetries: key(
    "max_retries",
    Schema.NonNegativeInt,
    () => 1,
    "1",
    "Further runs after a review that found gaps. The better result counts."
  ),
  recent: key(
    "recent",
    time,
    () => Duration.hours(1),
    "1 hour",
    "Outside of a repository, a mount that was used within this time is meant when a message names none. 0 = none is."
  ),
  divideFrom: key(
    "divide_from",
    Schema.NonNegativeInt,
    () => 0,
    "0",
    "A goal with so many criteria may be divided into parts that run side by side, if the model finds that they are independent. 0 = never."
  ),
  parallel: key("parallel", positive, () => 3, "3", "Parts that run at the same time."),
  otherModels: key(
    "other_models",
    Schema.Array(ModelConfig),
    () => [],
    "[]",
    "Models that answer instead of `model`, in this order, where the one before has no quota, no login or is not there. An entry is a map like `model`."
  ),
  otherAgents: key(
    "other_agents",
    Schema.Array(OtherAgentConfig),
    () => [],
    "[]",
    "Agents that take over, in this order, where the one before has no quota, no login or no model. An entry is a map: name, kind, binary, model, env, scenario, account."
  ),
  remoteAgents: key(
    "remote_agents",
    Schema.Array(RemoteAgentConfig),
    () => [],
    "[]",
    "Agents elsewhere that take parts of goals. An entry is a map: name, url, capabilities, token_env, timeout."
  )
}).annotations({ identifier: "Intent" })

const DaemonConfig = Schema.Struct({
  socket: maybe(
    "socket",
    Schema.NonEmptyString,
    "~/.local/state/driver/driver.sock",
    "The socket that `driver serve` listens on and the commands ask. One for several repositories if each names it, or DRIVER_SOCKET does. Default: driver.sock in the state directory."
  ),
  listen: maybe(
    "listen",
    Schema.NonEmptyString,
    "127.0.0.1:7717",
    "Listen on this address of the loopback as well, for whoever shows the token."
  ),
  tokenFile: maybe(
    "token_file",
    Schema.NonEmptyString,
    "daemon.token",
    "The file with the token for `listen`, readable by you alone. Needed for it."
  ),
  maxConcurrent: key("max_concurrent", positive, () => 4, "4", "How many goals work at the same time."),
  perRepository: key(
    "per_repository",
    Schema.NonNegativeInt,
    () => 0,
    "0",
    "How many of them on one repository. 0 = as many as work at all."
  )
}).annotations({ identifier: "Daemon" })

export const Config = Schema.Struct({
  repository: maybe(
    "repository",
    Schema.NonEmptyString,
    ".",
    "The git repository that goals work on. Default: the one that the current directory is in."
  ),
  workspace: key(
    "workspace",
    Schema.Literal("git", "directory"),
    () => "git" as const,
    "git",
    "git gives each goal a worktree and a branch; directory gives each a plain directory, with no repository."
  ),
  stateDir: maybe(
    "state_dir",
    Schema.NonEmptyString,
    "~/.local/state/driver/my-project",
    "Where driver keeps its own files. Default: one directory per repository below $XDG_STATE_HOME/driver, outside every worktree."
  ),
  worktreeRoot: maybe(
    "worktree_root",
    Schema.NonEmptyString,
    "../my-project-goals",
    "Where the goals' worktrees lie. Default: worktrees/ in the state directory. It may not be inside another repository."
  ),
  base: key(
    "base",
    Schema.NonEmptyString,
    () => "HEAD",
    "HEAD",
    "The commit, branch or tag that a new goal starts from."
  ),
  agent: section("agent", AgentConfig, "The coding agent."),
  budget: section("budget", BudgetConfig, "What a goal may use at most, where its own file does not say."),
  acceptance: section("acceptance", AcceptanceConfig, "How criteria are evaluated."),
  permission: section("permission", PermissionConfig, "Who decides what the agent may do."),
  sandbox: section("sandbox", SandboxConfig, "What the commands of the agent and of criteria can reach."),
  model: maybe(
    "model",
    ModelConfig,
    "{ provider: agent }",
    "The language model that judges what no command can check (criteria of kind llm_judge) and calls that rules leave to it. Default: none."
  ),
  intent: section("intent", IntentConfig, "How `driver ask` gets from a message to a goal, and to its verdict."),
  compact: section("compact", CompactConfig, "When the agent's context is compacted."),
  replay: section("replay", ReplayConfig, "What is done after errors."),
  stuck: section("stuck", StuckConfig, "When a goal counts as stuck."),
  progressEveryTurns: key(
    "progress_every_turns",
    Schema.NonNegativeInt,
    () => 1,
    "1",
    "A progress event every so many turns. 0 = never."
  ),
  events: key(
    "events",
    Schema.Array(EventsConfig),
    () => [],
    "[]",
    "Where events are written, besides what --events names. An entry is a map: jsonl: events.jsonl."
  ),
  hooks: key(
    "hooks",
    Schema.Array(HookConfig),
    () => [],
    "[]",
    "What is told or run when something happens. An entry is a map: { name: bell, on: goal_completed, command: ./ring.sh }, or with url: instead of command:."
  ),
  nats: maybe(
    "nats",
    NatsConfig,
    "{ servers: [nats://127.0.0.1:4222] }",
    "Publish the events to NATS JetStream, at least once and in order per goal. Default: they are not."
  ),
  telemetry: section("telemetry", TelemetryConfig, "Traces and metrics by OpenTelemetry."),
  store: maybe(
    "store",
    StoreConfig,
    "{ sqlite: driver.sqlite }",
    "Where bindings, summaries and decisions are kept. Default: SQLite in the state directory."
  ),
  account: key(
    "account",
    Schema.NonEmptyString,
    () => "default",
    "default",
    "Whose usage limits goals share: when one goal meets a limit, all on its account wait for the reset."
  ),
  daemon: section("daemon", DaemonConfig, "How `driver serve` works on many goals."),
  deliver: section("deliver", DeliverConfig, "What becomes of accepted work."),
  cleanup: key(
    "cleanup",
    Schema.Literal("keep", "on_done"),
    () => "keep" as const,
    "keep",
    "on_done removes the worktree once accepted work was delivered; its branch stays. keep leaves it for you to look at."
  )
}).annotations({ identifier: "DriverConfig" })
export type Config = typeof Config.Type

/** What is assumed when there is no file. */
export const defaults: Config = Schema.decodeUnknownSync(Config)({})

/** One key of the file, for the places that explain it. */
export interface KeyDoc {
  /** `agent.idle_limit` */
  readonly path: string
  readonly name: string
  readonly description: string
  /** The default, or an example where there is none; absent for sections. */
  readonly shown: Option.Option<string>
  /** True when the key may be absent and then means nothing, so that `shown` is only an example. */
  readonly isExample: boolean
  readonly children: ReadonlyArray<KeyDoc>
}

/** All keys in the order of the schema. */
export const keyDocs: ReadonlyArray<KeyDoc> = docsOf(Config.ast, "")

function docsOf(ast: AST.AST, prefix: string): ReadonlyArray<KeyDoc> {
  const from = AST.isTransformation(ast) ? ast.from : ast
  if (!AST.isTypeLiteral(from)) return []
  return from.propertySignatures.map((property): KeyDoc => {
    const name = String(property.name)
    const path = prefix === "" ? name : `${prefix}.${name}`
    const annotations = annotationsOf(ast, name)
    const shown = annotations[DefaultText]
    const description = annotations[AST.DescriptionAnnotationId]
    return {
      path,
      name,
      description: typeof description === "string" ? description : "",
      shown: typeof shown === "string" ? Option.some(shown) : Option.none(),
      isExample: AST.isUnion(property.type) && property.type.types.some((type) => type === AST.null),
      children: typeof shown === "string" ? [] : sectionDocs(property.type, path)
    }
  })
}

/** What was said about a property stands on its inner side when it has another name there. */
function annotationsOf(ast: AST.AST, name: string): AST.Annotations {
  if (
    !AST.isTransformation(ast) ||
    !AST.isTypeLiteralTransformation(ast.transformation) ||
    !AST.isTypeLiteral(ast.to)
  ) {
    return {}
  }
  const renamed = ast.transformation.propertySignatureTransformations.find((it) => it.from === name)
  return ast.to.propertySignatures.find((it) => it.name === (renamed?.to ?? name))?.annotations ?? {}
}

function sectionDocs(type: AST.AST, path: string): ReadonlyArray<KeyDoc> {
  if (AST.isUnion(type)) return type.types.flatMap((inner) => sectionDocs(inner, path))
  return docsOf(type, path)
}
