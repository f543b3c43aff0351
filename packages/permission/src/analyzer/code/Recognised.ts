/** What code in an argument does, when it is recognised as harmless: a closed list of names, properties and calls. */
export interface Recognised {
  /** It loads code of the project, or a package that the project has. */
  readonly project: boolean
  /** Files by one literal each. */
  readonly reads: ReadonlyArray<string>
  readonly writes: ReadonlyArray<string>
}

export const words = (text: string): ReadonlySet<string> => new Set(text.split(" "))

export const isName = (it: string | undefined): it is string => it !== undefined && /^[A-Za-z_$]/.test(it)
export const isString = (it: string | undefined): it is string => it !== undefined && /^["']/.test(it)

/** Longer code is not looked at. */
export const longest = 8_192

/** None when the text has other characters than the language's. `token` is sticky. */
export const tokensOf = (text: string, token: RegExp, skipped: RegExp): ReadonlyArray<string> | undefined => {
  const tokens: Array<string> = []
  let at = 0
  while (at < text.length) {
    token.lastIndex = at
    const found = token.exec(text)
    if (found === null) return undefined
    at = token.lastIndex
    if (!skipped.test(found[0])) tokens.push(found[0])
  }
  return tokens
}

/** Loops without an end, and numbers that no file has room for. */
export const isEndless = (tokens: ReadonlyArray<string>): boolean =>
  tokens.some(
    (it, index) =>
      /^\d{8,}|^\d[\d_.]*e\+?\d|^\d[\d_]{9,}/i.test(it) ||
      (it === "*" && tokens[index + 1] === "*") ||
      (it === "while" &&
        /^(\(|True|1)$/.test(tokens[index + 1] ?? "") &&
        /^(true|1|:)$/.test(tokens[index + 2] ?? "")) ||
      (it === "for" && tokens[index + 1] === "(" && tokens[index + 2] === ";")
  )

/** Text of which nobody makes a path out of the workspace, or to a secret. */
export const isPlainText = (text: string, isSecret: (path: string) => boolean): boolean =>
  !/^[~/][\w.]/.test(text) && !text.split("/").includes("..") && !isSecret(text)
