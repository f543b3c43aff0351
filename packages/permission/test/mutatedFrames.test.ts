// 100,000 frames with something wrong in each: nothing crashes, and what is well-formed after them is answered. The
// generator is seeded: a failure comes again.
import { PermissionGate } from "@driver/agent/PermissionGate"
import { AllowOnce } from "@driver/domain/Permission"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Either, Layer, Option, Redacted, Ref } from "effect"
import * as Protocol from "../src/GateProtocol.js"
import { makeFrameReader } from "../src/internal/FrameReader.js"
import { PermissionDecider } from "../src/PermissionDecider.js"
import * as PermissionSocket from "../src/PermissionSocket.js"
import { byId, connectClient } from "./support/client.js"
import { layerUnixSockets, program, temporaryDirectory } from "./support/doors.js"
import { recording } from "./support/requests.js"

/** Numbers from 0 to below `limit`, the same ones for the same seed. */
const numbers = (seed: number) => {
  let state = seed >>> 0
  return (limit: number) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

const framesFor = (token: string) =>
  [
    { kind: "hello", id: 1, token },
    { kind: "cancel", id: "a", token },
    { kind: "decide", id: 1, token, request: { tool: "Bash", input: { command: "ls -la | head" }, tool_use_id: "u" } },
    {
      kind: "decide",
      id: "x",
      token,
      request: { tool: "Write", input: { deep: [{ a: null, b: [1.5, true, "ä€🚀"] }] } }
    }
  ].map((it) => Buffer.from(JSON.stringify(it)))

/** Pieces of which trouble is made. */
const morsels = [
  "\u0000",
  "\\",
  '"',
  "{",
  "}",
  "[[[[[[[[[[",
  "1e999",
  "-0",
  "99999999999999999999",
  "null",
  '"__proto__":{"x":1},',
  '"kind":"decide",',
  '"id":null,',
  "\\ud800",
  "\ufeff",
  "\r",
  "\t"
].map((it) => Buffer.from(it))
const bad = [...morsels, Buffer.from([0xff]), Buffer.from([0xc3]), Buffer.from([0xed, 0xa0, 0x80])]

const pick = <A>(below: (limit: number) => number, all: ReadonlyArray<A>, otherwise: A): A =>
  all[below(all.length)] ?? otherwise

const mutate = (frames: ReadonlyArray<Buffer>, below: (limit: number) => number): Buffer => {
  const none = Buffer.from("{}")
  let frame: Buffer = Buffer.from(pick(below, frames, none))
  for (let changes = 1 + below(4); changes > 0; changes--) {
    const at = below(frame.length + 1)
    const to = Math.min(frame.length, at + below(24))
    switch (below(6)) {
      case 0:
        if (at < frame.length) frame[at] = below(256)
        break
      case 1:
        frame = Buffer.concat([frame.subarray(0, at), pick(below, bad, none), frame.subarray(at)])
        break
      case 2:
        frame = Buffer.concat([frame.subarray(0, at), frame.subarray(to)])
        break
      case 3:
        frame = Buffer.concat([frame.subarray(0, to), frame.subarray(at)])
        break
      case 4:
        frame = frame.subarray(0, at)
        break
      case 5:
        frame = Buffer.concat([frame.subarray(0, at), pick(below, frames, none).subarray(below(40))])
    }
  }
  return frame
}

describe("100,000 mutated frames", () => {
  it("are read without a crash, in whatever pieces they come, and what is well-formed between them is found", () => {
    const below = numbers(20_261_121)
    const frames = framesFor("token")
    const reader = makeFrameReader(() => 65_536)
    const good = JSON.stringify({ kind: "hello", id: "good", token: "token" })
    let found = 0
    let wrong = 0
    let longest = 0
    const look = (bytes: Uint8Array) => {
      const decoded = Protocol.decode(bytes)
      if (Either.isLeft(decoded)) {
        wrong++
        longest = Math.max(longest, decoded.left.message.length)
        assert.notInclude(decoded.left.message, 'token"')
      } else if (decoded.right.id === "good") found++
    }
    for (let n = 1; n <= 90_000; n++) {
      const line = Buffer.concat([mutate(frames, below), Buffer.from(n % 1_000 === 0 ? `\n${good}\n` : "\n")])
      const cut = below(line.length + 1)
      for (const chunk of [line.subarray(0, cut), line.subarray(cut)]) {
        reader.push(chunk, (piece) => {
          if (piece._tag === "Line") look(piece.bytes)
        })
      }
    }
    assert.strictEqual(found, 90)
    // Otherwise they would not be mutated enough.
    assert.isAbove(wrong, 60_000)
    assert.isBelow(longest, 500)
    assert.strictEqual(reader.held(), 0)
  })

  it.scopedLive("are answered on the socket or refused, and so is what is well-formed between them", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make(0)
      const context = yield* Layer.build(
        PermissionSocket.layer({
          directory: `${yield* temporaryDirectory}/state`,
          program,
          limits: { badFrames: 1_000_000 }
        }).pipe(
          Layer.provide([
            Layer.succeed(PermissionDecider, {
              decide: () =>
                Effect.as(
                  Ref.update(asked, (it) => it + 1),
                  new AllowOnce({ rationale: "test" })
                )
            }),
            layerUnixSockets,
            NodeContext.layer
          ])
        )
      )
      const { decisions, registration } = yield* recording({ workspace: yield* temporaryDirectory })
      const ticket = yield* Context.get(context, PermissionGate).register(registration)
      const { path, token } = Option.getOrThrow(ticket.socket)
      const below = numbers(7)
      const frames = framesFor(Redacted.value(token))
      const client = yield* connectClient(path)
      yield* client.send({ kind: "hello", id: "first", token: Redacted.value(token) })
      for (let batch = 0; batch < 50; batch++) {
        const lines = Array.from({ length: 200 }, () => Buffer.concat([mutate(frames, below), Buffer.from("\n")]))
        yield* client.write(Buffer.concat(lines))
        const id = `good ${batch}`
        yield* client.send({ kind: "decide", id, token: Redacted.value(token), request: { tool: "Bash", input: {} } })
        assert.deepStrictEqual(yield* client.take(byId(id)), {
          kind: "decision",
          id,
          response: { behavior: "allow" }
        })
      }
      // Whatever was understood as a question was asked once, recorded and answered.
      const answered = client.received().filter((it) => it["kind"] === "decision").length
      assert.deepStrictEqual([yield* Ref.get(asked), (yield* decisions).length], [answered, answered])
      assert.isAbove(answered, 50)
    }).pipe(Effect.provide(NodeContext.layer))
  )
})
