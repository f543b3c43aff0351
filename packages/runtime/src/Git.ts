/**
 * Runs git: with an argument vector, a complete environment of its own, a time
 * limit, bounded output, and as a process group that is ended when whoever asked
 * is interrupted.
 *
 * Nothing that a repository's configuration names is run on the driver's behalf:
 * hooks, fsmonitor, pager, editor, signing and credential programs are overridden
 * on each call, and every transport is forbidden. What cannot be overridden on a
 * command line (filters, merge and diff drivers) the callers avoid by giving git a
 * directory of the driver's own as `GIT_DIR`; see `internal/snapshots.ts`.
 *
 * The user's and the system's git configuration are not read, except for the
 * user's own list of ignored files. Does not decide what to do about a failure.
 */
import { runProgram } from "@driver/agent/RunProgram"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** git could not be run, or said no. */
export class GitError extends Schema.TaggedError<GitError>()("GitError", {
  /** `exit`: it ran and failed. `killed`: a signal ended it. `spawn`: no such program. `directory`: none to run it in. */
  reason: Schema.Literal("spawn", "directory", "timeout", "killed", "exit"),
  /** What was asked for, without the fixed options: `update-ref --stdin`. */
  command: Schema.String,
  directory: Schema.String,
  /** Present with `exit`. */
  exitCode: Schema.optionalWith(Schema.Int, { exact: true }),
  /** What git wrote to standard error, at most 2 KiB, or why it could not be run. */
  detail: Schema.String
}) {
  override get message() {
    return `${describe[this.reason](this)}: ${this.detail}`
  }
}

const describe: Record<GitError["reason"], (error: GitError) => string> = {
  spawn: (error) => `git could not be started in ${error.directory}`,
  directory: (error) => `git could not be started, since there is no directory ${error.directory}`,
  timeout: (error) => `\`git ${error.command}\` in ${error.directory} did not end in time and was killed`,
  killed: (error) => `\`git ${error.command}\` in ${error.directory} was killed`,
  exit: (error) => `\`git ${error.command}\` in ${error.directory} failed with ${error.exitCode}`
}

export interface GitCall {
  readonly args: ReadonlyArray<string>
  /** An existing directory. */
  readonly cwd: string
  /** Beside the fixed environment: `GIT_DIR`, `GIT_INDEX_FILE`, … */
  readonly env?: Readonly<Record<string, string>>
  /** Default: nothing, at end of file. */
  readonly stdin?: Uint8Array
  /** Wall clock. Default 60 s. */
  readonly timeout?: Duration.DurationInput
  /** Standard output beyond this is read and dropped. Default 64 MiB. */
  readonly maxOutputBytes?: number
  /** Exit codes that are answers. Default `[0]`. */
  readonly answers?: ReadonlyArray<number>
}

/** Several commands of git as one program. */
export interface GitScript extends Omit<GitCall, "args"> {
  /** For messages. */
  readonly name: string
  /** In POSIX shell, where `git` is this git with its fixed options, and descriptor 3 the standard input. What varies comes as `$1`, `$2`, …: it is no part of this text. */
  readonly text: string
  readonly args: ReadonlyArray<string>
}

export interface GitOutput {
  readonly exitCode: number
  readonly stdout: Uint8Array
  /** At most 64 KiB. */
  readonly stderr: string
  /** True when standard output was longer than `maxOutputBytes`. */
  readonly truncated: boolean
}

export class Git extends Context.Tag("@driver/runtime/Git")<
  Git,
  {
    /** Resolves when git has ended and its output is read. Interruption ends its whole process group. */
    readonly run: (call: GitCall) => Effect.Effect<GitOutput, GitError>
    /** The same with a script of several commands, by the `sh` on the PATH. */
    readonly script: (script: GitScript) => Effect.Effect<GitOutput, GitError>
  }
>() {
  /** The `git` on the PATH. `program`: another one, by name or path. */
  static readonly layer = (options?: { readonly program?: string }): Layer.Layer<Git> =>
    Layer.effect(
      Git,
      Effect.gen(function* () {
        const program = options?.program ?? "git"
        const inherited = yield* inheritedVariables
        const ignoreFile = yield* runWith([program], inherited, {
          args: ["config", "--global", "--type=path", "--get", "core.excludesFile"],
          cwd: "/",
          answers: [0]
        }).pipe(
          Effect.map((output) => text(output)),
          // No such setting, no home directory, no git: the calls that matter will say so.
          Effect.orElseSucceed(() => "")
        )
        const environment = { ...inherited, ...fixedVariables }
        const prefix = [...fixedOptions, ...(ignoreFile === "" ? [] : ["-c", `core.excludesFile=${ignoreFile}`])]
        const command: readonly [string, ...Array<string>] = [program, ...prefix]
        // `command`: not this function.
        const preamble = `git() { command ${command.map(quoted).join(" ")} "$@"; }\nexec 3<&0 </dev/null\n`
        return {
          run: (call) => runWith(command, environment, call),
          script: ({ name, text, ...call }) =>
            runWith(["sh", "-c", preamble + text, "sh"], environment, call, `script ${name}`)
        }
      })
    )
}

/** Standard output as text, without the final newline. */
export const text = (output: GitOutput): string => decoder.decode(output.stdout).replace(/\n$/, "")

/** Standard output as NUL-terminated records, one character per byte, so that names in any encoding survive. */
export const records = (output: GitOutput): ReadonlyArray<string> => {
  const parts = toBinary(output.stdout).split("\0")
  if (parts.at(-1) === "") {
    parts.pop()
  }
  return parts
}

/** One character per byte. The inverse of `fromBinary`. */
export const toBinary = (bytes: Uint8Array): string => {
  let binary = ""
  for (let start = 0; start < bytes.length; start += 8192) {
    binary += String.fromCharCode(...bytes.subarray(start, start + 8192))
  }
  return binary
}

export const fromBinary = (binary: string): Uint8Array => {
  const bytes = new Uint8Array(binary.length)
  for (let index = 0; index < binary.length; index++) {
    bytes[index] = binary.charCodeAt(index)
  }
  return bytes
}

/** A name as `records` gives it, as text. Bytes that are not UTF-8 become U+FFFD. */
export const decodeName = (binary: string): string => decoder.decode(fromBinary(binary))

/** Binary records, each ended by NUL: what `-z --stdin` reads. */
export const encodeRecords = (names: Iterable<string>): Uint8Array => {
  let binary = ""
  for (const name of names) {
    binary += name + "\0"
  }
  return fromBinary(binary)
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

export const encodeText = (value: string): Uint8Array => encoder.encode(value)

/** Paths and identity are the only things git takes from the driver's own environment. */
const inheritedVariables: Effect.Effect<Record<string, string>> = Effect.gen(function* () {
  const variables: Record<string, string> = { PATH: "/usr/local/bin:/usr/bin:/bin" }
  for (const name of ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR"]) {
    const value = yield* Config.string(name).pipe(Config.option)
    if (Option.isSome(value) && value.value !== "") {
      variables[name] = value.value
    }
  }
  return variables
}).pipe(Effect.orElseSucceed(() => ({ PATH: "/usr/local/bin:/usr/bin:/bin" })))

const fixedVariables = {
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "true",
  GIT_EDITOR: "true",
  GIT_PAGER: "cat",
  GIT_OPTIONAL_LOCKS: "0",
  // Objects are what they are: no refs/replace of the agent's making.
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_NO_LAZY_FETCH: "1",
  GIT_ALLOW_PROTOCOL: "none",
  GIT_AUTHOR_NAME: "driver",
  GIT_AUTHOR_EMAIL: "driver@localhost",
  GIT_COMMITTER_NAME: "driver",
  GIT_COMMITTER_EMAIL: "driver@localhost"
}

const fixedOptions: ReadonlyArray<string> = [
  "--no-pager",
  ...[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.pager=cat",
    "core.editor=true",
    "core.askPass=true",
    "core.sshCommand=false",
    "core.alternateRefsCommand=true",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "core.safecrlf=false",
    "diff.external=",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "gpg.program=false",
    "log.showSignature=false",
    "credential.helper=",
    "protocol.allow=never",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    // Ownership matters where configuration could run something, and here it cannot.
    "safe.directory=*"
  ].flatMap((setting) => ["-c", setting])
]

const maxErrorBytes = 64 * 1024

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

const runWith = (
  [program, ...prefix]: readonly [string, ...Array<string>],
  environment: Readonly<Record<string, string>>,
  call: GitCall,
  name = call.args.join(" ").slice(0, 300)
): Effect.Effect<GitOutput, GitError> => {
  const failure = (reason: GitError["reason"], detail: string, exitCode?: number) =>
    new GitError({
      reason,
      command: name,
      directory: call.cwd,
      detail: detail.slice(0, 2048),
      ...(exitCode === undefined ? {} : { exitCode })
    })
  return runProgram({
    program,
    args: [...prefix, ...call.args],
    cwd: call.cwd,
    env: { ...environment, ...call.env },
    ...(call.stdin === undefined ? {} : { stdin: call.stdin }),
    maxStdout: call.maxOutputBytes ?? 64 * 1024 * 1024,
    maxStderr: maxErrorBytes
  }).pipe(
    Effect.mapError(({ detail, reason }) => failure(reason === "directory" ? "directory" : "spawn", detail)),
    Effect.flatMap(({ exit, stderr, stdout, stdoutTruncated }) => {
      if (exit._tag === "Signaled") return Effect.fail(failure("killed", `the signal was ${exit.signal}`))
      const complaint = decoder.decode(stderr)
      return (call.answers ?? [0]).includes(exit.code)
        ? Effect.succeed({ exitCode: exit.code, stdout, stderr: complaint, truncated: stdoutTruncated })
        : Effect.fail(failure("exit", complaint.trim() === "" ? "it did not say why" : complaint.trim(), exit.code))
    }),
    Effect.timeoutFail({
      duration: call.timeout ?? "60 seconds",
      onTimeout: () =>
        failure("timeout", `the limit is ${Duration.format(Duration.decode(call.timeout ?? "60 seconds"))}`)
    }),
    Effect.withSpan("Git.run", { attributes: { "git.command": call.args[0] ?? "" } })
  )
}
