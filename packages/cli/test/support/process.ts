/** Runs the bundled `driver` as a process, in a world of its own, with the stand-in agent. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { StoredEvent } from "@driver/domain/DriverEvent"
import { GoalOutcome } from "@driver/domain/Outcome"
import { Schema } from "effect"
import type { TestContext } from "vitest"

const driver = resolve(dirname(fileURLToPath(import.meta.url)), "../../dist/driver.mjs")

export interface Ended {
  readonly code: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

export interface World {
  readonly directory: string
  readonly repository: string
  /** Writes a file below the repository, not committed. */
  readonly write: (name: string, text: string) => void
  readonly git: (...args: ReadonlyArray<string>) => string
  /** The agent's scenario. */
  readonly scenario: (scenario: unknown) => void
  readonly start: (args: ReadonlyArray<string>, env?: Record<string, string>) => Running
  readonly driver: (args: ReadonlyArray<string>, env?: Record<string, string>) => Promise<Ended>
  /** Runs a program that runs `driver`, in the same environment. */
  readonly run: (program: string, args: ReadonlyArray<string>, cwd: string) => Promise<Ended>
  /** Processes whose environment or command line names this world. */
  readonly processes: () => ReadonlyArray<string>
  /** Resolves when the predicate holds; fails after two minutes. */
  readonly until: (what: string, predicate: () => boolean) => Promise<void>
  readonly events: (file: string) => ReadonlyArray<StoredEvent>
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

const hello = `description: Create hello.txt with a greeting
acceptance:
  - shell: test -s hello.txt
  - { kind: file_matches, path: hello.txt, regex: "(?i)hello" }
budget: { max_turns: 5, max_wall_time: 10 minutes, max_tokens: 500000 }
`

/** A repository with `hello.yaml` and a `driver.yaml` for the stand-in agent; gone when the test is over. */
export const makeWorld = (
  { onTestFinished }: Pick<TestContext, "onTestFinished">,
  options: { readonly name?: string; readonly files?: Record<string, string> } = {}
): World => {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "driver-process-")))
  const repository = join(directory, options.name ?? "repository")
  mkdirSync(repository)
  mkdirSync(join(directory, "home"))
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(repository, name)), { recursive: true })
    writeFileSync(join(repository, name), text)
  }
  for (const [name, text] of Object.entries({ "README.md": "# Sample\n", ...options.files })) write(name, text)
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
      cwd: repository,
      encoding: "utf8",
      env: { PATH: process.env.PATH, HOME: join(directory, "home"), GIT_CONFIG_NOSYSTEM: "1" }
    })
  git("init", "-q", "-b", "main")
  git("add", "-A")
  git("commit", "-q", "-m", "Begin")
  write("hello.yaml", hello)
  write("driver.yaml", "agent: { kind: stub, scenario: scenario.json }\n")

  const start = (args: ReadonlyArray<string>, env: Record<string, string> = {}): Running =>
    startProgram(process.execPath, [driver, ...args], repository, env)
  const startProgram = (
    program: string,
    args: ReadonlyArray<string>,
    cwd: string,
    env: Record<string, string> = {}
  ): Running => {
    const child = spawn(program, args, {
      cwd,
      env: {
        PATH: process.env.PATH,
        HOME: join(directory, "home"),
        XDG_STATE_HOME: join(directory, "state"),
        LANG: "C.UTF-8",
        ...env
      },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const output = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text
    })
    const ended = new Promise<Ended>((done) =>
      child.on("close", (code, signal) => done({ code: code ?? signal ?? -1, ...output }))
    )
    onTestFinished(async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL")
      await ended
    })
    return { child, ended }
  }

  const processes = () =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .flatMap((pid) => {
        try {
          const about = readFileSync(`/proc/${pid}/environ`, "latin1") + readFileSync(`/proc/${pid}/cmdline`, "latin1")
          const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
          const isZombie = stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")
          const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
          return about.includes(directory) && !isZombie ? [`${pid} ${command}`] : []
        } catch {
          // It has ended meanwhile.
          return []
        }
      })

  const until = async (what: string, predicate: () => boolean) => {
    const limit = performance.now() + 120_000
    while (!predicate()) {
      if (performance.now() > limit) throw new Error(`waited in vain for ${what}`)
      await new Promise((done) => setTimeout(done, 10))
    }
  }

  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return {
    directory,
    repository,
    write,
    git,
    scenario: (scenario) => write("scenario.json", JSON.stringify(scenario)),
    start,
    driver: (args, env) => start(args, env).ended,
    run: (program, args, cwd) => startProgram(program, args, cwd).ended,
    processes,
    until,
    events: (file) =>
      existsSync(file)
        ? readFileSync(file, "utf8")
            .split("\n")
            .filter((line) => line !== "")
            .map((line) => Schema.decodeUnknownSync(StoredEvent.FromJson)(line))
        : []
  }
}

/** Standard output as one `GoalOutcome`, and nothing else there. */
export const outcomeOf = ({ stderr, stdout }: Ended): GoalOutcome => {
  const lines = stdout.split("\n")
  if (lines.length !== 2 || lines[1] !== "") throw new Error(`expected one line of JSON, got:\n${stdout}\n${stderr}`)
  return Schema.decodeUnknownSync(GoalOutcome.FromJson)(lines[0])
}

export const writeHello = { tool: "Write", input: { file_path: "hello.txt", content: "Hello, world\n" } }
