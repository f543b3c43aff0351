/**
 * What goes on beside the turns: commands in the background and, in the list only, subagents.
 *
 * Owns the commands' processes, their output files, and the events that tell of them. The turn that answers the end of a
 * command is played by `Conversation`; subagents are run by `Subagents`.
 */
import { rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runId, taskId } from "./Ids.js"
import type { Json } from "./Json.js"
import { type Output, system } from "./Output.js"
import { type RunningCommand, runInBackground } from "./Processes.js"
import type { Step } from "./Step.js"

export interface BackgroundCommand {
  readonly command: string
  readonly description: string
  readonly toolUseId: string
  /** Milliseconds before which its end is not announced. */
  readonly notifyAfter: number
  readonly then: ReadonlyArray<Step>
}

export interface BackgroundTask {
  readonly listed: Json & { readonly task_id: string }
  readonly runId: string
  readonly command: BackgroundCommand
  readonly outputFile: string
  readonly running: RunningCommand
  /** The exit code, once its end may be announced. */
  code: number | undefined
}

export class BackgroundTasks {
  private readonly tasks = new Map<string, BackgroundTask>()
  private readonly agents = new Map<string, Json>()
  private readonly directory = join(tmpdir(), `driver-stub-tasks-${process.pid}`)

  /** `onEnd` is called when a command has ended. */
  constructor(
    private readonly output: Output,
    private readonly cwd: string,
    private readonly onEnd: () => void
  ) {}

  /** Commands whose end has not been announced. */
  get size(): number {
    return this.tasks.size
  }

  /** A command whose end is to be announced. */
  ended(): BackgroundTask | undefined {
    return [...this.tasks.values()].find(({ code }) => code !== undefined)
  }

  /** Starts a command that outlives the turn; its end is announced and answered with `then`. */
  start(command: BackgroundCommand, env: NodeJS.ProcessEnv): { readonly taskId: string; readonly outputFile: string } {
    const id = taskId("b")
    const outputFile = join(this.directory, `${id}.output`)
    const running = runInBackground(command.command, this.cwd, env, outputFile)
    const run = runId()
    const task: BackgroundTask = {
      listed: { task_id: id, run_id: run, task_type: "local_bash", description: command.description },
      runId: run,
      command,
      outputFile,
      running,
      code: undefined
    }
    this.tasks.set(id, task)
    this.announce()
    this.output.event(
      system("task_started", {
        task_id: id,
        run_id: run,
        tool_use_id: command.toolUseId,
        description: command.description,
        is_backgrounded: true,
        task_type: "local_bash"
      })
    )
    const notEarlier = new Promise<void>((resolve) => setTimeout(resolve, Math.min(command.notifyAfter, 2 ** 30)))
    void Promise.all([running.finished, notEarlier]).then(([{ code }]) => {
      task.code = code
      this.onEnd()
    })
    return { taskId: id, outputFile }
  }

  /** Keeps a subagent in the list until the function that it gives is called. */
  listAgent(task: Json & { readonly task_id: string }): () => void {
    this.agents.set(task.task_id, task)
    this.announce()
    return () => {
      if (this.agents.delete(task.task_id)) this.announce()
    }
  }

  /** Says that a command has ended, and forgets it. */
  report(task: BackgroundTask): void {
    this.tasks.delete(task.listed.task_id)
    const { code } = task
    const status = code === 0 ? "completed" : "failed"
    this.output.event(system("task_updated", this.update(task, status)))
    this.output.event(
      system("task_notification", {
        ...labels(task),
        status,
        output_file: task.outputFile,
        summary: `Background command "${task.command.description}" ${status} (exit code ${code})`
      })
    )
    this.announce()
  }

  /** The process is being killed: kills every command that runs, and says so. */
  terminate(): void {
    for (const task of this.tasks.values()) {
      if (task.code !== undefined) continue
      task.running.kill()
      this.output.event(
        system("task_notification", {
          ...labels(task),
          status: "stopped",
          output_file: "",
          summary: task.command.description
        })
      )
      this.output.event(system("task_updated", this.update(task, "killed")))
    }
    const hadTasks = this.tasks.size > 0
    this.tasks.clear()
    if (hadTasks) this.announce()
  }

  /** Prints the list. */
  announce(): void {
    const tasks = [...[...this.tasks.values()].map(({ listed }) => listed), ...this.agents.values()]
    this.output.event(system("background_tasks_changed", { tasks }))
  }

  /** Removes the output files. */
  close(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }

  private update({ listed, runId: run }: BackgroundTask, status: string): Json {
    return { task_id: listed.task_id, run_id: run, patch: { status, end_time: Date.now() } }
  }
}

const labels = ({ listed, runId: run, command }: BackgroundTask): Json => ({
  task_id: listed.task_id,
  run_id: run,
  tool_use_id: command.toolUseId
})
