/** Runs the command tree as a shell would, in a directory, with substituted layers. */
import { type Composition, makeCli } from "@driver/cli/Cli"
import { type ExitCode, exitCode, failureText } from "@driver/cli/exitCode"
import type { Host } from "@driver/cli/Host"
import type { FileSystem, Path, Terminal } from "@effect/platform"
import { Effect, Exit, Layer } from "effect"
import * as TestHost from "./TestHost.js"

export interface Ran {
  readonly code: ExitCode
  readonly stdout: string
  readonly stderr: string
}

type Needs = FileSystem.FileSystem | Path.Path | Terminal.Terminal | Host

/** Layers that must not be built: a command that does fails with a defect, which is exit code 2 and says so. */
export const nothingBuilt: Composition<never, never> = {
  goals: () => Layer.die("goals were built"),
  operator: () => Layer.die("the operator's goals were built"),
  journals: () => Layer.die("the journals were built"),
  verify: Effect.dieMessage("a journal was verified"),
  serve: () => Layer.die("the daemon was built"),
  analyzer: () => Layer.die("the analyzer was built"),
  decisions: () => Layer.die("decisions were built"),
  rehearsal: () => Layer.die("the rehearsal was built"),
  run: () => Layer.die("the run was built"),
  ask: () => Layer.die("the intent path was built"),
  registry: () => Layer.die("the registry was built"),
  probes: () => Layer.die("the probes were built")
}

export const runCli = <E extends { readonly message: string }>(
  args: ReadonlyArray<string>,
  host: TestHost.TestHostOptions,
  composition: Partial<Composition<E, Needs>> = {}
): Effect.Effect<Ran> =>
  Effect.gen(function* () {
    const written = yield* TestHost.Written
    const cli = makeCli<E, Needs>(Effect.succeed({ ...nothingBuilt, ...composition }))
    const exit = yield* Effect.exit(cli(["node", "driver", ...args]))
    return {
      code: exitCode(exit),
      stdout: yield* written.stdout,
      stderr: (yield* written.stderr) + (Exit.isFailure(exit) ? failureText(exit.cause) : "")
    }
  }).pipe(Effect.provide(TestHost.layerWithFiles(host)))
