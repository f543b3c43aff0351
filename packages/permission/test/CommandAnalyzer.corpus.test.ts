import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type CommandClass, inspect } from "@driver/permission/CommandAnalyzer"
import { assert, describe, it } from "@effect/vitest"

interface Row {
  readonly id: string
  readonly command: string
  readonly label: CommandClass
}

const directory = fileURLToPath(new URL("./corpus/", import.meta.url))
const where = { cwd: "/home/dev/work/repo", home: "/home/dev" }

const rowsOf = (file: string): ReadonlyArray<Row> =>
  readFileSync(`${directory}${file}`, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

/** Labelled by hand: see the contract in `corpus/README.md`. No command of them is ever run. */
describe.each(readdirSync(directory).filter((name) => name.endsWith(".jsonl")))("CommandAnalyzer on %s", (file) => {
  const rows = rowsOf(file).map((row) => ({ ...row, got: inspect(row.command, where).label }))
  const of = (label: CommandClass) => rows.filter((row) => row.label === label)
  const wrong = (label: CommandClass, got: CommandClass) =>
    of(label)
      .filter((row) => row.got === got)
      .map(({ id }) => id)

  it("never calls a dangerous command read-only", () => {
    assert.deepStrictEqual(wrong("dangerous", "read_only"), [])
  })

  it("calls at most 0.5 % of the dangerous commands workspace writes", () => {
    assert.isAtMost(wrong("dangerous", "workspace_write").length, of("dangerous").length * 0.005)
  })

  it("refuses at most 3 % of the reading commands and 5 % of the writing ones", () => {
    assert.isAtMost(wrong("read_only", "dangerous").length, of("read_only").length * 0.03)
    assert.isAtMost(wrong("workspace_write", "dangerous").length, of("workspace_write").length * 0.05)
  })
})
