import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { decide, type PermissionContext, simpleCommands } from "../src/Permissions.js"

const root = realpathSync(mkdtempSync(join(tmpdir(), "driver-stub-permissions-")))
const cwd = join(root, "work")
mkdirSync(cwd)
mkdirSync(join(root, "more"))
symlinkSync("/etc", join(cwd, "link"))
afterAll(() => rmSync(root, { recursive: true }))

const context = (more: Partial<PermissionContext> = {}): PermissionContext => ({
  cwd,
  additionalDirectories: [],
  mode: "default",
  ask: [],
  allow: [],
  deny: [],
  sessionAllow: [],
  ...more
})

const bash = (command: string, more: Partial<PermissionContext> = {}) => decide("Bash", { command }, context(more)).kind
const file = (tool: string, path: string, more: Partial<PermissionContext> = {}) =>
  decide(tool, { file_path: path }, context(more)).kind

describe("decide", () => {
  it("lets read-only commands in the working directory run", () => {
    for (const command of [
      "ls -la",
      "pwd",
      "echo hi",
      "cat a.txt",
      `cat "a b.txt"`,
      "git status",
      "git log --oneline",
      "grep -r hello . | head -3",
      "ls && pwd; echo x"
    ]) {
      assert.strictEqual(bash(command), "allow", command)
    }
  })

  it("asks about every other command", () => {
    for (const command of [
      "echo hi > f",
      "echo $HOME",
      "echo `id`",
      "cat /etc/hosts",
      "cat ../x",
      "cat link/hosts",
      "rm x",
      "mkdir d",
      "node -e 1",
      "npm test",
      "git commit -m x",
      "curl x",
      "ls & rm x",
      "ls; rm x",
      "ls || rm x",
      "ls\nrm x",
      "(ls)",
      "cd /tmp && ls",
      `echo "$(id)"`,
      "find . -exec echo {} \\;",
      "cat <x",
      "ls |",
      "",
      "'unfinished"
    ]) {
      assert.strictEqual(bash(command), "ask", command)
    }
  })

  it("lets reading inside run, and asks about reading outside, also through a link", () => {
    assert.strictEqual(file("Read", join(cwd, "a")), "allow")
    assert.strictEqual(file("Read", cwd), "allow")
    assert.strictEqual(file("Read", `${cwd}2/a`), "ask")
    assert.strictEqual(file("Read", "/etc/hostname"), "ask")
    assert.strictEqual(file("Read", join(cwd, "link", "hostname")), "ask")
    assert.strictEqual(file("Read", join(root, "more", "a")), "ask")
    assert.strictEqual(file("Read", join(root, "more", "a"), { additionalDirectories: [join(root, "more")] }), "allow")
    assert.strictEqual(file("Read", join(cwd, "..more")), "allow")
  })

  it("asks about writing, unless edits are accepted, and then only inside", () => {
    for (const tool of ["Write", "Edit"]) {
      assert.strictEqual(file(tool, join(cwd, "a")), "ask")
      assert.strictEqual(file(tool, join(cwd, "a"), { mode: "acceptEdits" }), "allow")
      assert.strictEqual(file(tool, "/etc/a", { mode: "acceptEdits" }), "ask")
      assert.strictEqual(file(tool, join(cwd, "link", "a"), { mode: "acceptEdits" }), "ask")
    }
    assert.strictEqual(bash("mkdir d; touch x; rm -f x", { mode: "acceptEdits" }), "allow")
    assert.strictEqual(bash("touch /etc/x", { mode: "acceptEdits" }), "ask")
    assert.strictEqual(bash("node -e 1", { mode: "acceptEdits" }), "ask")
  })

  it("denies what it would ask in the modes that never ask", () => {
    assert.strictEqual(file("Write", join(cwd, "a"), { mode: "dontAsk" }), "deny")
    assert.strictEqual(bash("ls", { mode: "dontAsk" }), "allow")
    assert.strictEqual(bash("node -e 1", { mode: "auto" }), "deny")
    assert.strictEqual(file("Write", join(cwd, "a"), { mode: "auto" }), "allow")
    assert.strictEqual(bash("ls", { mode: "dontAsk", ask: ["Bash"] }), "deny")
  })

  it("asks in plan mode, and nothing when permissions are bypassed", () => {
    assert.strictEqual(file("Write", join(cwd, "a"), { mode: "plan" }), "ask")
    assert.strictEqual(bash("rm -rf /", { mode: "bypassPermissions" }), "allow")
    assert.strictEqual(bash("rm -rf /", { mode: "bypassPermissions", deny: ["Bash"] }), "deny")
  })

  it("never asks about some tools", () => {
    for (const tool of ["Agent", "ToolSearch", "EnterPlanMode", "CronCreate"])
      assert.strictEqual(decide(tool, {}, context()).kind, "allow")
    assert.strictEqual(decide("WebFetch", {}, context()).kind, "ask")
  })

  it("follows rules: deny before ask before allow", () => {
    assert.strictEqual(bash("npm test", { allow: ["Bash(npm test)"] }), "allow")
    assert.strictEqual(bash("npm test x", { allow: ["Bash(npm test)"] }), "ask")
    assert.strictEqual(bash("npm test x", { allow: ["Bash(npm test:*)"] }), "allow")
    assert.strictEqual(bash("npm test", { sessionAllow: ["Bash"] }), "allow")
    assert.strictEqual(bash("ls", { allow: ["Bash"], ask: ["Bash"] }), "ask")
    assert.strictEqual(bash("ls", { ask: ["Bash"], deny: ["Bash"] }), "deny")
    assert.strictEqual(file("Read", join(cwd, "a"), { ask: ["Read"] }), "ask")
    assert.strictEqual(decide("Agent", {}, context({ ask: ["Task"] })).kind, "ask")
  })
})

describe("simpleCommands", () => {
  it("splits words, quotes, pipes and lists", () => {
    assert.deepEqual(simpleCommands(`a 'b c' "d e"f | g&&h;i||j`), [["a", "b c", "d ef"], ["g"], ["h"], ["i"], ["j"]])
  })

  it("gives up on everything a shell would expand", () => {
    for (const line of ["a $b", "a `b`", "a > b", "a *", "a &", "a\nb", `"$a"`, "a \\b", "~/x"])
      assert.isUndefined(simpleCommands(line), line)
  })
})
