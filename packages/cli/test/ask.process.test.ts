/** `driver ask` as people run it: the bundle, real git, SQLite, the stand-in agent, and a model that plays a script. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import type { Plan, TaskResult } from "@driver/intent/IntentResponse"
import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import {
  assess,
  columnIn,
  criterion,
  crystallize,
  makeAskWorld,
  responseOf,
  review,
  scripted,
  sessionOf
} from "./support/ask.js"
import { writeHello } from "./support/process.js"

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

  it("says only what it does: a trivial task has no directive to write and no criteria to try", async (context) => {
    const world = makeAskWorld(context, [assess({ scope: "trivial" })])
    const ended = await world.driver(["ask", "write hello.txt", "--plan", "--session", "s1"])
    assert.strictEqual(ended.stderr, "reading the message …\n")
  })

  it("gives its last answer again when nothing waits in the session, and does nothing again", async (context) => {
    const world = makeAskWorld(context, [assess({}), crystallize(), review()])
    world.write("driver.yaml", `${scripted}deliver: { mode: patch, target: work.patch }\n`)
    const common = ["--session", "s1", "--yes", "--json", "--events", "events.jsonl"]
    const first = await world.driver(["ask", "I want a greeting", ...common])
    world.answers([])
    const events = world.events(join(world.repository, "events.jsonl")).length
    const again = await world.driver(["ask", ...common])
    assert.deepStrictEqual([again.code, again.stdout], [0, first.stdout], again.stderr)
    assert.strictEqual(world.events(join(world.repository, "events.jsonl")).length, events)
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
      [["ask", "x", "--out", "plan.yaml"], /--out .*--plan/],
      [["ask", "x", "--session", "s 1"], /"s 1" cannot be a session/],
      [["ask", "x", "--session", "s".repeat(101)], /cannot be a session/],
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

describe.concurrent("driver ask, with secrets", () => {
  it("gives them neither to models, to the agent nor to the database, wherever they are said or written", async (context) => {
    const secret = "correct-horse-battery-staple"
    const question = { id: "name", text: "Whom?", type: "free_text", options: [] }
    const world = makeAskWorld(context, [
      // Whoever is shown it has no answer for it.
      { when: secret, answer: "I have seen it" },
      { ...assess({ follow_up: "answer" }), when: "name: " },
      assess({ kind: "clarify", scope: null, questions: [question] }),
      crystallize(),
      review()
    ])
    world.write("driver.yaml", `${scripted}store: { sqlite: driver.sqlite }\n`)
    world.scenario({
      record: "prompts.jsonl",
      turns: [
        {
          steps: [
            writeHello,
            { tool: "Write", input: { file_path: "key.txt", content: `${secret}\n` } },
            { say: `It is ${secret}` }
          ]
        }
      ]
    })
    const env = { MY_PASSWORD: secret }
    const common = ["--session", "s1", "--yes", "--json"]
    assert.strictEqual((await world.driver(["ask", `greet ${secret}`, ...common], env)).code, 3)
    const ended = await world.driver(["ask", ...common, "--answer", `name=${secret}`], env)
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepStrictEqual(responseOf(ended, "TaskResult").degradations, [])
    assert.include(ended.stdout, "key.txt")
    assert.notInclude(ended.stdout + ended.stderr, secret)
    assert.notInclude(readFileSync(join(world.repository, "prompts.jsonl"), "utf8"), secret)
    for (const name of ["driver.sqlite", "driver.sqlite-wal"]) {
      const file = join(world.repository, name)
      if (existsSync(file)) assert.isFalse(readFileSync(file).includes(secret), name)
    }
  })
})

describe.concurrent("driver ask, what it costs", () => {
  it("counts judgements of criteria and of calls among what the run cost", async (context) => {
    const judged = { kind: "judged", statement: "It is friendly.", command: null, expected_exit: null }
    const world = makeAskWorld(context, [
      assess({}),
      crystallize({ acceptance_criteria: [criterion({}), criterion(judged)] }),
      { ask: "judgement", when: "tool call|permission", answer: { verdict: "allow", reason: "Fine.", message: "" } },
      { ask: "judgement", answer: "It is friendly.", times: 1 },
      { ask: "judgement", answer: { passed: true, reason: "It says hello." } },
      review({
        criteria: [
          { criterion: 0, met: true, evidence: "Hello, world" },
          { criterion: 1, met: true, evidence: "Hello, world" }
        ]
      })
    ])
    world.write(
      "driver.yaml",
      `${scripted}permission: { rules: [{ verdict: llm, tool: Write, path: "*.txt" }] }\nsandbox: { mode: "off" }\nstore: { sqlite: driver.sqlite }\n`
    )
    // The agent itself is free: what the run costs is what the model cost.
    world.scenario({ turns: [{ cost_usd: 0, usage: { input: 0, output: 0 }, steps: [writeHello] }] })
    const ended = await world.driver(["ask", "I want a greeting", "--yes", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { cost, result } = responseOf(ended, "TaskResult")
    const asked = cost.modelCalls.reduce((sum, call) => sum + Option.getOrThrow(call.costUsd), 0)
    const [run] = cost.runs
    assert.isTrue(cost.complete)
    assert.isAbove(result.outcome.usage.costUsd, 0)
    assert.strictEqual(run?.costUsd, result.outcome.usage.costUsd)
    assert.closeTo(cost.knownCostUsd, asked + result.outcome.usage.costUsd, 1e-9)
    const charged = columnIn(
      join(world.repository, "driver.sqlite"),
      "SELECT json_extract(entry, '$.by') AS it FROM driver_journal WHERE kind = 'model_charged' ORDER BY sequence"
    )
    // One call, and one criterion that was asked about twice.
    assert.deepStrictEqual(charged, ["gate", "judge", "judge"])
  })

  it("asks the agent's own program where that is the model, and knows what it cost", async (context) => {
    const world = makeAskWorld(context)
    const says = (when: string, answer: { readonly answer: unknown }) => ({
      when,
      cost_usd: 0.25,
      steps: [{ say: `Here you are:\n${JSON.stringify(answer.answer)}` }]
    })
    world.scenario({
      turns: [{ cost_usd: 1, steps: [writeHello] }],
      questions: [
        says("You receive messages", assess({})),
        says(
          "You turn a request",
          crystallize({ acceptance_criteria: [criterion({}), criterion({ kind: "judged" })] })
        ),
        says("You judge whether", { answer: { passed: true, reason: "It says hello." } }),
        says(
          "You review the work",
          review({ criteria: [0, 1].map((it) => ({ criterion: it, met: true, evidence: "Hello, world" })) })
        )
      ]
    })
    // Nothing is there yet of the state directory, where the program runs.
    world.write(
      "driver.yaml",
      "agent: { kind: stub, scenario: scenario.json }\nmodel: { provider: agent }\nstore: { sqlite: driver.sqlite }\n"
    )
    const ended = await world.driver(["ask", "I want a greeting", "--yes", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr + ended.stdout)
    const { cost, degradations } = responseOf(ended, "TaskResult")
    assert.deepStrictEqual(degradations, [])
    assert.deepStrictEqual(
      cost.modelCalls.map(({ costUsd, step }) => [step, Option.getOrNull(costUsd)]),
      [
        ["assess", 0.25],
        ["crystallize", 0.25],
        ["review", 0.25]
      ]
    )
    // The agent's turn and the judgement.
    assert.deepStrictEqual(
      [cost.runs.map(({ costUsd }) => costUsd), cost.knownCostUsd, cost.complete],
      [[1.25], 2, true]
    )
    assert.deepStrictEqual(world.processes(), [])
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

  it("gives a part to a remote agent that offers what it needs, with its token and without secrets", async (context) => {
    const got: Array<{ readonly token: string | undefined; readonly body: string }> = []
    const server = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text
      })
      request.on("end", () => {
        got.push({ token: request.headers.authorization, body })
        response.writeHead(200, { "content-type": "application/json" }).end('{"success":true,"output":"checked"}')
      })
    })
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    context.onTestFinished(() => {
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const world = makeAskWorld(context, [
      assess({}),
      inTwo,
      { ask: "delegation_plan", answer: { parts: [part("a", 0), part("b", 1, { capability: "check" })] } },
      review()
    ])
    world.write(
      "driver.yaml",
      `${scripted}intent: { divide_from: 2, remote_agents: [{ name: rita, url: "http://127.0.0.1:${port}/", capabilities: [check], token_env: RITA }] }\n`
    )
    const env = { RITA: "ritas-own-token", API_TOKEN: "hello-secret-0123" }
    const ended = await world.driver(["ask", "I want a greeting, not hello-secret-0123", "--yes"], env)
    assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
    assert.match(ended.stdout, /✓ part b \(worker, check\) done by rita/)
    // What it says is a claim: the whole is held to its criteria and reviewed here.
    assert.match(ended.stdout, /review passed/)
    assert.match(ended.stdout, /cost at least/)
    assert.deepStrictEqual(
      got.map(({ token }) => token),
      ["Bearer ritas-own-token"]
    )
    assert.include(got[0]?.body, "I want a greeting")
    assert.notInclude(got[0]?.body, "hello-secret-0123")
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

describe.concurrent("driver ask, with agents that take over", () => {
  const others = (...agents: ReadonlyArray<string>) =>
    `${scripted}intent: { max_retries: 0, other_agents: [${agents.join(", ")}] }\n`
  const failing = (error: Record<string, unknown>) => ({ turns: [{ error }, { error }, { error }] })

  for (const [name, error] of [
    ["has no credit", { class: "billing_error" }],
    ["is not logged in", { class: "authentication_failed" }],
    ["does not have the model", { class: "model_not_found" }],
    ["has reached its usage limit, which resets in hours", { class: "rate_limit", resets_at: "3h" }]
  ] as const) {
    it(`gives the goal to the next agent when the first one ${name}`, async (context) => {
      const world = makeAskWorld(context, [assess({ scope: "trivial" })])
      world.scenario(failing(error))
      world.write("second.json", JSON.stringify(failing({ class: "billing_error" })))
      world.write("third.json", JSON.stringify({ turns: [{ steps: [writeHello] }] }))
      world.write(
        "driver.yaml",
        others(
          "{ name: second, scenario: second.json, env: { SECOND_KEY: 0123456789abcdef } }",
          "{ name: third, scenario: third.json }"
        )
      )
      const ended = await world.driver(["ask", "write hello.txt", "--json", "--events", "events.jsonl"])
      const { cost, result, runs } = responseOf(ended, "TaskResult")
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.deepStrictEqual([runs, Option.getOrNull(result.agent)], [3, "third"])
      assert.strictEqual(cost.runs.length, 3)
      assert.match(ended.stderr, /second takes over[\s\S]*third takes over/)
      const branch = Option.getOrThrow(result.outcome.branch)
      assert.strictEqual(world.git("show", `${branch}:hello.txt`), "Hello, world\n")
      assert.notInclude(readFileSync(join(world.repository, "events.jsonl"), "utf8"), "0123456789abcdef")
      assert.deepStrictEqual(world.processes(), [])
    })
  }

  it("says what was wrong with the last one when all have failed", async (context) => {
    const world = makeAskWorld(context, [assess({}), crystallize(), review()])
    world.scenario(failing({ class: "billing_error" }))
    world.write("second.json", JSON.stringify(failing({ class: "authentication_failed" })))
    world.write("driver.yaml", others("{ name: second, scenario: second.json }"))
    const ended = await world.driver(["ask", "I want a greeting", "--yes"])
    assert.strictEqual(ended.code, 1, ended.stderr)
    assert.match(ended.stdout, /The agent may not use its provider[\s\S]*by second[\s\S]*not accepted/)
  })

  it("has its questions answered by the next model where the first one has no login", async (context) => {
    let asked = 0
    const server = createServer((_, response) => {
      asked++
      response.writeHead(401).end()
    })
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    context.onTestFinished(() => {
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const world = makeAskWorld(context, [assess({}), crystallize(), review()])
    world.write(
      "driver.yaml",
      `agent: { kind: stub, scenario: scenario.json }
model: { provider: openai, name: m, base_url: "http://127.0.0.1:${port}/v1" }
intent: { other_models: [{ provider: scripted, script: answers.json, prices: { input: 1, output: 1 } }] }
`
    )
    const ended = await world.driver(["ask", "I want a greeting", "--yes", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const { cost, degradations } = responseOf(ended, "TaskResult")
    assert.deepStrictEqual([degradations, asked, cost.complete], [[], 1, true])
    assert.deepStrictEqual(
      cost.modelCalls.map(({ problem, step }) => [step, Option.isSome(problem)]),
      [
        ["assess", true],
        ["assess", false],
        ["crystallize", false],
        ["review", false]
      ]
    )
  })

  it("names what is wrong with them in the configuration", async (context) => {
    const world = makeAskWorld(context)
    world.write(
      "driver.yaml",
      `agent: { kind: claude-code }
intent:
  other_models: [{ provider: openai }]
  other_agents: [{ name: a, kind: stub }, { name: a }]
  remote_agents: [{ name: r, url: nowhere, capabilities: [] }, { name: r, url: "http://127.0.0.1:1/", capabilities: [x] }]
`
    )
    const ended = await world.driver(["ask", "x"])
    assert.deepStrictEqual([ended.code, ended.stdout], [2, ""])
    for (const place of [
      /intent\.other_models: are for when/,
      /intent\.other_models\[0\]\.name: is missing/,
      /intent\.other_agents\[0\]\.scenario: is missing/,
      /intent\.other_agents\[1\]\.name: "a" is the name/,
      /intent\.remote_agents\[0\]\.url: is no URL/,
      /intent\.remote_agents\[0\]\.capabilities: is empty/,
      /intent\.remote_agents\[1\]\.name: "r" is the name/
    ]) {
      assert.match(ended.stderr, place)
    }
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
    for (const [content, why] of [
      ["a\0b", /no text/],
      [Buffer.from([0xff, 0xfe]), /no text in UTF-8/],
      ["x".repeat(65 * 1024), /longer than 64 KiB/]
    ] as const) {
      writeFileSync(join(world.directory, "instructions.md"), content)
      const refused = await world.driver(["project", "add", "p", "--instructions-file", "../instructions.md"])
      assert.strictEqual(refused.code, 2)
      assert.match(refused.stderr, why)
    }
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
    rmSync(other, { recursive: true })
    const gone = await world.driver(["ask", "write hello.txt into the shop", "--session", "s2"])
    assert.strictEqual(gone.code, 2)
    assert.match(gone.stderr, /"Lädchen 商店" is not there any more .*driver mount remove/)
    assert.strictEqual((await world.driver(["mount", "remove", "LÄDCHEN 商店"])).code, 0)
    assert.strictEqual((await world.driver(["project", "remove", "shop"])).code, 0)
    assert.match((await world.driver(["project", "list"])).stdout, /no projects/)
  })
})
