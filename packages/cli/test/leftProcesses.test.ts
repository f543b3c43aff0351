import { spawn } from "node:child_process"
import { existsSync, readlinkSync } from "node:fs"
import { GoalId } from "@driver/domain/Goal"
import { Journal } from "@driver/runtime/Journal"
import { StoreError } from "@driver/runtime/StoreError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { sweepLeft } from "../src/leftProcesses.js"

const goalId = GoalId.make("0198c0de-0000-7000-8000-00000000000a")

/** A process that a driver has started for the goal, which is not there any more. */
const left = Effect.acquireRelease(
  Effect.sync(() => {
    const namespace = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]
    const child = spawn("sleep", ["60"], {
      stdio: "ignore",
      env: { PATH: process.env["PATH"], DRIVER_PROCESS_ID: `${goalId}:${namespace}.4194303.1:x` }
    })
    const ended = new Promise<NodeJS.Signals | null>((done) => child.once("exit", (_, signal) => done(signal)))
    return { child, ended }
  }),
  ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
)

/** Whose `head` is as given; nothing else is asked. */
const journalWith = (head: Effect.Effect<number, StoreError>): Layer.Layer<Journal> =>
  Layer.succeed(Journal, {
    head: () => head,
    append: () => Effect.dieMessage("not asked"),
    read: () => Effect.dieMessage("not asked"),
    appended: Stream.die("not asked")
  })

const away = new StoreError({ operation: "Journal.head", detail: "the database is away", retryable: true })

describe.skipIf(!existsSync("/proc/self/ns/pid"))("sweepLeft", () => {
  for (const [which, head] of [
    ["that was begun", Effect.succeed(1)],
    ["of which that cannot be said", away]
  ] as const) {
    it.scopedLive(`kills what was left of a goal ${which}`, () =>
      Effect.gen(function* () {
        const { ended } = yield* left
        yield* sweepLeft(goalId)
        assert.strictEqual(yield* Effect.promise(() => ended), "SIGKILL")
      }).pipe(Effect.provide(journalWith(head)))
    )
  }

  it.scopedLive("does not look for processes of a goal that was never begun", () =>
    Effect.gen(function* () {
      const { child, ended } = yield* left
      yield* sweepLeft(goalId)
      child.kill("SIGTERM")
      assert.strictEqual(yield* Effect.promise(() => ended), "SIGTERM")
    }).pipe(Effect.provide(journalWith(Effect.succeed(0))))
  )
})
