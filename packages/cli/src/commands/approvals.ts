/** `driver approvals`, `driver approve` and `driver deny`: what agents wait for, and the answers to it. */
import { ApprovalQuestion } from "@driver/domain/Approval"
import { Goals } from "@driver/runtime/Goals"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Host } from "../Host.js"
import { agoText, argumentOf, elapsedText, withoutWorkspace } from "../Render.js"
import { fit, printable } from "../Text.js"

export interface ApprovalsArguments {
  readonly json: boolean
  /** Goes on and prints each question as it comes. */
  readonly watch: boolean
}

const encode = Schema.encodeSync(ApprovalQuestion)

/** Between two looks at the questions. */
const watchEvery = "1 second"

export const approvals = ({ json, watch }: ApprovalsArguments) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const { approvals: list } = yield* Goals
    const print = (questions: ReadonlyArray<ApprovalQuestion>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        stdout.write(
          json
            ? questions.map((it) => `${JSON.stringify(encode(it))}\n`).join("")
            : questions.map((it) => `${lines(it, now).join("\n")}\n`).join("\n")
        )
      )
    if (!watch) {
      const questions = yield* list
      if (json)
        return yield* stdout.write(
          `${JSON.stringify(
            questions.map((it) => encode(it)),
            null,
            2
          )}\n`
        )
      return yield* questions.length === 0 ? stdout.write("Nobody waits for an approval.\n") : print(questions)
    }
    const shown = yield* Ref.make<ReadonlySet<string>>(new Set())
    yield* Effect.gen(function* () {
      const questions = yield* list
      const before = yield* Ref.getAndSet(shown, new Set(questions.map(({ id }) => id)))
      const fresh = questions.filter(({ id }) => !before.has(id))
      if (fresh.length > 0) yield* print(fresh)
    }).pipe(
      // The store may be busy, the daemon may be starting again.
      Effect.retry({ schedule: Schedule.spaced(watchEvery), times: 30 }),
      Effect.repeat(Schedule.spaced(watchEvery))
    )
  })

/** Longer calls are cut: `--json` has them whole. */
const longestCall = 400

const lines = (question: ApprovalQuestion, now: number): ReadonlyArray<string> => {
  const { advisories, askedAt, expiresAt, goalId, id, input, tool, turn, why } = question
  const short = id.slice(0, 8)
  const called = argumentOf(input)
  const call = called === "" ? `${tool} ${JSON.stringify(input)}` : `${tool} ${called}`
  const left = elapsedText(Math.max(0, DateTime.toEpochMillis(expiresAt) - now))
  return [
    `${short}  ${fit(withoutWorkspace(goalId, printable(call)), longestCall)}`,
    `  goal ${goalId.slice(0, 8)}, turn ${turn} · asked ${agoText(now, DateTime.toEpochMillis(askedAt))}, ${left} left`,
    `  ${printable(why)}`,
    ...advisories.map((it) => `  ! ${printable(it)}`),
    `  driver approve ${short} · driver deny ${short} --message "what to do instead"`
  ]
}

export interface ApproveArguments {
  /** The id, or the beginning of it. */
  readonly id: string
  readonly session: boolean
  readonly json: boolean
}

export const approve = ({ id, json, session }: ApproveArguments) =>
  Effect.gen(function* () {
    const question = yield* (yield* Goals).approve(id, session)
    yield* said(question, json, { answer: "approve", done: session ? "Approved for the session" : "Approved" })
  })

export interface DenyArguments {
  readonly id: string
  readonly message: Option.Option<string>
  readonly json: boolean
}

export const deny = ({ id, json, message }: DenyArguments) =>
  Effect.gen(function* () {
    const text = Option.filter(
      Option.map(message, (it) => it.trim()),
      (it) => it !== ""
    )
    const question = yield* (yield* Goals).deny(id, text)
    yield* said(question, json, { answer: "reject", done: "Denied" })
  })

interface Said {
  readonly answer: "approve" | "reject"
  readonly done: string
}

const said = ({ goalId, id, input, tool }: ApprovalQuestion, json: boolean, { answer, done }: Said) =>
  Effect.flatMap(Host, ({ stdout }) =>
    stdout.write(
      json
        ? `${JSON.stringify({ id, goal_id: goalId, answer })}\n`
        : `${done}: ${fit(withoutWorkspace(goalId, printable(`${tool} ${argumentOf(input)}`.trim())), longestCall)}\n`
    )
  )
