/**
 * The sandbox as the configuration has it, with the proxy that it needs when hosts are listed. One for commands (of
 * criteria and of the agent's shell), another for the agent's whole program when that is wanted.
 */
import { existsSync, realpathSync } from "node:fs"
import { dirname, isAbsolute, join } from "node:path"
import { Sandbox, type SandboxState, type SandboxUnavailable } from "@driver/agent/Sandbox"
import { SandboxNetwork } from "@driver/agent/SandboxProfile"
import type { Containment } from "@driver/agent/Subprocess"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as AllowListProxy from "./AllowListProxyNode.js"
import { assetPath, type MissingAsset } from "./Assets.js"
import { GateDirectory, gateDirectory } from "./gateDirectory.js"
import type { RunError } from "./RunGoal.js"
import type { Settings } from "./Settings.js"

/** For commands. The proxy is there as long as the layer. */
export const sandboxLayer = (settings: Settings): Layer.Layer<Sandbox, RunError | SandboxUnavailable, Containment> =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const { hosts, mode } = settings.sandbox
      const network =
        hosts.length === 0 || mode === "off"
          ? SandboxNetwork.None()
          : SandboxNetwork.Proxy({ socket: yield* serve(settings, "proxy.sock", hosts), loopback: "own" })
      return Sandbox.layer({ ...placesOf(settings), mode, network })
    })
  )

/**
 * For the agent's whole program, when that is wanted. It has its own directory with its login, but may not change what
 * names programs there; it speaks to the gate, and through a proxy to its provider and to what is listed.
 */
export const agentSandboxLayer = (
  settings: Settings,
  binary: string
): Layer.Layer<
  Sandbox,
  MissingAsset | RunError | SandboxUnavailable,
  Containment | FileSystem.FileSystem | GateDirectory
> =>
  settings.sandbox.agent
    ? Layer.unwrapScoped(
        Effect.gen(function* () {
          const { environment, scenario } = settings.agent
          const { home, hosts, mode } = settings.sandbox
          const gate = yield* GateDirectory
          const own = environment["CLAUDE_CONFIG_DIR"] ?? join(environment["HOME"] ?? home, ".claude")
          const socket = yield* serve(settings, "agent.sock", [...providerHosts(environment), ...hosts])
          const places = placesOf(settings)
          return Sandbox.layer({
            ...places,
            mode,
            network: SandboxNetwork.Proxy({ socket, loopback: "proxied" }),
            searchPath: environment["PATH"] ?? "",
            readable: [
              ...places.readable,
              ...around(binary, environment["PATH"] ?? ""),
              ...Option.toArray(scenario),
              ...certificates.flatMap((name) => environment[name] ?? []),
              process.execPath,
              yield* assetPath("driver-gate.mjs"),
              gate
            ],
            writable: [...places.writable, own],
            reveal: [own],
            protect: namingPrograms.map((name) => join(own, name))
          })
        })
      )
    : Sandbox.layerOff

/** Where the agent's program lies: what it is a link to, too. */
const around = (binary: string, searchPath: string): ReadonlyArray<string> => {
  const candidates = binary.includes("/") ? [binary] : searchPath.split(":").map((it) => join(it, binary))
  const found = candidates.find((it) => isAbsolute(it) && existsSync(it))
  return found === undefined ? [] : [dirname(realpathSync(found))]
}

const certificates = [
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "CLAUDE_CODE_CLIENT_CERT",
  "CLAUDE_CODE_CLIENT_KEY"
]

/** Of the agent's own directory: whoever writes these decides what its next process runs. */
const namingPrograms = [
  "settings.json",
  "settings.local.json",
  "CLAUDE.md",
  "agents",
  "commands",
  "hooks",
  "plugins",
  "skills"
]

/** The provider, and where a login is renewed; or what stands in for the provider, and nothing else. */
export const providerHosts = (environment: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  const base = environment["ANTHROPIC_BASE_URL"]
  if (base === undefined || base === "") return ["api.anthropic.com", "console.anthropic.com", "platform.claude.com"]
  return URL.canParse(base) ? [new URL(base).host] : []
}

/** Tries it out, whatever the mode. */
export const sandboxProbe = (settings: Settings): Effect.Effect<SandboxState, never, Containment> =>
  Effect.flatMap(Sandbox, ({ state }) => state).pipe(
    Effect.provide(Sandbox.layer({ ...placesOf(settings), mode: "auto", network: SandboxNetwork.None() })),
    // Only a sandbox that is required can be unavailable.
    Effect.orDie
  )

/** What a person should know before a goal starts. */
export const sandboxNotes = ({ state }: Sandbox["Type"]): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(state, (found) =>
    found.kind === "missing"
      ? [`commands of the agent and of criteria are not confined: ${found.reason}. ${found.mend}`]
      : []
  )

const serve = (settings: Settings, name: string, hosts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const socket = join(yield* gateDirectory(settings.stateDirectory), name)
    yield* AllowListProxy.serve({ socket, hosts })
    return socket
  })

const placesOf = ({ criteriaEnvironment, sandbox, stateDirectory, store }: Settings) => ({
  home: sandbox.home,
  searchPath: criteriaEnvironment["PATH"] ?? "",
  ownDirectories: [stateDirectory],
  writable: sandbox.writable,
  readable: sandbox.readable,
  mask: [
    ...sandbox.mask,
    ...(store.kind === "sqlite" ? ["", "-wal", "-shm"].map((end) => `${store.filename}${end}`) : [])
  ]
})
