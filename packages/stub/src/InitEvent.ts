/** What the program says of itself at the start of each turn, and partly again when it is asked (`ControlRequests`). */
import type { CurrentSession } from "./CurrentSession.js"
import { type Event, system, timestamp } from "./Output.js"
import type { Setup } from "./Setup.js"

const tools = [
  "Task",
  "AskUserQuestion",
  "Bash",
  "CronCreate",
  "CronDelete",
  "CronList",
  "Edit",
  "EnterPlanMode",
  "EnterWorktree",
  "ExitPlanMode",
  "ExitWorktree",
  "ListAgents",
  "Monitor",
  "NotebookEdit",
  "Read",
  "ReportFindings",
  "ScheduleWakeup",
  "SendMessage",
  "Skill",
  "TaskStop",
  "ToolSearch",
  "WebFetch",
  "WebSearch",
  "Workflow",
  "Write"
]

export const capabilities = [
  "interrupt_receipt_v1",
  "interrupt_cancel_queued_v1",
  "msg_lifecycle_v1",
  "request_marker_lists_v1"
]

/** Where the API key comes from, as `init` and `initialize` show it. */
export const apiKeySource = ({ env, scenario }: Setup): string =>
  env["ANTHROPIC_API_KEY"] === undefined || scenario.startup.notLoggedIn ? "none" : "ANTHROPIC_API_KEY"

/** The event that opens each turn, with the uuid of the prompt's message, and what belongs to it. */
export const initEvents = (setup: Setup, session: CurrentSession, uuid: string | undefined): ReadonlyArray<Event> => {
  const { cwd, servers, failedServers, scenario, settings } = setup
  const init = system("init", {
    cwd,
    tools,
    mcp_servers: [
      ...servers.map(({ config, status }) => ({ name: config.name, status: status(), source: "dynamic" })),
      ...failedServers.map((name) => ({ name, status: "failed", source: "dynamic" }))
    ],
    model: session.model,
    permissionMode: session.mode,
    slash_commands: ["clear", "compact"],
    terminal_slash_commands: [],
    apiKeySource: apiKeySource(setup),
    claude_code_version: scenario.startup.version,
    output_style: "default",
    agents: ["general-purpose"],
    skills: [],
    plugins: [{ name: "driver-stub", path: "builtin", source: "driver-stub@builtin" }],
    capabilities,
    analytics_disabled: true,
    product_feedback_disabled: true,
    served_by_anthropic: false,
    memory_paths: {},
    original_cwd: cwd,
    additional_directories: setup.args.raw("--add-dir"),
    messaging_socket_path: null,
    fast_mode_state: "off",
    fast_mode_disabled_reason: "sdk_opt_in_required",
    per_turn_effort_active: true,
    ultrathink_available: false,
    ultrathink_typed_raises: false,
    view_mode: "default",
    ...(uuid === undefined ? {} : { user_message_uuids: [uuid] })
  })
  if (settings.baseUrlSource === undefined) return [init]
  const address = system("informational", {
    content: `API requests go to ${settings.env["ANTHROPIC_BASE_URL"]} (env.ANTHROPIC_BASE_URL of ${settings.baseUrlSource})`,
    isMeta: false,
    timestamp: timestamp(),
    level: "info"
  })
  return [init, address]
}
