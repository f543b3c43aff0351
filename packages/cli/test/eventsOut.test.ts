/** Hooks, NATS and telemetry as `driver.yaml` names them: the bundle, a real nats-server, and HTTP servers on the loopback. */
import { spawn, spawnSync } from "node:child_process"
import { createHmac, randomUUID } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { createServer as createTcpServer } from "node:net"
import { join } from "node:path"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Effect, Exit, Redacted } from "effect"
import type { TestContext } from "vitest"
import { type Ended, makeWorld, outcomeOf, type World, writeHello } from "./support/process.js"

const hasNats = spawnSync("nats-server", ["--version"]).status === 0
if (!hasNats && process.env["DRIVER_TEST_REQUIRE_SERVICES"] === "1") throw new Error("no nats-server on the PATH")

interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Keeps what it gets, and answers with the status that it is given. */
const listen = async ({ onTestFinished }: Pick<TestContext, "onTestFinished">, answer: () => number = () => 200) => {
  const received: Array<Received> = []
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(answer(), { "content-type": "application/json" }).end("{}")
    })
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, received }
}

const freePort = () =>
  new Promise<number>((done) => {
    const server = createTcpServer()
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** JetStream in the world's directory, until the test is over. */
const startNats = async (world: World, { onTestFinished }: Pick<TestContext, "onTestFinished">) => {
  const port = await freePort()
  const server = spawn("nats-server", ["-js", "-a", "127.0.0.1", "-p", `${port}`, "-sd", join(world.directory, "nats")])
  const closed = new Promise<void>((done) => server.once("close", () => done()))
  onTestFinished(async () => {
    server.kill("SIGKILL")
    await closed
  })
  let log = ""
  server.stderr.on("data", (text: Buffer) => {
    log += String(text)
  })
  await world.until("nats-server", () => log.includes("Server is ready"))
  return `nats://127.0.0.1:${port}`
}

/** Subjects and message ids of what is in the stream, oldest first. */
const messagesAt = async (url: string) => {
  const connection = await connect({ servers: url })
  const manager = await jetstreamManager(connection)
  const { state } = await manager.streams.info("DRIVER_EVENTS")
  const messages: Array<readonly [string, string]> = []
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage("DRIVER_EVENTS", { seq })
    if (message !== null) messages.push([message.subject, message.header.get("Nats-Msg-Id")])
  }
  await connection.close()
  return messages
}

const config = (...lines: ReadonlyArray<string>) =>
  ["agent: { kind: stub, scenario: scenario.json }", 'sandbox: { mode: "off" }', ...lines].join("\n")

const idOf = (n: number) => `${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000001`
const goal = (n: number) =>
  `id: ${idOf(n)}\ndescription: Create hello.txt\nacceptance: [{ shell: test -s hello.txt }]\n`

const ok = (ended: Ended) => {
  assert.strictEqual(ended.code, 0, ended.stderr)
  return ended
}

/** `driver serve`, once it takes connections. */
const startDaemon = async (world: World, args: ReadonlyArray<string>) => {
  const running = world.start(["serve", ...args])
  let said = ""
  running.child.stdout?.on("data", (text: string) => {
    said += text
  })
  await world.until(
    `the daemon with ${args.join(" ")}`,
    () => said.includes("driver serves on") || running.child.exitCode !== null
  )
  return running
}

const deliveriesOf = (received: ReadonlyArray<Received>) => received.map(({ headers }) => headers["x-driver-delivery"])

const postgres = process.env["DRIVER_TEST_POSTGRES_URL"] ?? "postgres://postgres@127.0.0.1:5432/test"

/** Runs a statement where schemas of tests are made. */
const asAdmin = (statement: string) =>
  PgClient.make({ url: Redacted.make(postgres), connectTimeout: "30 seconds", maxConnections: 1 }).pipe(
    Effect.flatMap((sql) => sql.unsafe(statement)),
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )

const hasPostgres = Exit.isSuccess(await Effect.runPromiseExit(asAdmin("SELECT 1")))
if (!hasPostgres && process.env["DRIVER_TEST_REQUIRE_SERVICES"] === "1") throw new Error("no PostgreSQL answers")

/** A database that several drivers have, as `driver.yaml` names it. */
const shared: ReadonlyArray<{
  readonly name: string
  readonly available: boolean
  readonly storeOf: (context: Pick<TestContext, "onTestFinished">) => Promise<string>
}> = [
  { name: "SQLite file", available: true, storeOf: async () => "store: { sqlite: ../shared.sqlite }" },
  {
    name: "PostgreSQL database",
    available: hasPostgres,
    storeOf: async ({ onTestFinished }) => {
      const schema = `driver_test_${randomUUID().replaceAll("-", "")}`
      await Effect.runPromise(asAdmin(`CREATE SCHEMA ${schema}`))
      onTestFinished(async () => {
        await Effect.runPromise(asAdmin(`DROP SCHEMA ${schema} CASCADE`))
      })
      const url = new URL(postgres)
      url.searchParams.set("options", `-c search_path=${schema}`)
      return `store: { postgres: "${url.href}" }`
    }
  }
]

describe.concurrent("what driver.yaml says of events", () => {
  it("is told to hooks, signed, and to a collector, without content", async (context) => {
    const world = makeWorld(context)
    const [hook, collector] = [await listen(context), await listen(context)]
    world.scenario({ turns: [{ steps: [{ say: "a sentence of the agent" }, writeHello] }] })
    world.write(
      "driver.yaml",
      config(
        "hooks:",
        `  - { name: chat, on: [goal_started, goal_completed], url_env: CHAT_URL, secret_env: CHAT_SECRET }`,
        `  - { name: bell, on: goal_completed, outcome: done, command: 'cat > bell.json; echo "$DRIVER_EVENT" > bell.txt' }`,
        `  - { name: alarm, on: goal_completed, outcome: escalate, command: touch alarm.txt }`,
        `telemetry: { endpoint: "${collector.url}", service_name: ours }`
      )
    )
    const env = { CHAT_URL: `${hook.url}/hooks/secret-path`, CHAT_SECRET: "s3cret-of-the-hook" }
    const ended = await world.driver(["run", "hello.yaml", "--json"], env)
    const { goalId } = outcomeOf(ended)
    assert.strictEqual(ended.code, 0, ended.stderr)

    assert.deepStrictEqual(
      hook.received.map(({ headers, path }) => [path, headers["x-driver-event"]]),
      [
        ["/hooks/secret-path", "goal_started"],
        ["/hooks/secret-path", "goal_completed"]
      ]
    )
    for (const { body, headers } of hook.received) {
      const signed = createHmac("sha256", env.CHAT_SECRET).update(`${headers["x-driver-timestamp"]}.${body}`)
      assert.strictEqual(headers["x-driver-signature"], `sha256=${signed.digest("hex")}`)
      assert.strictEqual(JSON.parse(body).goal_id, goalId)
    }
    assert.strictEqual(readFileSync(join(world.repository, "bell.txt"), "utf8"), "goal_completed\n")
    assert.strictEqual(
      JSON.parse(readFileSync(join(world.repository, "bell.json"), "utf8")).event.kind,
      "goal_completed"
    )
    assert.isFalse(existsSync(join(world.repository, "alarm.txt")))

    const paths = new Set(collector.received.map(({ path }) => path))
    assert.deepStrictEqual(paths, new Set(["/v1/traces", "/v1/metrics"]))
    const sent = collector.received.map(({ body }) => body).join("\n")
    assert.include(sent, '"ours"')
    assert.include(sent, goalId)
    for (const content of ["a sentence of the agent", "Create hello.txt", "Hello, world"])
      assert.notInclude(sent, content)
  })

  it("is traced from the goal to the criterion, by a run and by a daemon", async (context) => {
    const world = makeWorld(context)
    const collector = await listen(context)
    world.scenario({ turns: [{ steps: [writeHello] }] })
    world.write("driver.yaml", config(`telemetry: { endpoint: "${collector.url}" }`))
    /** Names of the spans that were sent for the goal, each with its parent's. */
    const spansOf = (goalId: string) => {
      const spans = collector.received
        .filter(({ path }) => path === "/v1/traces")
        .flatMap(({ body }) => JSON.parse(body).resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(
          (it): ReadonlyArray<{ name: string; spanId: string; parentSpanId?: string; traceId: string }> => it.spans
        )
      const trace =
        collector.received.length === 0 ? undefined : spans.find((it) => JSON.stringify(it).includes(goalId))
      const own = spans.filter(({ traceId }) => traceId === trace?.traceId)
      return own.map(({ name, parentSpanId }) => [name, own.find((it) => it.spanId === parentSpanId)?.name])
    }
    const assertTraced = (goalId: string) =>
      assert.includeDeepMembers(spansOf(goalId), [
        ["driver.goal", undefined],
        ["driver.attempt", "driver.goal"],
        ["invoke_agent claude-code", "driver.attempt"],
        ["execute_tool Write", "invoke_agent claude-code"],
        ["driver.decision", "execute_tool Write"],
        ["driver.criterion", "driver.attempt"]
      ])
    world.write("1.yaml", goal(1))
    ok(await world.driver(["run", "1.yaml"]))
    assertTraced(idOf(1))

    const daemon = await startDaemon(world, [])
    world.write("2.yaml", goal(2))
    ok(await world.driver(["submit", "2.yaml"]))
    ok(await world.driver(["logs", "-f", idOf(2)]))
    daemon.child.kill("SIGTERM")
    await daemon.ended
    assertTraced(idOf(2))
  })

  it.skipIf(!hasNats)(
    "is published to JetStream in order, each event once, over a server that was away",
    async (context) => {
      const world = makeWorld(context)
      const url = await startNats(world, context)
      world.scenario({ turns: [{ steps: [writeHello] }, { steps: [writeHello] }] })
      world.write("a.yaml", goal(1))
      world.write("b.yaml", goal(2))
      // Nobody listens there: the events wait.
      world.write("driver.yaml", config(`nats: { servers: ["nats://127.0.0.1:${await freePort()}"] }`))
      ok(await world.driver(["run", "a.yaml"]))
      world.write("driver.yaml", config(`nats: { servers: ["${url}"] }`))
      ok(await world.driver(["run", "b.yaml", "--events", "events.jsonl"]))
      const messages = await messagesAt(url)
      const ids = messages.map(([, id]) => id)
      assert.strictEqual(new Set(ids).size, ids.length)
      for (const id of [idOf(1), idOf(2)]) {
        const of = messages.filter(([, it]) => it.startsWith(id))
        assert.strictEqual(of[0]?.[0], "agent.driver.goal.started")
        assert.strictEqual(of.at(-1)?.[0], "agent.driver.goal.completed")
        const sequences = of.map(([, it]) => Number(it.split(":").at(-1)))
        assert.deepStrictEqual(
          sequences,
          [...sequences].sort((a, b) => a - b)
        )
      }
      const written = world.events(join(world.repository, "events.jsonl")).map(({ messageId }) => messageId)
      assert.deepStrictEqual(
        ids.filter((it) => it.startsWith(idOf(2))),
        written
      )
    }
  )

  for (const { available, name, storeOf } of shared) {
    it.skipIf(!available)(
      `is told to a hook once, by two daemons and a run on one ${name}, of which one is killed`,
      async (context) => {
        const world = makeWorld(context)
        const hook = await listen(context)
        world.scenario({ turns: [{ steps: [writeHello] }] })
        const common = [`hooks: [{ name: chat, on: "*", url: "${hook.url}" }]`, await storeOf(context)]
        const serve = async (name: string) => {
          world.write(`${name}.yaml`, config(`state_dir: ../${name}`, ...common))
          return startDaemon(world, ["--config", `${name}.yaml`])
        }
        /** Goals whose end it was told of. */
        const completed = () => {
          const ends = hook.received.filter(({ headers }) => headers["x-driver-event"] === "goal_completed")
          return new Set(deliveriesOf(ends)).size
        }
        const first = await serve("first")
        await serve("second")
        for (const n of [1, 2, 3]) {
          world.write(`${n}.yaml`, goal(n))
          ok(await world.driver(["submit", `${n}.yaml`, "--config", n === 2 ? "second.yaml" : "first.yaml"]))
        }
        await world.until("three goals", () => completed() === 3)
        const deliveries = deliveriesOf(hook.received)
        assert.strictEqual(new Set(deliveries).size, deliveries.length)

        // Whoever delivers is killed or not: what is written after that is delivered, without waiting for long.
        first.child.kill("SIGKILL")
        await first.ended
        world.write("4.yaml", goal(4))
        world.write("run.yaml", config("state_dir: ../third", ...common))
        ok(await world.driver(["run", "4.yaml", "--config", "run.yaml"]))
        await world.until("the fourth goal", () => completed() === 4)
        // Again at most the last event of each goal that the killed one had told of, and not written that down.
        const again = hook.received
          .slice(deliveries.length)
          .filter((it) => deliveriesOf([it]).some((id) => deliveries.includes(id)))
        assert.isAtMost(again.length, 3)
        const after = deliveriesOf(hook.received.slice(deliveries.length).filter((it) => !again.includes(it)))
        assert.strictEqual(new Set(after).size, after.length)
      }
    )
  }

  it("is looked at by the doctor, and what waits for a hook that is gone is forgotten when that is asked", async (context) => {
    const world = makeWorld(context)
    const hook = await listen(context, () => 503)
    const nobody = await freePort()
    world.scenario({ turns: [{ steps: [writeHello] }] })
    const asIs = [`  - { name: chat, on: goal_completed, url: "${hook.url}", tries: 5 }`]
    world.write("driver.yaml", config("hooks:", ...asIs))
    ok(await world.driver(["run", "hello.yaml"]))
    const checks = async () => {
      const { stdout } = await world.driver(["doctor", "--json"], { ANTHROPIC_API_KEY: "k" })
      const all: ReadonlyArray<{ name: string; status: string; detail: string; mend: string }> =
        JSON.parse(stdout).checks
      return new Map(all.map((it) => [it.name, it]))
    }
    const here = await checks()
    assert.deepInclude(here.get("hook chat"), { status: "fine", detail: "its server takes connections" })
    assert.match(here.get("outbox")?.detail ?? "", /1 event waits for hook:chat$/)
    assert.match(here.get("daemon")?.detail ?? "", /^none runs here/)

    world.write(
      "driver.yaml",
      config(
        `hooks: [{ name: away, on: "*", url: "http://127.0.0.1:${nobody}/secret" }, { name: bell, on: "*", command: [no-such-program] }]`,
        `nats: { servers: ["nats://127.0.0.1:${nobody}"] }`,
        `telemetry: { endpoint: "http://127.0.0.1:${nobody}" }`
      )
    )
    const gone = await checks()
    for (const name of ["hook away", "hook bell", "nats", "telemetry", "outbox"]) {
      assert.strictEqual(gone.get(name)?.status, "warning", name)
      assert.notStrictEqual(gone.get(name)?.mend, "", name)
      assert.notInclude(gone.get(name)?.detail, "secret")
    }
    assert.match(gone.get("outbox")?.mend ?? "", /driver prune --events-of hook:chat/)

    // With these no driver starts.
    world.write(
      "driver.yaml",
      config(
        'hooks: [{ name: chat, on: "*", url_env: NOT_SET }]',
        "nats: { token_env: NOT_SET }",
        "telemetry: { endpoint: 127.0.0.1 }"
      )
    )
    const unusable = await checks()
    for (const name of ["hooks", "nats", "telemetry"]) assert.strictEqual(unusable.get(name)?.status, "broken", name)
    assert.match(unusable.get("nats")?.detail ?? "", /the environment variable NOT_SET is not set/)
    // Not as somebody else than was meant.
    world.write("driver.yaml", config("nats: { token_env: NOT_SET }"))
    const begun = await world.driver(["run", "hello.yaml"])
    assert.strictEqual(begun.code, 2)
    assert.match(begun.stderr, /the environment variable NOT_SET is not set/)

    world.write("driver.yaml", config("hooks:", ...asIs))
    const refused = await world.driver(["prune", "--events-of", "hook:chat"])
    assert.strictEqual(refused.code, 2)
    assert.match(refused.stderr, /hook:chat is configured/)
    world.write("driver.yaml", config())
    const unknown = await world.driver(["prune", "--events-of", "hook:other"])
    assert.match(unknown.stderr, /nothing waits for "hook:other": events wait for hook:chat/)
    assert.strictEqual(
      ok(await world.driver(["prune", "--events-of", "hook:chat"])).stdout,
      "Forgot 1 event that waited for hook:chat.\n"
    )
    assert.isFalse((await checks()).has("outbox"))
    assert.include(ok(await world.driver(["worktrees"])).stdout, "driver/")
  })
})
