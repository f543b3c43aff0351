/**
 * The command line, as the real agent's: which flags exist, which take values, and what an unknown one gives. Pure:
 * nothing is read or printed here.
 */

/** The command line cannot be used; the message is what goes to stderr. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** How many values a flag takes: none, one, or all up to the next flag. */
type Arity = "none" | "one" | "many"

const flags: Readonly<Record<string, Arity>> = {
  "--print": "none",
  "--output-format": "one",
  "--verbose": "none",
  "--input-format": "one",
  "--resume": "one",
  "--session-id": "one",
  "--fork-session": "none",
  "--no-session-persistence": "none",
  "--model": "one",
  "--fallback-model": "one",
  "--effort": "one",
  "--permission-mode": "one",
  "--permission-prompt-tool": "one",
  "--dangerously-skip-permissions": "none",
  "--mcp-config": "many",
  "--strict-mcp-config": "none",
  "--setting-sources": "one",
  "--settings": "one",
  "--system-prompt": "one",
  "--system-prompt-file": "one",
  "--append-system-prompt": "one",
  "--append-system-prompt-file": "one",
  "--tools": "many",
  "--system-prompt-snapshot": "one",
  "--max-turns": "one",
  "--max-budget-usd": "one",
  "--allowedTools": "many",
  "--disallowedTools": "many",
  "--add-dir": "many",
  "--include-partial-messages": "none",
  "--include-hook-events": "none",
  "--replay-user-messages": "none",
  "--version": "none",
  "--help": "none",
  "--scenario": "one"
}

const aliases: Readonly<Record<string, string>> = {
  "-p": "--print",
  "-r": "--resume",
  "-v": "--version",
  "-h": "--help",
  "--allowed-tools": "--allowedTools",
  "--disallowed-tools": "--disallowedTools"
}

export interface Arguments {
  readonly prompt: string | undefined
  has(flag: string): boolean
  /** The last value given to a flag. */
  value(flag: string): string | undefined
  /** Every value given to a flag, commas split. */
  values(flag: string): ReadonlyArray<string>
  /** Every value given to a flag, as written. */
  raw(flag: string): ReadonlyArray<string>
  /** A flag's value as a number; throws when it is none. */
  number(flag: string): number | undefined
}

/** Throws `UsageError` with the sentence that the real agent prints. */
export const parseArguments = (argv: ReadonlyArray<string>): Arguments => {
  const given = new Map<string, Array<string>>()
  const positional: Array<string> = []
  const queue = [...argv]
  for (let token = queue.shift(); token !== undefined; token = queue.shift()) {
    if (!token.startsWith("-") || token === "-") {
      positional.push(token)
      continue
    }
    const equals = token.startsWith("--") ? token.indexOf("=") : -1
    const written = equals < 0 ? token : token.slice(0, equals)
    const flag = aliases[written] ?? written
    const arity = flags[flag]
    if (arity === undefined) throw new UsageError(`error: unknown option '${token}'`)
    const values = given.get(flag) ?? []
    given.set(flag, values)
    if (arity === "none") continue
    const first = equals < 0 ? queue.shift() : token.slice(equals + 1)
    if (first === undefined) throw new UsageError(`error: option '${written} <value>' argument missing`)
    values.push(first)
    while (arity === "many" && queue[0] !== undefined && !queue[0].startsWith("-")) values.push(queue.shift() ?? "")
  }
  if (positional.length > 1)
    throw new UsageError(`error: too many arguments. Expected 1 argument but got ${positional.length}.`)
  const raw = (flag: string) => given.get(flag) ?? []
  return {
    prompt: positional[0],
    has: (flag) => given.has(flag),
    value: (flag) => given.get(flag)?.at(-1),
    values: (flag) =>
      raw(flag)
        .flatMap((value) => value.split(","))
        .map((value) => value.trim())
        .filter((value) => value !== ""),
    raw,
    number: (flag) => {
      const written = given.get(flag)?.at(-1)
      if (written === undefined) return undefined
      const parsed = Number(written)
      if (!(parsed > 0))
        throw new UsageError(
          `error: option '${flag} <value>' argument '${written}' is invalid. It must be a positive number.`
        )
      return parsed
    }
  }
}

export const help = `Usage: driver-stub [options] [prompt]

A stand-in for the Claude Code CLI: same flags, same stream-json protocol, no model. It plays a scenario file.

  --scenario <file>                     what to play (YAML or JSON); or DRIVER_STUB_SCENARIO
  -p, --print                           answer and exit (the only mode)
  --output-format <text|json|stream-json>
  --input-format <text|stream-json>     stream-json: prompts and controls as lines on stdin, several turns
  --verbose                             required with --output-format stream-json
  --permission-prompt-tool <tool>       mcp__<server>__<tool>, or stdio
  --mcp-config <file or json...>        where the gate's server is described
  --strict-mcp-config                   no servers from .mcp.json in the working directory
  -r, --resume <id>   --session-id <id>   --fork-session   --no-session-persistence
  --model <m>   --fallback-model <m>   --permission-mode <mode>   --settings <file or json>
  --setting-sources <user,project,local>   --max-turns <n>   --max-budget-usd <n>
  --allowedTools <t...>   --disallowedTools <t...>   --add-dir <d...>   --include-partial-messages
  --include-hook-events   --replay-user-messages
  --version   --help
  --system-prompt <text>                the prompt is a question to the model: answered by the scenario's questions
Accepted and without effect: --effort, --system-prompt-file, --append-system-prompt,
  --append-system-prompt-file, --system-prompt-snapshot.
`
