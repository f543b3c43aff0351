/** A terminal that understands what the renderer sends it, and nothing else: anything else fails the test. */
import { widthOf } from "@driver/cli/Text"

export interface Screen {
  /** What a person sees, trailing blanks cut; lines that have scrolled up included. */
  readonly lines: ReadonlyArray<string>
  readonly cursorVisible: boolean
}

/** Replays the bytes on a screen of this width. Colours are accepted and dropped. */
export const replay = (text: string, columns: number): Screen => {
  const rows: Array<Array<string>> = [[]]
  let row = 0
  let column = 0
  let cursorVisible = true
  const line = (at: number) => {
    while (rows.length <= at) rows.push([])
    return rows[at] ?? []
  }
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" })
  const put = (grapheme: string) => {
    const width = widthOf(grapheme)
    if (column + width > columns) {
      row++
      column = 0
    }
    line(row)[column] = grapheme
    if (width === 2) line(row)[column + 1] = ""
    column += width
  }
  let rest = text
  while (rest !== "") {
    const sequence = /^\x1b\[(\?25[lh]|\d*[AJm])/.exec(rest)
    if (sequence !== null) {
      const command = sequence[1] ?? ""
      if (command === "?25l") cursorVisible = false
      else if (command === "?25h") cursorVisible = true
      else if (command.endsWith("A")) row = Math.max(0, row - Number(command.slice(0, -1) || 1))
      else if (command === "J") {
        line(row).length = column
        rows.length = row + 1
      } else if (!command.endsWith("m")) throw new Error(`unexpected sequence ${JSON.stringify(sequence[0])}`)
      rest = rest.slice(sequence[0].length)
      continue
    }
    const [first = ""] = rest
    if (first === "\r") column = 0
    else if (first === "\n") {
      row++
      line(row)
    } else if (first < " " || first === "\x7f") throw new Error(`unexpected control character ${JSON.stringify(first)}`)
    else {
      const end = rest.search(/[\x00-\x1f\x7f]/)
      const run = end === -1 ? rest : rest.slice(0, end)
      for (const { segment } of segmenter.segment(run)) put(segment)
      rest = rest.slice(run.length)
      continue
    }
    rest = rest.slice(1)
  }
  return {
    lines: rows.map((it) =>
      Array.from(it, (cell) => cell ?? " ")
        .join("")
        .trimEnd()
    ),
    cursorVisible
  }
}
