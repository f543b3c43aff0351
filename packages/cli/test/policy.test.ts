/** `driver policy check`, `test`, `show` and `diff`, through the command tree. */

import { SessionId } from "@driver/domain/Binding"
import { DecisionMade, StoredEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { ChoiceAllow, ChoiceDeny, ChoiceObserve, Decision, DecisionId } from "@driver/domain/Permission"
import { type Analysis, CommandAnalyzer } from "@driver/permission/CommandAnalyzer"
import { decodePolicy } from "@driver/permission/Policy"
import { presets } from "@driver/permission/Presets"
import { BindingStore } from "@driver/runtime/BindingStore"
import { DecisionStore } from "@driver/runtime/DecisionStore"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Effect, Either, Layer, Option, Schema } from "effect"
import { parse } from "yaml"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"

const nothing = { programs: [], paths: [], hosts: [], network: false, privilege: false, secrets: [], unparsable: [] }

/** Takes the first word for a class. */
const analyzer = Layer.succeed(CommandAnalyzer, {
  analyze: (command, { cwd }): Analysis => {
    const [word = "", name = "", file = ""] = command.split(" ")
    switch (word) {
      case "reads":
        return {
          ...nothing,
          label: "read_only",
          reasons: [{ label: "read_only", kind: "reads", message: "It reads." }],
          programs: [{ name: "reads", args: [name] }],
          paths: [{ path: name.startsWith("/") ? name : `${cwd}/${name}`, access: "read" }]
        }
      case "fetches":
        return {
          ...nothing,
          label: "dangerous",
          reasons: [{ label: "dangerous", kind: "network", message: `It sends to ${name}.` }],
          programs: [{ name: "fetches", args: [name, file] }],
          hosts: [name],
          network: true
        }
      default:
        return {
          ...nothing,
          label: "dangerous",
          reasons: [{ label: "dangerous", kind: "unknown_code", message: "It is not known." }]
        }
    }
  }
})

const policyText = `
preset: strict
rules:
  - { name: docs, verdict: allow, tool: Bash, host: docs.example.com }
  - { verdict: deny, path: "vault/**", message: Leave the vault alone. }
cases:
  - { tool: Bash, input: { command: fetches docs.example.com x }, verdict: allow, rule: docs }
  - { tool: Bash, input: { command: fetches evil.example.net x }, verdict: deny }
  - { tool: Read, input: { file_path: vault/a }, verdict: deny, rule: rule 2 }
  - { tool: Read, input: { file_path: /etc/passwd }, verdict: deny }
  - { tool: Bash, input: { command: npm test }, verdict: allow, rule: criterion, criteria: [npm test] }
`

const goalId = GoalId.make("7c9e6679-7425-40de-944b-e07fc1f90ae7")

const decision = (
  index: number,
  tool: string,
  input: Record<string, unknown>,
  choice: Decision["choice"],
  rationale: string
) =>
  new Decision({
    id: DecisionId.make(`00000000-0000-4000-8000-${String(index).padStart(12, "0")}`),
    goalId,
    turn: index,
    tool,
    input,
    choice,
    rationale,
    decidedAt: DateTime.unsafeMake(index)
  })

const allowed = new ChoiceAllow({})
const denied = new ChoiceDeny({ message: "No." })

const recorded = (workspace: string) => [
  decision(1, "Read", { file_path: "vault/a" }, allowed, "read in the workspace: it lies there"),
  decision(2, "Bash", { command: "fetches docs.example.com x" }, denied, "command: it is not known"),
  decision(3, "Bash", { command: "npm test" }, allowed, "criterion: it is a command of the goal's own criteria"),
  decision(4, "Write", { file_path: `${workspace}/src/a.ts` }, allowed, "write in the workspace: it lies there"),
  decision(5, "Bash", { command: "reads a" }, denied, "gate: the time to decide is over"),
  decision(6, "Read", { file_path: "link/file" }, allowed, "read in the workspace: it lies there"),
  decision(7, "Bash", { command: "reads a" }, new ChoiceObserve({ note: "x" }), "shadow: x"),
  decision(8, "Bash", { command: "reads a" }, denied, "command: it is more than one simple command")
]

const encodeStored = Schema.encodeSync(StoredEvent.FromJson)
const lineOf = (it: Decision, index: number) =>
  encodeStored(
    new StoredEvent({
      goalId,
      sequence: index + 1,
      messageId: `m${index}`,
      at: DateTime.unsafeMake(index),
      event: new DecisionMade({ goalId, decision: it })
    })
  )

const world = (files: Record<string, string> = {}) =>
  Effect.map(directoryWith({ ".git/HEAD": "", "policy.yaml": policyText, ...files }), (root) => ({
    root,
    policy: (...args: ReadonlyArray<string>) =>
      runCli(
        ["policy", ...args],
        { directory: root, environment: { XDG_STATE_HOME: `${root}/state` } },
        { analyzer: () => analyzer }
      )
  }))

const scoped = (
  name: string,
  body: Effect.Effect<void, unknown, NodeContext.NodeContext | import("effect/Scope").Scope>
) => it.scopedLive(name, () => Effect.provide(body, NodeContext.layer))

describe("driver policy check", () => {
  scoped(
    "names the rule that decides, and why, with the analysis",
    Effect.gen(function* () {
      const { policy } = yield* world()
      const said = yield* policy("check", "Bash", '{"command": "fetches evil.example.net x"}')
      assert.strictEqual(said.code, 0)
      assert.match(said.stdout, /^✗ deny\n/)
      assert.match(said.stdout, /rule +"network", of the preset default/)
      assert.match(said.stdout, /reasons +network: It sends to evil\.example\.net\./)
      assert.match(said.stdout, /hosts +evil\.example\.net/)
      assert.match(
        said.stdout,
        /told +This call was denied: It sends to evil\.example\.net\. The network may not be used/
      )
      const own = yield* policy("check", "--policy", "policy.yaml", "Bash", '{"command": "fetches docs.example.com x"}')
      assert.match(own.stdout, /^✓ allow\n +rule +docs, of the rules that are configured\n/)
    })
  )

  scoped(
    "follows the links of the workspace that is named, and prints JSON",
    Effect.gen(function* () {
      const { policy, root } = yield* world({ "tree/a": "", other: "" })
      const fs = yield* Effect.promise(() => import("node:fs/promises"))
      yield* Effect.promise(() => fs.symlink("../other", `${root}/tree/link`))
      const said = yield* policy("check", "--json", "--cwd", "tree", "Read", '{"file_path": "link"}')
      const value = JSON.parse(said.stdout)
      assert.deepInclude(value, { verdict: "deny", source: "preset", rule: "outside", preset: "default" })
      assert.deepStrictEqual(value.analysis.paths, [
        { path: "link", access: "read", where: "outside", real: `${root}/other` }
      ])
    })
  )

  scoped(
    "takes commands of criteria, and a preset instead of the configured one",
    Effect.gen(function* () {
      const { policy } = yield* world({ "driver.yaml": "permission: { preset: strict }" })
      const verdict = (...args: ReadonlyArray<string>) =>
        Effect.map(policy("check", "--json", ...args), ({ stdout }) => JSON.parse(stdout).verdict)
      const reads = '{"command": "reads a b"}'
      assert.strictEqual(yield* verdict("Bash", reads), "deny")
      assert.strictEqual(yield* verdict("--preset", "default", "Bash", reads), "allow")
      assert.strictEqual(yield* verdict("--criterion", "reads a b", "Bash", reads), "allow")
    })
  )

  scoped(
    "says what is wrong with the arguments and with a policy file, all of it, and where",
    Effect.gen(function* () {
      const { policy } = yield* world({
        "bad.yaml": "presets: open\nrules:\n  - { verdict: alow, tool: Bash }\n  - { verdict: deny, hots: x }\n"
      })
      const input = yield* policy("check", "Bash", "npm test")
      assert.strictEqual(input.code, 2)
      assert.match(input.stderr, /<json> is no JSON object: .*"command"/)
      const file = yield* policy("check", "--policy", "bad.yaml", "Bash", "{}")
      assert.strictEqual(file.code, 2)
      assert.match(file.stderr, /bad\.yaml:1:1: presets is not a known key; did you mean preset\?/)
      assert.match(file.stderr, /bad\.yaml:3:\d+: rules\[0\]\.verdict: .*"alow"; did you mean allow\?/)
      assert.match(file.stderr, /bad\.yaml:4:\d+: rules\[1\]\.hots is not a known key; did you mean host\?/)
    })
  )
})

describe("driver policy test", () => {
  scoped(
    "runs the cases of a policy file",
    Effect.gen(function* () {
      const { policy } = yield* world()
      assert.deepStrictEqual(yield* policy("test", "policy.yaml"), {
        code: 0,
        stdout: "✓ 5 cases as expected\n",
        stderr: ""
      })
    })
  )

  scoped(
    "prints the cases that do not hold, and ends with 1",
    Effect.gen(function* () {
      const { policy } = yield* world({
        "cases.json": JSON.stringify({
          cases: [
            { name: "docs", tool: "Bash", input: { command: "fetches docs.example.com x" }, verdict: "allow" },
            { tool: "Bash", input: { command: "fetches evil.example.net x" }, verdict: "deny", rule: "outside" },
            { tool: "Read", input: { file_path: "a" }, verdict: "allow" }
          ]
        })
      })
      const said = yield* policy("test", "cases.json")
      assert.strictEqual(said.code, 1)
      assert.deepStrictEqual(said.stdout.split("\n"), [
        "✗ cases[0] (docs): expected allow, got deny (network: deny reason network (dangerous: It sends to docs.example.com.))",
        "✗ cases[1] (Bash fetches evil.example.net x): expected outside to decide, but it was network (network: deny reason network (dangerous: It sends to evil.example.net.))",
        "2 of 3 cases not as expected",
        ""
      ])
      // Against another policy.
      assert.strictEqual((yield* policy("test", "--json", "--policy", "policy.yaml", "cases.json")).code, 1)
      const { stdout } = yield* policy("test", "--json", "--policy", "policy.yaml", "cases.json")
      assert.deepStrictEqual(
        JSON.parse(stdout).results.map((it: { failure: string | null }) => it.failure === null),
        [true, false, true]
      )
      const none = yield* policy("test", "none.yaml")
      assert.strictEqual(none.code, 2)
    })
  )
})

describe("driver policy show", () => {
  scoped(
    "prints what is in force as a policy file, and presets as rules that can be taken over",
    Effect.gen(function* () {
      const { policy } = yield* world({
        "driver.yaml": "permission: { policy: policy.yaml, rules: [{ verdict: ask, program: npm }] }"
      })
      const { stdout } = yield* policy("show")
      const shown = Either.getOrThrow(decodePolicy(parse(stdout)))
      assert.deepStrictEqual(shown.preset, "strict")
      assert.deepStrictEqual(
        shown.rules?.map(({ verdict }) => verdict),
        ["ask", "allow", "deny"]
      )
      for (const name of ["strict", "default", "open"] as const) {
        const text = (yield* policy("show", name)).stdout
        const taken = text.replace(/^# (?! |The |Its )/gm, "").replace(/^# {2}/gm, "  ")
        const own = Either.getOrThrow(decodePolicy(parse(taken)))
        assert.deepStrictEqual(own.rules, presets[name])
        const json = JSON.parse((yield* policy("show", "--json", name)).stdout)
        assert.deepStrictEqual(json.preset_rules, presets[name])
      }
    })
  )
})

describe("driver policy diff", () => {
  scoped(
    "lists the decisions of an events file that would be others, with both reasons",
    Effect.gen(function* () {
      const { policy, root } = yield* world({ "tree/a": "", "outside/file": "" })
      const fs = yield* Effect.promise(() => import("node:fs/promises"))
      yield* Effect.promise(() => fs.symlink("../outside", `${root}/tree/link`))
      const lines = recorded(`${root}/tree`).map(lineOf)
      const torn = [...lines.slice(0, 3), '{"goal_id":"decision', "", "null", ...lines.slice(3)].join("\n")
      yield* Effect.promise(() => fs.writeFile(`${root}/events.jsonl`, torn))
      const args = ["diff", "--against", "events.jsonl", "--policy", "policy.yaml"]
      const said = yield* policy(...args, "--cwd", "tree")
      assert.strictEqual(said.code, 0)
      assert.deepStrictEqual(said.stdout.split("\n"), [
        "turn 1  allow → deny  Read  vault/a",
        "  was  read in the workspace: it lies there",
        "  now  rule 2: deny vault/**",
        "turn 2  deny → allow  Bash  fetches docs.example.com x",
        "  was  command: it is not known",
        "  now  docs: allow Bash host docs.example.com (dangerous: It sends to docs.example.com.)",
        "turn 6  allow → deny  Read  link/file",
        "  was  read in the workspace: it lies there",
        '  now  outside the workspace: "link/file" leads out of the workspace',
        "6 decisions again with 2 rules and the preset strict: 3 would be another one; 2 were not made by a policy",
        ""
      ])
      const gone = yield* policy(...args, "--cwd", "gone", "--exit-code", "--json")
      assert.strictEqual(gone.code, 1)
      const printed = gone.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
      // No link is followed in a workspace that is gone; and where it was is not where these paths are.
      assert.deepStrictEqual(
        printed.slice(0, -1).map(({ now, turn, was }) => [turn, was, now]),
        [
          [1, "allow", "deny"],
          [2, "deny", "allow"],
          [4, "allow", "deny"]
        ]
      )
      assert.deepStrictEqual(printed.at(-1), { decisions: 6, skipped: 2, flips: 3, links: "text" })
    })
  )

  scoped(
    "takes a goal's decisions from the store, by the beginning of its id",
    Effect.gen(function* () {
      const { root } = yield* world({ "tree/a": "" })
      const context = yield* Layer.build(Layer.merge(DecisionStore.layerMemory, BindingStore.layerMemory()))
      yield* Effect.forEach(recorded(`${root}/tree`), (it) => Context.get(context, DecisionStore).record(it))
      yield* Context.get(context, BindingStore).upsert({
        goalId,
        sessionId: SessionId.make("s"),
        model: Option.none(),
        workspace: `${root}/tree`,
        originChannel: Option.none(),
        dispatcher: Option.none()
      })
      const diff = (...args: ReadonlyArray<string>) =>
        runCli(
          ["policy", "diff", ...args],
          { directory: root, environment: { XDG_STATE_HOME: `${root}/state` } },
          { analyzer: () => analyzer, decisions: () => Layer.succeedContext(context) }
        )
      const said = yield* diff("--against", "7c9e", "--preset", "default", "--exit-code")
      assert.strictEqual(said.code, 1)
      assert.match(said.stdout, /^turn 8 {2}deny → allow {2}Bash {2}reads a$/m)
      assert.match(said.stdout, /6 decisions again with the preset default: 1 would be another one/)
      const same = yield* diff("--against", "7c9e", "--preset", "strict", "--exit-code")
      assert.deepStrictEqual([same.code, same.stderr], [0, ""])
      const none = yield* diff("--against", "beef")
      assert.strictEqual(none.code, 2)
      assert.match(none.stderr, /no goal whose id begins with "beef"/)
    })
  )
})
