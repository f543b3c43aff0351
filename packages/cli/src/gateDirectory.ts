/** A private directory for the gate of this process, and the removal of what killed drivers left of theirs. */
import { mkdirSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { isRunning, startOf } from "./processIdentity.js"
import { RunError } from "./RunGoal.js"

/**
 * `<state>/gates/<pid>-<start of the process>`, and a number for further ones of a process that has several: short, since
 * sockets may not have long paths. Removed with the scope.
 */
export const gateDirectory = (stateDirectory: string): Effect.Effect<string, RunError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const gates = join(stateDirectory, "gates")
        mkdirSync(gates, { recursive: true, mode: 0o700 })
        for (const name of readdirSync(gates)) {
          const [pid = "", start = ""] = name.split("-")
          if (!isRunning(Number(pid), start)) rmSync(join(gates, name), { recursive: true, force: true })
        }
        return ownDirectory(join(gates, `${process.pid}-${startOf(process.pid)}`))
      },
      catch: (cause) =>
        new RunError({ detail: `The state directory ${stateDirectory} cannot be written: ${String(cause)}` })
    }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

/** The gate's directory of one runtime, for the gate and for the agent's sandbox, which has to see it. */
export class GateDirectory extends Context.Tag("@driver/cli/GateDirectory")<GateDirectory, string>() {
  static readonly layer = (stateDirectory: string): Layer.Layer<GateDirectory, RunError> =>
    Layer.scoped(this, gateDirectory(stateDirectory))
}

const ownDirectory = (name: string): string => {
  for (let number = 0; ; number++) {
    const directory = number === 0 ? name : `${name}-${number}`
    try {
      mkdirSync(directory, { mode: 0o700 })
      return directory
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST") || number === 999) throw error
    }
  }
}
