/**
 * The process as a whole: takes prompts (one, or lines on stdin), plays a turn for each, and ends in the way that flags,
 * signals and the scenario say.
 *
 * Owns the order of things: one message or finished task at a time. The messages are in `Inbox`, the session in
 * `CurrentSession`, background commands in `BackgroundTasks`, results in `Results`, requests of the control protocol in
 * `ControlRequests`. Everything is on one thread; what waits, waits in a turn or for `Inbox.wake`.
 */
import { appendFileSync } from "node:fs"
import { type BackgroundTask, BackgroundTasks } from "./BackgroundTasks.js"
import { ControlRequests } from "./ControlRequests.js"
import { CurrentSession } from "./CurrentSession.js"
import type { Ending } from "./Ending.js"
import { Inbox, type Message } from "./Inbox.js"
import { initEvents } from "./InitEvent.js"
import { type Json, mapping } from "./Json.js"
import { LocalCommands, localCommandIn } from "./LocalCommands.js"
import { system, writeAll } from "./Output.js"
import { Results } from "./Results.js"
import type { Turn as Plan } from "./Scenario.js"
import { runApiKeyHelper } from "./Settings.js"
import type { Setup } from "./Setup.js"
import type { Interruption } from "./StopSwitch.js"
import { Turn, type TurnRequest } from "./Turn.js"
import type { World } from "./World.js"

const now = () => performance.timeOrigin + performance.now()

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

/** Fields of the result that answers a message with a uuid. */
const labels = (uuid: string | undefined): Json =>
  uuid === undefined ? {} : { user_message_uuid: uuid, user_message_uuids: [uuid] }

/** Fields of the result that answers the end of a task. */
const origin = (id: string): Json => ({ origin: { kind: "task-notification", producer: "session-task", runId: id } })

export class Conversation {
  private readonly session: CurrentSession
  private readonly inbox: Inbox
  private readonly tasks: BackgroundTasks
  private readonly results: Results
  private readonly requests: ControlRequests
  private readonly commands: LocalCommands
  private readonly world: World
  private readonly emitStates: boolean
  private turn: Turn | undefined
  private inputEnded: boolean
  private prepared = false
  /** The exit code, when nothing is to be played after the running turn. */
  private stopAfterTurn: number | undefined
  /** A message has been taken and is not answered yet. */
  private isBusy = false
  /** An interruption that came before the turn had begun. */
  private earlyInterruption: Interruption | undefined
  private state = "idle"

  constructor(private readonly setup: Setup) {
    const { args, env, output, cwd, gate, hooks } = setup
    this.inputEnded = !setup.isWarm
    this.emitStates = env["CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"] === "1"
    this.session = new CurrentSession(setup)
    this.inbox = new Inbox(output, args.has("--replay-user-messages"))
    this.tasks = new BackgroundTasks(output, cwd, () => this.inbox.wake())
    this.results = new Results(setup, this.session, this.inbox)
    this.requests = new ControlRequests(
      setup,
      this.session,
      this.inbox,
      (by) => this.interrupt(by),
      () => this.state
    )
    this.commands = new LocalCommands(
      setup,
      this.session,
      this.tasks,
      this.results,
      () => this.prepare(),
      (uuid) => this.init(uuid)
    )
    this.world = {
      cwd,
      output,
      gate,
      hooks,
      maxTurns: args.number("--max-turns"),
      maxBudgetUsd: args.number("--max-budget-usd"),
      includePartialMessages: args.has("--include-partial-messages"),
      session: this.session,
      inbox: this.inbox,
      tasks: this.tasks,
      exit: (code, stderr) => this.exit(code, stderr)
    }
    this.record({
      event: "start",
      argv: process.argv.slice(2),
      cwd,
      pid: process.pid,
      session_id: this.session.current.id,
      env: Object.keys(env).sort()
    })
  }

  // ---- input --------------------------------------------------------------------------------------------------------

  /** A prompt, from the command line or as a line on stdin. */
  prompt(text: string, uuid?: string): void {
    this.setState("running")
    this.inbox.add({ text, uuid, at: now() })
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
        this.requests.answer(String(message["request_id"]), mapping(message["request"]))
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
    this.inbox.wake()
  }

  // ---- signals ------------------------------------------------------------------------------------------------------

  /** SIGINT stops a running turn with a result; an idle process just ends. Both with 0. */
  sigint(): void {
    if (!this.isBusy) this.exit(0)
    this.stopAfterTurn = 0
    this.interrupt("signal")
  }

  /** SIGTERM and SIGHUP: no result. Commands are killed with their groups. */
  terminate(code: number): void {
    this.turn?.terminate()
    this.tasks.terminate()
    this.session.save()
    this.exit(code)
  }

  private interrupt(by: Interruption): void {
    if (this.turn !== undefined) this.turn.interrupt(by)
    else if (this.isBusy) this.earlyInterruption = by
  }

  // ---- the loop -----------------------------------------------------------------------------------------------------

  /** Plays until there is nothing left to play, then ends the process. */
  async run(): Promise<void> {
    for (;;) {
      const ended = this.tasks.ended()
      const message = ended === undefined ? this.inbox.next() : undefined
      if (ended !== undefined) await this.notify(ended)
      else if (message !== undefined) await this.answer(message)
      else if (this.inputEnded && this.tasks.size === 0) break
      else await this.inbox.woken()
      if (this.stopAfterTurn !== undefined) return this.exit(this.stopAfterTurn)
      if (this.inbox.size === 0 && this.tasks.size === 0) this.setState("idle")
    }
    this.exit(this.results.lastIsError ? 1 : 0)
  }

  private async answer(message: Message): Promise<void> {
    this.isBusy = true
    this.inbox.start(message)
    const command = localCommandIn(message.text)
    if (command !== undefined) await this.commands.run(command, message.uuid)
    const done = command !== undefined || (await this.playPrompt(message))
    this.inbox.finish(message, done ? "completed" : "cancelled")
    this.isBusy = false
    this.earlyInterruption = undefined
  }

  /** Whether the turn was played to its end, rather than interrupted. */
  private async playPrompt(message: Message): Promise<boolean> {
    await this.prepare()
    const plan = this.plan(message.text)
    const { id, turnsPlayed } = this.session.current
    this.record({ event: "prompt", session_id: id, turn: turnsPlayed, prompt: message.text, read_at: message.at })
    // Saved before it is played: the prompt counts as taken even if the process does not survive the turn.
    this.session.update((session) => ({
      ...session,
      turnsPlayed: session.turnsPlayed + 1,
      model: this.session.model,
      cwd: this.setup.cwd
    }))
    this.session.save()
    this.init(message.uuid)
    this.inbox.replay(message)
    const ending = await this.playTurn({ plan, prompt: message.text, messageUuid: message.uuid })
    const endings: Array<readonly [Ending, Json]> = [[ending, labels(message.uuid)]]
    for (const { runId, then } of ending.notifications) {
      this.init(undefined)
      const following = await this.playTurn({ plan: { ...plain, steps: then }, prompt: "", messageUuid: undefined })
      endings.push([following, origin(runId)])
    }
    for (const [held, extra] of endings) {
      this.results.print(held, extra)
      this.record({ event: "result" })
    }
    return ending.terminalReason !== "aborted_tools" && ending.terminalReason !== "aborted_streaming"
  }

  /** A background command has ended: says so, and lets the model answer, with a result of its own. */
  private async notify(task: BackgroundTask): Promise<void> {
    this.tasks.report(task)
    this.setState("running")
    this.init(undefined)
    this.results.print(
      await this.playTurn({ plan: { ...plain, steps: task.command.then }, prompt: "", messageUuid: undefined }),
      origin(task.runId)
    )
  }

  private async playTurn(request: TurnRequest): Promise<Ending> {
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

  /** What the scenario has for the next prompt. */
  private plan(prompt: string): Plan {
    const { turns, questions, repeatLast, afterwards, startup } = this.setup.scenario
    if (startup.notLoggedIn)
      return { ...plain, error: { class: "not_logged_in", status: undefined, text: undefined, resetsAt: undefined } }
    const system = this.setup.args.value("--system-prompt")
    const asked =
      system === undefined ? undefined : questions.find(({ when }) => when?.test(`${system}\n${prompt}`) ?? true)
    if (asked !== undefined) return asked.turn
    return turns[this.session.current.turnsPlayed] ?? (repeatLast ? turns.at(-1) : undefined) ?? afterwards
  }

  /** What comes once, before the first turn: the servers' connections, hooks, the key's helper. */
  private async prepare(): Promise<void> {
    if (this.prepared) return
    this.prepared = true
    await Promise.all(this.setup.servers.map((server) => server.connect()))
    const source = this.setup.isResumed ? "resume" : "startup"
    await this.setup.hooks.run("SessionStart", source, { session_id: this.session.current.id, source })
    await runApiKeyHelper(this.setup.settings, this.setup.cwd, this.session.commandEnv())
  }

  // ---- output and end -----------------------------------------------------------------------------------------------

  private init(uuid: string | undefined): void {
    for (const event of initEvents(this.setup, this.session, uuid)) this.setup.output.event(event)
  }

  private setState(state: string): void {
    if (this.state === state) return
    this.state = state
    if (this.emitStates) this.setup.output.event(system("session_state_changed", { state }))
  }

  private record(entry: Json): void {
    const { record } = this.setup.scenario
    if (record === undefined) return
    appendFileSync(record, `${JSON.stringify({ ...entry, at: now() })}\n`)
  }

  private exit(code: number, stderr = ""): never {
    if (stderr !== "") writeAll(2, stderr.endsWith("\n") ? stderr : `${stderr}\n`)
    this.setup.output.finish()
    for (const server of this.setup.servers) server.close()
    this.tasks.close()
    process.exit(code)
  }
}
