/**
 * Text of unknown origin, made fit for a terminal: nothing in it can move the
 * cursor, change colours, set the title or reorder what is read. And how many
 * cells a text takes there. Pure.
 */

/** Escape sequences as they are written by well-behaved programs: dropped whole, so that colours leave no litter. */
const sequences =
  // CSI … final byte · OSC, DCS, SOS, PM, APC … terminator · two- and three-byte escapes
  /\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]{0,4096}(?:\x07|\x1b\\|\x9c)|\x1b[ -/]{0,2}[0-~]/g

/** What is left after that and may not be shown: C0, C1, DEL, line separators, and marks that reorder or hide text. */
const forbidden =
  /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udfff]|[\u{e0000}-\u{e0fff}]/gu

/** One line: white space of any kind becomes one blank, what could act on the terminal is dropped or shown as `�`. */
export const printable = (text: string): string =>
  text
    .replace(sequences, "")
    .replace(/[\t\n\v\f\r\u0085\u2028\u2029 ]+/g, " ")
    .replace(forbidden, (character) => (/[\u200b\u2060\ufeff]/.test(character) ? "" : "\ufffd"))
    .trim()

/** Several lines: line breaks stay, tabs become blanks. */
export const printableLines = (text: string): ReadonlyArray<string> =>
  text
    .replace(sequences, "")
    .split(/\r\n|\n|\r/)
    .map((line) =>
      line
        .replace(/\t/g, "  ")
        .replace(forbidden, (character) => (/[\u200b\u2060\ufeff]/.test(character) ? "" : "\ufffd"))
        .trimEnd()
    )

let made: Intl.Segmenter | undefined
/** Making one takes 15 ms, and most texts are ASCII. */
const segmenter = (): Intl.Segmenter => {
  made ??= new Intl.Segmenter("en", { granularity: "grapheme" })
  return made
}

/** East Asian wide and fullwidth, as ranges. */
const wide: ReadonlyArray<readonly [number, number]> = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23ec],
  [0x23f0, 0x23f0],
  [0x23f3, 0x23f3],
  [0x25fd, 0x25fe],
  [0x2614, 0x2615],
  [0x2648, 0x2653],
  [0x267f, 0x267f],
  [0x2693, 0x2693],
  [0x26a1, 0x26a1],
  [0x26aa, 0x26ab],
  [0x26bd, 0x26be],
  [0x26c4, 0x26c5],
  [0x26ce, 0x26ce],
  [0x26d4, 0x26d4],
  [0x26ea, 0x26ea],
  [0x26f2, 0x26f3],
  [0x26f5, 0x26f5],
  [0x26fa, 0x26fa],
  [0x26fd, 0x26fd],
  [0x2705, 0x2705],
  [0x270a, 0x270b],
  [0x2728, 0x2728],
  [0x274c, 0x274c],
  [0x274e, 0x274e],
  [0x2753, 0x2755],
  [0x2757, 0x2757],
  [0x2795, 0x2797],
  [0x27b0, 0x27b0],
  [0x27bf, 0x27bf],
  [0x2b1b, 0x2b1c],
  [0x2b50, 0x2b50],
  [0x2b55, 0x2b55],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1aff0, 0x1b2ff],
  [0x1f004, 0x1f004],
  [0x1f0cf, 0x1f0cf],
  [0x1f18e, 0x1f18e],
  [0x1f191, 0x1f19a],
  [0x1f1e6, 0x1f202],
  [0x1f210, 0x1f23b],
  [0x1f240, 0x1f248],
  [0x1f250, 0x1f251],
  [0x1f260, 0x1f265],
  [0x1f300, 0x1f320],
  [0x1f32d, 0x1f335],
  [0x1f337, 0x1f37c],
  [0x1f37e, 0x1f393],
  [0x1f3a0, 0x1f3ca],
  [0x1f3cf, 0x1f3d3],
  [0x1f3e0, 0x1f3f0],
  [0x1f3f4, 0x1f3f4],
  [0x1f3f8, 0x1f43e],
  [0x1f440, 0x1f440],
  [0x1f442, 0x1f4fc],
  [0x1f4ff, 0x1f53d],
  [0x1f54b, 0x1f54e],
  [0x1f550, 0x1f567],
  [0x1f57a, 0x1f57a],
  [0x1f595, 0x1f596],
  [0x1f5a4, 0x1f5a4],
  [0x1f5fb, 0x1f64f],
  [0x1f680, 0x1f6c5],
  [0x1f6cc, 0x1f6cc],
  [0x1f6d0, 0x1f6d2],
  [0x1f6d5, 0x1f6d7],
  [0x1f6dc, 0x1f6df],
  [0x1f6eb, 0x1f6ec],
  [0x1f6f4, 0x1f6fc],
  [0x1f7e0, 0x1f7eb],
  [0x1f7f0, 0x1f7f0],
  [0x1f90c, 0x1f93a],
  [0x1f93c, 0x1f945],
  [0x1f947, 0x1f9ff],
  [0x1fa70, 0x1faff],
  [0x20000, 0x2fffd],
  [0x30000, 0x3fffd]
]

const isWide = (point: number): boolean => {
  if (point < 0x1100) return false
  let low = 0
  let high = wide.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const [from, to] = wide[middle] ?? [0, 0]
    if (point < from) high = middle - 1
    else if (point > to) low = middle + 1
    else return true
  }
  return false
}

const isAscii = /^[\x20-\x7e]*$/

/** Cells of one character as a reader sees it: a base with its marks, an emoji with its modifiers. */
const cellsOf = (grapheme: string): number => {
  const point = grapheme.codePointAt(0) ?? 0
  // A mark that stands alone is drawn over what is before it.
  if (/^[\p{Mn}\p{Me}\p{Cf}]/u.test(grapheme)) return 0
  return isWide(point) || grapheme.includes("\ufe0f") ? 2 : 1
}

/** How many cells of a terminal the text takes. For text that is printable. */
export const widthOf = (text: string): number => {
  if (isAscii.test(text)) return text.length
  let width = 0
  for (const { segment } of segmenter().segment(text)) width += cellsOf(segment)
  return width
}

/** The beginning that fits into so many cells, with an ellipsis when something was cut off. */
export const fit = (text: string, columns: number, ellipsis = "…"): string => {
  if (columns <= 0) return ""
  // Longer than any line that is shown; keeps the segmenter from working on a novel.
  const head = text.length > columns * 8 + 64 ? text.slice(0, columns * 8 + 64) : text
  if (head.length === text.length && widthOf(text) <= columns) return text
  const room = columns - widthOf(ellipsis)
  if (room < 0) return ""
  let width = 0
  let out = ""
  for (const { segment } of segmenter().segment(head)) {
    const cells = cellsOf(segment)
    if (width + cells > room) break
    width += cells
    out += segment
  }
  return out.trimEnd() + ellipsis
}
