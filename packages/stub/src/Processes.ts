/**
 * The processes that tools start. Like the real agent's, each Bash command is the leader of a session of its own, its
 * group is killed when the command is stopped, and what left the group (setsid) survives.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, unlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Leftover } from "./Step.js"

export interface Finished {
  /** 128 + the signal's number when a signal ended it. */
  readonly code: number
  readonly output: string
}

export interface RunningCommand {
  /** Resolves when the shell has ended, even if something it started still runs. Never rejects. */
  readonly finished: Promise<Finished>
  /** SIGKILL to its whole group. */
  kill(): void
}

/** Only so much of a command's output is read, as in the real agent. */
const mostOutput = 30_000

const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGPIPE: 13, SIGTERM: 15 }

const killGroup = (child: ChildProcess) => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, "SIGKILL")
  } catch {
    // The group is gone already.
  }
}

const readBack = (file: number): string => {
  const buffer = Buffer.alloc(mostOutput)
  return buffer.toString("utf8", 0, readSync(file, buffer, 0, mostOutput, 0))
}

const run = (command: string, cwd: string, env: NodeJS.ProcessEnv, file: number): RunningCommand => {
  const child = spawn("/bin/bash", ["-c", command], { cwd, env, detached: true, stdio: ["ignore", file, file] })
  const finished = new Promise<Finished>((resolve) => {
    child.on("error", (error) => resolve({ code: 127, output: error.message }))
    child.on("exit", (code, signal) =>
      resolve({ code: code ?? 128 + (signalNumbers[signal ?? ""] ?? 0), output: readBack(file) })
    )
  })
  return { finished: finished.finally(() => closeSync(file)), kill: () => killGroup(child) }
}

/** A command in the foreground. Its output goes through a file that has no name any more, so nothing is left over. */
export const runCommand = (command: string, cwd: string, env: NodeJS.ProcessEnv): RunningCommand => {
  const directory = mkdtempSync(join(tmpdir(), "driver-stub-"))
  const path = join(directory, "output")
  const file = openSync(path, "w+")
  unlinkSync(path)
  rmSync(directory, { recursive: true })
  return run(command, cwd, env, file)
}

/** A command in the background, whose output can be read in `outputFile` while it runs. */
export const runInBackground = (
  command: string,
  cwd: string,
  env: NodeJS.ProcessEnv,
  outputFile: string
): RunningCommand => {
  mkdirSync(dirname(outputFile), { recursive: true })
  writeFileSync(outputFile, "")
  return run(command, cwd, env, openSync(outputFile, "r+"))
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Starts a process that outlives its parent in the way its kind says. */
export const spawnLeftover = (
  { kind, command, lifetime, pidFile }: Leftover,
  cwd: string,
  env: NodeJS.ProcessEnv
): void => {
  const seconds = Number.isFinite(lifetime) ? lifetime / 1000 : 2_000_000
  const note = pidFile === undefined ? "" : `echo $$ > ${quoted(pidFile)}; `
  const job = command ?? `exec sleep ${seconds}`
  const countdown = `i=0; while [ $i -lt ${Math.ceil(seconds)} ]; do sleep 1; i=$((i+1)); done`
  const starts: Readonly<Record<Leftover["kind"], { readonly script: string; readonly ownSession: boolean }>> = {
    setsid: { script: `${note}${job}`, ownSession: true },
    nohup: { script: `trap '' HUP; ${note}${job}`, ownSession: false },
    double_fork: { script: `sh -c ${quoted(`${note}${job}`)} & exit 0`, ownSession: true },
    ignore_sigterm: { script: `trap '' TERM HUP INT; ${note}${command ?? countdown}`, ownSession: false },
    hold_pipe: { script: `${note}${job}`, ownSession: false }
  }
  const { script, ownSession } = starts[kind]
  const stdout = kind === "hold_pipe" ? "inherit" : "ignore"
  spawn("/bin/sh", ["-c", script], { cwd, env, detached: ownSession, stdio: ["ignore", stdout, "ignore"] }).unref()
}
