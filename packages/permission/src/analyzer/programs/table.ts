/** The built-in table: what is known about programs. */
import type { ProgramTable } from "../ProgramEntry.js"
import { files } from "./files.js"
import { git } from "./git.js"
import { javascript } from "./javascript.js"
import { native } from "./native.js"
import { packages } from "./packages.js"
import { platforms } from "./platforms.js"
import { python } from "./python.js"
import { shell } from "./shell.js"
import { text } from "./text.js"

/** By area: no name stands in two entries. */
export const areas: ReadonlyArray<ProgramTable> = [
  files,
  text,
  git,
  shell,
  packages,
  javascript,
  python,
  native,
  platforms
]

export const builtIn: ProgramTable = Object.assign({}, ...areas)
