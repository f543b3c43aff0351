/**
 * A decider around another one: what that allows of the tools that run commands, runs in the sandbox. The rules see
 * the command as the agent wrote it; the agent's program gets the same command, quoted whole, after the words that
 * start the sandbox. A command that nobody can confine is denied.
 *
 *     decider ─▶ allowed? ─▶ a command? ─▶ sandbox on? ─▶ allowed with the changed input
 *
 * It judges nothing and allows nothing that was not allowed. What else stands in the input (`timeout`,
 * `run_in_background`, …) stays. Where there is no sandbox it changes nothing.
 */
import { Sandbox } from "@driver/agent/Sandbox"
import {
  AllowOnce,
  AllowSession,
  Deny,
  isAllowed,
  type PermissionOutcome,
  type PermissionRequest,
  type ToolInput
} from "@driver/domain/Permission"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { PermissionDecider } from "./PermissionDecider.js"

export interface SandboxedCommandsOptions {
  /** The complete environment of the commands. It holds no keys: what a command prints, the agent reads. */
  readonly env: Readonly<Record<string, string>>
}

/** Confines what the decider below it allows. */
export const layer = ({
  env
}: SandboxedCommandsOptions): Layer.Layer<PermissionDecider, never, PermissionDecider | Sandbox> =>
  Layer.effect(
    PermissionDecider,
    Effect.gen(function* () {
      const inner = yield* PermissionDecider
      const sandbox = yield* Sandbox
      const confine = (request: PermissionRequest, outcome: AllowOnce | AllowSession) =>
        Effect.gen(function* () {
          const input = Option.getOrElse(outcome.updatedInput, () => request.input)
          const command = commandOf(input)
          if (command === undefined) return unconfinable(outcome)
          const { goalId, workspace } = request
          const line = yield* sandbox.wrapShell(command, { goalId, workspace, env })
          return Option.match(line, {
            onNone: () => unconfinable(outcome),
            onSome: (confined) => withInput(outcome, { ...input, command: confined })
          })
        })

      return {
        decide: (request, context) =>
          Effect.flatMap(
            inner.decide(request, context),
            (outcome): Effect.Effect<PermissionOutcome> =>
              isAllowed(outcome) && runsCommands(request.tool)
                ? Effect.flatMap(sandbox.state, ({ kind }) =>
                    kind === "bubblewrap" ? confine(request, outcome) : Effect.succeed(outcome)
                  )
                : Effect.succeed(outcome)
          )
      }
    })
  )

/** The agent's tools whose `command` is given to a shell. */
export const runsCommands = (tool: string): boolean => commandTools.has(tool)

const commandTools: ReadonlySet<string> = new Set(["Bash", "Monitor"])

const commandOf = (input: ToolInput): string | undefined => {
  const { command } = input
  // Nothing that a command may hold ends a word, but no program takes a NUL.
  return typeof command === "string" && !command.includes("\0") ? command : undefined
}

const withInput = (outcome: AllowOnce | AllowSession, input: ToolInput): PermissionOutcome => {
  const rationale = `${outcome.rationale}; in the sandbox`
  const updatedInput = Option.some(input)
  return outcome._tag === "AllowOnce"
    ? new AllowOnce({ ...outcome, updatedInput, rationale })
    : new AllowSession({ ...outcome, updatedInput, rationale })
}

const unconfinable = ({ rationale }: AllowOnce | AllowSession): PermissionOutcome =>
  new Deny({
    message: "This command cannot be run in the sandbox, so it was not run. Give `command` as one text.",
    rationale: `sandbox: the input has no command that can be confined (${rationale})`
  })
