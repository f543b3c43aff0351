/** Which policy the commands on policies are about. */
import { GoalId } from "@driver/domain/Goal"
import { PermissionRequest, type ToolInput } from "@driver/domain/Permission"
import type { PresetName } from "@driver/permission/Presets"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Host } from "../../Host.js"
import type { InputError } from "../../InputError.js"
import { type PolicySettings, policyAlone, readPolicy } from "../../PolicyFile.js"
import { loadSettings } from "../../Settings.js"

export interface PolicyArguments {
  readonly config: Option.Option<string>
  /** A policy file that counts alone. */
  readonly policy: Option.Option<string>
  /** Instead of the policy's own. */
  readonly preset: Option.Option<PresetName>
}

/** A policy, and what no rule of it can open. */
export interface PolicyInForce extends PolicySettings {
  /** Absolute paths. */
  readonly protectedPaths: ReadonlyArray<string>
  /** Relative to the workspace. */
  readonly protectedFiles: ReadonlyArray<string>
}

/** The configuration is read only when there is no policy file that counts alone. */
export const policyOf = ({
  config,
  policy,
  preset
}: PolicyArguments): Effect.Effect<PolicyInForce, InputError, FileSystem.FileSystem | Path.Path | Host> =>
  Effect.gen(function* () {
    const host = yield* Host
    const path = yield* Path.Path
    const found = yield* Option.match(policy, {
      onSome: (file) =>
        Effect.map(readPolicy(path.resolve(host.directory, file), host.environment), (read) => ({
          ...policyAlone(read),
          protectedPaths: [],
          protectedFiles: []
        })),
      onNone: () =>
        Effect.map(loadSettings({ config }), (settings) => ({
          ...settings.policy,
          protectedPaths: [settings.stateDirectory],
          protectedFiles: settings.policyFiles
        }))
    })
    return { ...found, preset: Option.getOrElse(preset, () => found.preset) }
  })

/** A question that no agent asked. */
export const requestOf = (tool: string, input: ToolInput, workspace: string): PermissionRequest =>
  new PermissionRequest({ goalId: nobody, turn: 0, workspace, tool, input, advisories: [] })

const nobody = GoalId.make("00000000-0000-4000-8000-000000000000")
