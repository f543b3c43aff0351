/**
 * A goal on a terminal: what stays scrolls up, and below it a block that says what
 * is going on now is drawn anew in place.
 *
 * It owns the lines of its block and the cursor's visibility, and gives both back
 * when its scope ends, however that happens.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Output } from "./Host.js"
import {
  criterionNames,
  elapsedText,
  initial,
  type Line,
  type Renderer,
  type RenderState,
  type Step,
  step,
  turnText,
  usageTexts
} from "./Render.js"
import { fit, widthOf } from "./Text.js"
import { marks, paint, plainText, type Theme } from "./Theme.js"

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** A line of the block: plain text for measuring, painted text for showing. */
export interface BlockLine {
  readonly width: number
  readonly painted: string
}

/** Never more than this, however many criteria there are: what is above should stay in sight. */
const maxBlockLines = 10

/** The block for this moment. No line of it is as wide as the terminal, so that none wraps. */
export const blockOf = (state: RenderState, now: number, size: Size, theme: Theme): ReadonlyArray<BlockLine> => {
  if (state.phase === "ended") return []
  const { ellipsis, failed, ok, spinner, waiting } = marks(theme)
  const columns = Math.max(1, size.columns - 1)
  const lineOf = (tone: Line["tone"], text: string): BlockLine => {
    const fitted = fit(theme.unicode ? text : text.replaceAll(" · ", " - "), columns, ellipsis)
    return { width: widthOf(fitted), painted: paint(theme, tone, fitted) }
  }
  const elapsed = Option.match(state.startedAt, {
    onNone: () => [],
    onSome: (startedAt) => [elapsedText(Math.floor(Math.max(0, now - startedAt) / 1_000) * 1_000)]
  })
  const what =
    state.paused && state.phase !== "working" ? "paused" : state.doing === "" ? phaseText(state) : state.doing
  const turn = state.turn === 0 ? "" : `${turnText(state.turn, state.goal)} · `
  const head = lineOf("plain", `${spinner[Math.floor(now / 125) % spinner.length] ?? ""} ${turn}${what}`)
  const figures = [...elapsed, ...usageTexts(state.usage, state.metered)].join(" · ")
  const room = Math.max(0, Math.min(maxBlockLines, size.rows - 1) - 2)
  const criteria = state.phase === "judging" ? criteriaLines(state, room, { ok, failed, waiting }) : []
  return [
    head,
    ...(figures === "" || size.rows < 3 ? [] : [lineOf("faint", `  ${figures}`)]),
    ...criteria.map(({ text, tone }) => lineOf(tone, `  ${text}`))
  ]
}

const phaseText = (state: RenderState): string => {
  switch (state.phase) {
    case "starting":
      return "starting"
    case "working":
      return "the agent works"
    case "judging":
      return "evaluating the criteria"
    case "compacting":
      return "compacting"
    case "sleeping":
      return "sleeping"
    case "ended":
      return ""
  }
}

/** The criteria that are still open; those with a result have scrolled up. */
const criteriaLines = (
  state: RenderState,
  room: number,
  mark: { readonly ok: string; readonly failed: string; readonly waiting: string }
): ReadonlyArray<{ readonly tone: Line["tone"]; readonly text: string }> => {
  if (state.criteria.length === 0 || room === 0 || Option.isNone(state.goal)) return []
  const names = criterionNames(state.goal.value)
  const passed = state.criteria.filter((it) => it === "passed").length
  const failed = state.criteria.filter((it) => it === "failed").length
  const open = state.criteria.flatMap((it, index) => (it === "waiting" || it === "running" ? [names[index] ?? ""] : []))
  const summary = `${mark.ok} ${passed}  ${mark.failed} ${failed}  ${mark.waiting} ${open.length}`
  return [
    { tone: failed > 0 ? ("bad" as const) : ("faint" as const), text: summary },
    ...open.slice(0, room - 1).map((name) => ({ tone: "faint" as const, text: `${mark.waiting} ${name}` }))
  ]
}

/**
 * The text that replaces the block on the screen: what stays, then the new block.
 * `columns` is the width now; the old block may have wrapped if that became less.
 */
export const redraw = (
  old: ReadonlyArray<BlockLine>,
  kept: ReadonlyArray<string>,
  block: ReadonlyArray<BlockLine>,
  columns: number
): string => {
  const rows = old.reduce((sum, { width }) => sum + Math.max(1, Math.ceil(width / Math.max(1, columns))), 0)
  const erase = old.length === 0 ? "" : `\r${rows > 1 ? `\x1b[${rows - 1}A` : ""}\x1b[J`
  return `${erase}${kept.map((text) => `${text}\r\n`).join("")}${block.map(({ painted }) => painted).join("\r\n")}`
}

const hideCursor = "\x1b[?25l"
const showCursor = "\x1b[?25h"

/** How often the block is drawn. Eight a second looks alive and costs nothing that one could measure. */
const interval = "125 millis"

export const make = (output: Output, theme: Theme): Effect.Effect<Renderer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const state = yield* Ref.make(initial)
    const pending = yield* Ref.make<ReadonlyArray<Line>>([])
    const drawn = yield* Ref.make<ReadonlyArray<BlockLine>>([])
    const oneAtATime = yield* Effect.makeSemaphore(1)

    const draw = (last: boolean) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const size = yield* output.size
        const lines = yield* Ref.getAndSet(pending, [])
        const current = yield* Ref.get(state)
        const block = last ? [] : blockOf(current, now, size, theme)
        const before = yield* Ref.getAndSet(drawn, block)
        const kept = lines.map((line) => paint(theme, line.tone, plainText(theme, line)))
        const text = redraw(before, kept, block, size.columns)
        if (text !== "") yield* output.write(text)
      }).pipe(Effect.uninterruptible, oneAtATime.withPermits(1))

    const show = (next: (state: RenderState) => Step) =>
      Effect.flatMap(
        Ref.modify(state, (before) => {
          const { lines, state: after } = next(before)
          return [lines, after] as const
        }),
        (lines) => {
          const kept = lines.filter((line) => !line.passing)
          return kept.length === 0 ? Effect.void : Ref.update(pending, (before) => [...before, ...kept])
        }
      )

    yield* output.restore(showCursor)
    yield* output.write(hideCursor)
    const ticker = yield* draw(false).pipe(Effect.repeat(Schedule.spaced(interval)), Effect.forkScoped)
    const finish = Effect.zipRight(Fiber.interrupt(ticker), draw(true))
    yield* Effect.addFinalizer(() => finish)

    return {
      onEvent: (event) => show((before) => step(before, event)),
      finish
    }
  })
