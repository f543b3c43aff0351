/** `driver ask` as people run it: the bundle, real git, SQLite, the stand-in agent, and a model that plays a script. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { IntentResponse, type Plan, type TaskResult } from "@driver/intent/IntentResponse"
import { assert, describe, it } from "@effect/vitest"
import { Option, Schema } from "effect"
import type { TestContext } from "vitest"
import { type Ended, makeWorld, writeHello } from "./support/process.js"

const scripted = `agent: { kind: stub, scenario: scenario.json }
model: { provider: scripted, script: answers.json, prices: { input: 1, output: 2 } }
`

const assess = (changes: Record<string, unknown>) => ({
  ask: "assess",
  answer: { kind: "task", reply: null, questions: null, scope: "substantial", follow_up: null, ...changes }
})

const criterion = (changes: Record<string, unknown>) => ({
  kind: "command",
  statement: "There is a greeting in hello.txt.",
  command: "test -s hello.txt",
  expected_exit: null,
  stdout_must_match: null,
  path: null,
  regex: null,
  guard: false,
  ...changes
})

const crystallize = (changes: Record<string, unknown> = {}) => ({
  ask: "crystallize",
  answer: {
    goal: "Write a greeting into hello.txt.",
    constraints: ["Change nothing else."],
    acceptance_criteria: [criterion({})],
    output_schema: null,
    assumptions: [],
    ...changes
  }
})

const review = (changes: Record<string, unknown> = {}) => ({
  ask: "review",
  answer: {
    passed: true,
    score: 1,
    criteria: [{ criterion: 0, met: true, evidence: "Hello, world" }],
    notes: [],
    gaps: [],
    ...changes
  }
})

const makeAskWorld = (context: TestContext, answers: ReadonlyArray<unknown> = []) => {
  const world = makeWorld(context)
  world.write("driver.yaml", scripted)
  world.write("answers.json", JSON.stringify(answers))
  world.scenario({ turns: [{ steps: [writeHello] }] })
  return { ...world, answers: (next: ReadonlyArray<unknown>) => world.write("answers.json", JSON.stringify(next)) }
}

const responseOf = <T extends IntentResponse["_tag"]>(
  { stderr, stdout }: Ended,
  tag: T
): Extract<IntentResponse, { readonly _tag: T }> => {
  const response = Schema.decodeUnknownSync(Schema.parseJson(IntentResponse))(stdout)
  if (response._tag !== tag) throw new Error(`expected ${tag}, got ${stdout}\n${stderr}`)
  return response as Extract<IntentResponse, { readonly _tag: T }>
}

const sessionOf = ({ stderr }: Ended): string => {
  const session = /^session (\S+)$/m.exec(stderr)?.[1]
  if (session === undefined) throw new Error(`no session in:\n${stderr}`)
  return session
}

describe.concurrent("driver ask", () => {
  it("replies, and runs nothing", async (context) => {
    const world = makeAskWorld(context, [assess({ kind: "conversation", scope: null, reply: "Gern: 你好 👋" })])
    const ended = await world.driver(["ask", "wie sagt man hallo?"])
    assert.deepStrictEqual([ended.code, ended.stdout], [0, "Gern: 你好 👋\n"], ended.stderr)
    const json = responseOf(await world.driver(["ask", "wie sagt man hallo?", "--json"]), "Reply")
    assert.strictEqual(json.text, "Gern: 你好 👋")
    assert.isTrue(json.cost.complete)
    assert.isAbove(json.cost.knownCostUsd, 0)
  })

  it("does what is trivial as it was said, without review", async (context) => {
    const world = makeAskWorld(context, [assess({ scope: "trivial" })])
    const ended = await world.driver(["ask", "write hello.txt", "--json"])
    const result: TaskResult = responseOf(ended, "TaskResult")
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepStrictEqual([result.scope, result.directive.goal], ["trivial", "write hello.txt"])
    assert.isTrue(Option.isNone(result.verdict))
    const branch = Option.getOrThrow(result.result.outcome.branch)
    assert.strictEqual(world.git("show", `${branch}:hello.txt`), "Hello, world\n")
    assert.deepStrictEqual(world.processes(), [])
  })

  it("shows what is substantial before it runs it, then runs and reviews it", async (context) => {
    const world = makeAskWorld(context, [assess({}), crystallize(), review()])
    const planned = await world.driver(["ask", "I want a greeting"])
    assert.strictEqual(planned.code, 3, planned.stdout + planned.stderr)
    assert.match(planned.stdout, /Write a greeting into hello\.txt[\s\S]*Change nothing else[\s\S]*test -s hello\.txt/)
    assert.strictEqual(world.git("branch", "--list", "driver/*"), "")
    const ended = await world.driver(["ask", "--session", sessionOf(planned), "--yes"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    assert.match(ended.stdout, /review passed, score 1\.00 \(mechanical and semantic\)[\s\S]*\naccepted\ncost /)
    assert.deepStrictEqual(world.processes(), [])
  })

  it("writes a goal file that `driver lint` passes and `driver run` takes", async (context) => {
    const world = makeAskWorld(context, [
      assess({}),
      crystallize({ assumptions: [{ subject: "The language?", assumed: "English" }] })
    ])
    const ended = await world.driver(["ask", "I want a greeting", "--plan", "--out", "plan.yaml"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    const text = readFileSync(join(world.repository, "plan.yaml"), "utf8")
    assert.match(text, /^# substantial: Write a greeting[\s\S]*# +The language\?: English/m)
    const linted = await world.driver(["lint", "plan.yaml", "--strict"])
    assert.strictEqual(linted.code, 0, linted.stdout + linted.stderr)
    const run = await world.driver(["run", "plan.yaml", "--json"])
    assert.strictEqual(run.code, 0, run.stderr)
    const again = await world.driver(["ask", "I want a greeting", "--plan", "--out", "plan.yaml"])
    assert.strictEqual(again.code, 2)
    assert.match(again.stderr, /plan\.yaml.*there already/)
  })

  it("prints its questions and ends with 3; an answer in the session goes on", async (context) => {
    const question = {
      id: "name",
      text: "Wen grüßen?",
      type: "single_choice",
      options: [
        { value: "world", label: "die Welt" },
        { value: "ada", label: "Ada" }
      ]
    }
    const world = makeAskWorld(context, [
      { ...assess({ scope: "trivial", follow_up: "answer" }), when: "world" },
      assess({ kind: "clarify", scope: null, questions: [question] })
    ])
    const asked = await world.driver(["ask", "grüße jemanden"])
    assert.strictEqual(asked.code, 3, asked.stderr)
    const { questions, sessionId } = responseOf(asked, "ClarifyResponse")
    assert.deepStrictEqual(
      questions.map(({ id, kind, options }) => [id, kind, options.map(({ value }) => value)]),
      [["name", "single_choice", ["world", "ada"]]]
    )
    assert.match(asked.stderr, /Wen grüßen\?[\s\S]*die Welt[\s\S]*--answer name=/)
    const repeated = await world.driver(["ask", "--session", sessionId])
    assert.deepStrictEqual([repeated.code, repeated.stdout], [3, asked.stdout], repeated.stderr)
    const wrong = await world.driver(["ask", "-s", sessionId, "--answer", "name=bob"])
    assert.strictEqual(wrong.code, 2)
    assert.match(wrong.stderr, /name.*expected "world", "ada"/)
    const ended = await world.driver(["ask", "-s", sessionId, "--answer", "name=world", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const result = responseOf(ended, "TaskResult")
    assert.match(result.directive.originalRequest, /^grüße jemanden[\s\S]*Wen grüßen\? (die Welt|world)/)
  })

  it("assumes what nobody can be asked, and says so", async (context) => {
    const question = { id: "name", text: "Whom?", type: "free_text", options: [] }
    const world = makeAskWorld(context, [
      assess({ kind: "clarify", scope: null, questions: [question] }),
      crystallize({ assumptions: [{ subject: "Whom?", assumed: "the world" }] }),
      review()
    ])
    const ended = await world.driver(["ask", "greet", "--assume", "--yes"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    assert.strictEqual(ended.stdout.match(/assumed, because nobody could be asked:\n {2}Whom\?: the world/g)?.length, 2)
  })

  it("runs once more with the gaps, and gives the better result with its own verdict", async (context) => {
    const lacking = { passed: false, score: 0.4, gaps: ["The greeting names nobody."] }
    const world = makeAskWorld(context, [
      assess({}),
      crystallize(),
      { ...review(lacking), times: 1 },
      review({ score: 0.9 })
    ])
    const append = { tool: "Bash", input: { command: 'echo "Hello, world" >> hello.txt' } }
    world.scenario({ record: join(world.directory, "record.jsonl"), turns: [{ steps: [append] }] })
    const ended = await world.driver(["ask", "I want a greeting", "--yes", "--json"])
    const result = responseOf(ended, "TaskResult")
    assert.deepStrictEqual([ended.code, result.runs], [0, 2], ended.stderr)
    assert.strictEqual(Option.getOrThrow(result.verdict).score, 0.9)
    assert.strictEqual(result.cost.runs.length, 2)
    // The second run went on from the first one's work, and was told what is missing.
    const branch = Option.getOrThrow(result.result.outcome.branch)
    assert.strictEqual(world.git("show", `${branch}:hello.txt`), "Hello, world\nHello, world\n")
    assert.include(readFileSync(join(world.directory, "record.jsonl"), "utf8"), "The greeting names nobody.")
  })

  it("ends with 1 when the review does not pass", async (context) => {
    const world = makeAskWorld(context, [
      assess({}),
      crystallize(),
      review({ passed: false, score: 0.1, gaps: ["no"] })
    ])
    world.scenario({ turns: [{ steps: [writeHello] }, { steps: [writeHello] }] })
    const ended = await world.driver(["ask", "I want a greeting", "--yes"])
    assert.strictEqual(ended.code, 1, ended.stdout + ended.stderr)
    assert.match(ended.stdout, /review not passed[\s\S]*missing: no[\s\S]*not accepted/)
  })

  it("takes no criterion that holds already: it goes back once with the complaint", async (context) => {
    const world = makeAskWorld(context, [
      assess({}),
      { ...crystallize({ acceptance_criteria: [criterion({ command: "test -s README.md" })] }), times: 1 },
      { ...crystallize(), when: "holds on the base already" }
    ])
    const ended = await world.driver(["ask", "I want a greeting", "--plan", "--json"])
    const plan: Plan = responseOf(ended, "Plan")
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepStrictEqual(
      plan.goal.acceptance.map((it) => it._tag === "Shell" && it.command),
      ["test -s hello.txt"]
    )
    assert.strictEqual(world.git("worktree", "list").trim().split("\n").length, 1)
  })

  it("works without a model, and says what it does without", async (context) => {
    const world = makeAskWorld(context)
    world.write("driver.yaml", "agent: { kind: stub, scenario: scenario.json }\n")
    const planned = await world.driver(["ask", "write hello.txt"])
    assert.strictEqual(planned.code, 3, planned.stdout + planned.stderr)
    assert.match(planned.stdout, /degraded \(assess\): .*no language model is configured/)
    const ended = await world.driver(["ask", "-s", sessionOf(planned), "--yes", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.isNotEmpty(responseOf(ended, "TaskResult").degradations)
  })

  it("ends with 2 and a sentence on bad input", async (context) => {
    const world = makeAskWorld(context)
    for (const [args, why] of [
      [["ask"], /Say what you want/],
      [["ask", "   "], /empty/],
      [["ask", "x", "--answer", "y"], /question=value/],
      [["ask", "x", "--answer", "y=z"], /no question is open/],
      [["ask", "x", "--mount", "nowhere"], /no mount "nowhere"/],
      [["ask", "x", "--project", "nothing"], /no project "nothing"/],
      [["ask", "--session", "unknown"], /nothing to go on with/i]
    ] as const) {
      const ended = await world.driver([...args])
      assert.deepStrictEqual([ended.code, ended.stdout], [2, ""], args.join(" "))
      assert.match(ended.stderr, why)
    }
    world.write("driver.yaml", "model: { provider: scripted }\n")
    const unscripted = await world.driver(["ask", "x"])
    assert.strictEqual(unscripted.code, 2)
    assert.match(unscripted.stderr, /model\.script/)
  })

  it("goes on after kill -9 in the middle of a phase, and asks nothing again", async (context) => {
    const world = makeAskWorld(context, [assess({}), { ask: "crystallize", hang: true }])
    const first = world.start(["ask", "I want a greeting", "--yes", "--session", "s1"])
    let said = ""
    first.child.stderr?.on("data", (text: string) => {
      said += text
    })
    await world.until("the directive to be written", () => said.includes("writing the directive"))
    first.child.kill("SIGKILL")
    await first.ended
    // No answer to what was asked before.
    world.answers([crystallize(), review()])
    const ended = await world.driver(["ask", "--session", "s1", "--yes", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const steps = responseOf(ended, "TaskResult").cost.modelCalls.map(({ step }) => step)
    assert.deepStrictEqual(steps, ["assess", "crystallize", "review"])
  })

  it("goes on after kill -9 in the middle of a run, with the same goal", async (context) => {
    const world = makeAskWorld(context, [assess({}), crystallize(), review()])
    const draft = { tool: "Write", input: { file_path: "draft.txt", content: "work\n" } }
    world.scenario({ turns: [{ steps: [draft, { say: "I wait" }, { hang: "forever" }] }, { steps: [writeHello] }] })
    const events = join(world.repository, "events.jsonl")
    const first = world.start(["ask", "I want a greeting", "--yes", "--session", "s1", "--events", "events.jsonl"])
    await world.until("the agent's first words", () =>
      world.events(events).some(({ event }) => event._tag === "AgentActivity" && event.activity === "said")
    )
    first.child.kill("SIGKILL")
    await first.ended
    world.answers([review()])
    const ended = await world.driver(["ask", "--session", "s1", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { result } = responseOf(ended, "TaskResult")
    assert.strictEqual(result.outcome.goalId, world.events(events)[0]?.goalId)
    assert.strictEqual(world.git("show", `${Option.getOrThrow(result.outcome.branch)}:draft.txt`), "work\n")
    await world.until("everybody to be gone", () => world.processes().length === 0)
  })

  it("ends with 130 on Ctrl-C, and the session goes on", async (context) => {
    const world = makeAskWorld(context, [assess({ scope: "trivial" })])
    world.scenario({ turns: [{ steps: [{ say: "I wait" }, { hang: "forever" }] }, { steps: [writeHello] }] })
    const events = join(world.repository, "events.jsonl")
    const first = world.start(["ask", "write hello.txt", "--session", "s1", "--events", "events.jsonl"])
    await world.until("the agent's first words", () =>
      world.events(events).some(({ event }) => event._tag === "AgentActivity" && event.activity === "said")
    )
    first.child.kill("SIGINT")
    const stopped = await first.ended
    assert.strictEqual(stopped.code, 130)
    assert.match(stopped.stderr, /driver ask --session s1/)
    assert.deepStrictEqual(world.processes(), [])
    const ended = await world.driver(["ask", "--session", "s1"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
  })

  it("delivers work that was reviewed, and none that was not", async (context) => {
    const world = makeAskWorld(context, [
      assess({}),
      crystallize(),
      { ...review({ passed: false, gaps: ["no"] }), times: 2 },
      review()
    ])
    world.write("driver.yaml", `${scripted}deliver: { mode: patch, target: work.patch }\nintent: { max_retries: 1 }\n`)
    world.scenario({ turns: [{ steps: [writeHello] }, { steps: [writeHello] }] })
    const refused = await world.driver(["ask", "I want a greeting", "--yes"])
    assert.strictEqual(refused.code, 1, refused.stdout + refused.stderr)
    assert.isFalse(existsSync(join(world.repository, "work.patch")))
    world.answers([assess({}), crystallize(), review()])
    const ended = await world.driver(["ask", "I want a greeting", "--yes"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    assert.match(readFileSync(join(world.repository, "work.patch"), "utf8"), /\+Hello, world/)
  })
})

describe.concurrent("driver ask, in parts", () => {
  const part = (id: string, number: number, changes: Record<string, unknown> = {}) => ({
    id,
    description: `Do ${id}`,
    role: "worker",
    capability: null,
    depends_on: [],
    criteria: [number],
    ...changes
  })
  const inTwo = crystallize({ acceptance_criteria: [criterion({}), criterion({ command: "grep -q Hello hello.txt" })] })

  it("runs them side by side, does here what a remote agent does not answer to, and reviews the whole", async (context) => {
    const world = makeAskWorld(context, [
      assess({}),
      inTwo,
      { ask: "delegation_plan", answer: { parts: [part("a", 0), part("b", 1, { capability: "check" })] } },
      review()
    ])
    world.write(
      "driver.yaml",
      `${scripted}intent: { divide_from: 2, remote_agents: [{ name: rita, url: "http://127.0.0.1:1/", capabilities: [check] }] }\n`
    )
    const ended = await world.driver(["ask", "I want a greeting", "--yes", "--events", "events.jsonl"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    assert.match(ended.stdout, /✓ part a \(worker\) done\n.*✓ part b \(worker, check\) done here, because .*rita/)
    const events = world.events(join(world.repository, "events.jsonl"))
    assert.strictEqual(new Set(events.map(({ goalId }) => goalId)).size, 3)
    assert.deepStrictEqual(world.processes(), [])
  })

  it("reports a part that failed, and puts nothing together", async (context) => {
    const world = makeAskWorld(context, [
      assess({}),
      crystallize({ acceptance_criteria: [criterion({}), criterion({ command: "test -s missing.txt" })] }),
      {
        ask: "delegation_plan",
        answer: { parts: [part("a", 0), part("b", 1), part("c", 0, { depends_on: ["b"], criteria: [] })] }
      },
      review()
    ])
    world.write("driver.yaml", `${scripted}intent: { divide_from: 2, max_retries: 0 }\nbudget: { max_turns: 1 }\n`)
    const ended = await world.driver(["ask", "I want a greeting", "--yes"])
    assert.strictEqual(ended.code, 1, ended.stdout + ended.stderr)
    assert.match(
      ended.stdout,
      /2 of 3 parts failed[\s\S]*✓ part a .*done\n.*✗ part b .*failed.*\n.*✗ part c .*skipped.*b failed/
    )
  })
})

describe.concurrent("driver mount, driver project", () => {
  it("are added, listed, spoken of and removed", async (context) => {
    const world = makeAskWorld(context, [assess({ scope: "trivial" })])
    const other = join(world.directory, "Lädchen 商店")
    world.git("clone", "-q", ".", other)
    const added = await world.driver(["mount", "add", other])
    assert.deepStrictEqual([added.code, added.stdout], [0, `Added: Lädchen 商店 is ${other}\n`], added.stderr)
    assert.strictEqual((await world.driver(["mount", "add", ".", "--name", "here"])).code, 0)
    const taken = await world.driver(["mount", "add", ".", "--name", "HERE"])
    assert.strictEqual(taken.code, 2)
    assert.match(taken.stderr, /HERE/)
    assert.strictEqual((await world.driver(["mount", "add", "nowhere"])).code, 2)
    const project = ["project", "add", "shop", "--mount", "lädchen 商店", "--instructions", "Be kind."]
    assert.strictEqual((await world.driver(project)).code, 0)
    assert.match((await world.driver(["project", "list"])).stdout, /shop +Lädchen 商店 +Be kind\./)
    const ended = await world.driver(["ask", "write hello.txt into the shop", "--json"])
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    const { env, result } = responseOf(ended, "TaskResult")
    assert.deepStrictEqual(env.paths, [other])
    assert.match(env.workspaceContext, /Be kind\./)
    const branch = Option.getOrThrow(result.outcome.branch)
    assert.match(world.git("-C", other, "branch", "--list", branch), new RegExp(branch))
    assert.strictEqual(world.git("branch", "--list", branch), "")
    const listed = await world.driver(["mount", "list", "--json"])
    const mounts: ReadonlyArray<{ readonly name: string; readonly last_used_at?: string }> = JSON.parse(listed.stdout)
    assert.deepStrictEqual(
      mounts.map(({ last_used_at, name }) => [name, last_used_at !== undefined]),
      [
        ["here", false],
        ["Lädchen 商店", true]
      ]
    )
    assert.strictEqual((await world.driver(["mount", "remove", "LÄDCHEN 商店"])).code, 0)
    assert.strictEqual((await world.driver(["project", "remove", "shop"])).code, 0)
    assert.match((await world.driver(["project", "list"])).stdout, /no projects/)
  })
})
