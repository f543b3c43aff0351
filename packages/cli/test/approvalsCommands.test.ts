/** What the commands on questions print, without a run. `approvals.test.ts` has the processes. */
import { initial, step } from "@driver/cli/Render"
import { ApprovalId, ApprovalQuestion, Approve } from "@driver/domain/Approval"
import { ApprovalAnswered, ApprovalRequested } from "@driver/domain/DriverEvent"
import { Approvals, ApprovalsError } from "@driver/permission/Approvals"
import { DriverTrouble } from "@driver/runtime/Goals"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Scope, TestClock } from "effect"
import { runCli } from "./support/cli.js"
import { goalId, stored } from "./support/events.js"
import { questionsOf, script } from "./support/goals.js"
import * as TestHost from "./support/TestHost.js"

const question = (beginning: string, input: Record<string, unknown>, askedAt = 0) =>
  new ApprovalQuestion({
    id: ApprovalId.make(`${beginning}-93d6-4d4b-a8a7-6d2f5f0a9d11`),
    goalId,
    turn: 2,
    tool: "Bash",
    input,
    why: "rule 3: publishes",
    advisories: ["it cannot be undone"],
    askedAt: DateTime.unsafeMake(askedAt),
    expiresAt: DateTime.unsafeMake(askedAt + 600_000)
  })

const publish = question("3f2a91c0", { command: `cd /w/${goalId}/app && npm publish\u001b[31m` })

/** Commands in a directory without configuration, and the questions that they see. */
const world = Effect.gen(function* () {
  const approvals = yield* Effect.provide(Approvals, Approvals.layerMemory)
  const scope = yield* Effect.scope
  const run = (...args: ReadonlyArray<string>) =>
    Effect.flatMap(script({ overrides: questionsOf(approvals) }), ({ layer }) =>
      runCli(args, { directory: "/" }, { operator: () => layer })
    )
  return { run, open: (it: ApprovalQuestion) => Scope.extend(approvals.open(it), scope) }
})

describe("driver approvals", () => {
  it.scoped("shows who waits for what, since when and for how long, and how to answer", () =>
    Effect.gen(function* () {
      const { open, run } = yield* world
      assert.strictEqual((yield* run("approvals")).stdout, "Nobody waits for an approval.\n")
      yield* open(publish)
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(
        (yield* run("approvals")).stdout,
        [
          "3f2a91c0  Bash cd app && npm publish",
          "  goal 7c9e6679, turn 2 · asked 12s ago, 9m 48s left",
          "  rule 3: publishes",
          "  ! it cannot be undone",
          '  driver approve 3f2a91c0 · driver deny 3f2a91c0 --message "what to do instead"',
          ""
        ].join("\n")
      )
      const [shown] = JSON.parse((yield* run("approvals", "--json")).stdout)
      assert.deepInclude(shown, { id: publish.id, expires_at: "1970-01-01T00:10:00.000Z", input: publish.input })
    })
  )

  it.scoped("prints each question once as it comes when it watches, until it is stopped", () =>
    Effect.gen(function* () {
      const approvals = yield* Effect.provide(Approvals, Approvals.layerMemory)
      const written = yield* TestHost.Written
      const { approvals: watch } = yield* Effect.promise(() => import("@driver/cli/commands/approvals"))
      const fiber = yield* watch({ json: true, watch: true }).pipe(
        Effect.provide((yield* script({ overrides: questionsOf(approvals) })).layer),
        Effect.fork
      )
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* written.stdout, "")
      yield* approvals.open(publish)
      yield* TestClock.adjust("3 seconds")
      yield* approvals.open(question("aaaaaaaa", {}))
      yield* TestClock.adjust("3 seconds")
      const lines = (yield* written.stdout).trim().split("\n")
      assert.deepStrictEqual(
        lines.map((it) => JSON.parse(it).id.slice(0, 8)),
        ["3f2a91c0", "aaaaaaaa"]
      )
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(TestHost.layer({ directory: "/" })))
  )

  it.scoped("answers, and says what was answered", () =>
    Effect.gen(function* () {
      const { open, run } = yield* world
      const first = yield* open(publish)
      const approved = yield* run("approve", "3f2a", "--session")
      assert.deepStrictEqual(
        [approved.code, approved.stdout],
        [0, "Approved for the session: Bash cd app && npm publish\n"]
      )
      assert.deepInclude(yield* first.answer, { value: new Approve({ scope: "session" }) })
      const second = yield* open(question("aaaaaaaa", {}))
      assert.strictEqual((yield* run("deny", "aaaaaaaa", "--message", "  ")).stdout, "Denied: Bash\n")
      assert.deepInclude(yield* second.answer, { _tag: "Some" })
      const late = yield* run("approve", "aaaaaaaa")
      assert.deepStrictEqual([late.code, late.stdout], [2, ""])
      assert.match(late.stderr, /The question aaaaaaaa is over, this answer has no effect: it was denied before/)
    })
  )

  it.effect("ends with 2 and a sentence when the questions cannot be reached", () =>
    Effect.gen(function* () {
      const broken = new ApprovalsError({ operation: "Approvals.list", detail: "the disk is full", retryable: false })
      const { layer } = yield* script({
        overrides: { approvals: new DriverTrouble({ detail: broken.message }) }
      })
      const ran = yield* runCli(["approvals"], { directory: "/" }, { operator: () => layer })
      assert.strictEqual(ran.code, 2)
      assert.match(ran.stderr, /cannot be reached \(Approvals\.list\): the disk is full/)
    })
  )
})

describe("driver run", () => {
  it("says which call waits and how to approve it, and what came of it", () => {
    const asked = new ApprovalRequested({ goalId, question: publish })
    const over = (answer: "approved" | "timed_out") =>
      new ApprovalAnswered({ goalId, turn: 2, approvalId: publish.id, answer })
    const shown = stored([asked, over("timed_out")]).map((event) => step(initial, event))
    assert.deepStrictEqual(
      shown.map(({ lines }) => lines.map(({ text }) => text)),
      [["waiting for approval 3f2a: Bash cd app && npm publish · driver approve 3f2a"], ["approval 3f2a: timed out"]]
    )
    assert.deepStrictEqual(
      shown.map(({ state }) => state.doing !== ""),
      [true, false]
    )
  })
})
