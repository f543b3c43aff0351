/**
 * What a session remembers between processes: where it stands in the scenario and what it has cost so far.
 *
 * Files: `$CLAUDE_CONFIG_DIR/driver-stub-sessions/<id>.json` (`~/.claude` without the variable), written beside and
 * renamed, so that a killed process leaves no half file. Like the real agent's transcripts they are not locked.
 */
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import type { ModelTotals } from "./Tokens.js"

export interface Session {
  readonly id: string
  readonly cwd: string
  /** The model of the last turn: a resume without --model goes on with it. */
  readonly model: string | undefined
  /** Prompts taken so far, which is also the index of the scenario's next turn. */
  readonly turnsPlayed: number
  readonly totals: ModelTotals
  readonly apiMillis: number
  /** The size of the conversation: what the next API call sends as context. */
  readonly contextTokens: number
  readonly compactions: number
  /** Tokens that compactions have dropped so far. */
  readonly droppedTokens: number
  /** Names of the tools used since the last compaction. */
  readonly toolsUsed: ReadonlyArray<string>
}

/** The figure that the real agent's first request shows for its own prompt and tools. */
const freshContext = 13_400

export const freshSession = (id: string, cwd: string): Session => ({
  id,
  cwd,
  model: undefined,
  turnsPlayed: 0,
  totals: {},
  apiMillis: 0,
  contextTokens: freshContext,
  compactions: 0,
  droppedTokens: 0,
  toolsUsed: []
})

/** The sessions cannot be kept: the directory or a file in it cannot be used. */
export class SessionStoreError extends Error {
  override readonly name = "SessionStoreError"
}

export interface SessionStore {
  /** A session by id, or `undefined` when there is none. */
  find(id: string): Session | undefined
  save(session: Session): void
}

export const configDirectory = (env: NodeJS.ProcessEnv): string =>
  env["CLAUDE_CONFIG_DIR"] ?? join(homedir(), ".claude")

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Makes the directory. Throws `SessionStoreError` when it cannot be written. */
export const openSessionStore = (env: NodeJS.ProcessEnv): SessionStore => {
  const directory = join(configDirectory(env), "driver-stub-sessions")
  const refuse = (error: unknown): never => {
    throw new SessionStoreError(
      `driver-stub: cannot keep sessions in ${directory}: ${reason(error)}. Set CLAUDE_CONFIG_DIR to a directory that can be written.`
    )
  }
  const save = (session: Session) => {
    const file = join(directory, `${session.id}.json`)
    const temporary = `${file}.${process.pid}.tmp`
    try {
      writeFileSync(temporary, JSON.stringify(session))
      renameSync(temporary, file)
    } catch (error) {
      refuse(error)
    }
  }
  try {
    mkdirSync(directory, { recursive: true })
  } catch (error) {
    refuse(error)
  }
  return {
    find: (id) => {
      const file = join(directory, `${id}.json`)
      if (!existsSync(file)) return undefined
      try {
        // Only this program writes these files; a field added since then is filled in.
        return { ...freshSession(id, ""), ...(JSON.parse(readFileSync(file, "utf8")) as Session) }
      } catch (error) {
        return refuse(error)
      }
    },
    save
  }
}

/** Remembers sessions for this process only (--no-session-persistence). */
export const memorySessionStore = (): SessionStore => {
  const sessions = new Map<string, Session>()
  return { find: (id) => sessions.get(id), save: (session) => void sessions.set(session.id, session) }
}

export const isUuid = (text: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)

export const newSessionId = (): string => randomUUID()
