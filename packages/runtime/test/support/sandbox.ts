/**
 * A host that an agent must not change, in a scratch directory: a repository with a goal's worktree and another's, a
 * home with keys, sockets, a process. Where bubblewrap does not work the tests are skipped with the reason printed,
 * unless DRIVER_TEST_REQUIRE_SANDBOX=1: then they fail.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import * as dgram from "node:dgram"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { Sandbox, type SandboxOptions } from "@driver/agent/Sandbox"
import { SandboxNetwork } from "@driver/agent/SandboxProfile"
import { Containment } from "@driver/agent/Subprocess"
import { Effect, Layer } from "effect"
import { git, initialise, newGoal, type Place } from "./repositories.js"

export const nowhere: SandboxOptions = {
  mode: "auto",
  network: SandboxNetwork.None(),
  home: "/nonexistent",
  searchPath: process.env["PATH"] ?? "/usr/bin:/bin",
  ownDirectories: [],
  writable: [],
  readable: [],
  mask: []
}

export const layerSandbox = (options: Partial<SandboxOptions> = {}) =>
  Sandbox.layer({ ...nowhere, ...options }).pipe(Layer.provide(Containment.layer))

const state = await Effect.runPromise(Effect.flatMap(Sandbox, (it) => it.state).pipe(Effect.provide(layerSandbox())))

export const hasSandbox = state.kind === "bubblewrap"

if (state.kind === "missing") {
  const why = `no sandbox: ${state.reason}. ${state.mend}`
  if (process.env["DRIVER_TEST_REQUIRE_SANDBOX"] === "1") throw new Error(why)
  console.warn(`skipped: ${why}`)
}

/** Who makes an attempt. `user`: an id that owns nothing of the system. */
export type Who = "root" | "user" | "self"
const nobody = 65534
export const everybody: ReadonlyArray<Who> = process.getuid?.() === 0 ? ["root", "user"] : ["self"]

/** Not below /tmp, which no sandbox shows: what keeps an attempt out should not be that nothing is there. */
const scratchParent = (): string => {
  const wanted = path.resolve("node_modules", ".cache")
  fs.mkdirSync(wanted, { recursive: true })
  const isOpen = (directory: string): boolean =>
    directory === "/" || ((fs.statSync(directory).mode & 0o005) === 0o005 && isOpen(path.dirname(directory)))
  return isOpen(wanted) ? wanted : os.tmpdir()
}

export interface HostileWorld {
  readonly who: Who
  readonly place: Place
  readonly directory: string
  readonly home: string
  readonly goalId: string
  readonly otherGoalId: string
  readonly worktree: string
  readonly otherWorktree: string
  readonly common: string
  readonly admin: string
  readonly outside: string
  /** A process of the same user, with a secret in its environment. */
  readonly victim: ChildProcess
  readonly tcpPort: number
  readonly udpPort: number
  readonly gateSocket: string
  readonly temporarySocket: string
  readonly abstractName: string
  /** Which listeners somebody reached. */
  readonly reached: Set<string>
  readonly secret: string
  readonly hostGit: (...args: ReadonlyArray<string>) => string
}

export const identity = (who: Who): { readonly uid?: number; readonly gid?: number } =>
  who === "user" ? { uid: nobody, gid: nobody } : {}

/** Everything in it belongs to whoever makes the attempts. */
export const makeHostileWorld = (who: Who) =>
  Effect.acquireRelease(
    Effect.promise(() => build(who)),
    ({ close }) => Effect.promise(close)
  ).pipe(Effect.map(({ world }) => world))

const build = async (who: Who): Promise<{ world: HostileWorld; close: () => Promise<void> }> => {
  const directory = fs.realpathSync(fs.mkdtempSync(path.join(scratchParent(), "sb-")))
  fs.chmodSync(directory, 0o755)
  const place: Place = {
    directory,
    repository: path.join(directory, "repository"),
    stateDirectory: path.join(directory, "state"),
    root: path.join(directory, "state", "worktrees")
  }
  initialise(place.repository, { "a.txt": "a\n", ".claude/settings.json": "{}\n", ".mcp.json": "{}\n" })
  git(place.repository, "branch", "other")
  git(place.repository, "gc", "--quiet")
  git(place.repository, "commit", "--quiet", "--allow-empty", "-m", "second")
  fs.mkdirSync(path.join(place.repository, ".git", "hooks"), { recursive: true })
  fs.writeFileSync(path.join(place.repository, ".env"), "KEY=main-worktree-secret\n")
  // As the driver's workspaces are, in fewer calls of git.
  const [goal, other] = [newGoal(), newGoal()]
  fs.mkdirSync(place.root, { recursive: true })
  const worktreeOf = (goalId: string) => {
    const worktree = path.join(place.root, goalId)
    git(place.repository, "worktree", "add", "--quiet", "-b", `driver/${goalId}`, worktree)
    git(place.repository, "update-ref", `refs/driver/${goalId}/base`, "HEAD")
    return worktree
  }
  const worktree = worktreeOf(goal.id)
  const otherWorktree = worktreeOf(other.id)
  const home = path.join(directory, "home")
  const secret = `secret-${path.basename(directory)}`
  for (const name of [
    ".ssh/id_rsa",
    ".aws/credentials",
    ".claude/.credentials.json",
    ".netrc",
    ".docker/config.json"
  ]) {
    fs.mkdirSync(path.dirname(path.join(home, name)), { recursive: true })
    fs.writeFileSync(path.join(home, name), secret)
  }
  fs.writeFileSync(path.join(home, ".bashrc"), "# mine\n")
  const outside = path.join(directory, "outside")
  fs.mkdirSync(outside)
  fs.writeFileSync(path.join(outside, "victim"), "untouched\n")
  fs.writeFileSync(path.join(place.stateDirectory, "driver.sqlite"), secret)
  const gates = path.join(place.stateDirectory, "gates")
  fs.mkdirSync(gates)
  // Paths of sockets are short.
  const gateSocket = path.join(gates, "g.sock")
  const temporarySocket = path.join(os.tmpdir(), `${path.basename(directory)}.sock`)
  const abstractName = `driver-${path.basename(directory)}`
  const reached = new Set<string>()
  const listeners: Array<{ close: () => void }> = []
  const listen = (name: string, where: net.ListenOptions): Promise<net.Server> =>
    new Promise((resolve, reject) => {
      const server = net.createServer((socket) => {
        reached.add(name)
        socket.on("error", () => {})
        socket.end("hello\n")
      })
      server.once("error", reject)
      server.listen(where, () => {
        listeners.push(server)
        resolve(server)
      })
    })
  const tcp = await listen("tcp", { port: 0, host: "127.0.0.1" })
  await listen("gate", { path: gateSocket })
  await listen("temporary", { path: temporarySocket })
  await listen("abstract", { path: `\0${abstractName}` })
  const udp = dgram.createSocket("udp4", () => reached.add("udp"))
  await new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", resolve))
  listeners.push(udp)
  if (who === "user") {
    execFileSync("chown", ["-R", `${nobody}:${nobody}`, directory])
    fs.chownSync(temporarySocket, nobody, nobody)
  }
  const victim = spawn("sleep", ["600"], {
    env: { SECRET: secret, PATH: "/usr/bin:/bin" },
    cwd: "/",
    stdio: "ignore",
    ...identity(who)
  })
  const address = tcp.address()
  const world: HostileWorld = {
    who,
    place,
    directory,
    home,
    goalId: goal.id,
    otherGoalId: other.id,
    worktree,
    otherWorktree,
    common: path.join(place.repository, ".git"),
    admin: path.join(place.repository, ".git", "worktrees", path.basename(worktree)),
    outside,
    victim,
    tcpPort: typeof address === "object" && address !== null ? address.port : 0,
    udpPort: udp.address().port,
    gateSocket,
    temporarySocket,
    abstractName,
    reached,
    secret,
    hostGit: (...args) => git(place.repository, "-c", "safe.directory=*", ...args)
  }
  const close = async () => {
    victim.kill("SIGKILL")
    for (const listener of listeners) listener.close()
    fs.rmSync(directory, { recursive: true, force: true })
    fs.rmSync(temporarySocket, { force: true })
  }
  return { world, close }
}

export interface Ran {
  readonly code: number | null
  readonly output: string
}

/** Runs a program as whoever the world belongs to, and waits for its end and for the end of its output, 20 s at most. */
export const runAs = (
  world: HostileWorld,
  argv: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>
): Effect.Effect<Ran> =>
  Effect.async<Ran>((resume) => {
    const [program = "", ...args] = argv
    const child = spawn(program, args, {
      cwd: world.worktree,
      env: { ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 120_000,
      killSignal: "SIGKILL",
      ...identity(world.who)
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (output += String(bytes)))
    child.on("error", (error) => resume(Effect.succeed({ code: null, output: error.message })))
    // Not `close`: a daemon may hold the pipe for ever.
    child.on("exit", (code) => setTimeout(() => resume(Effect.succeed({ code, output })), 20))
  })

/** What to put before a program so that it runs in the sandbox, as the driver of whoever the world belongs to has it. */
export const sandboxPrefix = (world: HostileWorld): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    runAs(
      { ...world, worktree: process.cwd() },
      [
        process.execPath,
        fileURLToPath(new URL("../../../../build/test-programs/runtime/sandboxPrefix.mjs", import.meta.url)),
        JSON.stringify(placesOf(world))
      ],
      { PATH: environmentOf(world)["PATH"] ?? "" }
    ),
    ({ output }) => {
      const prefix: unknown = JSON.parse(output)
      if (!Array.isArray(prefix)) throw new Error(output)
      return prefix.map(String)
    }
  )

const placesOf = (world: HostileWorld) => ({
  home: world.home,
  ownDirectories: [world.place.stateDirectory],
  workspace: world.worktree,
  goalId: world.goalId
})

/** What a command of the agent finds in its environment: everything that an attempt wants to know. */
export const environmentOf = (world: HostileWorld): Readonly<Record<string, string>> => ({
  PATH: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
  HOME: world.home,
  LC_ALL: "C",
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.org",
  WT: world.worktree,
  WT2: world.otherWorktree,
  C: world.common,
  ADMIN: world.admin,
  OUT: world.outside,
  STATE: world.place.stateDirectory,
  REAL_HOME: world.home,
  MAIN: world.place.repository,
  VICTIM: String(world.victim.pid),
  TCP: String(world.tcpPort),
  UDP: String(world.udpPort),
  GATE: world.gateSocket,
  TMP_SOCKET: world.temporarySocket,
  ABSTRACT: world.abstractName,
  OTHER_GOAL: world.otherGoalId,
  NAME: path.basename(world.directory)
})
