/** The environment of commands and servers: the process's own, the settings' `env`, and what marks the session. */
import type { Settings } from "./Settings.js"

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
