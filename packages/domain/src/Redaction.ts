/**
 * Takes secrets out of text that leaves the driver: evidence, diffs, error
 * messages. Known values go in every usual encoding; beyond those, what looks like
 * a key of a known kind, or stands in an assignment to a name like one.
 *
 * Never by entropy: commit hashes, UUIDs and other long words stay. Each pattern
 * is matched in linear time; a text of 1 MiB takes some tens of milliseconds.
 */
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"

/** What stands in the place of a secret. */
export const mark = "[redacted]"

/** Shorter values are not looked for: they would hit ordinary words. In UTF-16 units. */
export const minimumLength = 6

/** The text without these values and without what looks like a key. */
export const redact = (text: string, secrets: ReadonlyArray<Redacted.Redacted<string>>): string =>
  redactor(secrets)(text)

/** The same for many texts. */
export const redactor = (secrets: ReadonlyArray<Redacted.Redacted<string>>): ((text: string) => string) => {
  const forms = formsOf(secrets)
  return (text) => {
    const clean = redactKnown(text, forms)
    return suspicious.test(clean) ? redactCut(redactAssignments(redactTokens(redactPrivateKeys(clean))), forms) : clean
  }
}

/** What every text has that any of the patterns below finds something in: one look instead of fifteen, at texts that are mostly innocent. */
const suspicious =
  /[:=@…]|--|bearer|PRIVATE KEY|sk-|gh[pousr]_|_pat_|glpat-|npm_|pypi-|hf_|AKIA|ASIA|AIza|ya29\.|k_(?:live|test)_|SG\.|xox|xapp-|eyJ/i

/** Whether a value under this name is a secret, whatever it looks like. */
export const isSecretName = (name: string): boolean => secretName.test(name)

const secretName =
  /(?:^|[^a-z])(?:password|passwd|secret|(?:api|access|auth|private)[_-]?(?:key|token)|token|authorization)$/i

/**
 * Takes away what a cut may have left of a secret at the beginning of a text, where
 * `redact` cannot recognize it: the end of a known value, and the rest of a word.
 */
export const dropTorn = (text: string, secrets: ReadonlyArray<Redacted.Redacted<string>>): string => {
  const torn = Math.max(0, ...formsOf(secrets).map((form) => tornLength(text, form)))
  const rest = text.slice(torn)
  return rest.slice(/^\S{0,512}/.exec(rest)?.[0].length ?? 0)
}

/** The length of the longest end of `form`, short of the whole, that `text` begins with. */
const tornLength = (text: string, form: string): number => {
  for (let length = Math.min(form.length - 1, text.length); length > 0; length--) {
    if (text.startsWith(form.slice(-length))) return length
  }
  return 0
}

const redactKnown = (text: string, forms: ReadonlyArray<string>): string =>
  forms.reduce((clean, form) => (clean.includes(form) ? clean.replaceAll(form, mark) : clean), text)

/** Longest first: a secret that contains another one goes as a whole. */
const formsOf = (secrets: ReadonlyArray<Redacted.Redacted<string>>): ReadonlyArray<string> => {
  const values = secrets.map((secret) => Redacted.value(secret).trim()).filter((it) => it.length >= minimumLength)
  const forms = values.flatMap((value) => [
    value,
    ...lines(value),
    percentEncoded(value),
    percentEncoded(value).replaceAll("%20", "+"),
    JSON.stringify(value).slice(1, -1),
    Encoding.encodeBase64(value),
    Encoding.encodeBase64(value).replace(/=+$/, ""),
    Encoding.encodeBase64Url(value),
    Encoding.encodeHex(value)
  ])
  return [...new Set(forms)].filter((form) => form.length >= minimumLength).sort((a, b) => b.length - a.length)
}

/** A secret of several lines may be shown with other line ends or indented. Short lines are ordinary words. */
const lines = (value: string): ReadonlyArray<string> =>
  value.includes("\n")
    ? value
        .split(/\r?\n/)
        .map((line) => line.trim())
        .filter((line) => line.length >= 16)
    : []

/** `encodeURIComponent`, which throws on half characters. */
const percentEncoded = (value: string): string => {
  try {
    return encodeURIComponent(value)
  } catch {
    return value
  }
}

const begin = "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
const end = "-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
/** No step into the next block, so that a row of beginnings is not read again and again. */
const wholeKey = new RegExp(`${begin}(?:(?!-----BEGIN)[\\s\\S]){0,20000}?${end}`, "g")
/** Blocks whose end was cut off. */
const openKey = new RegExp(`${begin}[A-Za-z0-9+/=\\s\\\\]{0,20000}`, "g")
const keyEnd = new RegExp(end, "g")

const redactPrivateKeys = (text: string): string =>
  text.includes("PRIVATE KEY") ? redactHeadless(text.replace(wholeKey, mark).replace(openKey, `${mark}\n`)) : text

/** Blocks whose beginning was cut off: the lines of base64 that lead up to an end. */
const redactHeadless = (text: string): string => {
  const parts: Array<string> = []
  let from = 0
  for (const match of text.matchAll(keyEnd)) {
    let start = match.index
    while (start > from && match.index - start < 20_000 && /[A-Za-z0-9+/=\s]/.test(text.charAt(start - 1))) start--
    // The run began in the middle of a line of something else: what is left of that line stays.
    const begunInLine = start > from && text.charAt(start - 1) !== "\n"
    if (begunInLine) start += text.slice(start, match.index).indexOf("\n") + 1
    parts.push(text.slice(from, start), mark)
    from = match.index + match[0].length
  }
  return parts.join("") + text.slice(from)
}

/** Keys that are known by their shape. Each begins at the beginning of a word. */
const tokens: ReadonlyArray<RegExp> = [
  // Anthropic, OpenAI and others: a digit is asked for, since `sk-` begins names of styles too.
  /(?<![\w-])sk-ant-[\w-]{8,}/g,
  /(?<![\w-])sk-(?=[A-Za-z_-]{0,80}\d)[\w-]{20,}/g,
  // GitHub, GitLab, npm, PyPI, Hugging Face
  /(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,}|hf_[A-Za-z0-9]{30,})/g,
  // AWS, Google, Stripe, SendGrid
  /(?<!\w)(?:(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)|AIza[\w-]{35}|ya29\.[\w-]{20,}|[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|SG\.[\w-]{16,}\.[\w-]{16,})/g,
  // Slack
  /(?<!\w)(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,})/g,
  // JSON web tokens, signed or encrypted
  /(?<![\w-])eyJ[\w-]{8,}\.[\w-]{2,}\.[\w.-]{8,}/g
]

const redactTokens = (text: string): string => tokens.reduce((clean, token) => clean.replace(token, mark), text)

/** The beginning of a key, before the sign of a cut. */
const cutToken =
  /(?<![\w-])(?:sk-ant-|sk-proj-|gh[pousr]_|github_pat_|glpat-|npm_|pypi-|hf_|AKIA|ASIA|AIza|ya29\.|[srp]k_(?:live|test)_|SG\.|xox[abeoprs]-|xapp-|eyJ)[\w.-]{1,512}(?=…)/g

/** How many cuts are looked at for beginnings of known values. */
const mostCuts = 100

/** What a cut has left of a secret before its `…`. */
const redactCut = (text: string, forms: ReadonlyArray<string>): string => {
  if (!text.includes("…")) return text
  const parts = text.replace(cutToken, mark).split("…")
  return parts
    .map((part, index) => (index === parts.length - 1 || index >= mostCuts ? part : withoutBeginning(part, forms)))
    .join("…")
}

const withoutBeginning = (text: string, forms: ReadonlyArray<string>): string => {
  for (const form of forms) {
    for (let length = Math.min(form.length - 1, text.length); length >= minimumLength; length--) {
      if (text.endsWith(form.slice(0, length))) return text.slice(0, -length) + mark
    }
  }
  return text
}

type Assignment = readonly [RegExp, (match: ReadonlyArray<string>) => string]

/** The value goes, the name stays. The first group is what stays. */
const assignments: ReadonlyArray<Assignment> = [
  // Authorization: Basic …, with whatever scheme
  [/((?<!\w)authorization["']?\s{0,4}[:=]\s{0,4}["']?(?:[a-z]{1,12}\s{1,4})?)[^\s"',;]{6,}/gi, keepName],
  [/((?<!\w)bearer\s{1,4})(?=[A-Za-z._~+/=-]{0,80}\d)[\w.~+/=-]{16,}/gi, keepName],
  // https://user:password@host
  [/((?<![a-z0-9])[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]{0,100}:)[^\s@/]{1,200}(?=@)/gi, keepName],
  // NAME_TOKEN=value of shells and .env files; a reference to another variable is no secret
  [
    /((?<![\w$.])(?:[A-Z][A-Z0-9_]{0,80}_)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PWD|CREDENTIALS?|APIKEY|PAT)=)(["']?)([^\s"'`$<({[\]})>;,&][^\s"'`]{5,})/g,
    ([whole = "", name = "", quote = ""]) => (ordinaryKey.test(name) ? whole : `${name}${quote}${mark}`)
  ],
  // --password value, --api-key=value
  [
    /((?<![\w-])--(?:[a-z]{1,20}-)?(?:password|passwd|token|secret|api-?key)(?:=|\s{1,4}))(?![-$<])[^\s"'`]{6,}/gi,
    keepName
  ],
  // password: "value", "client_secret": "value"
  [
    /((?<![A-Za-z0-9])(?:password|passwd|pwd|secret|(?:api|access|secret|private|auth)[_-]?(?:key|token)|client[_-]?secret)["']?\s{0,4}[:=]\s{0,4})(["'])([^\s"'$<{]{6,200})\2/gi,
    ([whole = "", name = "", quote = "", value = ""]) =>
      ordinaryValue.test(value) ? whole : `${name}${quote}${mark}${quote}`
  ],
  // password: value, without quotes: with a digit, and neither called nor accessed
  [
    /((?<![A-Za-z0-9.$])(?:[a-z]{1,20}_)?(?:password|passwd|pwd|secret|api_?key|access_?token|auth_?token)\s{0,4}[:=]\s{0,4})(?=[^\s"'\d]{0,80}\d)([^\s"'`$<(){}[\],;&]{6,200})(?![\w([.])/gi,
    keepName
  ]
]

/** Names that end like a secret and hold none. */
const ordinaryKey = /(?:^|_)(?:PRIMARY|FOREIGN|SORT|PARTITION|CACHE|PUBLIC|HASH|RANGE|INDEX|NEXT|PREV)_KEY=$|^KEY=$/

/** What schemas and forms write in the place of a secret. */
const ordinaryValue =
  /^(?:string|number|boolean|password|passwd|secret|required|optional|undefined|true|false|\*+|x+|\.+)$/i

function keepName(match: ReadonlyArray<string>): string {
  return `${match[1] ?? ""}${mark}`
}

const redactAssignments = (text: string): string =>
  assignments.reduce(
    (clean, [pattern, replacement]) =>
      clean.replace(pattern, (...match) => replacement(match.filter((it) => typeof it === "string"))),
    text
  )
