/** Which paths and variables hold secrets, also when only a pattern of the name is known. Looks at names only. */
import { matchesWord } from "../internal/glob.js"
import { isSecret, specialBecause } from "../internal/sensitivePaths.js"

/** Names that a pattern must not be aimed at. */
const secretExamples = [
  ".env",
  ".env.local",
  ".env.production",
  "prod.env",
  ".envrc",
  "id_rsa",
  "id_ed25519",
  "server.key",
  "key.pem",
  "store.p12",
  "store.jks",
  ".npmrc",
  ".netrc",
  ".pgpass",
  ".pypirc",
  ".git-credentials",
  "credentials",
  "credentials.json",
  "secrets.yml",
  "secret.json",
  "shadow",
  "authorized_keys",
  "known_hosts",
  ".bash_history"
]

/** A pattern that matches one of these too is not aimed at secrets. */
const ordinaryExamples = [
  "index.ts",
  "main.js",
  "App.tsx",
  "README.md",
  "package.json",
  "config.yml",
  "data.yaml",
  "notes.txt",
  "pyproject.toml",
  "setup.cfg",
  "app.log",
  "test.py",
  "lib.rs",
  "build.sh",
  "x.c",
  "src",
  "dist",
  "docs",
  "kernel",
  "index.html",
  "style.css",
  "Makefile",
  "LICENSE"
]

const hasGlob = (name: string): boolean => /[*?[]|[+@!]\(/.test(name)

/** As `matchesWord`, with brackets, which match any one character here, and groups, which match anything. */
const matches = (pattern: string, name: string): boolean => {
  const simple = pattern
    .replace(/\[[!^]?\]?[^\]]*\]/g, "?")
    .replace(/[?*+@!]\([^()]*\)/g, "*")
    .replace(/\*+/g, "*")
  return matchesWord(simple.toLowerCase(), name)
}

/** Whether a pattern of one name is aimed at secrets. */
const aimsAtSecret = (pattern: string): boolean =>
  // Longer than names are.
  pattern.length > 255 ||
  // A group of patterns names what it wants: each of its words counts.
  (/[?*+@!]\(/.test(pattern) &&
    pattern.split(/[()|]/).some((it) => secretExamples.includes(it) || it.startsWith(".env"))) ||
  (secretExamples.some((name) => matches(pattern, name)) && !ordinaryExamples.some((name) => matches(pattern, name)))

const secretFiles = [
  /^\/etc\/(kubernetes\/.*\.conf|rancher\/)/,
  /^\/etc\/(g?shadow|sudoers)(-|\/|$)/,
  /^\/etc\/(sudoers\.d|ssl\/private|wireguard|NetworkManager\/system-connections)(\/|$)/,
  /^\/etc\/ssh\/ssh_host_/,
  /^\/(dev\/(k?mem|port|sd|nvme|vd|mapper|disk)|proc\/kcore|proc\/kmem)/,
  /^\/proc\/[^/]+\/(task\/[^/]+\/)?(environ|mem|maps|fd|root|cwd|auxv|map_files)(\/|$)/,
  /^\/run\/(secrets|credentials)(\/|$)/,
  /^\/var\/run\/secrets(\/|$)/,
  /^\/var\/(lib\/(docker|kubelet|postgresql|mysql)|backups|spool\/cron)(\/|$)/,
  /^\/root(\/|$)/
]

const secretParts =
  /(^|\/)(\.ssh|\.aws|\.gnupg|\.kube|\.docker|\.azure|\.gcloud|\.password-store|\.mozilla|\.local\/share\/keyrings|\.config\/(gh|glab-cli|doctl|gcloud|hub|op|google-chrome|chromium|rclone|doctl|helm|git\/credentials))(\/|$)/i
const secretNames =
  /(^|\/)(\.(bash|zsh|python|node_repl|psql|mysql|sqlite|rediscli|irb)_history|\.(my\.cnf|boto|s3cfg|terraformrc|dockercfg|netrc|npmrc|yarnrc|cargo\/credentials(\.toml)?|gem\/credentials|m2\/settings(-security)?\.xml|gradle\/gradle\.properties|credentials\.json|claude\.json|vault-token|pgpass|git-credentials|htpasswd|pypirc)|terraform\.tfstate(\.backup)?|[^/]*\.tfvars|authorized_keys|wallet\.dat|kubeconfig|master\.key)$/i

const publicKey = /\.pub$/i

/** Whether the file usually holds keys, tokens or passwords. `path` is absolute, or a pattern of one. */
export const isSecretPath = (path: string): boolean => {
  if (publicKey.test(path)) return false
  const name = path.slice(path.lastIndexOf("/") + 1)
  if (secretFiles.some((it) => it.test(path)) || secretParts.test(path) || secretNames.test(path)) return true
  if (isSecret(path.replace(/^\/+/, ""))) return true
  if (hasGlob(name) && name !== "*" && aimsAtSecret(name)) return true
  // A directory that is only known by its pattern: `~/.s*/config`.
  return path
    .split("/")
    .some(
      (it) =>
        hasGlob(it) &&
        it.startsWith(".") &&
        [".ssh", ".aws", ".gnupg", ".kube", ".docker"].some((name) => matches(it, name))
    )
}

const specialExamples = [
  ".git",
  ".claude",
  ".mcp.json",
  ".bashrc",
  ".profile",
  ".zshrc",
  ".gitconfig",
  ".husky",
  ".envrc",
  ".npmrc"
]

const moreSpecial =
  /(^|\/)(\.husky|\.githooks|git-hooks|\.vim|\.ssh|\.gnupg|\.config)\/|(^|\/)(\.vimrc|\.exrc|\.nvimrc|\.npmrc|\.yarnrc|\.yarnrc\.yml|\.pypirc|\.netrc|\.gdbinit|\.lldbinit|\.screenrc|\.tmux\.conf|\.direnvrc|\.bash_[a-z]+|\.curlrc|\.wgetrc)$/i

/** Why this path, relative to the workspace or a pattern of one, is never written unasked. */
export const specialPath = (relative: string): string | undefined => {
  const because = specialBecause(relative)
  if (because !== undefined) return because
  if (moreSpecial.test(relative)) return "it says what programs run when they start"
  const aimed = relative
    .split("/")
    .some((it) => hasGlob(it) && !it.startsWith("*") && specialExamples.some((name) => matches(it, name)))
  return aimed ? "the pattern reaches files that say what programs run" : undefined
}

const secretVariable =
  /(^|_)(TOKENS?|SECRETS?|PASSW(OR)?D|PASSPHRASE|PASS|PWD_?HASH|CREDENTIALS?|CREDS?|API_?KEYS?|ACCESS_?KEY(_ID)?|PRIVATE_?KEY|AUTH|KEY|KEYS|COOKIES?|SESSION|DSN|PAT|SAS|JWT|SK|P12|PEM|WEBHOOK|SIGNING|PRIVATE|BEARER|CONNECTION_?STR(ING)?|CONN_?STR(ING)?)(_|$)|^(DATABASE_URL|DB_URL|MONGO(DB)?_UR[IL]|REDIS_URL|NPM_CONFIG__AUTH.*|PGPASSWORD|MYSQL_PWD)$|(TOKEN|SECRET|PASSWORD|APIKEY)$/i

/** Whether a variable of this name usually holds a key, token or password. */
export const isSecretVariable = (name: string): boolean => secretVariable.test(name)
