/** Media tools and archivers, whose words have a syntax of their own. */
import type { Parsed } from "../arguments.js"
import { type Call, effect, type Outcome, refuse, same } from "../Call.js"
import { unpacked } from "../code/run.js"
import { quote } from "../Findings.js"
import { touch } from "../paths.js"
import type { Rule } from "../rules.js"
import { dropText, literal, prefixOf, show, textOf, type Value } from "../values.js"

const read = (call: Call, it: Value) => touch(call.run, call.shell, it, "read", call.name)
const write = (call: Call, it: Value) => touch(call.run, call.shell, it, "write", call.name)
const unknown = (call: Call, it: Value) => refuse(call, "unknown_option", `${quote(show(it))} is not known`)

/** `http://host/x`, `concat:a|b`, `@list`, `|command`: these are no plain files. */
const isSpecial = (it: Value): boolean => /^[\w.+-]*:|^[@|&]|\|/.test(show(it)) && !/^pipe:[012]?$/.test(show(it))

const localMedia: Rule = (call, parsed) => {
  const values = parsed.options.flatMap(({ role, value }) => (role === "read" && value !== undefined ? [value] : []))
  for (const it of [...parsed.operands, ...values])
    if (isSpecial(it)) refuse(call, "unknown_code", `${quote(show(it))} is no plain file`)
  return undefined
}

/** Filters that read no file, load no code and reach nothing. */
const filters =
  /^(scale|crop|fps|transpose|pad|a?trim|a?setpts|volume|loudnorm|atempo|hflip|vflip|rotate|a?format|eq|a?fade|palettegen|paletteuse|a?split|concat|overlay|amix|amerge|aresample|a?null|drawbox|[hvx]stack|setsar|setdar|thumbnail|tile|negate|hue|gblur|boxblur|unsharp|yadif|deinterlace|highpass|lowpass|bass|treble|silenceremove|areverse|reverse|dynaudnorm|pan|channelsplit|colorchannelmixer|minterpolate|select|aselect|blackdetect|silencedetect|volumedetect|astats|showwavespic|showspectrumpic|color|testsrc2?|smptebars|rgbtestsrc|sine|anullsrc|nullsrc|colorkey|chromakey|alphaextract|zoompan|a?loop|apad|adelay|acrossfade|xfade|curves|colorbalance|vignette|mpdecimate|cropdetect|tmix|dejudder|decimate)$/

const isPlainFilter = (text: string): boolean =>
  /^[\w=:,.*/+()\-[\]; '\\|@<>!]*$/.test(text) &&
  !/file|:\/\/|(^|[=:'])\//.test(text) &&
  text
    .replace(/'[^']*'|\\,/g, "")
    .split(/[,;]/)
    .map((it) => it.replace(/\[[\w:]*\]/g, "").trim())
    .every((it) => filters.test(/^\w*/.exec(it)?.[0] ?? "") || /^[-\w.:*/+()]+$/.test(it))

const ffmpeg: Rule = (call, parsed, program) => {
  let virtual = false
  for (const { name, value } of parsed.options) {
    const text = value === undefined ? "" : textOf(value)
    if (/^-(vf|af|filter.*|lavfi)$/.test(name) && (text === undefined || !isPlainFilter(text)))
      refuse(call, "unknown_code", "what its filters do is not followed")
    if (name === "-f") {
      if (
        text === undefined ||
        !/^[a-z][\w,]*$/.test(text) ||
        /tee|fifo|pulse|alsa|x11grab|avfoundation|v4l2|rtp|rtsp|flv|dshow|gdigrab|kmsgrab|fbdev/.test(text)
      )
        refuse(call, "unknown_code", `the format ${quote(text ?? "…")} is not followed`)
      virtual = text === "lavfi"
    }
    if (name === "-i" && value !== undefined) {
      if (virtual ? text === undefined || !isPlainFilter(text) : isSpecial(value))
        refuse(call, "unknown_code", `${quote(show(value))} is no plain file`)
      virtual = false
    }
  }
  return localMedia(call, { ...parsed, options: [] }, program)
}

const takesValue =
  /^-(resize|quality|crop|gravity|extent|background|fill|stroke|strokewidth|density|depth|colorspace|rotate|thumbnail|scale|sample|geometry|alpha|type|size|blur|gaussian-blur|sharpen|border|bordercolor|colors|threshold|level|gamma|modulate|fuzz|compress|interlace|sampling-factor|format|pointsize|font|family|weight|delay|loop|layers|units|unsharp|channel|page|transparent|opaque|interpolate|compose|tile|tint|brightness-contrast|contrast-stretch|metric|filter|adaptive-resize|liquid-rescale|shave|chop|roll|swirl|sepia-tone|posterize|dispose|orient|kerning|dither|mattecolor|frame|shadow|precision|intensity)$/
const alone =
  /^[-+](trim|strip|flip|flop|negate|normalize|auto-orient|append|flatten|coalesce|monochrome|equalize|verbose|quiet|ping|transpose|transverse|repage|auto-level|enhance|despeckle|grayscale|clone|reverse|mosaic|deskew|antialias|adjoin|dither|matte|alpha|profile|unique|moments|features|regard-warnings|compress|page|delete|swap|set|define)$|^[()]$/

/** ImageMagick: what is not an option is a picture, the last one is written. */
const images: Rule = (call) => {
  const words = call.args.map((it) => it)
  let mode = call.name.split(" ").at(-1) ?? ""
  if (mode === "magick" && /^(convert|identify|mogrify|montage|composite|compare)$/.test(show(words[0] ?? literal(""))))
    mode = show(words.shift() ?? literal(""))
  const pictures: Array<Value> = []
  for (let index = 0; index < words.length; index++) {
    const it = words[index] ?? literal("")
    const text = prefixOf(it)
    if (/^-(format|fill)$/.test(text) || takesValue.test(text)) {
      const value = words[++index]
      if (value === undefined || textOf(value) === undefined || /^@|\|/.test(show(value))) unknown(call, it)
    } else if (text === "-path" && mode === "mogrify") write(call, words[++index] ?? literal(""))
    else if (alone.test(text)) {
      if (/^[-+](profile|delete|set|define|swap|clone)$/.test(text) && text.startsWith("-")) unknown(call, it)
    } else if (/^[-+]/.test(text) && text !== "-") unknown(call, it)
    else if (
      /^(xc|canvas|gradient|radial-gradient|plasma|pattern|png\d*|jpe?g|gif|webp|ico|null|info|rgba?):[\w#(),.%-]*$/.test(
        text
      )
    ) {
      if (/^(png\d*|jpe?g|gif|webp|ico|rgba?):./.test(text)) pictures.push(dropText(it, text.indexOf(":") + 1))
    } else if (isSpecial(it)) refuse(call, "unknown_code", `${quote(show(it))} is no plain picture`)
    else if (text !== "-") pictures.push(it)
  }
  const written = mode === "mogrify" ? pictures : mode === "identify" ? [] : pictures.slice(-1)
  for (const it of pictures) if (!written.includes(it)) read(call, it)
  for (const it of written) write(call, it)
  if (mode !== "identify") effect(call, "workspace_write")
  return same(call.shell)
}

/** `-Tag` shows, `-Tag=value` writes; expressions, settings and lists of arguments are not followed. */
const exiftool: Rule = (call) => {
  const files: Array<Value> = []
  let writes = false
  for (const it of call.args) {
    const text = textOf(it)
    if (text?.startsWith("-") !== true) files.push(it)
    else if (/^-(overwrite_original|[A-Za-z][\w:]*[-+]?=[^<@|]*)$/.test(text)) writes = true
    else if (
      !/^-[A-Za-z][\w:*-]*#?$/.test(text) ||
      /^-(config|if\d*|p|w\d*|W\d*|o|d|x|i|c|api|execute\w*|stay_open|srcfile|tagsFromFile|TagsFromFile|use|userParam|geotag|geosync|textOut|tagOut|csv|json|j|v\d+|delete_original|restore_original|filename|directory|FileName|Directory|fast)$/i.test(
        text
      )
    ) {
      if (!/^-(json|j|csv|fast|v\d+)$/.test(text)) unknown(call, it)
    }
    if (/^-(filename|directory|testname|hardlink|symlink)\b/i.test(text ?? "") || /^-[^=]*<=/.test(text ?? ""))
      unknown(call, it)
  }
  for (const it of files) {
    if (/^[@|]/.test(show(it))) unknown(call, it)
    read(call, it)
    if (writes) write(call, it)
  }
  return same(call.shell)
}

/** Reads the first, writes where the second says, or beside the first. */
const pdf: Rule = (call, parsed) => {
  const [from, to, ...more] = parsed.operands
  for (const it of more) unknown(call, it)
  if (from !== undefined && textOf(from) !== "-") read(call, from)
  if (parsed.options.some(({ name }) => name === "-list")) return same(call.shell)
  if (to !== undefined && textOf(to) !== "-") write(call, to)
  else if (to === undefined && from !== undefined && textOf(from) !== "-") write(call, from)
  return same(call.shell)
}

/** The last file is written; then come effects, of which a few are known. */
const sox: Rule = (call, parsed) => {
  const files: Array<Value> = []
  const words = [...parsed.rest]
  while (
    words[0] !== undefined &&
    !/^(rate|channels|trim|gain|norm|fade|speed|tempo|pitch|remix|reverse|vol|silence|stat|stats|pad|dither|highpass|lowpass)$/.test(
      show(words[0])
    )
  )
    files.push(words.shift() ?? literal(""))
  for (const it of [...files, ...words]) if (isSpecial(it) || /^--?[a-z]{2}/.test(show(it))) unknown(call, it)
  const plain = files.filter((it) => !/^-[nrbcdetV]?/.test(show(it)) || textOf(it) === "-")
  for (const it of files) if (!plain.includes(it) && !/^-[nrbcet]$|^\d+$/.test(show(it))) unknown(call, it)
  for (const it of plain.slice(0, -1)) read(call, it)
  for (const it of plain.slice(-1)) write(call, it)
  return same(call.shell)
}

const here = (call: Call): void => {
  if (call.shell.cwd.length === 0) refuse(call, "unknown_code", "the directory in which it works is not known")
  for (const it of call.shell.cwd) write(call, literal(it))
}

const unpacks = (call: Call): Outcome => {
  call.run.edited.add(unpacked)
  effect(call, "workspace_write")
  return same(call.shell)
}

const sevenZip: Rule = (call) => {
  const [verb, ...words] = call.args
  const options = words.filter((it) => prefixOf(it).startsWith("-"))
  const [archive, ...files] = words.filter((it) => !prefixOf(it).startsWith("-"))
  const name = textOf(verb ?? literal("?")) ?? "?"
  if (!/^[altxeud]$/.test(name) || archive === undefined) {
    refuse(call, "unknown_option", "what it does with the archive is not known")
    return same(call.shell)
  }
  let target: Value | undefined
  for (const it of options) {
    const text = prefixOf(it)
    if (/^-o./.test(text)) target = dropText(it, 2)
    else if (
      textOf(it) === undefined ||
      !/^-(y|r[-0]?|bd|bb[0-3]?|bs[opre][012]|mx=?\d|mmt=?\w*|m[0-9]=\w+|md=\w+|ms=\w+|t(7z|zip|tar|gzip|bzip2|xz|wim)|slt|scrc\w*|ao[asut]|ssc-?|snl|x!?[\w*./!-]+|i![\w*./-]+|xr![\w*./-]+|ba)$/.test(
        text
      ) ||
      text.includes("@")
    )
      unknown(call, it)
  }
  for (const it of files) if (/^@/.test(show(it))) unknown(call, it)
  if (/^[aud]$/.test(name)) {
    write(call, archive)
    if (name !== "d") for (const it of files) read(call, it)
    return same(call.shell)
  }
  read(call, archive)
  if (/^[lt]$/.test(name)) return same(call.shell)
  if (target === undefined) here(call)
  else write(call, target)
  return unpacks(call)
}

const jar: Rule = (call) => {
  const [first, ...words] = call.args
  const long: Readonly<Record<string, string>> = { "--create": "c", "--list": "t", "--extract": "x", "--update": "u" }
  const text = textOf(first ?? literal("")) ?? ""
  const letters = Object.hasOwn(long, text) ? (long[text] ?? "") : text.replace(/^-/, "")
  const mode = /[ctxu]/.exec(letters)?.[0]
  if (mode === undefined || !/^[ctxuvfme0Mn]+$/.test(letters) || /[ctxu].*[ctxu]/.test(letters)) {
    refuse(call, "unknown_option", "what it does with the archive is not known")
    return same(call.shell)
  }
  const queue = [...words]
  const archive = (it: Value | undefined) => {
    if (it !== undefined) (/[cu]/.test(mode) ? write : read)(call, it)
  }
  for (const letter of letters) {
    if (letter === "f") archive(queue.shift())
    else if (letter === "m") read(call, queue.shift() ?? literal(""))
    else if (letter === "e") queue.shift()
  }
  while (queue.length > 0) {
    const it = queue.shift() ?? literal("")
    const word = textOf(it) ?? show(it)
    if (word === "-C") {
      const directory = queue.shift() ?? literal("")
      read(call, directory)
      if (mode === "x") write(call, directory)
      queue.shift()
    } else if (/^(-f|--file)$/.test(word)) archive(queue.shift())
    else if (/^--file=/.test(word)) archive(dropText(it, 7))
    else if (/^(-e|--main-class)$/.test(word)) queue.shift()
    else if (/^--main-class=[\w.$]+$|^(-v|--verbose|-0|--no-compress|-M|--no-manifest)$/.test(word)) continue
    else if (/^(-m|--manifest)$/.test(word)) read(call, queue.shift() ?? literal(""))
    else if (/^[-@]/.test(word)) unknown(call, it)
    else if (/[cu]/.test(mode)) read(call, it)
  }
  if (mode !== "x") return same(call.shell)
  here(call)
  return unpacks(call)
}

/** Only what lists: to unpack is not followed. */
const lists: Rule = (call, parsed: Parsed) => {
  if (!parsed.options.some(({ name }) => /^(-l|-t|--list)$/.test(name)) && call.name !== "lsar")
    refuse(call, "unknown_option", "it unpacks, and what is not known")
  return undefined
}

export const rules: Readonly<Record<string, Rule>> = {
  localMedia,
  ffmpeg,
  images,
  exiftool,
  pdf,
  sox,
  sevenZip,
  jar,
  lists
}
