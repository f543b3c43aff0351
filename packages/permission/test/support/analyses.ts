/** Analyses that tests make up, and an analyzer that gives them. */

import { Layer } from "effect"
import { type Analysis, CommandAnalyzer, type Reason } from "../../src/CommandAnalyzer.js"

export const analysisOf = (changes: Partial<Analysis> & Pick<Analysis, "label" | "reasons">): Analysis => ({
  programs: [],
  paths: [],
  hosts: [],
  network: false,
  privilege: false,
  secrets: [],
  unparsable: [],
  ...changes
})

export const reasonOf = (label: Reason["label"], kind: Reason["kind"], message = `It is ${kind}.`): Reason => ({
  label,
  kind,
  message
})

/** Of a command of which nothing is known. */
export const notFollowed = analysisOf({
  label: "dangerous",
  reasons: [reasonOf("dangerous", "unknown_code", "It is not followed here.")]
})

/** Knows these commands and no other. */
export const layerOf = (known: Readonly<Record<string, Analysis>> = {}): Layer.Layer<CommandAnalyzer> =>
  Layer.succeed(CommandAnalyzer, {
    analyze: (command) => (Object.hasOwn(known, command) ? known[command] : undefined) ?? notFollowed
  })
