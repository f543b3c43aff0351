import { AgentEvent, type TurnResult } from "@driver/agent/Agent"
import * as ClaudeEvents from "@driver/agent/ClaudeEvents"
import { addTokens, TokenUsage } from "@driver/domain/Usage"
import { describe, it } from "@effect/vitest"
import { Duration, FastCheck as fc, HashSet, Option } from "effect"
import { assert } from "./support/assert.js"
import * as captures from "./support/captures.js"

/** What one turn of a capture came to, in short. */
const endOf = ({ result, turn }: captures.FoldedTurn): string => {
  if (Option.isNone(result)) {
    return ClaudeEvents.hasResult(turn) ? `waits for ${turn.backgroundTasks} task` : "no end"
  }
  const { end } = result.value
  switch (end._tag) {
    case "Completed":
      return `completed: ${end.text}`.trim().slice(0, 60)
    case "Failed":
      return ["failed:", end.failure.class, ...Option.toArray(end.failure.status)].join(" ")
    case "Interrupted":
      return "interrupted"
    case "LimitReached":
      return `limit: ${end.limit}`
  }
}

/** Of every capture, how each of its turns ends. */
const ends: Readonly<Record<string, ReadonlyArray<string>>> = {
  "after-concurrent": ["completed: ok"],
  "allowedTools-flag": ["completed: done"],
  "api-400-credit": ["failed: billing 400"],
  "api-401-max-retries-1": ["failed: auth 401"],
  "api-401": ["no end"],
  "api-403": ["failed: auth 403"],
  "api-404-model": ["failed: model_unavailable 404"],
  "api-413": ["failed: prompt_too_long 413"],
  "api-429-exhausted": ["failed: transient 429"],
  "api-429-retry-after-3600": ["failed: transient 429"],
  "api-429-then-ok": ["completed: ok after retry"],
  "api-500-exhausted": ["failed: transient 500"],
  "api-529-exhausted": ["failed: transient 529"],
  "api-connection-refused": ["failed: transient"],
  "api-hang-no-headers-default": ["completed: recovered"],
  "api-hang-no-headers": ["completed: recovered"],
  "argv-dash-prompt": ["no end"],
  "ask-user-question-answered": ["completed: done"],
  "autocompact-in-turn": ["completed: after auto compaction"],
  "bash-bg-disabled": ["completed: turn over"],
  "bash-bg-sigterm-after-result": ["completed: turn over while bg task runs"],
  "bash-bg-wait-ceiling-3s": ["waits for 1 task"],
  "bash-env": ["completed: done"],
  "bash-run-in-background-finishes": ["completed: second answer after notification"],
  "bash-run-in-background-long": ["waits for 1 task"],
  "bash-run-in-background-then-end": ["waits for 1 task"],
  "compact-0-before": ["completed: done"],
  "compact-1-slash-compact": ["completed:"],
  "compact-2-after": ["completed: after compact"],
  "compact-fail-0": ["completed: first"],
  "compact-fail-1": ["completed: Compaction failed · conversation could not be red"],
  "compact-fresh-session": ["completed:"],
  "concurrent-resume-1": ["completed: slow answer"],
  "concurrent-resume-2": ["completed: slow answer"],
  "continue-flag": ["completed: ok"],
  "cost-A-fork": ["completed: ok"],
  "cost-A1": ["completed: ok"],
  "cost-A2-resume": ["completed: ok"],
  "cost-A3-resume": ["completed: ok"],
  "cost-A4-resume-model": ["completed: ok"],
  "cost-B1-other-session": ["completed: ok"],
  "cost-B2-resume": ["completed: ok"],
  "disallowedTools-flag": ["completed: done"],
  "empty-assistant": ["completed: second"],
  "fallback-model": ["completed: from fallback"],
  "happy-resume": ["completed: resumed ok"],
  "happy-tool-use": ["completed: done"],
  "hook-ask-on-ls": ["completed: done"],
  "hook-deny": ["completed: done"],
  "kill9-during-api-call": ["no end"],
  "max-budget-usd": ["limit: max_budget"],
  "max-turns-1": ["limit: max_turns"],
  "mcp-silent-on-unknown-methods": ["completed: done"],
  "no-permission-tool": ["completed: done"],
  "no-session-persistence": ["completed: ok"],
  "nonessential-traffic-on": ["completed: ok"],
  "partial-messages": ["completed: done"],
  "permission-allow-without-updatedInput": ["completed: done"],
  "permission-denied-interrupt": ["interrupted"],
  "permission-denied": ["completed: I was denied"],
  "permission-deny-without-message": ["completed: done"],
  "permission-hang-idle-timeout-5s": ["completed: done"],
  "permission-hang-mcp-tool-timeout-5s": ["completed: done"],
  "permission-isError": ["completed: done"],
  "permission-malformed-json": ["completed: done"],
  "permission-matrix-default": ["completed: end"],
  "permission-mcp-missing-binary": ["no end"],
  "permission-mode-acceptEdits": ["completed: done"],
  "permission-mode-auto": ["completed: done"],
  "permission-mode-bypass-as-root": ["no end"],
  "permission-mode-dontAsk": ["completed: done"],
  "permission-mode-plan": ["completed: done"],
  "permission-parallel-concurrent": ["completed: done"],
  "permission-parallel-subagents": ["completed: main done"],
  "permission-parallel": ["completed: done"],
  "permission-prompts-none": ["completed: done"],
  "permission-rpc-error": ["completed: done"],
  "permission-server-dies": ["completed: done"],
  "permission-tool-name-wrong": ["no end"],
  "permission-unknown-behavior": ["completed: done"],
  "permission-updated-input": ["completed: done"],
  "permission-updatedInput-invalid": ["completed: done"],
  "permission-updatedPermissions-addRules": ["completed: done"],
  "project-settings-allow-rule-setting-sources-user": ["completed: done"],
  "project-settings-allow-rule": ["completed: done"],
  "project-settings-apiKeyHelper": ["completed: done"],
  "project-settings-defaultMode-acceptEdits": ["completed: done"],
  "project-settings-defaultMode-vs-flag": ["completed: done"],
  "project-settings-env-base-url": ["completed: EVIL ANSWER"],
  "project-settings-hooks": ["completed: done"],
  "project-settings-ignored-by-setting-sources-empty": ["completed: done"],
  "project-settings-ignored-by-setting-sources": ["completed: done"],
  "prompt-starting-with-path": ["completed: x"],
  "prompt-too-long-always-0": ["completed: done"],
  "prompt-too-long-always-1": ["failed: prompt_too_long 400"],
  "prompt-too-long-on-resume-0": ["completed: done"],
  "prompt-too-long-on-resume-1": ["completed: answer after reactive compaction"],
  "prompt-too-long": ["failed: prompt_too_long 400"],
  "ratelimit-headers": ["completed: hi"],
  "resume-after-kill9": ["completed: ok"],
  "resume-from-other-cwd": ["completed: ok"],
  "resume-from-subdir": ["completed: ok"],
  "resume-not-a-uuid": ["failed: session_dead"],
  "resume-torn-transcript": ["completed: ok"],
  "resume-unknown-session-env": ["failed: session_dead"],
  "resume-unknown-session": ["failed: session_dead"],
  "session-id-flag-reuse": ["no end"],
  "session-id-flag": ["completed: x"],
  "settings-ask-rules-force-prompt": ["completed: done"],
  "sighup-bash-sleep": ["no end"],
  "sigint-bash-sleep-then-resume": ["completed: after interrupt"],
  "sigint-bash-sleep": ["interrupted"],
  "sigint-midstream-then-resume": ["completed: after interrupt"],
  "sigint-midstream": ["interrupted"],
  "sigkill-bash-sleep-then-resume": ["completed: after interrupt"],
  "sigkill-bash-sleep": ["no end"],
  "sigkill-bash-with-bg-children": ["no end"],
  "sigterm-bash-sleep-then-resume": ["completed: after interrupt"],
  "sigterm-bash-sleep": ["no end"],
  "sigterm-bash-with-bg-children": ["no end"],
  "sigterm-during-permission-prompt": ["no end"],
  "sigterm-midstream-then-resume": ["completed: after interrupt"],
  "sigterm-midstream": ["no end"],
  "stdin-and-argv": ["completed: two"],
  "stdin-dash-prompt": ["completed: three"],
  "stdin-empty": ["no end"],
  "stdin-open-never-closed": ["completed: four"],
  "stdin-prompt": ["completed: one"],
  "stop-reason-max-tokens": ["completed: continued"],
  "stop-reason-refusal": ["completed: fallback?"],
  "stream-api-error-then-ok": ["failed: transient 529", "completed: ok now"],
  "stream-bad-json-line": ["completed: one"],
  "stream-broken-always": ["completed: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
  "stream-broken-midway": ["completed: recovered"],
  "stream-clear": ["completed: one", "completed:", "completed: after"],
  "stream-compact": ["completed: one", "completed:", "completed: after"],
  "stream-initialize-and-controls": ["completed: one", "completed: two"],
  "stream-interrupt-bash": ["interrupted", "completed: after interrupt"],
  "stream-interrupt-during-permission": ["interrupted", "completed: after interrupt"],
  "stream-interrupt-midstream": ["interrupted", "completed: after interrupt"],
  "stream-max-turns": ["limit: max_turns", "completed: one"],
  "stream-permission-prompt-tool-stdio": ["completed: one"],
  "stream-resume-a": ["completed: one"],
  "stream-resume-b": ["completed: two"],
  "stream-resume-unknown": ["failed: session_dead"],
  "stream-second-message-mid-turn": ["completed: first done"],
  "stream-session-state-events": ["completed: one"],
  "stream-sigint-idle": ["completed: one"],
  "stream-sigterm-idle": ["completed: one"],
  "stream-slow": ["completed: slow slow slow slow slow slow slow slow slow slow"],
  "stream-sse-error": ["completed: recovered"],
  "stream-stall-default": ["completed: recovered"],
  "stream-stall": ["no end"],
  "stream-stdin-eof-midturn": ["completed: one"],
  "stream-stdio-permission-interrupt": ["interrupted"],
  "stream-warm-3-turns": ["completed: one", "completed: two", "completed: three"],
  "subagent-foreground-with-write": ["completed: main done"],
  "subagent-with-write": ["completed: main done 2"],
  "subprocess-env-scrub": ["no end"],
  "thinking-blocks": ["completed: answer"],
  "tool-use-bad-json": ["completed: second"],
  "unknown-slash-command": ["completed: x"]
}

const compactCommands = ["compact-1-slash-compact", "compact-fail-1", "compact-fresh-session"]

const turnOf = (name: string, index = 0): captures.FoldedTurn => {
  const turn = captures.turns(name, { compacts: compactCommands.includes(name) })[index]
  if (turn === undefined) throw new Error(`${name} has no turn ${index}`)
  return turn
}

const resultOf = (name: string, index = 0): TurnResult => Option.getOrThrow(turnOf(name, index).result)

const tagged = <Tag extends AgentEvent["_tag"]>(name: string, tag: Tag, index = 0) =>
  turnOf(name, index).events.filter(AgentEvent.$is(tag))

const tokens = (input: number, output: number, cacheRead: number, cacheCreation: number) =>
  new TokenUsage({ input, output, cacheRead, cacheCreation })

const failureOf = (name: string) => {
  const { end } = resultOf(name)
  if (end._tag !== "Failed") throw new Error(`${name} did not fail`)
  return end.failure
}

describe("ClaudeEvents", () => {
  it("has an expected end for every capture", () => {
    assert.deepStrictEqual(Object.keys(ends).sort(), [...captures.names].sort())
  })

  for (const name of captures.names) {
    it(`folds ${name}`, () => {
      const turns = captures.turns(name, { compacts: compactCommands.includes(name) })
      assert.deepStrictEqual(turns.map(endOf), ends[name])
    })
  }

  describe("on the table of results", () => {
    it("takes a success that is an error for a failed call, and says which", () => {
      const none = Option.none<number>()
      const classes = [
        ["api-400-credit", "billing", Option.some(400)],
        ["api-401-max-retries-1", "auth", Option.some(401)],
        ["api-403", "auth", Option.some(403)],
        ["api-404-model", "model_unavailable", Option.some(404)],
        ["api-413", "prompt_too_long", Option.some(413)],
        ["api-429-exhausted", "transient", Option.some(429)],
        ["api-500-exhausted", "transient", Option.some(500)],
        ["api-529-exhausted", "transient", Option.some(529)],
        ["api-connection-refused", "transient", none],
        ["prompt-too-long", "prompt_too_long", Option.some(400)]
      ] as const
      for (const [name, kind, status] of classes) {
        const failure = failureOf(name)
        assert.deepStrictEqual([name, failure.class, failure.status], [name, kind, status])
        assert.notStrictEqual(failure.message, "")
      }
    })

    it("takes interruptions by signal, by control and by denial for the same", () => {
      for (const name of [
        "sigint-midstream",
        "sigint-bash-sleep",
        "stream-interrupt-midstream",
        "stream-interrupt-bash",
        "stream-interrupt-during-permission",
        "stream-stdio-permission-interrupt",
        "permission-denied-interrupt"
      ]) {
        assert.strictEqual(resultOf(name).end._tag, "Interrupted", name)
      }
    })

    it("charges an interrupted call with what the program reports of it", () => {
      const { costUsd, usage } = resultOf("stream-interrupt-midstream")
      assert.deepStrictEqual(usage, Option.some(tokens(10, 67, 13446, 0)))
      assert.deepStrictEqual(costUsd, Option.some(0.0040692))
    })

    it("tells the agent's own limits apart", () => {
      assert.deepInclude(resultOf("max-turns-1").end, { limit: "max_turns" })
      assert.deepInclude(resultOf("max-budget-usd").end, { limit: "max_budget" })
    })

    it("knows a session that is gone, and that it cost nothing", () => {
      for (const name of ["resume-unknown-session", "resume-not-a-uuid", "stream-resume-unknown"]) {
        const result = resultOf(name)
        assert.strictEqual(failureOf(name).class, "session_dead")
        assert.deepStrictEqual(result.costUsd, Option.some(0))
        assert.deepStrictEqual(result.sessionId, Option.none())
        assert.isFalse(ClaudeEvents.canGoOn(turnOf(name).turn))
      }
    })

    it("finds no result where there is none", () => {
      for (const name of ["sigterm-midstream", "sighup-bash-sleep", "kill9-during-api-call", "stdin-empty"]) {
        assert.isFalse(ClaudeEvents.hasResult(turnOf(name).turn), name)
      }
    })
  })

  describe("on the end of a turn", () => {
    it("waits for what a background command brings, and sums it up", () => {
      const { end, usage } = resultOf("bash-run-in-background-finishes")
      assert.deepInclude(end, { text: "second answer after notification" })
      assert.deepStrictEqual(usage, Option.some(tokens(30, 99, 40958, 0)))
      assert.deepStrictEqual(
        tagged("bash-run-in-background-finishes", "BackgroundTasks").map(({ running }) => running),
        [1, 0]
      )
    })

    it("takes the result that was held back for a subagent and its follower for one turn", () => {
      const { costUsd, end, usage } = resultOf("subagent-with-write")
      assert.deepInclude(end, { text: "main done 2" })
      assert.deepStrictEqual(usage, Option.some(tokens(50, 110, 56283, 0)))
      assert.deepStrictEqual(costUsd, Option.some(0.0136566))
    })

    it("does not wait after a background command that was stopped", () => {
      assert.isTrue(ClaudeEvents.isDrained(turnOf("bash-bg-sigterm-after-result").turn))
    })

    it("is busy until the program says idle, where it says such things", () => {
      const all = captures.events("stream-session-state-events")
      const fold = (count: number) =>
        all.slice(0, count).reduce((turn, event) => ClaudeEvents.step(turn, event)[0], begin())
      assert.isTrue(ClaudeEvents.isDrained(fold(all.length - 1)))
      assert.isTrue(ClaudeEvents.isBusy(fold(all.length - 1)))
      assert.isFalse(ClaudeEvents.isBusy(fold(all.length)))
    })

    it("believes a program that says idle after its result, whatever it has begun", () => {
      const init = captures.events("happy-tool-use")[0] ?? { _tag: "Heartbeat" }
      const result = captures.events("happy-tool-use").at(-1) ?? { _tag: "Heartbeat" }
      const idle = { _tag: "SessionState", state: "idle" } as const
      const fold = (...all: ReadonlyArray<ClaudeEvents.ClaudeEvent>) =>
        all.reduce((turn, event) => ClaudeEvents.step(turn, event)[0], begin())
      assert.isFalse(ClaudeEvents.isDrained(fold(init, init, result)))
      assert.isTrue(ClaudeEvents.isDrained(fold(init, init, result, idle)))
      assert.isFalse(ClaudeEvents.isDrained(fold(init, result, idle, init)))
      assert.isFalse(ClaudeEvents.isDrained(fold(init, idle)))
    })

    it("is not over while a message waits to be taken, or has started the agent again", () => {
      const uuid = "11111111-2222-4333-8444-555555555555"
      const done = captures
        .events("happy-tool-use")
        .reduce((turn, event) => ClaudeEvents.step(turn, event)[0], ClaudeEvents.steered(begin(), uuid))
      assert.isTrue(ClaudeEvents.isDrained(done))
      assert.isTrue(ClaudeEvents.isBusy(done))
      const message = (state: string) => ClaudeEvents.decode({ type: "command_lifecycle", command_uuid: uuid, state })
      assert.isTrue(ClaudeEvents.isBusy(ClaudeEvents.step(done, message("queued"))[0]))
      const [started] = ClaudeEvents.step(done, message("started"))
      assert.isFalse(ClaudeEvents.isBusy(started))
      assert.isFalse(ClaudeEvents.isDrained(started))
      const [completed] = ClaudeEvents.step(done, message("completed"))
      assert.isTrue(ClaudeEvents.isDrained(completed) && !ClaudeEvents.isBusy(completed))
    })

    it("is not over while a result says that messages are queued", () => {
      const [turn] = ClaudeEvents.step(
        begin(),
        ClaudeEvents.decode({ type: "result", subtype: "success", is_error: false, result: "", queued_turn_count: 1 })
      )
      assert.isTrue(ClaudeEvents.hasResult(turn))
      assert.isFalse(ClaudeEvents.isDrained(turn))
      assert.isFalse(ClaudeEvents.canGoOn(turn))
    })

    it("counts tool calls as open until they end, and none after a result", () => {
      const all = captures.events("happy-tool-use")
      const open = all.map((_, index) =>
        HashSet.size(
          all.slice(0, index + 1).reduce((turn, event) => ClaudeEvents.step(turn, event)[0], begin()).openTools
        )
      )
      assert.deepStrictEqual(open, [0, 0, 1, 0, 0, 0])
      const cut = captures.events("sigint-bash-sleep").filter(({ _tag }) => _tag !== "User")
      assert.isTrue(
        ClaudeEvents.waitsForProvider(cut.reduce((turn, event) => ClaudeEvents.step(turn, event)[0], begin()))
      )
    })
  })

  describe("on tokens and cost", () => {
    it("reports this turn alone, although the program's totals run over resumes", () => {
      for (const [name, usage, cost] of [
        ["cost-A1", tokens(10, 8, 13446, 0), 0.0028892],
        ["cost-A2-resume", tokens(10, 8, 13469, 0), 0.0028938],
        ["cost-A3-resume", tokens(10, 8, 13492, 0), 0.0028984],
        ["cost-A-fork", tokens(10, 8, 13515, 0), 0.002903]
      ] as const) {
        assert.deepStrictEqual(
          [name, resultOf(name).usage, resultOf(name).costUsd],
          [name, Option.some(usage), Option.some(cost)]
        )
      }
      assert.deepStrictEqual(
        [0, 1, 2].map((index) => resultOf("stream-warm-3-turns", index).usage),
        [tokens(20, 54, 27001, 0), tokens(10, 8, 13585, 0), tokens(10, 8, 13616, 0)].map(Option.some)
      )
    })

    it("counts compaction, which the usage of a result leaves out", () => {
      assert.deepStrictEqual(resultOf("stream-compact", 1).usage, Option.some(tokens(10, 31, 15190, 0)))
    })

    it("meters each call once, subagents included, and the sum misses only output", () => {
      const metered = tagged("subagent-with-write", "Metered")
      assert.strictEqual(metered.length, 5)
      const sum = metered.reduce((total, event) => addTokens(total, event.tokens), TokenUsage.zero)
      assert.deepStrictEqual([sum.input, sum.cacheRead, sum.cacheCreation], [50, 56283, 0])
      assert.strictEqual(sum.output, metered.length)
    })

    it("meters output exactly where partial messages are printed", () => {
      const sum = tagged("partial-messages", "Metered").reduce(
        (total, event) => addTokens(total, event.tokens),
        TokenUsage.zero
      )
      assert.deepStrictEqual(Option.some(sum), resultOf("partial-messages").usage)
    })

    it("takes the last request of the main loop for the context, never a sum", () => {
      const { contextTokens, contextWindow } = resultOf("subagent-with-write")
      assert.deepStrictEqual(contextTokens, Option.some(10 + 14_169 + 1))
      assert.deepStrictEqual(contextWindow, Option.some(1_000_000))
      const bySubagents = tagged("subagent-with-write", "Metered").filter(({ contextTokens: own }) =>
        Option.isNone(own)
      )
      assert.strictEqual(bySubagents.length, 2)
    })

    it("forgets the context that a compaction has dropped", () => {
      const all = captures.events("autocompact-in-turn")
      const withoutLastCall = all.filter((_, index) => index !== all.length - 2)
      const turn = withoutLastCall.reduce((soFar, event) => ClaudeEvents.step(soFar, event)[0], begin())
      assert.deepStrictEqual(turn.contextTokens, Option.none())
      assert.deepStrictEqual(resultOf("autocompact-in-turn").contextTokens, Option.some(13_748))
    })

    it("knows the window of the model that was fallen back to", () => {
      assert.deepStrictEqual(resultOf("fallback-model").contextWindow, Option.some(200_000))
    })

    it("leaves what was not reported unknown, and never 0", () => {
      const [turn] = ClaudeEvents.step(
        begin(),
        ClaudeEvents.decode({ type: "result", subtype: "success", is_error: false })
      )
      const result = Option.getOrThrow(ClaudeEvents.result(turn, 0))
      assert.deepStrictEqual([result.usage, result.costUsd], [Option.none(), Option.none()])
      const models = { m: { inputTokens: 1, outputTokens: 2 }, n: { inputTokens: 1, outputTokens: 2, costUSD: 1 } }
      const [partly] = ClaudeEvents.step(
        begin(),
        ClaudeEvents.decode({
          type: "result",
          subtype: "success",
          is_error: false,
          model_usage_since_last_result: models
        })
      )
      const known = Option.getOrThrow(ClaudeEvents.result(partly, 0))
      assert.deepStrictEqual([known.usage, known.costUsd], [Option.some(tokens(2, 4, 0, 0)), Option.none()])
    })

    it("claims nothing of a turn without a result", () => {
      const { turn } = turnOf("sigterm-midstream")
      const result = ClaudeEvents.resultOf(turn, { _tag: "Interrupted" }, 1)
      assert.deepStrictEqual([result.usage, result.costUsd, result.abandonedTasks], [Option.none(), Option.none(), 1])
    })
  })

  describe("on compaction", () => {
    const compactedIn = (name: string, index = 0) => tagged(name, "Compacted", index)

    it("tells of a manual one with its summary and sizes, although its result says nothing", () => {
      const [compacted] = compactedIn("compact-1-slash-compact")
      assert.isDefined(compacted)
      assert.deepInclude(compacted?.result, { succeeded: true, error: Option.none() })
      assert.strictEqual(compacted?.trigger, "manual")
      assert.isTrue(
        Option.exists(compacted?.result.summary ?? Option.none(), (summary) =>
          summary.startsWith("This session is being continued")
        )
      )
      assert.isTrue(Option.isSome(compacted?.result.before ?? Option.none()))
      assert.isTrue(ClaudeEvents.canGoOn(turnOf("compact-1-slash-compact").turn))
    })

    it("tells of one that failed, although its result says success", () => {
      for (const [name, error] of [
        ["compact-fail-1", "Compaction failed · conversation could not be reduced below the context limit"],
        ["compact-fresh-session", "Error: No messages to compact"]
      ] as const) {
        const compacted = compactedIn(name)
        assert.strictEqual(compacted.length, 1)
        assert.deepInclude(compacted[0]?.result, { succeeded: false, error: Option.some(error) })
        assert.isFalse(ClaudeEvents.canGoOn(turnOf(name).turn))
      }
    })

    it("tells of one in the middle of a turn, after which the turn goes on", () => {
      for (const name of ["autocompact-in-turn", "prompt-too-long-on-resume-1"]) {
        const tags = turnOf(name).events.map(({ _tag }) => _tag)
        assert.isTrue(tags.indexOf("Compacting") >= 0 && tags.indexOf("Compacting") < tags.indexOf("Compacted"), name)
        assert.isTrue(tags.indexOf("Compacted") < tags.lastIndexOf("Said"), name)
        assert.deepInclude(compactedIn(name)[0], { trigger: "auto" })
      }
    })

    it("tells of one in the middle of a turn that failed", () => {
      const [compacted] = compactedIn("prompt-too-long-always-1")
      assert.deepInclude(compacted?.result, { succeeded: false, error: Option.some("exhausted") })
    })
  })

  describe("on what the agent does", () => {
    it("tells its words, its calls and their answers in order", () => {
      const shown = turnOf("happy-tool-use").events.filter(({ _tag }) => _tag !== "Metered")
      const { events } = turnOf("happy-tool-use")
      assert.deepStrictEqual(
        shown.map(({ _tag }) => _tag),
        ["SessionStarted", "Said", "ToolCalled", "ToolEnded", "Said"]
      )
      assert.deepInclude(events.find(AgentEvent.$is("SessionStarted")) ?? {}, {
        sessionId: "a61f5d3d-c55d-426c-b4fa-065ec297f87c",
        model: Option.some("claude-opus-5-5"),
        version: Option.some("2.1.329")
      })
      assert.deepInclude(events.find(AgentEvent.$is("ToolCalled")) ?? {}, {
        name: "Write",
        input: { file_path: "/workspace/hello.txt", content: "hello\n" },
        parentToolUseId: Option.none()
      })
      assert.deepInclude(events.find(AgentEvent.$is("ToolEnded")) ?? {}, { failed: false, denied: false })
    })

    it("tells thoughts from words", () => {
      assert.deepStrictEqual(tagged("thinking-blocks", "Thought"), [
        AgentEvent.Thought({ text: "Let me think about it." })
      ])
    })

    it("tells a refused call from one that failed", () => {
      const endings = (name: string) => tagged(name, "ToolEnded").map(({ denied, failed }) => ({ denied, failed }))
      assert.deepStrictEqual(endings("permission-denied"), [{ denied: true, failed: true }])
      assert.deepStrictEqual(endings("permission-denied-interrupt"), [{ denied: true, failed: true }])
      assert.deepStrictEqual(endings("permission-isError"), [{ denied: false, failed: true }])
      assert.deepStrictEqual(endings("happy-tool-use"), [{ denied: false, failed: false }])
      assert.deepStrictEqual(
        tagged("permission-denied", "ToolEnded").map(({ text }) => text),
        ["policy says no"]
      )
    })

    it("tells whose calls they are when subagents call", () => {
      const callers = tagged("subagent-with-write", "ToolCalled").map(({ name, parentToolUseId }) => [
        name,
        parentToolUseId
      ])
      assert.deepStrictEqual(callers, [
        ["Agent", Option.none()],
        ["Write", Option.some("toolu_01b407d2e56443ecfb990409bd")]
      ])
    })

    it("tells of retries, and gives up where no retry can help", () => {
      const [retrying] = tagged("api-529-exhausted", "Retrying")
      assert.deepInclude(retrying, { attempt: 1, maxAttempts: 2, error: "overloaded", status: Option.some(529) })
      assert.isAbove(Duration.toMillis(retrying?.delay ?? 0), 500)
      assert.deepStrictEqual(turnOf("api-529-exhausted").turn.fatal, Option.none())
      const { fatal } = turnOf("api-401").turn
      assert.deepInclude(Option.getOrThrow(fatal), { class: "auth", status: Option.some(401) })
    })

    it("announces a session once, and again when it has another id", () => {
      assert.deepStrictEqual(
        [0, 1, 2].map((index) => tagged("stream-warm-3-turns", "SessionStarted", index).length),
        [1, 0, 0]
      )
      assert.deepStrictEqual(
        [0, 1, 2].map((index) =>
          tagged("stream-clear", "SessionStarted", index).map(({ sessionId }) => String(sessionId))
        ),
        [["b13c012c-6878-4e3e-b0e1-89c96f427756"], ["03752c3c-090c-4a1f-92ca-35dc0aff8df6"], []]
      )
    })

    it("tells when a limit of the provider resets, and takes the next 429 for that limit", () => {
      const limit = { type: "rate_limit_event", rate_limit_info: { status: "rejected", resetsAt: 1_771_390_800 } }
      const [limited, told] = ClaudeEvents.step(begin(), ClaudeEvents.decode(limit))
      const resetsAt = Option.some(1_771_390_800_000)
      assert.deepStrictEqual(told, [AgentEvent.RateLimited({ status: "rejected", resetsAt })])
      const end = captures
        .events("api-429-exhausted")
        .reduce((turn, event) => ClaudeEvents.step(turn, event)[0], limited)
      const result = Option.getOrThrow(ClaudeEvents.result(end, 0))
      assert.deepInclude(result.end._tag === "Failed" ? result.end.failure : {}, { class: "usage_limit", resetsAt })
    })

    it("decodes what the program says of itself before a prompt", () => {
      const [answer] = captures.events("stream-initialize-and-controls")
      const expected = {
        _tag: "ControlResponse",
        requestId: "req-1",
        version: "2.1.329",
        permissionMode: "default"
      } as const
      assert.deepInclude(answer?._tag === "ControlResponse" ? answer : undefined, expected)
    })

    it("decodes the questions of the control protocol", () => {
      const [first] = captures.events("stream-permission-prompt-tool-stdio").filter(({ _tag }) => _tag === "CanUseTool")
      assert.deepInclude(first, {
        tool: "Write",
        input: { file_path: "/workspace/a.txt", content: "x\n" },
        toolUseId: "toolu_01f62f8116a53a609e2903684b"
      })
      const withdrawn = captures.events("stream-stdio-permission-interrupt")
      const asked = withdrawn.find(({ _tag }) => _tag === "CanUseTool")
      const cancelled = withdrawn.find(({ _tag }) => _tag === "CancelRequest")
      assert.isTrue(asked?._tag === "CanUseTool" && cancelled?._tag === "CancelRequest")
      assert.strictEqual(
        asked?._tag === "CanUseTool" ? asked.requestId : "a",
        cancelled?._tag === "CancelRequest" ? cancelled.requestId : "b"
      )
    })
  })

  describe("on failures", () => {
    const cases: ReadonlyArray<readonly [string, ClaudeEvents.FailureReport]> = [
      ["prompt_too_long", { message: "x", terminalReason: "prompt_too_long" }],
      ["prompt_too_long", { message: "x", status: 413 }],
      ["session_dead", { message: "No conversation found with session ID: 0" }],
      ["billing", { message: "x", error: "billing_error", status: 400 }],
      ["billing", { message: "Your quota is used up" }],
      ["usage_limit", { message: "You've hit your weekly limit · resets Oct 3" }],
      ["usage_limit", { message: "Claude AI usage limit reached|1755806400", status: 429 }],
      ["transient", { message: "x", status: 429 }],
      ["auth", { message: "x", status: 401 }],
      ["auth", { message: "Not logged in · Please run /login" }],
      ["model_unavailable", { message: "x", error: "model_not_found", status: 404 }],
      ["transient", { message: "x", status: 529 }],
      ["transient", { message: "x", apiError: "connection_failed" }],
      ["transient", { message: "x", errorType: "overloaded_error" }],
      ["transient", { message: "connect ECONNREFUSED 127.0.0.1:1" }],
      ["invalid_request", { message: "x", status: 400, error: "invalid_request" }],
      ["invalid_request", { message: "x", status: 404, errorType: "not_found_error" }],
      ["unknown", { message: "something else" }]
    ]
    for (const [kind, report] of cases) {
      it(`takes ${JSON.stringify(report)} for ${kind}`, () => {
        assert.strictEqual(ClaudeEvents.classify(report, false), kind)
      })
    }

    it("reads the reset out of the older message", () => {
      const failure = ClaudeEvents.failureOf({ message: "Claude AI usage limit reached|1755806400" }, Option.none())
      assert.deepStrictEqual(failure.resetsAt, Option.some(1_755_806_400_000))
    })
  })

  describe("on what it does not know", () => {
    it("counts it by type and goes on", () => {
      const ignored = (line: unknown) => ClaudeEvents.step(begin(), ClaudeEvents.decode(line))[1]
      assert.deepStrictEqual(ignored({ type: "worker_shutting_down" }), [
        AgentEvent.Ignored({ type: "worker_shutting_down" })
      ])
      assert.deepStrictEqual(ignored({ type: "system", subtype: "new_thing" }), [
        AgentEvent.Ignored({ type: "system/new_thing" })
      ])
      assert.deepStrictEqual(ignored([1, 2]), [AgentEvent.Ignored({ type: "(no object)" })])
      assert.deepStrictEqual(ignored({ a: 1 }), [AgentEvent.Ignored({ type: "(no type)" })])
      assert.deepStrictEqual(ignored({ type: "assistant" }), [AgentEvent.Ignored({ type: "assistant (unreadable)" })])
      const block = {
        type: "assistant",
        message: { id: "m", model: "x", content: [{ type: "hologram" }, { type: "text", text: "hi" }] }
      }
      assert.deepStrictEqual(ignored(block), [
        AgentEvent.Ignored({ type: "assistant/hologram" }),
        AgentEvent.Said({ text: "hi", parentToolUseId: Option.none() })
      ])
    })

    it("lets a field of the wrong type cost that field and no more", () => {
      const lines = captures.lines("happy-tool-use").map((line) => {
        const value = JSON.parse(line)
        return {
          ...value,
          api_error_status: "none",
          parent_tool_use_id: null,
          ttft_ms: [],
          mcp_servers: 7,
          unheard_of: { of: true }
        }
      })
      const end = lines.reduce((turn, line) => ClaudeEvents.step(turn, ClaudeEvents.decode(line))[0], begin())
      assert.deepInclude(Option.getOrThrow(ClaudeEvents.result(end, 0)).end, { text: "done" })
    })

    it("never throws, whatever JSON it is given", () => {
      const type = fc.constantFrom(
        "assistant",
        "user",
        "result",
        "system",
        "stream_event",
        "control_request",
        "rate_limit_event",
        "control_response"
      )
      const subtype = fc.constantFrom(
        "init",
        "api_retry",
        "status",
        "compact_boundary",
        "background_tasks_changed",
        "success"
      )
      const known = fc
        .record({ type, subtype })
        .chain((base) => fc.object({ maxDepth: 4 }).map((rest) => ({ ...rest, ...base })))
      fc.assert(
        fc.property(fc.array(fc.oneof(fc.jsonValue(), known), { maxLength: 8 }), (values) => {
          foldAll(values)
        }),
        { numRuns: 500 }
      )
    })

    it("never throws on captured lines with any part of them changed", () => {
      const all = captures.names.flatMap((name) => captures.lines(name)).filter((line) => line.length < 20_000)
      const junk = fc.oneof(
        fc.jsonValue(),
        fc.constantFrom<unknown>(-1, 1e300, Number.MAX_SAFE_INTEGER, "", [], {}, null)
      )
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(all.length - 1), fc.nat(200), junk), { minLength: 1, maxLength: 6 }),
          (edits) => {
            foldAll(edits.map(([line, place, value]) => changed(JSON.parse(all[line] ?? "{}"), place, value)))
          }
        ),
        { numRuns: 1_000 }
      )
    })
  })
})

const begin = () => ClaudeEvents.begin({ sessionId: Option.none(), compacts: false })

/** Folds anything, and asks everything that can be asked of the turn. */
const foldAll = (values: ReadonlyArray<unknown>): void => {
  const turn = values.reduce<ClaudeEvents.Turn>(
    (soFar, value) => ClaudeEvents.step(soFar, ClaudeEvents.decode(value))[0],
    begin()
  )
  ClaudeEvents.result(turn, 0)
  ClaudeEvents.isDrained(turn)
  ClaudeEvents.canGoOn(turn)
}

/** The value with the part at a place (counted depth first) replaced or, for `undefined`, left out. */
const changed = (value: unknown, place: number, by: unknown): unknown => {
  let left = place
  const walk = (part: unknown): unknown => {
    if (left-- === 0) return by
    if (Array.isArray(part)) return part.map(walk)
    if (typeof part !== "object" || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, walk(inner)]))
  }
  return walk(value)
}
