/**
 * The session that is being played: its state, and what may change between two prompts (model, permission mode, rules).
 *
 * Owns the figures since the last result too. How a session is kept on disk is in `Session`; what uses tokens is charged
 * from `ApiCalls` and `LocalCommands`.
 */
import { commandEnvironment } from "./commandEnvironment.js"
import { system } from "./Output.js"
import type { PermissionContext } from "./Permissions.js"
import type { PermissionMode, Usage } from "./Scenario.js"
import { freshSession, type Session } from "./Session.js"
import type { Setup } from "./Setup.js"
import { addTo, costOfAll, type ModelTotals } from "./Tokens.js"

export class CurrentSession {
  /** The model of the API calls from now on. */
  model: string
  private session: Session
  private permissionMode: PermissionMode
  private recent: ModelTotals = {}
  private readonly rules: Array<string> = []

  constructor(private readonly setup: Setup) {
    const { args, scenario, session, output } = setup
    this.session = session
    this.permissionMode = setup.mode
    this.model = args.value("--model") ?? session.model ?? scenario.model
    output.setSession(session.id)
  }

  get current(): Session {
    return this.session
  }

  get mode(): PermissionMode {
    return this.permissionMode
  }

  /** What was used since the last result, per model. */
  get sinceLastResult(): ModelTotals {
    return this.recent
  }

  update(change: (session: Session) => Session): void {
    this.session = change(this.session)
  }

  /** Writes the session to where it is resumed from. */
  save(): void {
    this.setup.store.save(this.session)
  }

  /** Puts the session away; from now on a fresh one is played, with this id. */
  startOver(id: string): void {
    this.save()
    this.session = freshSession(id, this.setup.cwd)
    this.setup.output.setSession(id)
  }

  /** Changes the permission mode, and says so. */
  setMode(mode: PermissionMode): void {
    this.permissionMode = mode
    this.setup.output.event(system("status", { status: null, permissionMode: mode }))
  }

  /** Allows what the gate added for the rest of the process. */
  addRules(rules: ReadonlyArray<string>): void {
    this.rules.push(...rules)
  }

  /** What decides whether a tool may run, as of now. */
  permissions(): PermissionContext {
    const { settings, args, cwd } = this.setup
    return {
      cwd,
      additionalDirectories: args.raw("--add-dir"),
      mode: this.permissionMode,
      ask: settings.ask,
      allow: [...settings.allow, ...args.values("--allowedTools")],
      deny: [...settings.deny, ...args.values("--disallowedTools")],
      sessionAllow: this.rules
    }
  }

  /** Adds to the session's figures and to those since the last result. */
  charge(usage: Usage, costUsd: number): void {
    this.update((session) => ({ ...session, totals: addTo(session.totals, this.model, usage, costUsd) }))
    this.recent = addTo(this.recent, this.model, usage, costUsd)
  }

  /** USD spent by the session so far. */
  spent(): number {
    return costOfAll(this.session.totals)
  }

  /** A result was printed: the figures since the last one begin anew. */
  resultPrinted(): void {
    this.recent = {}
  }

  /** The environment of commands. */
  commandEnv(): NodeJS.ProcessEnv {
    return commandEnvironment(this.setup.env, this.setup.settings, this.session.id)
  }
}
