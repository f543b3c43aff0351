import { ApprovalQuestion } from "@driver/domain/Approval"
import { StoredEvent } from "@driver/domain/DriverEvent"
import { GoalId } from "@driver/domain/Goal"
import { SteerMode } from "@driver/runtime/GoalStore"
import {
  AmbiguousGoal,
  DriverTrouble,
  GoalDetail,
  GoalSummary,
  type GoalsError,
  NotPossible,
  SteerReceipt,
  Submission,
  SubmitRefused,
  UnknownApproval,
  UnknownGoal
} from "@driver/runtime/Goals"
import { Health } from "@driver/server/Api"
import { Daemon } from "@driver/server/Daemon"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, FastCheck, Option, Schema, Stream } from "effect"
import * as daemon from "./support/daemon.js"
import { goalA, goalB } from "./support/scriptedGoals.js"

/** The same in every run: the seed is set for all tests. */
const samples = <A, I>(schema: Schema.Schema<A, I>, count = 10) =>
  FastCheck.sample(Arbitrary.make(schema), { numRuns: count, seed: 20_261_121 })

const names = samples(Schema.NonEmptyTrimmedString, 10)

describe("The API over a unix socket", () => {
  it.scopedLive("carries what is asked and what is answered, as it is", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      /** Asks with each of the values; the script answers with the answer of the same place. */
      const check = <In, Out, E>(
        name: string,
        inputs: ReadonlyArray<In>,
        outputs: ReadonlyArray<Out>,
        answers: (output: Out) => typeof script.answers.current,
        ask: (input: In) => Effect.Effect<Out, E>,
        args: (input: In) => ReadonlyArray<unknown>
      ) =>
        Effect.forEach(inputs, (input, index) =>
          Effect.gen(function* () {
            const output = outputs[index % outputs.length]
            if (output === undefined) return assert.fail(`no answer for ${name}`)
            script.answers.current = answers(output)
            assert.deepStrictEqual(yield* ask(input), output, name)
            assert.deepStrictEqual((yield* script.asked).at(-1), [name, ...args(input)])
          })
        )

      const summaries = samples(Schema.Array(GoalSummary))
      yield* check(
        "submit",
        samples(Schema.Array(Submission)),
        summaries,
        (out) => ({ submit: () => Effect.succeed(out) }),
        goals.submit,
        (input) => [input]
      )
      yield* check(
        "list",
        [true, false],
        summaries,
        (out) => ({ list: () => Effect.succeed(out) }),
        (all) => goals.list({ all }),
        (all) => [{ all }]
      )
      for (const verb of ["pause", "resume", "cancel", "wake"] as const) {
        yield* goals[verb](goalB)
        assert.deepStrictEqual((yield* script.asked).at(-1), [verb, goalB])
      }
      const modes = samples(SteerMode)
      yield* check(
        "steer",
        names.map((message, index) => ({ message, mode: modes[index] ?? ("queue" as const) })),
        samples(SteerReceipt),
        (out) => ({ steer: () => Effect.succeed(out) }),
        ({ message, mode }) => goals.steer(goalA, message, mode),
        ({ message, mode }) => [goalA, message, mode]
      )
      yield* check(
        "setMaxTurns",
        [1, 7, 100],
        [20, 30, 100],
        (out) => ({ setMaxTurns: () => Effect.succeed(out) }),
        (turns) => goals.setMaxTurns(goalA, turns),
        (turns) => [goalA, turns]
      )
      const questions = samples(ApprovalQuestion)
      yield* check(
        "approvals",
        [0, 1],
        [questions, []],
        (out) => ({ approvals: Effect.succeed(out) }),
        () => goals.approvals,
        () => []
      )
      yield* check(
        "approve",
        [true, false, true],
        questions,
        (out) => ({ approve: () => Effect.succeed(out) }),
        (session) => goals.approve("ab12-3", session),
        (session) => ["ab12-3", session]
      )
      yield* check(
        "deny",
        [Option.none<string>(), ...names.map(Option.some)],
        questions,
        (out) => ({ deny: () => Effect.succeed(out) }),
        (message) => goals.deny("ab12", message),
        (message) => ["ab12", message]
      )
      yield* check(
        "rollback",
        names,
        names.map((name) => `${name}!`),
        (out: string) => ({ rollback: () => Effect.succeed(out) }),
        (checkpoint) => goals.rollback(goalA, checkpoint),
        (checkpoint) => [goalA, checkpoint]
      )
      yield* check(
        "deliver",
        [goalA, goalB],
        names,
        (out: string) => ({ deliver: () => Effect.succeed(out) }),
        goals.deliver,
        (id) => [id]
      )
    })
  )

  it.scopedLive("shows a goal as it is", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      for (const detail of samples(GoalDetail, 25)) {
        script.answers.current = { show: () => Effect.succeed(detail) }
        assert.deepStrictEqual(yield* goals.show(goalA), detail)
      }
    })
  )

  it.scopedLive("pages through the events", () =>
    Effect.gen(function* () {
      const { client, script } = yield* daemon.remote()
      const logs = (urlParams: { after: number; limit: number }) =>
        client.endpoints.goals.logs({ path: { goal: goalA }, urlParams })
      const events = samples(StoredEvent, 30).map(
        (event, index) => new StoredEvent({ ...event, goalId: goalA, sequence: index + 1 })
      )
      yield* script.publish(...events)
      assert.deepStrictEqual(yield* logs({ after: 0, limit: 10_000 }), events)
      assert.deepStrictEqual(yield* logs({ after: 7, limit: 5 }), events.slice(7, 12))
      assert.deepStrictEqual(yield* logs({ after: 30, limit: 5 }), [])
    })
  )

  it.scopedLive("finds a goal by the beginning of its id, also for a verb", () =>
    Effect.gen(function* () {
      const { client, goals, script } = yield* daemon.remote()
      assert.strictEqual(yield* goals.find("7c9e6679-7"), goalA)
      const named = yield* client.endpoints.goals.pause({ path: { goal: "7c9e6679-f" } })
      assert.strictEqual(named.goalId, goalB)
      assert.deepStrictEqual((yield* script.asked).at(-1), ["pause", goalB])
    })
  )

  it.scopedLive("tells how the daemon is, and asks it to stop", () =>
    Effect.gen(function* () {
      const { client, services } = yield* daemon.remote()
      const health = yield* client.probe()
      assert.deepStrictEqual(
        {
          version: health.version,
          pid: health.pid,
          goalsRunning: health.goalsRunning,
          goalsQueued: health.goalsQueued
        },
        { version: "1.2.3", pid: 4711, goalsRunning: 1, goalsQueued: 0 }
      )
      yield* client.endpoints.daemon.shutdown({})
      yield* Context.get(services, Daemon).shutdownAsked
    })
  )
})

describe("An error of the API", () => {
  const candidates = samples(Schema.Array(GoalId), 3)
  const whatever = 'Say "no" to\n<it>, ünder \u{1F600}'

  it.scopedLive("is the same class with the same message for who looks for a goal", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      const errors = [
        new UnknownGoal({ name: whatever }),
        ...candidates.map((ids) => new AmbiguousGoal({ name: "7c9e", candidates: ids })),
        new DriverTrouble({ detail: whatever })
      ]
      for (const error of errors) {
        script.answers.current = { find: () => Effect.fail(error) }
        const got = yield* Effect.flip(goals.find("7c9e"))
        assert.deepStrictEqual(got, error)
        assert.strictEqual(got.message, error.message)
      }
    })
  )

  it.scopedLive("is the same class with the same message for who asks for something", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      const errors = [
        new UnknownGoal({ name: whatever }),
        new NotPossible({ goalId: goalA, detail: whatever }),
        new DriverTrouble({ detail: whatever })
      ]
      for (const error of errors) {
        const failing = () => Effect.fail(error)
        script.answers.current = {
          show: failing,
          pause: failing,
          resume: failing,
          cancel: failing,
          wake: failing,
          steer: failing,
          setMaxTurns: failing,
          rollback: failing,
          deliver: failing
        }
        const calls: ReadonlyArray<Effect.Effect<unknown, GoalsError>> = [
          goals.show(goalA),
          goals.pause(goalA),
          goals.resume(goalA),
          goals.cancel(goalA),
          goals.wake(goalA),
          goals.steer(goalA, "go on", "turn"),
          goals.setMaxTurns(goalA, 5),
          goals.rollback(goalA, "c"),
          goals.deliver(goalA),
          Stream.runDrain(goals.events(goalA, { after: 0, follow: true }))
        ]
        for (const call of calls) {
          const got = yield* Effect.flip(call)
          assert.deepStrictEqual(got, error)
          assert.strictEqual(got.message, error.message)
        }
      }
    })
  )

  it.scopedLive("is the same class with the same message for who submits", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      for (const reason of SubmitRefused.fields.reason.literals) {
        const error = new SubmitRefused({ reason, detail: whatever })
        script.answers.current = { submit: () => Effect.fail(error) }
        assert.deepStrictEqual(yield* Effect.flip(goals.submit([])), error)
      }
    })
  )

  it.scopedLive("is the same class with the same message for who answers a question", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      const error = new UnknownApproval({ detail: whatever })
      script.answers.current = { approve: () => Effect.fail(error), deny: () => Effect.fail(error) }
      assert.deepStrictEqual(yield* Effect.flip(goals.approve("abc", true)), error)
      assert.deepStrictEqual(yield* Effect.flip(goals.deny("abc", Option.none())), error)
    })
  )

  it.scopedLive("is a sentence for what cannot be asked at all", () =>
    Effect.gen(function* () {
      const { goals, script } = yield* daemon.remote()
      for (const name of ["", " ", "..", ".", "a/b", "../..", "a b", "ü", "%2e", "a?b", "#"]) {
        assert.deepStrictEqual(yield* Effect.flip(goals.find(name)), new UnknownGoal({ name }))
        assert.strictEqual((yield* Effect.flip(goals.approve(name, false)))._tag, "UnknownApproval")
      }
      assert.strictEqual((yield* Effect.flip(goals.steer(goalA, "  ", "queue")))._tag, "DriverTrouble")
      assert.strictEqual((yield* Effect.flip(goals.setMaxTurns(goalA, 0)))._tag, "DriverTrouble")
      assert.deepStrictEqual(yield* script.asked, [])
    })
  )
})

describe("Health", () => {
  it.prop("survives the trip to JSON and back", [Health], ([value]) => {
    const text = JSON.stringify(Schema.encodeSync(Health)(value))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Health)(JSON.parse(text)), value)
  })
})
