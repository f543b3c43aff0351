/** One line per thing that happened, in order, without times or control sequences: for pipes, logs and CI. */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Output } from "./Host.js"
import { initial, type Renderer, type Step, step } from "./Render.js"
import { plainText, type Theme } from "./Theme.js"

export const make = (output: Output, theme: Theme): Effect.Effect<Renderer> =>
  Effect.gen(function* () {
    const state = yield* Ref.make(initial)
    const show = (next: (state: typeof initial) => Step) =>
      Effect.flatMap(
        Ref.modify(state, (before) => {
          const { lines, state: after } = next(before)
          return [lines, after] as const
        }),
        (lines) =>
          lines.length === 0 ? Effect.void : output.write(lines.map((line) => `${plainText(theme, line)}\n`).join(""))
      )
    return {
      onEvent: (event) => show((before) => step(before, event)),
      finish: Effect.void
    }
  })
