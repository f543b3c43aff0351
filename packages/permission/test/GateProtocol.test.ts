import { AllowOnce, AllowSession, Deny, PermissionCancelled, Unavailable } from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck, Option } from "effect"
import * as Protocol from "../src/GateProtocol.js"

const decode = (text: string) => Protocol.decode(new TextEncoder().encode(text))
const good = {
  kind: "decide",
  id: 1,
  token: "t",
  request: { tool: "Read", input: { file_path: "ä" }, tool_use_id: "u" }
}

describe("GateProtocol", () => {
  it("reads a question", () => {
    assert.deepStrictEqual(
      decode(JSON.stringify(good)),
      Either.right({
        kind: "decide" as const,
        id: 1,
        token: "t",
        request: { tool: "Read", input: { file_path: "ä" }, tool_use_id: Option.some("u"), agent_id: Option.none() }
      })
    )
  })

  it("says what is wrong with a line, with its id and without its token", () => {
    const cases: ReadonlyArray<readonly [string, Option.Option<Protocol.FrameId>, RegExp]> = [
      ["{", Option.none(), /not JSON/],
      ["[]", Option.none(), /look at /],
      ["null", Option.none(), /look at /],
      [JSON.stringify({ ...good, id: true }), Option.none(), /id/],
      [JSON.stringify({ ...good, id: "" }), Option.none(), /id/],
      [JSON.stringify({ ...good, id: "x".repeat(129) }), Option.none(), /id/],
      [JSON.stringify({ ...good, kind: "allow" }), Option.some(1), /kind/],
      [JSON.stringify({ ...good, token: 7 }), Option.some(1), /token/],
      [JSON.stringify({ ...good, token: ["secret-token"] }), Option.some(1), /token/],
      [JSON.stringify({ ...good, request: { tool: "", input: {} } }), Option.some(1), /request\.tool/],
      [JSON.stringify({ ...good, request: { tool: "Read", input: [] } }), Option.some(1), /request\.input/],
      [JSON.stringify({ ...good, request: { tool: "Read", input: null } }), Option.some(1), /request\.input/],
      [
        `{"kind":"decide","id":1,"token":"t","request":{"tool":"Read","input":{"__proto__":{"a":1}}}}`,
        Option.some(1),
        /request\.input/
      ],
      [
        `{"kind":"decide","id":1,"token":"t","request":{"tool":"Read","input":{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}}}`,
        Option.some(1),
        /nested/
      ]
    ]
    for (const [line, id, message] of cases) {
      const bad = Either.flip(decode(line)).pipe(Either.getOrThrow)
      assert.deepStrictEqual(bad.id, id, line.slice(0, 100))
      assert.match(bad.message, message)
      assert.notInclude(bad.message, "secret-token")
    }
    const notUtf8 = Protocol.decode(Uint8Array.of(0x22, 0xff, 0x22))
    assert.isTrue(Either.isLeft(notUtf8))
  })

  it("never throws, whatever a frame is turned into", () => {
    const text = new TextEncoder().encode(JSON.stringify(good))
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.tuple(FastCheck.nat(text.length - 1), FastCheck.nat(255)), {
          minLength: 1,
          maxLength: 8
        }),
        FastCheck.nat(text.length),
        (changes, length) => {
          const mutated = text.slice(0, length)
          for (const [at, byte] of changes) if (at < mutated.length) mutated[at] = byte
          assert.isTrue(Either.isEither(Protocol.decode(mutated)))
        }
      ),
      { numRuns: 20_000 }
    )
  })

  it("carries an input back only when it was changed, and always a message with a denial", () => {
    const changed = Option.some({ command: "ls" })
    assert.deepStrictEqual(Protocol.responseOf(new AllowOnce({ rationale: "r" })), { behavior: "allow" })
    assert.deepStrictEqual(Protocol.responseOf(new AllowSession({ scope: "turn", rationale: "r" })), {
      behavior: "allow"
    })
    assert.deepStrictEqual(Protocol.responseOf(new AllowOnce({ rationale: "r", updatedInput: changed })), {
      behavior: "allow",
      updatedInput: { command: "ls" }
    })
    assert.deepStrictEqual(Protocol.responseOf(new Deny({ message: "use Read", rationale: "r" })), {
      behavior: "deny",
      message: "use Read"
    })
    for (const outcome of [new Unavailable({ reason: "asleep" }), new PermissionCancelled({})]) {
      const response = Protocol.responseOf(outcome)
      assert.strictEqual(response.behavior, "deny")
      assert.match(response.behavior === "deny" ? response.message : "", /was not run/)
    }
  })
})
