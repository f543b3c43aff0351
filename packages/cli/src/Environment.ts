/**
 * Which variables of our own environment the programs we start may see. Pure.
 *
 * Built from an allow list: what is not named does not get through. The agent gets
 * its keys; what runs the work of the agent (criteria) and the gate program does not.
 */

export type Environment = Readonly<Record<string, string>>

/** What any program needs to run at all, and to reach the network where the machine has a proxy. */
const base: ReadonlySet<string> = new Set([
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LANGUAGE",
  "TERM",
  "COLORTERM",
  "TMPDIR",
  "TEMP",
  "TMP",
  "TZ",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "ALL_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
  "XDG_CONFIG_HOME",
  "XDG_CACHE_HOME",
  "XDG_DATA_HOME",
  "XDG_RUNTIME_DIR"
])

const isBase = (name: string): boolean => base.has(name) || name.startsWith("LC_")

/**
 * `CLAUDE_CODE_*` is both settings and the marks of a running session. A driver that
 * was itself started by an agent must not hand the marks on: the child would think
 * that it is part of the outer session. So these, the settings, are listed.
 */
const claudeCodeSettings: ReadonlySet<string> = new Set([
  "CLAUDE_CODE_OAUTH_TOKEN",
  "CLAUDE_CODE_USE_BEDROCK",
  "CLAUDE_CODE_USE_VERTEX",
  "CLAUDE_CODE_USE_FOUNDRY",
  "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
  "CLAUDE_CODE_SKIP_VERTEX_AUTH",
  "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
  "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
  "CLAUDE_CODE_CLIENT_CERT",
  "CLAUDE_CODE_CLIENT_KEY",
  "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
  "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
  "CLAUDE_CODE_MAX_RETRIES",
  "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
  "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS",
  "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
  "CLAUDE_CODE_DISABLE_CRON",
  "CLAUDE_CODE_SUBAGENT_MODEL",
  "CLAUDE_CODE_EFFORT_LEVEL"
])

const isAgents = (name: string): boolean =>
  name.startsWith("ANTHROPIC_") ||
  claudeCodeSettings.has(name) ||
  (name.startsWith("CLAUDE_") && !name.startsWith("CLAUDE_CODE_"))

const secretWords =
  /(^|[_-])(key|apikey|token|secret|secrets|pass|passwd|password|passphrase|pwd|credential|credentials|creds|auth|cookie|session|dsn|pat|bearer|private)([_-]|$)|api_?key|access_?key|private_?key|secret|token|passw|credential/i

/** Whether a name says that its value is one. Errs on the side of yes. */
export const looksSecret = (name: string): boolean => secretWords.test(name)

const isKey = (name: string): boolean => name.startsWith("ANTHROPIC_") || name.startsWith("CLAUDE") || looksSecret(name)

/** A proxy's address may carry a user and a password: programs that get no keys get it without. */
const withoutUserInfo = (value: string): string => value.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/@\s]*@/i, "$1")

const pick = (
  environment: Environment,
  allowed: (name: string) => boolean,
  value: (name: string, text: string) => string = (_, text) => text
): Environment =>
  Object.fromEntries(
    Object.entries(environment)
      .filter(([name]) => allowed(name))
      .map(([name, text]) => [name, value(name, text)])
  )

/** For the agent: the basics, its own settings and keys, and what the configuration adds by name. */
export const agentEnvironment = (environment: Environment, passEnv: ReadonlyArray<string>): Environment => {
  const added = new Set(passEnv)
  return pick(environment, (name) => isBase(name) || isAgents(name) || added.has(name))
}

/**
 * For criteria: the basics only, and nothing whose name looks
 * like a secret. `passEnv` is what the configuration adds for criteria, by name, and
 * that is the only way a secret gets through.
 */
export const criteriaEnvironment = (environment: Environment, passEnv: ReadonlyArray<string>): Environment => {
  const added = new Set(passEnv)
  return pick(
    environment,
    (name) => added.has(name) || (isBase(name) && !isKey(name)),
    (name, text) => (!added.has(name) && /proxy$/i.test(name) ? withoutUserInfo(text) : text)
  )
}

/**
 * What the gate program gets on top of its agent's environment, which the agent hands on: everything that is not for it
 * is made empty, so that what is left is what criteria get.
 */
export const gateEnvironment = (agent: Environment): Environment => {
  const own = criteriaEnvironment(agent, [])
  return Object.fromEntries(
    Object.keys(agent).flatMap((name) => (own[name] === agent[name] ? [] : [[name, own[name] ?? ""]]))
  )
}

/** The values that are secret: they may appear in no evidence, event or log. The caller redacts them. */
export const secretValues = (environment: Environment): ReadonlyArray<string> => [
  ...new Set(Object.entries(environment).flatMap(([name, value]) => (isSecret(name, value) ? [value] : [])))
]

/** The name says so, and the value is neither a place without credentials nor a figure. */
const isSecret = (name: string, value: string): boolean =>
  looksSecret(name) &&
  !ordinaryNames.test(name) &&
  value.trim() !== "" &&
  !isPlace(value) &&
  !(figureNames.test(name) && /^\d+$/.test(value))

/** The shell's directories, and what desktops say about their session. */
const ordinaryNames = /^(OLD)?PWD$|^(XDG|DBUS)_SESSION_|^(DESKTOP_SESSION|SESSION_MANAGER)$/

const figureNames = /_(TOKENS|MS)$/

/** A path of several steps, or a URL without user and query; none of its words may look like a key. */
const isPlace = (value: string): boolean =>
  (/^(~|\.{1,2})?(\/[^/\s]+){2,}\/?$/.test(value) || /^[a-z][a-z0-9+.-]*:\/\/[^/@\s?#]+(\/[^@\s?#]*)?$/i.test(value)) &&
  !value.split(/[^A-Za-z0-9+=]+/).some((word) => word.length >= 16 && /\d/.test(word) && /[A-Za-z]/.test(word))
