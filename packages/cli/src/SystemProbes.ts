/** What `driver doctor` tries out and cannot see by itself: it takes the runtime's own parts to know. */
import type { SandboxState } from "@driver/agent/Sandbox"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/** One line of what `driver doctor` says. */
export interface Check {
  readonly name: string
  /** `warning`: the main job runs, with less. `broken`: it does not. */
  readonly status: "fine" | "warning" | "broken"
  /** What was found. */
  readonly detail: string
  /** What to do; empty when all is fine. */
  readonly mend: string
}

export const fine = (name: string, detail: string): Check => ({ name, status: "fine", detail, mend: "" })
export const warning = (name: string, detail: string, mend: string): Check => ({
  name,
  status: "warning",
  detail,
  mend
})
export const broken = (name: string, detail: string, mend: string): Check => ({ name, status: "broken", detail, mend })

/** Tried, and did not work. */
export class ProbeError extends Data.TaggedError("ProbeError")<{
  readonly detail: string
  /** What to do about it. */
  readonly mend: string
}> {
  override get message() {
    return `${this.detail}: ${this.mend}`
  }
}

export class SystemProbes extends Context.Tag("@driver/cli/SystemProbes")<
  SystemProbes,
  {
    /** How agents are kept from outliving the driver here. */
    readonly containment: Effect.Effect<{
      /** False: only process groups and a sweep, which a `kill -9` of the driver escapes. */
      readonly contained: boolean
      /** `namespaces`, `fallback`, … */
      readonly kind: string
      /** Why it is this kind. */
      readonly reason: string
    }>
    /** Whether commands can be confined here, whatever the configuration wants. */
    readonly sandbox: Effect.Effect<SandboxState>
    /** Opens the configured database and closes it. Resolves with what it is. */
    readonly database: Effect.Effect<string, ProbeError>
    /** Binds the gate's socket where a goal's would be, looks at its modes, and removes it. Resolves with its path. */
    readonly socket: Effect.Effect<string, ProbeError>
    /** The daemon, and wherever events go, as far as the configuration names it. */
    readonly outward: Effect.Effect<ReadonlyArray<Check>>
  }
>() {}
