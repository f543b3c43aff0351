/** What entries of a project's tools have in common. */
import type { ProgramEntry } from "../ProgramEntry.js"

/** It runs the project's own code or configuration. */
export const code = (entry: ProgramEntry): ProgramEntry => ({ effect: "project_code", ...entry })

/** Options that most of them know. */
export const common =
  "-q -v -s -h --help --version --verbose --quiet --silent --debug --color --no-color --colors --no-colors"
