// What the presets say to calls that agents really make, with the analyzer as it is. No call is run.
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { pathsOf, readCall } from "../src/CallAnalysis.js"
import { analyze } from "../src/CommandAnalyzer.js"
import { decodePolicy, verdictOf } from "../src/Policy.js"
import { type PresetName, presetDescriptions, presets } from "../src/Presets.js"
import * as Rules from "../src/Rules.js"
import { requestOf } from "./support/requests.js"

const root = "/work/tree"

const factOf = (path: string): Rules.PathFact => {
  if (path.startsWith("~")) return { _tag: "Outside", named: path }
  const absolute = new URL(`file://${path.startsWith("/") ? path : `${root}/${path}`}`).pathname.replace(
    /(?<=.)\/$/,
    ""
  )
  if (absolute !== root && !absolute.startsWith(`${root}/`)) {
    return { _tag: "Outside", real: absolute, named: absolute }
  }
  const relative = absolute.slice(root.length + 1)
  return { _tag: "Inside", real: relative, named: relative, protected: false }
}

const judge = (preset: PresetName, tool: string, input: Record<string, unknown>) => {
  const call = readCall(requestOf(tool, input, root), (command) => analyze(command, { cwd: root }))
  return Rules.evaluate(Rules.compile([], presets[preset]), call, {
    criteriaCommands: ["npm test", "curl -f localhost:3000/health"],
    paths: new Map(pathsOf(call).map((path) => [path, factOf(path)]))
  })
}

const names = ["strict", "default", "open"] as const

/** `+` allowed, `-` denied: by strict, default and open. */
const rows: ReadonlyArray<readonly [string, string, Record<string, unknown>]> = [
  ["+++", "Read", { file_path: "src/a.ts" }],
  ["+++", "Read", { file_path: `${root}/src/a.ts` }],
  ["+++", "Glob", { pattern: "**/*.ts" }],
  ["+++", "Grep", { pattern: "TODO", path: "src" }],
  ["+++", "Write", { file_path: "src/new.ts", content: "x" }],
  ["+++", "Edit", { file_path: ".github/workflows/ci.yml" }],
  ["+++", "TodoWrite", { todos: [] }],
  ["+++", "Task", { prompt: "x" }],
  ["+++", "KillShell", { shell_id: "1" }],
  ["--+", "Read", { file_path: "/usr/include/stdio.h" }],
  ["--+", "Glob", { pattern: "*.h", path: "/usr/include" }],
  ["---", "Write", { file_path: "/tmp/x", content: "" }],
  ["---", "Read", { file_path: ".env" }],
  ["---", "Read", { file_path: "/etc/shadow" }],
  ["---", "Read", { file_path: "/proc/self/environ" }],
  ["---", "Write", { file_path: ".git/config", content: "" }],
  ["--+", "mcp__github__get_issue", { number: 1 }],
  ["---", "WebFetch", { url: "https://docs.example.com" }],
  ["---", "Skill", { name: "x" }],
  ["---", "TaskUnheardOf", {}],
  ["---", "AskUserQuestion", { questions: [] }],
  ["---", "ExitPlanMode", { plan: "x" }],
  ["---", "EnterWorktree", {}],
  ["---", "ScheduleWakeup", {}],
  ["---", "Read", {}],
  ...(
    [
      ["+++", "npm test"],
      ["+++", "curl -f localhost:3000/health"],
      ["+++", "ls -la src"],
      ["+++", "cat README.md"],
      ["+++", "git status"],
      ["+++", "git log --oneline -n 5"],
      ["-++", "git status && git diff HEAD~2 -- src | head -50"],
      ["-++", "find . -name '*.ts' -not -path './node_modules/*' | xargs grep -l foo"],
      ["-++", 'for f in src/*.ts; do wc -l "$f"; done'],
      ["-++", "npm test 2>&1 | tail -50"],
      ["-++", "npm run build"],
      ["-++", "npx vitest run src/a.test.ts"],
      ["-++", "mkdir -p src/deep && touch src/deep/a.ts"],
      ["-++", "cat > src/a.ts <<'EOF'\nexport const a = 1\nEOF"],
      ["-++", "cd src && ls"],
      ["-++", "sed -i 's/a/b/' src/a.ts"],
      ["-++", "rm -rf dist"],
      ["-++", "git add -A && git commit -m 'Do it'"],
      ["-++", "ls 2>/dev/null"],
      ["--+", "ls /usr/include"],
      ["--+", "cat /etc/os-release"],
      ["---", "ls > /tmp/x"],
      ["---", "curl https://docs.example.com"],
      ["---", "npm publish"],
      ["---", "sudo ls"],
      ["---", "rm -rf ."],
      ["---", "git push --force"],
      ["---", "kill -9 1"],
      ["---", "git commit --no-verify -m x"],
      ["---", "PATH=/tmp/x ls"],
      ["---", ":(){ :|:& };:"],
      ["---", "$X"],
      ["---", "ourtool --go"],
      ["---", "cat .env"],
      ["---", "echo x > .git/hooks/pre-commit"],
      ["---", "echo 'unclosed"]
    ] as const
  ).map(([verdicts, command]) => [verdicts, "Bash", { command }] as const)
]

describe("Presets", () => {
  it.each(rows)("%s %s %j", (expected, tool, input) => {
    const got = names.map((preset) => (verdictOf(judge(preset, tool, input)) === "allow" ? "+" : "-")).join("")
    assert.strictEqual(got, expected, names.map((it) => judge(it, tool, input).rationale).join("\n"))
  })

  it("tell the agent why, and what to do instead", () => {
    for (const [expected, tool, input] of rows) {
      for (const [index, preset] of names.entries()) {
        const { verdict } = judge(preset, tool, input)
        if (expected[index] !== "-") continue
        assert.strictEqual(verdict._tag, "Deny")
        if (verdict._tag === "Deny") assert.match(verdict.message, /^.{30,}\.$/s, `${preset} ${JSON.stringify(input)}`)
      }
    }
    const message = (command: string) => {
      const { verdict } = judge("default", "Bash", { command })
      return verdict._tag === "Deny" ? verdict.message : ""
    }
    assert.match(message("curl https://docs.example.com"), /`curl` uses the network\. .*packages that are installed/)
    assert.match(message("cat .env"), /\.env.*Work without their contents/)
    assert.match(message("cat /etc/os-release"), /lies outside the workspace/)
    assert.match(message("ourtool --go"), /ourtool.*one of the project's own scripts/)
  })

  it("are rules that a policy file can have, each with a name of its own", () => {
    for (const preset of names) {
      const wire: unknown = JSON.parse(JSON.stringify({ rules: presets[preset] }))
      assert.deepStrictEqual(Either.getOrThrow(decodePolicy(wire)).rules, presets[preset])
      const named = presets[preset].map(({ name }) => name)
      assert.notInclude(named, undefined)
      assert.strictEqual(new Set(named).size, named.length, preset)
      assert.isTrue(Schema.is(Schema.Array(Rules.Rule))(presets[preset]))
      assert.isNotEmpty(presetDescriptions[preset])
    }
  })

  it("open more from one to the next", () => {
    for (const [verdicts] of rows) assert.match(verdicts, /^-*\+*$/)
  })
})
