/** Reads a scenario file. The YAML parser is loaded for `.yaml` only, so that a JSON scenario starts faster. */
import { readFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { decodeScenario, type Scenario, ScenarioError } from "./Scenario.js"

/** The file cannot be read, parsed or decoded; the message names the file and every problem. */
export class ScenarioFileError extends Error {
  override readonly name = "ScenarioFileError"
}

const parse = async (file: string, source: string): Promise<unknown> => {
  if (!/\.ya?ml$/i.test(file)) return JSON.parse(source)
  const { parse: parseYaml } = await import("yaml")
  return parseYaml(source)
}

/** The scenario in `file`; its `record` path is resolved against the file's directory. */
export const loadScenario = async (file: string): Promise<Scenario> => {
  let parsed: unknown
  try {
    parsed = await parse(file, readFileSync(file, "utf8"))
  } catch (error) {
    throw new ScenarioFileError(
      `driver-stub: cannot read the scenario ${file}: ${error instanceof Error ? error.message : error}`
    )
  }
  try {
    const scenario = decodeScenario(parsed)
    return scenario.record === undefined
      ? scenario
      : { ...scenario, record: resolve(dirname(resolve(file)), scenario.record) }
  } catch (error) {
    if (!(error instanceof ScenarioError)) throw error
    throw new ScenarioFileError(`driver-stub: the scenario ${file} is wrong:\n${error.message.replace(/^/gm, "  ")}`)
  }
}
