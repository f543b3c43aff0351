import { assert, describe, it } from "vitest"
import { directory, eventually, isAlive, kinds, run, start, warm } from "./harness.js"

const turn = (...steps: ReadonlyArray<unknown>) => ({ turns: [{ steps }] })

describe.concurrent("driver-stub, misbehaving", () => {
  it("prints what is no JSON, and events that nobody knows", async () => {
    const ran = await run({
      scenario: turn({ print_raw: "not json" }, { print_event: { type: "brand_new", odd: [1] } }, { say: "ok" })
    })
    assert.deepEqual(ran.torn, ["not json"])
    assert.deepEqual(
      ran.events.find(({ type }) => type === "brand_new"),
      { type: "brand_new", odd: [1] }
    )
    assert.strictEqual(ran.result.result, "ok")
  })

  it("prints a piece again and again, without a newline", async () => {
    const ran = await run({ scenario: turn({ print_raw_repeat: { text: "ab", times: 1000 } }, { exit: { code: 0 } }) })
    assert.deepEqual(ran.torn, ["ab".repeat(1000)])
  })

  it("prints a line of ten megabytes", async () => {
    const ran = await run({ scenario: turn({ huge_line: 10_485_760 }) })
    assert.strictEqual(ran.events.find(({ type }) => type === "assistant").message.content[0].text.length, 10_485_760)
    assert.strictEqual(ran.result.result, "Done.")
  })

  it("floods stderr", async () => {
    const ran = await run({ scenario: turn({ flood_stderr: 1_048_576 }, { say: "ok" }) })
    assert.strictEqual(ran.stderr().length, 1_048_576)
    assert.strictEqual(ran.result.result, "ok")
  })

  it("tears a line and ends", async () => {
    const ran = await run({ scenario: turn({ say: "a" }, { torn: true }) })
    assert.strictEqual(ran.exit.code, 1)
    assert.isUndefined(ran.result)
    assert.match(ran.torn[0] ?? "", /^\{"type":"assistant"/)
  })

  it("dies without a result", async () => {
    const ran = await run({ scenario: turn({ say: "a" }, { exit: { code: 3, stderr: "boom" } }) })
    assert.deepEqual([ran.exit.code, ran.stderr()], [3, "boom\n"])
    assert.deepEqual(kinds(ran.events), ["system/init", "assistant"])
  })

  it("ends well, but without a result", async () => {
    const ran = await run({ scenario: turn({ say: "a" }, { no_result: true }) })
    assert.deepEqual([ran.exit.code, ran.result], [0, undefined])
  })

  it("kills itself", async () => {
    const ran = await run({ scenario: turn({ say: "a" }, { kill: "SIGKILL" }) })
    assert.deepEqual(ran.exit, { code: null, signal: "SIGKILL" })
    const terminated = await run({ scenario: turn({ say: "a" }, { kill: "SIGTERM" }) })
    assert.deepEqual(terminated.exit, { code: 143, signal: null })
  })

  it("falls silent for as long as it was told", async () => {
    const began = Date.now()
    const ran = await run({ scenario: turn({ hang: "150ms" }, { delay: 50 }, { say: "back" }) })
    assert.strictEqual(ran.result.result, "back")
    assert.isAtLeast(Date.now() - began, 200)
  })

  it("cannot start, or starts late", async () => {
    const dead = await run({ scenario: { turns: [], startup: { exit: { code: 4, stderr: "cannot start" } } } })
    assert.deepEqual([dead.exit.code, dead.stderr(), dead.events.length], [4, "cannot start\n", 0])
    const began = Date.now()
    await run({ scenario: { turns: [], startup: { delay: "200ms" } } })
    assert.isAtLeast(Date.now() - began, 200)
  })

  it("pretends another permission mode", async () => {
    const ran = await run({ scenario: { turns: [], startup: { permission_mode: "bypassPermissions" } } })
    assert.strictEqual(ran.events[0].permissionMode, "bypassPermissions")
  })

  for (const kind of ["setsid", "nohup", "double_fork", "ignore_sigterm", "hold_pipe"]) {
    it(`leaves a child behind by ${kind}`, async () => {
      const at = directory()
      const pidFile = at.path("../pid")
      const stub = start({
        at,
        scenario: turn({ spawn_leftover: { kind, lifetime: "20s", pid_file: pidFile } }, { say: "left" }),
        args: warm
      })
      stub.user("go")
      await stub.result()
      await eventually(() => at.has("../pid") && at.read("../pid").trim() !== "", "the child has begun")
      const pid = Number(at.read("../pid"))
      try {
        stub.end()
        await new Promise((done) => stub.child.once("exit", done))
        assert.isTrue(isAlive(pid))
        if (kind === "nohup") process.kill(pid, "SIGHUP")
        if (kind === "ignore_sigterm") process.kill(pid, "SIGTERM")
        const closed = await Promise.race([
          stub.exit.then(() => true),
          new Promise<boolean>((done) => setTimeout(() => done(false), kind === "hold_pipe" ? 100 : 10_000))
        ])
        assert.strictEqual(closed, kind !== "hold_pipe")
        assert.isTrue(isAlive(pid))
      } finally {
        process.kill(pid, "SIGKILL")
      }
      await stub.exit
    })
  }

  it("marks what it leaves behind with its session", async () => {
    const ran = await run({
      scenario: turn({ spawn_leftover: { kind: "setsid", command: "echo $CLAUDE_CODE_SESSION_ID > mark" } })
    })
    await eventually(() => ran.at.has("mark") && ran.at.read("mark") !== "", "the child has written")
    assert.strictEqual(ran.at.read("mark").trim(), ran.result.session_id)
  })
})
