/** `scripts/eval-intent.mjs`, as people run it, with the scripted model of the configuration. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, describe, it } from "vitest"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const directory = mkdtempSync(join(tmpdir(), "driver-eval-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const run = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
    execFile(process.execPath, ["scripts/eval-intent.mjs", ...args], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr })
    )
  })

describe("the evaluation runner", () => {
  it("scores the configured model, and fails below what is wanted", async () => {
    const config = join(directory, "driver.yaml")
    writeFileSync(config, "model:\n  provider: scripted\n  script: answers.yaml\n")
    writeFileSync(join(directory, "answers.yaml"), "- answer: { kind: task, scope: trivial }\n")
    const { code, stderr, stdout } = await run("--config", config, "--only", "trivial", "--at-least", "1", "--json")
    assert.strictEqual(stderr, "")
    const report = JSON.parse(stdout)
    assert.deepInclude(report, { score: 1, degraded: 0, wrong: [] })
    assert.isAtLeast(report.total, 7)
    assert.strictEqual(code, 0)
    const below = await run("--config", config, "--only", "conversation", "--at-least", "0.9")
    assert.strictEqual(below.code, 1)
    assert.match(below.stdout, /conversation +1\/14/)
    const unconfigured = join(directory, "none.yaml")
    writeFileSync(unconfigured, "{}\n")
    for (const [args, why] of [
      [["--config", config, "--only", "nonsense"], /expected one of conversation, clarify/],
      [["--config", config, "--at-least", "most"], /expected a number from 0 to 1/],
      [["--config", config, "--bogus"], /^eval-intent: .*--bogus/],
      [["--config", unconfigured], /no model is configured/]
    ] as const) {
      const refused = await run(...args)
      assert.deepStrictEqual([refused.code, refused.stdout], [2, ""])
      assert.match(refused.stderr, why)
    }
    const absent = await run("--config", join(directory, "absent.yaml"))
    assert.strictEqual(absent.code, 2)
  })
})
