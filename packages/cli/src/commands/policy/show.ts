/** `driver policy show`: the policy in force, or a preset, as a policy file that says the same. */
import { type PresetName, presetDescriptions, presets } from "@driver/permission/Presets"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Host } from "../../Host.js"
import { policyOf } from "./policyOf.js"

export interface ShowArguments {
  /** Only this preset. */
  readonly name: Option.Option<PresetName>
  readonly config: Option.Option<string>
  readonly policy: Option.Option<string>
  readonly json: boolean
}

export const show = ({ config, json, name, policy }: ShowArguments) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const found = Option.isSome(name)
      ? { preset: name.value, rules: [], programs: {} }
      : yield* policyOf({ config, policy, preset: Option.none() })
    const programs = Object.keys(found.programs).length === 0 ? {} : { programs: found.programs }
    const ofPreset = presets[found.preset]
    if (json) {
      const value = { preset: found.preset, rules: found.rules, preset_rules: ofPreset, ...programs }
      return yield* stdout.write(`${JSON.stringify(value, null, 2)}\n`)
    }
    const { stringify } = yield* Effect.promise(() => import("../../yamlWriter.js"))
    const text = (value: unknown) => stringify(value, { lineWidth: 110 })
    const own = { preset: found.preset, ...(found.rules.length > 0 ? { rules: found.rules } : {}), ...programs }
    yield* stdout.write(
      [
        text(own),
        `\n# The preset ${found.preset}: ${presetDescriptions[found.preset]}\n`,
        "# Its rules come after those above. The first that matches decides; what no rule matches is denied.\n",
        text({ rules: ofPreset }).replace(/^/gm, "# ").replace(/# $/, "")
      ].join("")
    )
  })
