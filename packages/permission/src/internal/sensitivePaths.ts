/**
 * Which files are special (nobody writes them unasked) and which hold secrets
 * (nobody reads them unasked). Pure: looks at names only.
 *
 * Names are compared as the most forgiving file system would: without case,
 * compatibility forms, invisible characters, and dots and blanks at the end.
 */

const fold = (name: string): string =>
  (/^[\x20-\x7e]*$/.test(name) ? name.toLowerCase() : compatible(name)).replace(/(?<=[^. ])[. ]+$/, "")

const compatible = (name: string): string =>
  name
    .normalize("NFKC")
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .toLowerCase()
    .normalize("NFKC")

const segmentsOf = (relative: string): ReadonlyArray<string> => relative.split(/[/\\]/).map(fold)

/** Directories (and the `.git` file of a worktree) where anything is special, wherever they lie. */
const specialDirectories = new Set([".git", ".claude", "git~1", "claude~1", ".codex", ".gemini", ".devcontainer"])

/** What an editor runs or starts for a workspace that is opened; its other settings are nobody's business here. */
const editorFiles: Readonly<Record<string, ReadonlySet<string>>> = {
  ".vscode": new Set(["tasks.json", "settings.json", "mcp.json"]),
  ".cursor": new Set(["mcp.json", "hooks.json", "environment.json", "permissions.json", "cli.json"])
}

const specialNames = new Set([
  ".mcp.json",
  ".bashrc",
  ".bash_profile",
  ".bash_login",
  ".bash_logout",
  ".bash_aliases",
  ".profile",
  ".zshrc",
  ".zshenv",
  ".zprofile",
  ".zlogin",
  ".zlogout",
  ".kshrc",
  ".cshrc",
  ".tcshrc",
  ".login",
  ".logout",
  ".inputrc",
  ".envrc",
  ".gitconfig",
  ".gitmodules",
  ".aider.conf.yml",
  "opencode.json",
  "config.fish"
])

/** Why a write to this path (relative to the workspace) is never allowed without asking, if so. */
export const specialBecause = (relative: string): string | undefined => {
  const segments = segmentsOf(relative)
  const directory = segments.find((it) => specialDirectories.has(it))
  if (directory !== undefined) {
    if (directory === ".devcontainer") return "it says what an editor runs when the workspace is opened"
    return directory === ".git" || directory === "git~1"
      ? "it belongs to git's own files"
      : "it belongs to the agent's own settings"
  }
  const name = segments.at(-1) ?? ""
  const editor = segments.findIndex((it) => Object.hasOwn(editorFiles, it))
  if (editor >= 0 && (editorFiles[segments[editor] ?? ""]?.has(name) === true || editor === segments.length - 1))
    return "it says what an editor runs when the workspace is opened"
  if (name === ".aider.conf.yml" || name === "opencode.json") return "it belongs to an agent's own settings"
  if (name === ".gitmodules") return "it says where git fetches other repositories from"
  if (name === ".mcp.json") return "it names programs that the agent starts"
  if (specialNames.has(name)) return "it is run or read when a shell or git starts"
  return undefined
}

/** Examples of secrets are no secrets. */
const example = /\.(example|sample|template|dist|defaults?)$/

const secretNames = [
  /^\.env$/,
  /^\.env\..+$/,
  /^.+\.env$/,
  /^\.envrc$/,
  /^id_(rsa|dsa|ecdsa|ed25519)(_sk)?$/,
  /\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk)$/,
  /^\.?(netrc|pgpass|npmrc|pypirc|git-credentials|htpasswd|vault-token)$/,
  /^_netrc$/,
  /^(credentials|secrets?)(\.(json|ya?ml|toml|ini|txt))?$/,
  /^service-account.*\.json$/,
  /\.(p8|ovpn)$/,
  /^env\.(production|prod|staging|local)$/,
  /^\.(flaskenv|secrets|dockerconfigjson|dockercfg)$/,
  /^(auth|local\.settings)\.json$/,
  /^(key|keystore|signing|sentry)\.properties$/,
  /^(wp-config\.php|nuget\.config|wg\d+\.conf|k3s\.yaml)$/,
  /^.+[-_](key|rsa|ed25519|pass|passwd)(\.txt)?$/,
  /^\.?(vault|ansible)[-_]pass(word)?(\.txt)?$/
]

/** Files of data, of which a part of the name says what they hold. */
const data = /\.(json|ya?ml|toml|ini|conf|cfg|config|properties|txt|xml|hcl|tfvars|csv)$/
const secretPart = /^(secrets?|credentials?|passwd|passwords?|apikeys?|adminsdk|authkey)$/
/** What tells about the form of data, or is a text that people see. */
const described =
  /(^|[._-])(schema|types?|test|spec|mock|fixtures?|i18n|locale|messages|template|example|sample|policy)([._-]|$)/

const holdsSecret = (name: string): boolean =>
  data.test(name) && !described.test(name) && name.split(/[._-]/).some((it) => secretPart.test(it))

const secretDirectories = new Set([
  ".ssh",
  ".aws",
  ".gnupg",
  ".kube",
  ".docker",
  ".azure",
  ".gcloud",
  ".wireguard",
  ".fly"
])

/** Whether a file of this name usually holds keys, tokens or passwords. */
export const isSecret = (relative: string): boolean => {
  const segments = segmentsOf(relative)
  const name = segments.at(-1) ?? ""
  const directories = segments.slice(0, -1)
  if (directories.some((it) => secretDirectories.has(it))) return true
  if (data.test(name) && !described.test(name) && directories.some((it) => /^(secrets?|credentials?|vault)$/.test(it)))
    return true
  return !example.test(name) && (secretNames.some((it) => it.test(name)) || holdsSecret(name))
}
