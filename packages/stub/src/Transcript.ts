/**
 * What is said in a turn, as events: the model's content blocks, one event each, and the user's side between them.
 *
 * Opens an API call when something is said and none is open; ending calls and their figures is `ApiCalls`' business.
 */
import type { ApiCalls } from "./ApiCalls.js"
import type { Json } from "./Json.js"
import type { Lane } from "./Lane.js"
import { syntheticMessage, userMessage } from "./Messages.js"
import { system, timestamp } from "./Output.js"
import type { StopSwitch } from "./StopSwitch.js"
import { estimate, messageUsage } from "./Tokens.js"
import type { World } from "./World.js"

export class Transcript {
  private userEvents = 0
  private firstToken: number | undefined
  private labelled = false

  /** `messageUuid` is the uuid that the prompt's message brought along. */
  constructor(
    private readonly world: World,
    private readonly calls: ApiCalls,
    private readonly stop: StopSwitch,
    private readonly messageUuid: string | undefined
  ) {}

  /** What the result calls the number of turns: the prompt and the user events of the main lane. */
  get numTurns(): number {
    return 1 + this.userEvents
  }

  /** When the model said something first, in milliseconds since 1970. */
  get firstTokenAt(): number | undefined {
    return this.firstToken
  }

  /** A text, streamed over so many milliseconds. */
  say(lane: Lane, text: string, over: number): Promise<void> {
    this.calls.open(lane).text = text
    lane.lastText = text
    const size = Math.max(1, Math.ceil(text.length / 10))
    const parts =
      over === 0
        ? [text]
        : Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size))
    return this.block(
      lane,
      { type: "text", text: "" },
      parts.map((part) => ({ type: "text_delta", text: part })),
      { type: "text", text },
      over
    )
  }

  think(lane: Lane, text: string): Promise<void> {
    const tokens = estimate(text)
    this.world.output.event(system("thinking_tokens", { estimated_tokens: tokens, estimated_tokens_delta: tokens }))
    return this.block(
      lane,
      { type: "thinking", thinking: "", signature: "" },
      [{ type: "thinking_delta", thinking: text }],
      { type: "thinking", thinking: text, signature: "c3R1Yg==" },
      0,
      { thinking_duration_ms: 1, thinking_display: "updates" }
    )
  }

  /** The model asks for a tool; nothing runs yet. */
  toolUse(lane: Lane, id: string, name: string, input: Json): Promise<void> {
    const json = JSON.stringify(input)
    const half = Math.ceil(json.length / 2)
    return this.block(
      lane,
      { type: "tool_use", id, name, input: {} },
      [json.slice(0, half), json.slice(half)].map((part) => ({ type: "input_json_delta", partial_json: part })),
      { type: "tool_use", id, name, input }
    )
  }

  /** An assistant message that no model wrote. */
  synthetic(text: string, stopReason: string, stopSequence: string | null, extra: Json): void {
    this.world.output.event(syntheticMessage(text, stopReason, stopSequence, { ...extra, ...this.promptLabels() }))
  }

  user(lane: Lane, content: unknown, extra: Json = {}): void {
    if (lane.main) this.userEvents += 1
    this.world.output.event(userMessage(content, extra, lane.labels))
  }

  /** Ends a text that was cut while it streamed: what there is of it is printed, and its call is cut. */
  cut(lane: Lane): void {
    if (lane.partial !== "") {
      this.assistant(lane, { type: "text", text: lane.partial }, { aborted: true })
      lane.partial = ""
    }
    this.calls.cut(lane)
  }

  /** A content block: its start, its parts (spread over `over` milliseconds), the event itself, its end. */
  private async block(
    lane: Lane,
    empty: Json,
    parts: ReadonlyArray<Json>,
    whole: Json,
    over = 0,
    extra: Json = {}
  ): Promise<void> {
    const call = this.calls.open(lane)
    const index = call.blocks++
    this.calls.partial(lane, call, { type: "content_block_start", index, content_block: empty })
    for (const delta of parts) {
      if (over > 0) await this.stop.sleep(over / parts.length)
      if (typeof delta["text"] === "string") lane.partial += delta["text"]
      this.calls.partial(lane, call, { type: "content_block_delta", index, delta })
    }
    lane.partial = ""
    this.assistant(lane, whole, extra)
    this.calls.partial(lane, call, { type: "content_block_stop", index })
  }

  private assistant(lane: Lane, block: Json, extra: Json = {}): void {
    const call = this.calls.open(lane)
    this.firstToken ??= Date.now()
    this.world.output.event({
      type: "assistant",
      message: {
        id: call.id,
        type: "message",
        role: "assistant",
        model: this.world.session.model,
        content: [block],
        stop_reason: null,
        stop_sequence: null,
        usage: messageUsage(call.usage),
        context_management: null
      },
      ...lane.labels,
      timestamp: timestamp(),
      request_id: call.requestId,
      ...extra,
      ...(lane.main ? this.promptLabels() : {})
    })
    call.said += JSON.stringify(block)
  }

  /** Fields that the first assistant event of a turn carries when its prompt had a uuid. */
  private promptLabels(): Json {
    const uuid = this.messageUuid
    if (uuid === undefined || this.labelled) return {}
    this.labelled = true
    return { user_message_uuid: uuid, user_message_uuids: [uuid] }
  }
}
