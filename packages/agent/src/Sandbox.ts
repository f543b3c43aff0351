/**
 * The boundary around what an agent lets run: a command sees the file system read-only and without keys, may write in
 * its workspace, and reaches no other process, no socket and no network but a proxy that it is given.
 *
 * bubblewrap does it, where that works: whether it does is found by trying, once. What a sandbox lets through is said
 * in `SandboxProfile`. Owns no process: it answers what to start instead, and `Subprocess` or an agent's shell starts
 * it. A command whose place cannot be made out is confined more, never less.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Node from "./internal/nodeProcess.js"
import * as SandboxBridge from "./internal/sandboxBridge.js"
import { type HostPlaces, hostMounts, type SandboxPlace, workspaceMounts } from "./internal/sandboxMounts.js"
import type { SandboxMode } from "./SandboxMode.js"
import { bubblewrapArguments, Mount, SandboxNetwork, type SandboxProfile, shellLine } from "./SandboxProfile.js"
import { type Containment, run, SubprocessSpawnFailed } from "./Subprocess.js"

export type { SandboxPlace } from "./internal/sandboxMounts.js"

/** A sandbox is required and there is none. */
export class SandboxUnavailable extends Schema.TaggedError<SandboxUnavailable>()("SandboxUnavailable", {
  reason: Schema.String,
  mend: Schema.String
}) {
  override get message() {
    return `The sandbox is required and does not work here: ${this.reason}. ${this.mend}`
  }
}

/** Whether commands are confined, and why (not). */
export type SandboxState =
  | { readonly kind: "bubblewrap"; readonly detail: string }
  /** Switched off. */
  | { readonly kind: "off" }
  /** It was tried, and does not work. */
  | { readonly kind: "missing"; readonly reason: string; readonly mend: string }

/** A program, and where and with what it is to run. */
export interface SandboxCommand extends SandboxPlace {
  /** Program and arguments, never a shell string. A program without a slash is looked for on `env.PATH`. */
  readonly argv: ReadonlyArray<string>
  /** The complete environment that the sandbox is started with. */
  readonly env: Readonly<Record<string, string>>
}

export interface Confined {
  readonly argv: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}

export class Sandbox extends Context.Tag("@driver/agent/Sandbox")<
  Sandbox,
  {
    /** Waits until it is found whether a sandbox works here. */
    readonly state: Effect.Effect<SandboxState>
    /** What to start so that the program runs confined. As it was given, where nothing is confined. */
    readonly wrap: (command: SandboxCommand) => Effect.Effect<Confined, SubprocessSpawnFailed>
    /**
     * A line for any shell, in whatever directory of the workspace it is, that runs this command of bash confined. The
     * environment is `env` and nothing of the shell's. None where nothing is confined.
     */
    readonly wrapShell: (
      command: string,
      place: SandboxPlace & { readonly env: Readonly<Record<string, string>> }
    ) => Effect.Effect<Option.Option<string>>
  }
>() {
  /** By choice: confines nothing. */
  static readonly layerOff: Layer.Layer<Sandbox> = Layer.succeed(this, unconfined({ kind: "off" }))

  /**
   * bubblewrap, or nothing where that does not work; with `required` an error that says how to mend it. Otherwise it is
   * tried while others go on, and whoever is first waits for it.
   */
  static readonly layer = (options: SandboxOptions): Layer.Layer<Sandbox, SandboxUnavailable, Containment> =>
    options.mode === "off"
      ? Sandbox.layerOff
      : options.mode === "required"
        ? Layer.effect(
            Sandbox,
            Effect.flatMap(detect(options.program), (found) =>
              Either.isRight(found) ? make(options, found.right) : new SandboxUnavailable(found.left)
            )
          )
        : Layer.scoped(
            Sandbox,
            Effect.gen(function* () {
              const trying = yield* detect(options.program).pipe(
                Effect.flatMap((found) =>
                  Either.isRight(found)
                    ? make(options, found.right)
                    : Effect.succeed(unconfined({ kind: "missing", ...found.left }))
                ),
                Effect.interruptible,
                Effect.forkScoped
              )
              // Not joined, as in `Containment.layer`.
              const found = Effect.flatten(Fiber.await(trying))
              return {
                state: Effect.flatMap(found, ({ state }) => state),
                wrap: (command) => Effect.flatMap(found, ({ wrap }) => wrap(command)),
                wrapShell: (command, place) => Effect.flatMap(found, ({ wrapShell }) => wrapShell(command, place))
              }
            })
          )
}

export interface SandboxOptions extends HostPlaces {
  readonly mode: SandboxMode
  readonly network: SandboxNetwork
  /** The program `bwrap`, by absolute path. Default: the system's own, which no PATH chooses. */
  readonly program?: string
}

function unconfined(state: SandboxState): Sandbox["Type"] {
  return {
    state: Effect.succeed(state),
    wrap: ({ argv, env }) => Effect.succeed({ argv, env }),
    wrapShell: () => Effect.succeed(Option.none())
  }
}

interface Bubblewrap {
  readonly program: string
  readonly nesting: SandboxProfile["nesting"]
  readonly version: string
}

const make = (options: SandboxOptions, bubblewrap: Bubblewrap) =>
  Effect.sync(() => {
    const { network } = options
    const host = hostMounts(options)
    const bridge = SandboxBridge.find()
    const detail = `${bubblewrap.version} at ${bubblewrap.program}`

    const ofBridge =
      network._tag === "Proxy" ? [Mount.Pinned({ path: network.socket }), ...SandboxBridge.mounts(bridge)] : []
    const setEnv = { TMPDIR: "/tmp", ...(network._tag === "Proxy" ? SandboxBridge.variables(network.loopback) : {}) }
    const profileOf = (place: SandboxPlace): SandboxProfile => ({
      mounts: [...host, ...workspaceMounts(place), ...ofBridge],
      network,
      setEnv,
      nesting: bubblewrap.nesting
    })
    const inside = (argv: ReadonlyArray<string>) =>
      network._tag === "Proxy" ? [...SandboxBridge.command(bridge, network.socket), ...argv] : argv

    return Sandbox.of({
      state: Effect.succeed({ kind: "bubblewrap" as const, detail }),
      wrap: ({ argv: [program = "", ...args], env, ...place }) =>
        Effect.map(
          Effect.suspend(() => resolve(program, env, place.workspace)),
          (path) => {
            const own = bubblewrapArguments({
              ...profileOf(place),
              cwd: Node.realPath(place.workspace) ?? place.workspace
            })
            return { argv: [bubblewrap.program, ...own, ...inside([path, ...args])], env: withoutProxies(env) }
          }
        ),
      wrapShell: (command, { env, ...place }) =>
        Effect.sync(() => {
          const own = bubblewrapArguments({ ...profileOf(place), env: withoutProxies(env) })
          const shell = Node.systemProgram("bash") ?? "/bin/sh"
          return Option.some(shellLine([bubblewrap.program, ...own, ...inside([shell, "-c", command])]))
        })
    })
  })

/** Those of the host lead to where nothing can be reached from inside. */
const withoutProxies = (env: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !/^(https?|all|no|ftp)_proxy$/i.test(name)))

/** Found before bubblewrap is started, so that a program that is not there fails as it does without. */
const resolve = (program: string, env: Readonly<Record<string, string>>, cwd: string) =>
  Node.resolveProgram(program, { cwd, searchPath: env["PATH"] }).pipe(
    Either.mapLeft(
      ({ code, message }) =>
        new SubprocessSpawnFailed({
          reason: code === "ENOENT" || code === "ENOTDIR" ? "not_found" : "not_executable",
          program,
          cwd,
          detail: message
        })
    )
  )

// --- whether it works ------------------------------------------------------------------------------------------------

interface Trouble {
  readonly reason: string
  readonly mend: string
}

const detect = (given: string | undefined): Effect.Effect<Either.Either<Bubblewrap, Trouble>, never, Containment> =>
  Effect.gen(function* () {
    const program = given ?? Node.systemProgram("bwrap")
    if (program === undefined) return Either.left(notInstalled)
    const reasons: Array<string> = []
    for (const nesting of ["forbidden", "possible"] as const) {
      const tried = yield* rehearse(program, nesting)
      if (Either.isRight(tried)) return Either.right({ program, nesting, version: tried.right })
      reasons.push(tried.left)
      if (tried.left === tooSlow) break
    }
    const [reason = "it does not run"] = reasons
    return Either.left({ reason: `${program} does not work: ${reason}`, mend: mendOf(reason) })
  })

const notInstalled: Trouble = {
  reason:
    Node.systemName === "linux" ? "bubblewrap is not installed" : `bubblewrap does not exist for ${Node.systemName}`,
  mend:
    Node.systemName === "linux"
      ? "Install the package `bubblewrap` (apt-get, dnf, pacman and apk have it), or set `sandbox.mode` to auto or off."
      : "Run driver on Linux, or set `sandbox.mode` to auto or off."
}

/** What keeps the namespaces from being made, by what bubblewrap says of it. */
export const mendOf = (reason: string): string =>
  /uid map|new namespace|permission denied|not permitted|loopback|no space left/i.test(reason)
    ? "Allow namespaces to ordinary users: on Ubuntu 24.04 and later by an AppArmor profile for bwrap with the rule `userns,`; elsewhere by the sysctls kernel.unprivileged_userns_clone=1 and user.max_user_namespaces; in a container by its seccomp profile. Or set `sandbox.mode` to auto or off."
    : "Install a newer package `bubblewrap` (0.5 or later), or set `sandbox.mode` to auto or off."

const tooSlow = "it did not answer in 5 seconds"

/** Runs a trivial command with everything that every profile has; resolves with the version, fails with a reason. */
const rehearse = (
  program: string,
  nesting: SandboxProfile["nesting"]
): Effect.Effect<Either.Either<string, string>, never, Containment> =>
  Effect.gen(function* () {
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim()
    const args = bubblewrapArguments({
      mounts: [Mount.Empty({ path: "/tmp" })],
      network: SandboxNetwork.None(),
      env: {},
      setEnv: {},
      cwd: "/",
      nesting
    })
    const tried = yield* run({
      argv: [program, ...args, "/bin/sh", "-c", `echo "inside:$$"; "$0" --version`, program],
      cwd: "/",
      env: {}
    })
    const said = text(tried.stdout).split("\n")
    if (tried.exit._tag === "Exited" && tried.exit.code === 0 && /^inside:\d+$/.test(said[0] ?? "")) {
      return Either.right(said[1] ?? "bubblewrap")
    }
    return Either.left(text(tried.stderr).split("\n").at(-1) || "it does not say why")
  }).pipe(
    Effect.timeoutFail({ duration: "5 seconds", onTimeout: () => tooSlow }),
    Effect.catchTag("SubprocessSpawnFailed", ({ detail }) => Effect.fail(detail)),
    Effect.catchAll((reason) => Effect.succeed(Either.left(reason)))
  )
