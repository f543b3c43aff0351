/**
 * What a sandboxed command may see and change, as data, and how bubblewrap is told so. Pure.
 *
 *     the whole file system, read-only
 *       ├─ empty: /tmp, /run, every home directory, the driver's own directory     (what is written there is gone after)
 *       ├─ read-only again: tools that lie in a home directory, what the configuration names
 *       ├─ hidden: keys and logins
 *       └─ writable: the workspace and the parts of the git directory that a commit needs, but not what names programs
 *
 * Mounts are made in their order: a later one covers an earlier one. Looking up what exists is done elsewhere
 * (`internal/sandboxMounts.ts`), starting it by `Sandbox`.
 */
import * as Data from "effect/Data"

/** One place in the file system of the sandbox. Paths are absolute and free of symlinks. */
export type Mount = Data.TaggedEnum<{
  /** As on the host, and not to be changed. One that vanishes before the start is left out. `source`: what is seen there. */
  readonly ReadOnly: { readonly path: string; readonly source?: string }
  /** As `ReadOnly`, but nothing starts when it is not there: the boundary hangs on it. */
  readonly Pinned: { readonly path: string }
  readonly Writable: { readonly path: string }
  /** An empty directory that is gone with the sandbox. */
  readonly Empty: { readonly path: string }
  /** A file that cannot be read. */
  readonly Hidden: { readonly path: string }
}>
export const Mount = Data.taggedEnum<Mount>()

/** What is reachable beyond the sandbox. A socket of the file system is only reachable where its file can be seen. */
export type SandboxNetwork = Data.TaggedEnum<{
  /** Loopback only, and that of the sandbox itself. */
  readonly None: {}
  /** A proxy on a unix socket, which programs find by the usual variables. */
  readonly Proxy: {
    readonly socket: string
    /** Whether 127.0.0.1 means the sandbox's own, or goes to the proxy as well. */
    readonly loopback: "own" | "proxied"
  }
  /** As on the host. */
  readonly Host: {}
}>
export const SandboxNetwork = Data.taggedEnum<SandboxNetwork>()

export interface SandboxProfile {
  readonly mounts: ReadonlyArray<Mount>
  readonly network: SandboxNetwork
  /** The whole environment. Absent: what the sandbox is started with. */
  readonly env?: Readonly<Record<string, string>>
  /** Variables beside the environment. */
  readonly setEnv: Readonly<Record<string, string>>
  /** Where the program starts. Absent: where the sandbox is started. */
  readonly cwd?: string
  /** Whether namespaces can be made inside. bubblewrap before 0.8 cannot forbid it. */
  readonly nesting: "forbidden" | "possible"
}

/** The arguments of `bwrap`, up to and without the program that runs inside. */
export const bubblewrapArguments = (profile: SandboxProfile): ReadonlyArray<string> => [
  ...["--unshare-user", "--unshare-all"],
  ...(profile.network._tag === "Host" ? ["--share-net"] : []),
  ...(profile.nesting === "forbidden" ? ["--disable-userns"] : []),
  ...["--cap-drop", "ALL", "--die-with-parent", "--new-session"],
  ...["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"],
  ...profile.mounts.flatMap(mountArguments),
  ...(profile.env === undefined ? [] : ["--clearenv"]),
  ...Object.entries({ ...profile.env, ...profile.setEnv }).flatMap(([name, value]) => ["--setenv", name, value]),
  ...(profile.cwd === undefined ? [] : ["--chdir", profile.cwd]),
  "--"
]

const mountArguments: (mount: Mount) => ReadonlyArray<string> = Mount.$match({
  ReadOnly: ({ path, source = path }) => ["--ro-bind-try", source, path],
  Pinned: ({ path }) => ["--ro-bind", path, path],
  Writable: ({ path }) => ["--bind", path, path],
  Empty: ({ path }) => ["--tmpfs", path],
  // A device cannot be opened where devices are not allowed: reading fails instead of finding an empty file.
  Hidden: ({ path }) => ["--ro-bind", "/dev/null", path]
})

/** The words as one line of a POSIX shell, which reads back exactly these. */
export const shellLine = (words: ReadonlyArray<string>): string => words.map(quote).join(" ")

const quote = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

// --- what is hidden, and what is not ---------------------------------------------------------------------------------

/** Below every home directory. They lie in an empty one anyway, unless the configuration brings it back. */
export const homeSecrets: ReadonlyArray<string> = [
  ".ssh",
  ".gnupg",
  ".aws",
  ".azure",
  ".kube",
  ".docker",
  ".claude",
  ".claude.json",
  ".codex",
  ".gemini",
  ".netrc",
  ".npmrc",
  ".yarnrc.yml",
  ".pypirc",
  ".pgpass",
  ".my.cnf",
  ".vault-token",
  ".git-credentials",
  ".password-store",
  ".terraform.d/credentials.tfrc.json",
  ".bash_history",
  ".zsh_history",
  ".history",
  ".python_history",
  ".node_repl_history",
  ".psql_history",
  ".cargo/credentials",
  ".cargo/credentials.toml",
  ".m2/settings.xml",
  ".m2/settings-security.xml",
  ".gradle/gradle.properties",
  ".gem/credentials",
  ".bundle/config",
  ".composer/auth.json",
  ".config/gcloud",
  ".config/gh",
  ".config/glab-cli",
  ".config/hub",
  ".config/git/credentials",
  ".config/composer/auth.json",
  ".config/containers/auth.json",
  ".config/configstore",
  ".config/sops",
  ".config/op",
  ".local/share/keyrings",
  ".mozilla",
  ".config/google-chrome",
  ".config/chromium"
]

/** Of the system. Most can be read by root alone, and a goal may be run as root. */
export const systemSecrets: ReadonlyArray<string> = [
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
  "/etc/sudoers",
  "/etc/sudoers.d",
  "/etc/ssl/private",
  "/etc/kubernetes",
  "/etc/wireguard",
  "/etc/NetworkManager/system-connections",
  "/var/lib/docker",
  "/var/lib/containerd",
  "/var/lib/kubelet",
  "/var/lib/sudo",
  "/var/spool/cron",
  "/var/mail"
]

/**
 * To whoever is root outside, the kernel gives these by the user's id alone, whatever was dropped. bubblewrap covers
 * only what it finds writable, and the directories are not: the files in them are.
 */
export const kernelSettings: ReadonlyArray<string> = ["sys", "irq", "bus", "fs", "mtrr"].map((name) => `/proc/${name}`)

/** Of a home directory, without being on the PATH: nothing there is a login, and tools do not work without them. */
export const homeTools: ReadonlyArray<string> = [
  ".gitconfig",
  ".config/git",
  ".nvm",
  ".pyenv",
  ".rustup",
  ".cargo",
  ".local/bin",
  ".local/lib",
  ".local/share/uv",
  ".local/share/mise",
  ".local/share/pnpm",
  ".cache/ms-playwright"
]

const under = (path: string, directory: string): boolean => path.startsWith(`${directory}/`)

/**
 * What has to be seen so that the programs of one directory of the PATH, below a home directory, work: as a rule they
 * need what lies around them. Never the home itself, nor what holds keys.
 */
export const toolDirectory = (entry: string, home: string): string | undefined => {
  if (!under(entry, home)) return undefined
  const modules = /^(.*\/node_modules)\/\.bin$/.exec(entry)?.[1]
  if (modules !== undefined) return modules
  const [first = "", ...rest] = entry.slice(home.length + 1).split("/")
  const depth = { ".local": rest[0] === "share" ? 3 : 2, ".config": 2, ".cache": 2 }[first] ?? 1
  if (first.startsWith(".")) {
    const parts = [first, ...rest].slice(0, depth)
    const found = parts.join("/")
    return parts.length < depth || homeSecrets.includes(found) ? undefined : `${home}/${found}`
  }
  const around = entry.replace(/\/s?bin$/, "")
  return under(around, home) ? around : entry
}
