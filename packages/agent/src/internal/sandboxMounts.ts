/**
 * Looks up what there is on this machine and in a workspace, for the mounts of a sandbox. It judges nothing that an
 * agent can write: that a git directory belongs to a workspace counts only when it says so itself.
 *
 * Makes what git would make anyway (empty directories for the goal's branches) and an empty `config.worktree`, since
 * what is not there cannot be made read-only. Takes well under a millisecond for a workspace: it is done per command.
 */
import { homeSecrets, homeTools, kernelSettings, Mount, systemSecrets, toolDirectory } from "../SandboxProfile.js"
import * as Node from "./nodeProcess.js"

/** What does not change from one command to the next. All paths absolute. */
export interface HostPlaces {
  /** The user's home directory. */
  readonly home: string
  /** As in `PATH`. */
  readonly searchPath: string
  /** The driver's own directories: empty inside. */
  readonly ownDirectories: ReadonlyArray<string>
  readonly writable: ReadonlyArray<string>
  readonly readable: ReadonlyArray<string>
  readonly mask: ReadonlyArray<string>
  /** Of what is hidden as a rule, what has to be seen. */
  readonly reveal?: ReadonlyArray<string>
  /** Of what is writable, what is not. */
  readonly protect?: ReadonlyArray<string>
}

/** What is worked on. */
export interface SandboxPlace {
  /** Absolute path of the workspace. */
  readonly workspace: string
  /** The goal whose branch it has, `driver/<goal-id>`. */
  readonly goalId: string
}

/** Those that are there, without symlinks. */
const real = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.flatMap((name) => {
    const found = Node.realPath(name)
    return found === undefined ? [] : [found]
  })

/** Longer paths cover shorter ones, so they come later. */
const outermostFirst = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(names)].sort((a, b) => a.length - b.length || (a < b ? -1 : 1))

const isIn = (name: string, directory: string): boolean => name === directory || name.startsWith(`${directory}/`)

const pinned = (paths: ReadonlyArray<string>) => paths.map((path) => Mount.Pinned({ path }))

/** A link would not be there where its directory is empty: what it leads to stands in its place. */
const linked = (name: string): ReadonlyArray<Mount> => {
  const source = Node.realPath(name)
  const around = name.slice(0, name.lastIndexOf("/"))
  return source === undefined || source === name || Node.realPath(around) !== around
    ? []
    : [Mount.ReadOnly({ path: name, source })]
}

/** Everything but the workspace. */
export const hostMounts = (places: HostPlaces): ReadonlyArray<Mount> => {
  const homes = outermostFirst(real(["/root", "/home", places.home]).filter((it) => it !== "/"))
  const empty = outermostFirst([...real(["/tmp", "/var/tmp", "/run", ...places.ownDirectories]), ...homes])
  // Of homes that lie in each other the innermost: `/home/me`, not `/home`.
  const homeOf = (entry: string) => [...homes].reverse().find((home) => entry.startsWith(`${home}/`))
  const entries = places.searchPath.split(":").filter((entry) => entry.startsWith("/"))
  const tools = [...entries, ...real(entries)].flatMap((entry) => {
    const home = homeOf(entry)
    const shown = home === undefined ? undefined : toolDirectory(entry, home)
    return shown === undefined ? [] : [shown]
  })
  const known = homes.flatMap((home) => homeTools.map((name) => `${home}/${name}`))
  const readable = [...tools, ...known, ...places.readable]
  const writable = real(places.writable)
  const shown = [...real(readable), ...writable]
  const revealed = new Set(real(places.reveal ?? []))
  const secrets = real([
    ...systemSecrets.filter(Node.isReadable),
    ...homes.flatMap((home) => homeSecrets.map((name) => `${home}/${name}`)),
    ...places.mask
  ]).filter((it) => !revealed.has(it))
  // Where nothing brings a home back, its secrets are not there to be hidden, and a mount would make them appear.
  const isGone = (secret: string) => empty.some((it) => isIn(secret, it)) && !shown.some((it) => isIn(secret, it))
  return [
    ...pinned(Node.isRoot ? kernelSettings.filter((it) => Node.kindOf(it) !== "absent") : []),
    ...empty.map((path) => Mount.Empty({ path })),
    ...outermostFirst(real(readable)).map((path) => Mount.ReadOnly({ path })),
    ...outermostFirst(readable).flatMap(linked),
    ...outermostFirst(writable).map((path) => Mount.Writable({ path })),
    ...outermostFirst(secrets)
      .filter((it) => !isGone(it))
      .map((path) => (Node.kindOf(path) === "directory" ? Mount.Empty({ path }) : Mount.Hidden({ path }))),
    ...pinned(real(places.protect ?? []))
  ]
}

/** The workspace, and what a commit in it needs of its repository. */
export const workspaceMounts = (place: SandboxPlace): ReadonlyArray<Mount> => {
  const workspace = Node.realPath(place.workspace) ?? place.workspace
  const dotGit = `${workspace}/.git`
  const kind = Node.kindOf(dotGit)
  if (kind === "directory" && Node.kindOf(`${dotGit}/hooks`) === "absent") Node.makeDirectory(`${dotGit}/hooks`)
  // An agent's program reads these when it starts, git those; and they may name programs.
  const named = [
    `${workspace}/.claude`,
    `${workspace}/.mcp.json`,
    ...(kind === "directory" ? ["config", "hooks"].map((name) => `${dotGit}/${name}`) : [])
  ].filter((it) => ["file", "directory"].includes(Node.kindOf(it)))
  return [
    ...(kind === "file" ? gitMounts(workspace, dotGit, place.goalId) : []),
    Mount.Writable({ path: workspace }),
    ...pinned([...(kind === "file" ? [dotGit] : []), ...named])
  ]
}

/** None when the `.git` file does not lead to a git directory that leads back: somebody has rewritten it. */
const gitMounts = (workspace: string, dotGit: string, goalId: string): ReadonlyArray<Mount> => {
  const named = /^gitdir: (.+)$/m.exec(Node.readNote(dotGit))?.[1]?.trim()
  const admin = named === undefined ? undefined : Node.realPath(Node.absolute(workspace, named))
  if (admin === undefined || Node.readNote(`${admin}/gitdir`).trim() !== dotGit) return []
  const up = Node.readNote(`${admin}/commondir`).trim()
  const common = up === "" ? undefined : Node.realPath(Node.absolute(admin, up))
  if (common === undefined || admin !== `${common}/worktrees/${admin.slice(admin.lastIndexOf("/") + 1)}`) return []

  const branches = `${common}/refs/heads/driver`
  const logs = `${common}/logs/refs/heads/driver`
  const packs = `${common}/objects/pack`
  const info = `${common}/objects/info`
  // What cannot be made is missed when the sandbox starts.
  for (const directory of [branches, logs, packs, info]) {
    if (Node.kindOf(directory) === "absent") Node.makeDirectory(directory)
  }
  if (Node.kindOf(`${admin}/config.worktree`) === "absent") Node.makeEmptyFile(`${admin}/config.worktree`)

  const ofOthers = (directory: string) =>
    Node.namesIn(directory)
      .filter((name) => !name.startsWith(goalId))
      .map((name) => Mount.ReadOnly({ path: `${directory}/${name}` }))
  return [
    ...mainWorktreeSecrets(common),
    Mount.Pinned({ path: common }),
    Mount.Writable({ path: `${common}/objects` }),
    Mount.Pinned({ path: info }),
    ...Node.namesIn(packs).map((name) => Mount.ReadOnly({ path: `${packs}/${name}` })),
    Mount.Writable({ path: branches }),
    ...ofOthers(branches),
    Mount.Writable({ path: logs }),
    ...ofOthers(logs),
    Mount.Writable({ path: admin }),
    ...pinned(["commondir", "gitdir", "config.worktree"].map((name) => `${admin}/${name}`))
  ]
}

/** The `.env` files that lie beside the repository's own `.git`: not in git as a rule, so not in the worktree either. */
const mainWorktreeSecrets = (common: string): ReadonlyArray<Mount> => {
  if (!common.endsWith("/.git")) return []
  const directory = common.slice(0, -"/.git".length)
  return Node.namesIn(directory)
    .filter((name) => /^\.env(\.(?!example$|sample$|template$).*)?$/.test(name))
    .map((name) => `${directory}/${name}`)
    .filter((path) => Node.kindOf(path) === "file")
    .map((path) => Mount.Hidden({ path }))
}
