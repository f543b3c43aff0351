/**
 * The prompts that the program answers itself: `/compact` and `/clear`.
 *
 * Owns their events. What a compaction leaves behind is in `Compaction`; prompts for a model are played by `Turn`.
 */
import { randomUUID } from "node:crypto"
import type { BackgroundTasks } from "./BackgroundTasks.js"
import { compacted, summaryText } from "./Compaction.js"
import type { CurrentSession } from "./CurrentSession.js"
import { makeEnding } from "./Ending.js"
import type { Json } from "./Json.js"
import { syntheticMessage, userMessage } from "./Messages.js"
import { system, timestamp } from "./Output.js"
import type { Results } from "./Results.js"
import { newSessionId } from "./Session.js"
import type { Setup } from "./Setup.js"
import { costOf } from "./Tokens.js"

/** A prompt that is a local command, with what follows its name. */
export interface LocalCommand {
  readonly name: "compact" | "clear"
  readonly args: string
}

export const localCommandIn = (prompt: string): LocalCommand | undefined => {
  const found = /^\/(compact|clear)(?:\s+(.*))?$/s.exec(prompt.trim())
  return found === null ? undefined : { name: found[1] === "clear" ? "clear" : "compact", args: found[2] ?? "" }
}

export class LocalCommands {
  /** `prepare` resolves when the first turn may begin; `init` prints the event that opens a turn. */
  constructor(
    private readonly setup: Setup,
    private readonly session: CurrentSession,
    private readonly tasks: BackgroundTasks,
    private readonly results: Results,
    private readonly prepare: () => Promise<void>,
    private readonly init: (uuid: string | undefined) => void
  ) {}

  /** Resolves when the command's result is printed. */
  run({ name, args }: LocalCommand, uuid: string | undefined): Promise<void> {
    return name === "clear" ? this.clear() : this.compact(args, uuid)
  }

  /** Success, failure and having nothing to do look alike in the result; only the status and the text tell. */
  private async compact(args: string, uuid: string | undefined): Promise<void> {
    const startedAt = Date.now()
    const { compact: answers } = this.setup.scenario
    const answer = answers[this.session.current.compactions] ?? answers.at(-1) ?? answers[0]
    await this.prepare()
    const complain = (text: string) =>
      this.setup.output.event(
        syntheticMessage(text, "end_turn", null, {
          local_command_source: `<local-command-stderr>${text}</local-command-stderr>`,
          local_command_run: { command: "compact", args },
          local_command_outcome: { kind: "failed" }
        })
      )
    if (answer.result === "nothing" || this.session.current.turnsPlayed === 0) {
      this.init(uuid)
      complain("Error: No messages to compact")
      return this.result("compact", "", startedAt)
    }
    this.setup.output.event(system("status", { status: "compacting" }))
    if (answer.result === "failed") {
      this.setup.output.event(system("status", { status: null, compact_result: "failed", compact_error: answer.error }))
      this.init(uuid)
      complain(answer.error)
      return this.result("compact", answer.error, startedAt)
    }
    const { usage, metadata, after } = compacted(this.session.current, answer)
    this.session.charge(usage, costOf(usage))
    this.setup.output.event(system("status", { status: null, compact_result: "success" }))
    this.init(uuid)
    const [kept, anchor] = [randomUUID(), randomUUID()]
    this.setup.output.event(
      system("compact_boundary", {
        compact_metadata: {
          ...metadata("manual", startedAt),
          preserved_segment: { head_uuid: kept, anchor_uuid: anchor, tail_uuid: kept },
          preserved_messages: { anchor_uuid: anchor, uuids: [kept], all_uuids: [kept] }
        },
        logical_parent_uuid: kept
      })
    )
    const user = (content: string, extra: Json) => this.setup.output.event(userMessage(content, extra))
    user(summaryText(answer.summary, this.session.current), {
      uuid: anchor,
      isReplay: false,
      isSynthetic: true
    })
    user("<local-command-stdout>Compacted </local-command-stdout>", { isReplay: true })
    this.session.update(after)
    this.result("compact", "", startedAt)
  }

  /** A conversation of its own: another id, and the scenario from its first turn. */
  private async clear(): Promise<void> {
    const startedAt = Date.now()
    await this.prepare()
    const id = newSessionId()
    this.setup.output.event({
      type: "conversation_reset",
      new_conversation_id: id,
      trigger: "clear",
      user_message_uuid: randomUUID(),
      timestamp: timestamp()
    })
    this.session.startOver(id)
    this.tasks.announce()
    this.init(undefined)
    this.result("clear", "", startedAt)
  }

  private result(command: string, result: string, startedAt: number): void {
    this.results.print(makeEnding({ subtype: "success", result, startedAt }), { local_command: command })
  }
}
