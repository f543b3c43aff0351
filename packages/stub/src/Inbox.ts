/**
 * The messages that wait for an answer, and waiting for them.
 *
 * A message is either taken for a turn of its own, or folded into the turn that is running. Owns the queue, the folded
 * messages and the life-cycle events of both. Reading lines of stdin is done in `Conversation`.
 */
import { userMessage } from "./Messages.js"
import type { Output } from "./Output.js"

export interface Message {
  readonly text: string
  readonly uuid: string | undefined
  /** When it was read. Milliseconds since the epoch, with fractions. */
  readonly at: number
}

export class Inbox {
  private readonly queue: Array<Message> = []
  /** Messages folded into the running turn that `steer_echo` has not asked for yet. */
  private readonly folded: Array<string> = []
  private readonly foldedUuids: Array<string> = []
  private readonly waiting = new Set<() => void>()

  /** `replays` says whether each message is printed when it is taken. */
  constructor(
    private readonly output: Output,
    private readonly replays: boolean
  ) {}

  /** How many messages wait. */
  get size(): number {
    return this.queue.length
  }

  /** The uuids of the messages that wait. */
  uuids(): ReadonlyArray<string> {
    return this.queue.flatMap(({ uuid }) => (uuid === undefined ? [] : [uuid]))
  }

  add(message: Message): void {
    if (message.uuid !== undefined) this.lifecycle(message.uuid, "queued")
    this.queue.push(message)
    this.wake()
  }

  /** The next message, off the queue. */
  next(): Message | undefined {
    return this.queue.shift()
  }

  /** The message is being answered, and nothing is folded into its turn yet. */
  start({ uuid }: Message): void {
    if (uuid !== undefined) this.lifecycle(uuid, "started")
    this.folded.length = 0
    this.foldedUuids.length = 0
  }

  /** The message is answered, and so is all that was folded into its turn. */
  finish({ uuid }: Message, state: "completed" | "cancelled"): void {
    for (const each of [...(uuid === undefined ? [] : [uuid]), ...this.foldedUuids]) this.lifecycle(each, state)
  }

  /** Folds what has arrived into the running turn; local commands wait for a turn of their own. */
  fold(): void {
    const taken = this.queue.filter(({ text }) => !/^\/(compact|clear)\b/.test(text.trim()))
    for (const message of taken) {
      this.queue.splice(this.queue.indexOf(message), 1)
      this.folded.push(message.text)
      if (message.uuid !== undefined) {
        this.foldedUuids.push(message.uuid)
        this.lifecycle(message.uuid, "started")
      }
      this.replay(message)
    }
  }

  /** The next folded message that was not asked for yet, or `undefined` when none comes within so many milliseconds. */
  async nextFolded(within: number, signal: AbortSignal): Promise<string | undefined> {
    const deadline = Date.now() + within
    for (;;) {
      this.fold()
      const text = this.folded.shift()
      const left = deadline - Date.now()
      if (text !== undefined || left <= 0 || signal.aborted) return text
      await this.woken(left, signal)
    }
  }

  /** Prints the message as it was taken, with --replay-user-messages. */
  replay({ text }: Message): void {
    if (this.replays) this.output.event(userMessage([{ type: "text", text }], { isReplay: true }))
  }

  /** Something has changed that may be waited for. */
  wake(): void {
    for (const resolve of [...this.waiting]) resolve()
  }

  /** Resolves at the next `wake`, after `within` milliseconds, or at an abort. */
  woken(within?: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done)
        clearTimeout(timer)
        signal?.removeEventListener("abort", done)
        resolve()
      }
      const timer = within === undefined ? undefined : setTimeout(done, Math.min(within, 2 ** 30))
      this.waiting.add(done)
      signal?.addEventListener("abort", done)
    })
  }

  private lifecycle(uuid: string, state: string): void {
    this.output.event({ type: "command_lifecycle", command_uuid: uuid, state })
  }
}
