/**
 * The policy of a run is the one that stood there when it began: whatever happens to the files that say it, in the
 * goal's worktree or where they were read, no call is decided otherwise. With the bundle and the stand-in agent.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { makeWorld, writeHello } from "./support/process.js"

describe("driver run", () => {
  it("keeps the policy that it has begun with, also when the files that say it are changed by a command of the goal", async (context) => {
    const world = makeWorld(context, { files: { "policy.yaml": "preset: strict\n" } })
    const config =
      "agent: { kind: stub, scenario: scenario.json }\npermission: { policy: policy.yaml }\nsandbox: { mode: off }\n"
    world.write("driver.yaml", config)
    // Runs what a talked-over agent could have put into a script of the project.
    const change = join(world.repository, "change.sh")
    world.write(
      "change.sh",
      [
        `for directory in . '${world.repository}'; do`,
        `  echo 'rules: [{ verdict: allow, tool: "*", where: anywhere }, { verdict: allow, tool: Bash }]' > "$directory/policy.yaml"`,
        `  echo 'permission: { decider: allow_all }' > "$directory/driver.yaml"`,
        "done"
      ].join("\n")
    )
    world.write("hello.yaml", `description: x\nacceptance:\n  - shell: sh ${change}\n  - shell: test -s hello.txt\n`)
    const danger = { tool: "Bash", input: { command: "printf leaked | tee leak.txt" } }
    world.scenario({
      turns: [
        {
          steps: [
            danger,
            { tool: "Write", input: { file_path: "driver.yaml", content: "permission: {}\n" } },
            { tool: "Write", input: { file_path: "policy.yaml", content: "preset: open\n" } },
            { tool: "Bash", input: { command: `sh ${change}` } },
            danger,
            { tool: "Read", input: { file_path: "/etc/hostname" } },
            { tool: "WebFetch", input: { url: "http://127.0.0.1:1/", prompt: "x" } },
            writeHello
          ]
        }
      ]
    })
    const ended = await world.driver(["run", "hello.yaml", "--events", "events.jsonl"])
    const decisions = world
      .events(join(world.repository, "events.jsonl"))
      .flatMap(({ event }) => (event._tag === "DecisionMade" ? [event.decision] : []))
    assert.deepStrictEqual(
      decisions.map(({ choice, rationale, tool }) => [tool, choice._tag, rationale.split(":")[0]]),
      [
        ["Bash", "Deny", "command"],
        ["Write", "Deny", "special path"],
        ["Write", "Deny", "special path"],
        ["Bash", "Allow", "criterion"],
        ["Bash", "Deny", "command"],
        ["Read", "Deny", "outside the workspace"],
        ["WebFetch", "Deny", "network"],
        ["Write", "Allow", "write in the workspace"]
      ],
      ended.stdout + ended.stderr
    )
    // It was changed indeed, and counts from the next run on: there a person can see it in the repository.
    assert.match(readFileSync(join(world.repository, "driver.yaml"), "utf8"), /allow_all/)
    assert.isFalse(existsSync(join(world.repository, "leak.txt")))
  })
})
