/**
 * The policy in force: what the configuration says, then what the policy file says
 * that it names, then a preset. Read once: nothing that happens later changes it.
 */
import { decodePolicy, type Policy, type Programs } from "@driver/permission/Policy"
import type { PresetName } from "@driver/permission/Presets"
import type { Rule } from "@driver/permission/Rules"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { defaults } from "./Config.js"
import { readDocument } from "./Files.js"
import { fromDecodeIssue, InputError } from "./InputError.js"

export interface PolicySettings {
  readonly preset: PresetName
  /** In the order in which they are asked, without those of the preset. */
  readonly rules: ReadonlyArray<Rule>
  readonly programs: Programs
  /** Absolute path of the policy file. */
  readonly file: Option.Option<string>
}

export interface PolicyFile {
  /** Absolute path. */
  readonly file: string
  readonly policy: Policy
}

/** The error has every problem of the file. */
export const readPolicy = (
  file: string,
  environment: Readonly<Record<string, string>>
): Effect.Effect<PolicyFile, InputError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const document = yield* readDocument(file, environment, { whenEmpty: {} })
    const decoded = decodePolicy(document.value)
    if (Either.isRight(decoded)) return { file: document.file, policy: decoded.right }
    return yield* new InputError({
      issues: decoded.left.map((issue) => fromDecodeIssue(document.file, document.positionOf, issue))
    })
  })

/** What the configuration says comes first. */
export const policySettings = (
  config: typeof defaults.permission,
  read: Option.Option<PolicyFile> = Option.none()
): PolicySettings => {
  const policy = Option.match(read, { onNone: (): Policy => ({}), onSome: (it) => it.policy })
  return {
    preset: Option.getOrElse(config.preset, () => policy.preset ?? "default"),
    rules: [...config.rules, ...(policy.rules ?? [])],
    programs: { ...policy.programs, ...config.programs },
    file: Option.map(read, ({ file }) => file)
  }
}

/** A policy file alone, as if the configuration said nothing. */
export const policyAlone = (read: PolicyFile): PolicySettings => policySettings(defaults.permission, Option.some(read))
