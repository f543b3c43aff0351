/**
 * The process as a whole: takes prompts (one, or lines on stdin), plays a turn for each, prints the results, answers
 * control requests, and ends in the way that flags, signals and the scenario say.
 *
 * Owns the session's state, the queue of messages and the background tasks. Everything is on one thread; what waits,
 * waits in a turn or for `wake`.
 */
import { randomUUID } from "node:crypto"
import { appendFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Arguments } from "./Arguments.js"
import type { Gate, StdioGate } from "./Gate.js"
import type { McpServer } from "./McpServer.js"
import { type Event, type Output, system, timestamp, writeAll } from "./Output.js"
import type { PermissionContext } from "./Permissions.js"
import { type RunningCommand, runInBackground } from "./Processes.js"
import { type PermissionMode, type Turn as Plan, permissionModes, type Scenario, type Usage } from "./Scenario.js"
import { freshSession, newSessionId, type Session, type SessionStore } from "./Session.js"
import { type HookRunner, runApiKeyHelper, type Settings } from "./Settings.js"
import { addTo, costOf, costOfAll, type ModelTotals, modelUsage, noUsage, resultUsage } from "./Tokens.js"
import {
  type BackgroundCommand,
  compacted,
  type Ending,
  type Interruption,
  runId,
  summaryText,
  syntheticMessage,
  Turn,
  taskId,
  type World
} from "./Turn.js"

export interface Setup {
  readonly args: Arguments
  readonly scenario: Scenario
  readonly settings: Settings
  readonly hooks: HookRunner
  readonly servers: ReadonlyArray<McpServer>
  /** Names of servers that are reported as failed without having been started. */
  readonly failedServers: ReadonlyArray<string>
  readonly gate: Gate
  readonly stdio: StdioGate | undefined
  readonly store: SessionStore
  readonly session: Session
  readonly isResumed: boolean
  readonly mode: PermissionMode
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly output: Output
  /** Whether stdin brings more prompts, or the one message is all. */
  readonly isWarm: boolean
}

type Json = Readonly<Record<string, unknown>>

const mapping = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {}

interface Message {
  readonly text: string
  readonly uuid: string | undefined
}

interface BackgroundTask {
  readonly listed: Json & { readonly task_id: string }
  readonly runId: string
  readonly command: BackgroundCommand
  readonly outputFile: string
  readonly running: RunningCommand
  code: number | undefined
}

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

const capabilities = [
  "interrupt_receipt_v1",
  "interrupt_cancel_queued_v1",
  "msg_lifecycle_v1",
  "request_marker_lists_v1"
]

const noSubagents = {
  spawned: 0,
  requested: { background: 0, foreground: 0, unset: 0 },
  started_in_background: 0,
  max_depth: 0,
  spawned_by_subagents: 0,
  completed: 0,
  failed: 0,
  killed: { parent: 0, user: 0, system: 0 },
  refused: { depth_limit: 0, concurrency_limit: 0, budget: 0 },
  by_type: {}
}

const plain: Plan = {
  expectPrompt: undefined,
  steps: [],
  usage: [],
  costUsd: undefined,
  contextTokens: undefined,
  result: undefined,
  error: undefined
}

/** The text of a message's content: text itself, or its text blocks. */
const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : (Array.isArray(content) ? content : [])
        .map(mapping)
        .filter(({ type }) => type === "text")
        .map(({ text }) => String(text))
        .join("\n")

export class Conversation {
  private session: Session
  private mode: PermissionMode
  private model: string
  private sinceLastResult: ModelTotals = {}
  private readonly sessionRules: Array<string> = []
  private readonly queue: Array<Message> = []
  /** Messages folded into the running turn that `steer_echo` has not asked for yet. */
  private readonly folded: Array<string> = []
  private readonly foldedUuids: Array<string> = []
  private readonly tasks = new Map<string, BackgroundTask>()
  private readonly agents = new Map<string, Json>()
  private readonly waiting = new Set<() => void>()
  private turn: Turn | undefined
  private inputEnded: boolean
  private resultIndex = 0
  private lastIsError = false
  private prepared = false
  private stopAfterTurn: number | undefined
  /** A message has been taken and is not answered yet. */
  private isBusy = false
  /** An interruption that came before the turn had begun. */
  private earlyInterruption: Interruption | undefined
  private state = "idle"
  private readonly taskDirectory = join(tmpdir(), `driver-stub-tasks-${process.pid}`)
  private readonly replay: boolean
  private readonly emitStates: boolean
  private readonly world: World

  constructor(private readonly setup: Setup) {
    const { args, scenario, session, env } = setup
    this.session = session
    this.mode = setup.mode
    this.model = args.value("--model") ?? session.model ?? scenario.model
    this.inputEnded = !setup.isWarm
    this.replay = args.has("--replay-user-messages")
    this.emitStates = env["CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"] === "1"
    this.world = this.makeWorld()
    setup.output.setSession(session.id)
    this.record({
      event: "start",
      argv: process.argv.slice(2),
      cwd: setup.cwd,
      pid: process.pid,
      session_id: session.id,
      env: Object.keys(env).sort()
    })
  }

  // ---- input --------------------------------------------------------------------------------------------------------

  /** A prompt, from the command line or as a line on stdin. */
  prompt(text: string, uuid?: string): void {
    this.setState("running")
    if (uuid !== undefined) this.lifecycle(uuid, "queued")
    this.queue.push({ text, uuid })
    this.wake()
  }

  /** One line of stdin. A line that is no message ends the process, as in the real agent. */
  line(line: string): void {
    if (line.trim() === "") return
    let message: Json
    try {
      message = mapping(JSON.parse(line))
    } catch {
      this.exit(1, `Error parsing streaming input line (type=unknown, ${line.length} chars): SyntaxError`)
    }
    switch (message["type"]) {
      case "user": {
        const uuid = message["uuid"]
        this.prompt(textOf(mapping(message["message"])["content"]), typeof uuid === "string" ? uuid : undefined)
        return
      }
      case "control_request":
        this.control(String(message["request_id"]), mapping(message["request"]))
        return
      case "control_response":
        this.setup.stdio?.receive(mapping(message["response"]))
        return
      case "control_cancel_request":
      case "keep_alive":
        return
      default:
        this.exit(1, `Error: Expected message type 'user' or 'control_request', got '${message["type"]}'`)
    }
  }

  /** Nothing more comes: the running turn is finished, then the process ends. */
  endOfInput(): void {
    this.inputEnded = true
    this.setup.stdio?.close()
    this.wake()
  }

  /** SIGINT stops a running turn with a result; an idle process just ends. Both with 0. */
  sigint(): void {
    if (!this.isBusy) this.exit(0)
    this.stopAfterTurn = 0
    this.interrupt("signal")
  }

  /** SIGTERM and SIGHUP: no result. Commands are killed with their groups. */
  terminate(code: number): void {
    this.turn?.terminate()
    for (const task of this.tasks.values()) {
      if (task.code !== undefined) continue
      task.running.kill()
      this.event(
        system("task_notification", {
          ...this.taskLabels(task),
          status: "stopped",
          output_file: "",
          summary: task.command.description
        })
      )
      this.event(
        system("task_updated", {
          task_id: task.listed.task_id,
          run_id: task.runId,
          patch: { status: "killed", end_time: Date.now() }
        })
      )
    }
    const hadTasks = this.tasks.size > 0
    this.tasks.clear()
    if (hadTasks) this.announceTasks()
    this.setup.store.save(this.session)
    this.exit(code)
  }

  // ---- the loop -----------------------------------------------------------------------------------------------------

  /** Plays until there is nothing left to play, then ends the process. */
  async run(): Promise<void> {
    for (;;) {
      const finished = [...this.tasks.values()].find(({ code }) => code !== undefined)
      const message = finished === undefined ? this.queue.shift() : undefined
      if (finished !== undefined) await this.notify(finished)
      else if (message !== undefined) await this.answer(message)
      else if (this.inputEnded && this.tasks.size === 0) break
      else await this.woken()
      if (this.stopAfterTurn !== undefined) return this.exit(this.stopAfterTurn)
      if (this.queue.length === 0 && this.tasks.size === 0) this.setState("idle")
    }
    this.exit(this.lastIsError ? 1 : 0)
  }

  private interrupt(by: Interruption): void {
    if (this.turn !== undefined) this.turn.interrupt(by)
    else if (this.isBusy) this.earlyInterruption = by
  }

  private async answer(message: Message): Promise<void> {
    this.isBusy = true
    await this.take(message)
    this.isBusy = false
    this.earlyInterruption = undefined
  }

  private async take(message: Message): Promise<void> {
    if (message.uuid !== undefined) this.lifecycle(message.uuid, "started")
    this.folded.length = 0
    this.foldedUuids.length = 0
    const slash = /^\/(compact|clear)(?:\s+(.*))?$/s.exec(message.text.trim())
    const done =
      slash === null ? await this.playPrompt(message) : await this.localCommand(slash[1] ?? "", slash[2] ?? "", message)
    for (const uuid of [...(message.uuid === undefined ? [] : [message.uuid]), ...this.foldedUuids]) {
      this.lifecycle(uuid, done ? "completed" : "cancelled")
    }
  }

  private plan(): Plan {
    const { turns, repeatLast, afterwards, startup } = this.setup.scenario
    if (startup.notLoggedIn)
      return { ...plain, error: { class: "not_logged_in", status: undefined, text: undefined, resetsAt: undefined } }
    return turns[this.session.turnsPlayed] ?? (repeatLast ? turns.at(-1) : undefined) ?? afterwards
  }

  /** Whether the turn was played to its end, rather than interrupted. */
  private async playPrompt(message: Message): Promise<boolean> {
    await this.prepare()
    const plan = this.plan()
    this.record({ event: "prompt", session_id: this.session.id, turn: this.session.turnsPlayed, prompt: message.text })
    // Saved before it is played: the prompt counts as taken even if the process does not survive the turn.
    this.update((session) => ({
      ...session,
      turnsPlayed: session.turnsPlayed + 1,
      model: this.model,
      cwd: this.setup.cwd
    }))
    this.setup.store.save(this.session)
    this.init(message.uuid)
    if (this.replay) this.replayed(message)
    const ending = await this.playTurn({ plan, prompt: message.text, messageUuid: message.uuid })
    const endings: Array<readonly [Ending, Json]> = [[ending, labels(message.uuid)]]
    for (const { runId: id, then } of ending.notifications) {
      this.init(undefined)
      const following = await this.playTurn({ plan: { ...plain, steps: then }, prompt: "", messageUuid: undefined })
      endings.push([following, origin(id)])
    }
    for (const [held, extra] of endings) this.result(held, extra)
    return ending.terminalReason !== "aborted_tools" && ending.terminalReason !== "aborted_streaming"
  }

  private async playTurn(request: ConstructorParameters<typeof Turn>[1]): Promise<Ending> {
    const turn = new Turn(this.world, request)
    this.turn = turn
    this.isBusy = true
    if (this.earlyInterruption !== undefined) turn.interrupt(this.earlyInterruption)
    try {
      return await turn.play()
    } finally {
      this.turn = undefined
      this.isBusy = false
    }
  }

  /** A background command has ended: says so, and lets the model answer, with a result of its own. */
  private async notify(task: BackgroundTask): Promise<void> {
    this.tasks.delete(task.listed.task_id)
    const { code } = task
    const status = code === 0 ? "completed" : "failed"
    this.event(
      system("task_updated", {
        task_id: task.listed.task_id,
        run_id: task.runId,
        patch: { status, end_time: Date.now() }
      })
    )
    this.event(
      system("task_notification", {
        ...this.taskLabels(task),
        status,
        output_file: task.outputFile,
        summary: `Background command "${task.command.description}" ${status} (exit code ${code})`
      })
    )
    this.announceTasks()
    this.setState("running")
    this.init(undefined)
    this.result(
      await this.playTurn({ plan: { ...plain, steps: task.command.then }, prompt: "", messageUuid: undefined }),
      origin(task.runId)
    )
  }

  /** What comes once, before the first turn: the servers' connections, hooks, the key's helper. */
  private async prepare(): Promise<void> {
    if (this.prepared) return
    this.prepared = true
    await Promise.all(this.setup.servers.map((server) => server.connect()))
    const source = this.setup.isResumed ? "resume" : "startup"
    await this.setup.hooks.run("SessionStart", source, { session_id: this.session.id, source })
    await runApiKeyHelper(this.setup.settings, this.setup.cwd, this.commandEnv())
  }

  // ---- local commands -----------------------------------------------------------------------------------------------

  private async localCommand(command: string, args: string, message: Message): Promise<boolean> {
    if (command === "clear") await this.clear()
    else await this.compact(args, message)
    return true
  }

  private localResult(command: string, result: string, startedAt: number): void {
    this.result(
      {
        subtype: "success",
        isError: false,
        stopReason: null,
        terminalReason: undefined,
        result,
        errors: undefined,
        extra: {},
        numTurns: 0,
        usage: noUsage,
        denials: [],
        hideCost: false,
        startedAt,
        firstTokenAt: undefined,
        notifications: []
      },
      { local_command: command }
    )
  }

  /** Success, failure and having nothing to do look alike in the result; only the status and the text tell. */
  private async compact(args: string, message: Message): Promise<void> {
    const startedAt = Date.now()
    const { compact: answers } = this.setup.scenario
    const answer = answers[this.session.compactions] ?? answers.at(-1) ?? answers[0]
    await this.prepare()
    const complain = (text: string) =>
      this.event(
        syntheticMessage(text, "end_turn", null, {
          local_command_source: `<local-command-stderr>${text}</local-command-stderr>`,
          local_command_run: { command: "compact", args },
          local_command_outcome: { kind: "failed" }
        })
      )
    if (answer.result === "nothing" || this.session.turnsPlayed === 0) {
      this.init(message.uuid)
      complain("Error: No messages to compact")
      return this.localResult("compact", "", startedAt)
    }
    this.event(system("status", { status: "compacting" }))
    if (answer.result === "failed") {
      this.event(system("status", { status: null, compact_result: "failed", compact_error: answer.error }))
      this.init(message.uuid)
      complain(answer.error)
      return this.localResult("compact", answer.error, startedAt)
    }
    const { usage, metadata, after } = compacted(this.session, answer)
    this.charge(usage, costOf(usage))
    this.event(system("status", { status: null, compact_result: "success" }))
    this.init(message.uuid)
    const [kept, anchor] = [randomUUID(), randomUUID()]
    this.event(
      system("compact_boundary", {
        compact_metadata: {
          ...metadata("manual", startedAt),
          preserved_segment: { head_uuid: kept, anchor_uuid: anchor, tail_uuid: kept },
          preserved_messages: { anchor_uuid: anchor, uuids: [kept], all_uuids: [kept] }
        },
        logical_parent_uuid: kept
      })
    )
    const user = (content: string, extra: Json) =>
      this.event({
        type: "user",
        message: { role: "user", content },
        parent_tool_use_id: null,
        timestamp: timestamp(),
        ...extra
      })
    user(summaryText(answer.summary, this.session.toolsUsed, this.session), {
      uuid: anchor,
      isReplay: false,
      isSynthetic: true
    })
    user("<local-command-stdout>Compacted </local-command-stdout>", { isReplay: true })
    this.update(after)
    this.localResult("compact", "", startedAt)
  }

  /** A conversation of its own: another id, and the scenario from its first turn. */
  private async clear(): Promise<void> {
    const startedAt = Date.now()
    await this.prepare()
    const id = newSessionId()
    this.event({
      type: "conversation_reset",
      new_conversation_id: id,
      trigger: "clear",
      user_message_uuid: randomUUID(),
      timestamp: timestamp()
    })
    this.setup.store.save(this.session)
    this.session = freshSession(id, this.setup.cwd)
    this.setup.output.setSession(id)
    this.announceTasks()
    this.init(undefined)
    this.localResult("clear", "", startedAt)
  }

  // ---- control requests ---------------------------------------------------------------------------------------------

  private control(id: string, request: Json): void {
    const answer = (response: Json) =>
      this.setup.output.control({
        type: "control_response",
        response: { subtype: "success", request_id: id, response }
      })
    switch (request["subtype"]) {
      case "interrupt":
        this.interrupt("control")
        answer({ still_queued: this.queue.flatMap(({ uuid }) => (uuid === undefined ? [] : [uuid])) })
        return
      case "initialize":
        answer(this.initializeResponse())
        return
      case "set_permission_mode": {
        const mode = permissionModes.find((mode) => mode === request["mode"])
        if (mode === undefined) {
          this.refuse(id, `Invalid permission mode: ${request["mode"]}`)
          return
        }
        answer({ mode })
        this.setMode(mode)
        return
      }
      case "set_model": {
        const model = typeof request["model"] === "string" ? request["model"] : this.setup.scenario.model
        this.model = model
        this.event({
          type: "user",
          message: { role: "user", content: `<local-command-stdout>Set model to \`${model}\`</local-command-stdout>` },
          parent_tool_use_id: null,
          timestamp: timestamp(),
          isReplay: true
        })
        answer({ model })
        return
      }
      case "mcp_status":
        answer({
          mcpServers: this.setup.servers.map(({ config, status }) => ({
            name: config.name,
            status: status(),
            config: { type: "stdio", command: config.command, args: config.args },
            transport: "stdio",
            scope: "dynamic",
            source: "dynamic"
          }))
        })
        return
      case "get_context_usage":
        answer(this.contextUsage())
        return
      case "get_session_cost":
        answer({ text: `Estimated cost:        $${costOfAll(this.session.totals).toFixed(4)}` })
        return
      case "get_binary_version":
        answer({ version: this.setup.scenario.startup.version })
        return
      default:
        this.refuse(id, `Unsupported control request subtype: ${request["subtype"]}`, "unsupported_request")
        return
    }
  }

  private refuse(id: string, error: string, code?: string): void {
    this.setup.output.control({
      type: "control_response",
      response: { subtype: "error", request_id: id, error, ...(code === undefined ? {} : { error_code: code }) }
    })
  }

  private initializeResponse(): Json {
    return {
      commands: [
        { name: "compact", description: "Summarise the conversation so far", argumentHint: "<focus>", builtin: true }
      ],
      agents: [{ name: "general-purpose", description: "For research and multi-step work" }],
      output_style: "default",
      available_output_styles: ["default"],
      models: [{ value: "default", resolvedModel: this.model, displayName: this.model, description: "driver-stub" }],
      account: { tokenSource: "none", apiKeySource: this.apiKeySource(), apiProvider: "firstParty" },
      pid: process.pid,
      claude_code_version: this.setup.scenario.startup.version,
      current_permission_mode: this.mode,
      session_state: this.state,
      capabilities
    }
  }

  private contextUsage(): Json {
    const total = this.session.contextTokens
    const most = this.setup.scenario.contextWindow
    return {
      categories: [
        { id: "messages", name: "Messages", tokens: total, color: "purple_FOR_SUBAGENTS_ONLY", kind: "used" },
        { id: "free_space", name: "Free space", tokens: Math.max(0, most - total), color: "promptBorder", kind: "free" }
      ],
      totalTokens: total,
      maxTokens: most,
      rawMaxTokens: most,
      autocompactSource: "model-default",
      percentage: Math.round((100 * total) / most),
      model: this.model
    }
  }

  // ---- what turns see -----------------------------------------------------------------------------------------------

  private makeWorld(): World {
    const { scenario, cwd, output, gate, hooks, args } = this.setup
    return {
      scenario,
      cwd,
      output,
      gate,
      hooks,
      maxTurns: args.number("--max-turns"),
      maxBudgetUsd: args.number("--max-budget-usd"),
      includePartialMessages: args.has("--include-partial-messages"),
      session: () => this.session,
      update: (change) => this.update(change),
      model: () => this.model,
      setModel: (model) => {
        this.model = model
      },
      permissions: () => this.permissions(),
      addRules: (rules) => void this.sessionRules.push(...rules),
      setMode: (mode) => this.setMode(mode),
      charge: (usage, costUsd) => this.charge(usage, costUsd),
      spent: () => costOfAll(this.session.totals),
      commandEnv: () => this.commandEnv(),
      startBackground: (command) => this.startBackground(command),
      listAgent: (task) => {
        this.agents.set(task.task_id, task)
        this.announceTasks()
        return () => {
          if (this.agents.delete(task.task_id)) this.announceTasks()
        }
      },
      takeSteering: () => this.takeSteering(),
      nextSteering: (within, signal) => this.nextSteering(within, signal),
      exit: (code, stderr) => this.exit(code, stderr)
    }
  }

  private permissions(): PermissionContext {
    const { settings, args, cwd } = this.setup
    return {
      cwd,
      additionalDirectories: args.raw("--add-dir"),
      mode: this.mode,
      ask: settings.ask,
      allow: [...settings.allow, ...args.values("--allowedTools")],
      deny: [...settings.deny, ...args.values("--disallowedTools")],
      sessionAllow: this.sessionRules
    }
  }

  private setMode(mode: PermissionMode): void {
    this.mode = mode
    this.event(system("status", { status: null, permissionMode: mode }))
  }

  private update(change: (session: Session) => Session): void {
    this.session = change(this.session)
  }

  private charge(usage: Usage, costUsd: number): void {
    this.update((session) => ({ ...session, totals: addTo(session.totals, this.model, usage, costUsd) }))
    this.sinceLastResult = addTo(this.sinceLastResult, this.model, usage, costUsd)
  }

  private commandEnv(): NodeJS.ProcessEnv {
    return commandEnvironment(this.setup.env, this.setup.settings, this.session.id)
  }

  private startBackground(command: BackgroundCommand): { readonly taskId: string; readonly outputFile: string } {
    const id = taskId("b")
    const outputFile = join(this.taskDirectory, `${id}.output`)
    const running = runInBackground(command.command, this.setup.cwd, this.commandEnv(), outputFile)
    const run = runId()
    const task: BackgroundTask = {
      listed: { task_id: id, run_id: run, task_type: "local_bash", description: command.description },
      runId: run,
      command,
      outputFile,
      running,
      code: undefined
    }
    this.tasks.set(id, task)
    this.announceTasks()
    this.event(
      system("task_started", {
        task_id: id,
        run_id: run,
        tool_use_id: command.toolUseId,
        description: command.description,
        is_backgrounded: true,
        task_type: "local_bash"
      })
    )
    const notEarlier = new Promise<void>((resolve) => setTimeout(resolve, Math.min(command.notifyAfter, 2 ** 30)))
    void Promise.all([running.finished, notEarlier]).then(([{ code }]) => {
      task.code = code
      this.wake()
    })
    return { taskId: id, outputFile }
  }

  private taskLabels(task: BackgroundTask): Json {
    return { task_id: task.listed.task_id, run_id: task.runId, tool_use_id: task.command.toolUseId }
  }

  private announceTasks(): void {
    const listed = [...[...this.tasks.values()].map((task) => task.listed), ...this.agents.values()]
    this.event(system("background_tasks_changed", { tasks: listed }))
  }

  private takeSteering(): void {
    const taken = this.queue.filter(({ text }) => !/^\/(compact|clear)\b/.test(text.trim()))
    for (const message of taken) {
      this.queue.splice(this.queue.indexOf(message), 1)
      this.folded.push(message.text)
      if (message.uuid !== undefined) {
        this.foldedUuids.push(message.uuid)
        this.lifecycle(message.uuid, "started")
      }
      if (this.replay) this.replayed(message)
    }
  }

  private async nextSteering(within: number, signal: AbortSignal): Promise<string | undefined> {
    const deadline = Date.now() + within
    for (;;) {
      this.takeSteering()
      const text = this.folded.shift()
      const left = deadline - Date.now()
      if (text !== undefined || left <= 0 || signal.aborted) return text
      await this.woken(left, signal)
    }
  }

  // ---- output -------------------------------------------------------------------------------------------------------

  private event(event: Event): void {
    this.setup.output.event(event)
  }

  private lifecycle(uuid: string, state: string): void {
    this.event({ type: "command_lifecycle", command_uuid: uuid, state })
  }

  private setState(state: string): void {
    if (this.state === state) return
    this.state = state
    if (this.emitStates) this.event(system("session_state_changed", { state }))
  }

  private replayed({ text }: Message): void {
    this.event({
      type: "user",
      message: { role: "user", content: [{ type: "text", text }] },
      parent_tool_use_id: null,
      timestamp: timestamp(),
      isReplay: true
    })
  }

  private apiKeySource(): string {
    return this.setup.env["ANTHROPIC_API_KEY"] === undefined || this.setup.scenario.startup.notLoggedIn
      ? "none"
      : "ANTHROPIC_API_KEY"
  }

  private init(uuid: string | undefined): void {
    const { cwd, servers, failedServers, scenario, settings } = this.setup
    this.event(
      system("init", {
        cwd,
        tools,
        mcp_servers: [
          ...servers.map(({ config, status }) => ({ name: config.name, status: status(), source: "dynamic" })),
          ...failedServers.map((name) => ({ name, status: "failed", source: "dynamic" }))
        ],
        model: this.model,
        permissionMode: this.mode,
        slash_commands: ["clear", "compact"],
        terminal_slash_commands: [],
        apiKeySource: this.apiKeySource(),
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
        additional_directories: this.setup.args.raw("--add-dir"),
        messaging_socket_path: null,
        fast_mode_state: "off",
        fast_mode_disabled_reason: "sdk_opt_in_required",
        per_turn_effort_active: true,
        ultrathink_available: false,
        ultrathink_typed_raises: false,
        view_mode: "default",
        ...(uuid === undefined ? {} : { user_message_uuids: [uuid] })
      })
    )
    if (settings.baseUrlSource !== undefined) {
      this.event(
        system("informational", {
          content: `API requests go to ${settings.env["ANTHROPIC_BASE_URL"]} (env.ANTHROPIC_BASE_URL of ${settings.baseUrlSource})`,
          isMeta: false,
          timestamp: timestamp(),
          level: "info"
        })
      )
    }
  }

  private result(ending: Ending, extra: Json): void {
    const millis = Date.now() - ending.startedAt
    const { contextWindow } = this.setup.scenario
    this.update((session) => ({ ...session, apiMillis: session.apiMillis + (ending.numTurns === 0 ? 0 : millis) }))
    this.setup.store.save(this.session)
    const ttft = ending.firstTokenAt === undefined ? undefined : ending.firstTokenAt - ending.startedAt
    const times =
      ttft === undefined || ending.subtype !== "success"
        ? {}
        : { ttft_ms: ttft, ttft_stream_ms: ttft, time_to_request_ms: 0, first_content_frame_ms: ttft }
    this.event({
      type: "result",
      subtype: ending.subtype,
      is_error: ending.isError,
      duration_ms: millis,
      duration_api_ms: this.session.apiMillis,
      num_turns: ending.numTurns,
      ...(ending.result === undefined ? {} : { result: ending.result }),
      ...(ending.errors === undefined ? {} : { errors: ending.errors }),
      ...(ending.subtype === "success" && extra["local_command"] === undefined ? { api_error_status: null } : {}),
      ...ending.extra,
      stop_reason: ending.stopReason,
      ...(ending.terminalReason === undefined ? {} : { terminal_reason: ending.terminalReason }),
      ...(ending.hideCost ? {} : { total_cost_usd: costOfAll(this.session.totals) }),
      usage: resultUsage(ending.usage),
      modelUsage: modelUsage(this.session.totals, contextWindow, !ending.hideCost),
      model_usage_since_last_result: modelUsage(this.sinceLastResult, contextWindow, !ending.hideCost),
      permission_denials: ending.denials,
      fast_mode_state: "off",
      fast_mode_disabled_reason: "sdk_opt_in_required",
      subagent_stats: noSubagents,
      safety_stops: 0,
      queued_turn_count: this.queue.length,
      result_index: this.resultIndex,
      ...times,
      ...extra
    })
    this.sinceLastResult = {}
    this.resultIndex += 1
    this.lastIsError = ending.isError
  }

  private record(entry: Json): void {
    const { record } = this.setup.scenario
    if (record !== undefined) appendFileSync(record, `${JSON.stringify(entry)}\n`)
  }

  // ---- waiting and ending -------------------------------------------------------------------------------------------

  private wake(): void {
    for (const resolve of [...this.waiting]) resolve()
  }

  /** Resolves at the next `wake`, after `within` milliseconds, or at an abort. */
  private woken(within?: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done)
        clearTimeout(timer)
        signal?.removeEventListener("abort", done)
        resolve()
      }
      const timer = within === undefined ? undefined : setTimeout(done, Math.min(within, 2 ** 30))
      this.waiting.add(done)
      signal?.addEventListener("abort", done)
    })
  }

  private exit(code: number, stderr = ""): never {
    if (stderr !== "") writeAll(2, stderr.endsWith("\n") ? stderr : `${stderr}\n`)
    this.setup.output.finish()
    for (const server of this.setup.servers) server.close()
    rmSync(this.taskDirectory, { recursive: true, force: true })
    process.exit(code)
  }
}

const labels = (uuid: string | undefined): Json =>
  uuid === undefined ? {} : { user_message_uuid: uuid, user_message_uuids: [uuid] }

const origin = (id: string): Json => ({ origin: { kind: "task-notification", producer: "session-task", runId: id } })

/** The environment of commands and servers: the process's own, the settings' `env`, and what marks the session. */
export const commandEnvironment = (
  env: NodeJS.ProcessEnv,
  settings: Settings,
  sessionId: string
): NodeJS.ProcessEnv => ({
  ...env,
  ...settings.env,
  AI_AGENT: "driver-stub",
  CLAUDECODE: "1",
  CLAUDE_CODE_ENTRYPOINT: "sdk-cli",
  CLAUDE_CODE_SESSION_ID: sessionId,
  CLAUDE_PID: String(process.pid),
  GIT_EDITOR: "true"
})

/** The one event of a run that cannot begin: the session to resume does not exist. */
export const cannotResume = (output: Output, sessionId: string, error: string): void => {
  output.setSession(sessionId)
  output.event({
    type: "result",
    subtype: "error_during_execution",
    duration_ms: 0,
    duration_api_ms: 0,
    is_error: true,
    num_turns: 0,
    stop_reason: null,
    total_cost_usd: 0,
    usage: resultUsage(noUsage),
    modelUsage: {},
    permission_denials: [],
    errors: [error],
    result_index: 0
  })
}
