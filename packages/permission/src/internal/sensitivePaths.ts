/**
 * Which files are special (nobody writes them unasked) and which hold secrets
 * (nobody reads them unasked). Pure: looks at names only.
 *
 * Names are compared as the most forgiving file system would: without case,
 * compatibility forms, invisible characters, and dots and blanks at the end.
 */

const fold = (name: string): string =>
  name
    .normalize("NFKC")
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .toLowerCase()
    .normalize("NFKC")
    .replace(/(?<=[^. ])[. ]+$/, "")

const segmentsOf = (relative: string): ReadonlyArray<string> => relative.split(/[/\\]/).map(fold)

/** Directories (and the `.git` file of a worktree) where anything is special, wherever they lie. */
const specialDirectories = new Set([".git", ".claude", "git~1", "claude~1"])

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
  "config.fish"
])

/** Why a write to this path (relative to the workspace) is never allowed without asking, if so. */
export const specialBecause = (relative: string): string | undefined => {
  const segments = segmentsOf(relative)
  const directory = segments.find((it) => specialDirectories.has(it))
  if (directory !== undefined) {
    return directory.startsWith(".git") || directory.startsWith("git")
      ? "it belongs to git's own files"
      : "it belongs to the agent's own settings"
  }
  const name = segments.at(-1) ?? ""
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
  /^service-account.*\.json$/
]

const secretDirectories = new Set([".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".gcloud"])

/** Whether a file of this name usually holds keys, tokens or passwords. */
export const isSecret = (relative: string): boolean => {
  const segments = segmentsOf(relative)
  const name = segments.at(-1) ?? ""
  if (segments.slice(0, -1).some((it) => secretDirectories.has(it))) return true
  return !example.test(name) && secretNames.some((it) => it.test(name))
}
