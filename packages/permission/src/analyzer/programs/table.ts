/** The built-in table: what is known about programs. */
import type { ProgramTable } from "../ProgramEntry.js"
import { devtools } from "./devtools.js"
import { files } from "./files.js"
import { git } from "./git.js"
import { javascript } from "./javascript.js"
import { languages } from "./languages.js"
import { media } from "./media.js"
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
  platforms,
  languages,
  devtools,
  media
]

export const builtIn: ProgramTable = Object.assign({}, ...areas)
