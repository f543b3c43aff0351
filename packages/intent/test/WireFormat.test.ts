/** What the journal and the sessions look like: a line that was ever written is read for ever. */
import * as D from "@driver/intent/Directive"
import { ExecEnv } from "@driver/intent/ExecEnv"
import { Complaint } from "@driver/intent/GoalExecutor"
import { IntentEvent } from "@driver/intent/IntentEvents"
import { IntentRecord, StoredIntentRecord } from "@driver/intent/IntentRecord"
import { IntentResponse } from "@driver/intent/IntentResponse"
import { Session, SessionMessage } from "@driver/intent/IntentStore"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"

const isOurs = (key: string): boolean => !["metadata", "args", "output_schema"].includes(key)

const keysOf = (value: unknown): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap(keysOf)
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => (isOurs(key) ? [key, ...keysOf(inner)] : [key]))
}

const survives = <A, I>(name: string, schema: Schema.Schema<A, I>) =>
  it.prop(
    `${name} survives the trip to JSON and back, in snake_case`,
    [schema],
    ([value]) => {
      const text = JSON.stringify(Schema.encodeSync(schema)(value))
      assert.deepStrictEqual(Schema.decodeUnknownSync(schema)(JSON.parse(text)), value)
      for (const key of keysOf(JSON.parse(text))) assert.match(key, /^[a-z]+(_[a-z]+)*$/)
    },
    { fastCheck: { numRuns: 25 } }
  )

describe("the wire format", () => {
  survives("Assessment", D.Assessment)
  survives("Directive", D.Directive)
  survives("ReviewVerdict", D.ReviewVerdict)
  survives("IntentContext", D.IntentContext)
  survives("ModelCall", D.ModelCall)
  survives("ExecEnv", ExecEnv)
  survives("Complaint", Complaint)
  survives("Session", Session)
  survives("SessionMessage", SessionMessage)
  survives("IntentRecord", IntentRecord)
  survives("IntentResponse", IntentResponse)
  survives("IntentEvent", IntentEvent)

  const head =
    '{"version":1,"intent_id":"00000000-0000-4000-8000-000000000001","sequence":0,"at":"2026-01-01T00:00:00.000Z","record":'
  const frozen: ReadonlyArray<readonly [IntentRecord["_tag"], string]> = [
    ["Received", '{"kind":"received","message":"hi","context":{"session_id":"s"}}'],
    [
      "Received",
      '{"kind":"received","message":"hi","answers":[{"question":"c","value":"x"}],"context":{"session_id":"s","history":[{"user":"a","agent":"b"}],"project_hint":"p","mount_hints":["m"],"user":"u"},"open":{"request":"r","questions":[{"id":"c","text":"C?","type":"yes_no","options":[]}],"round":1},"can_ask":false,"max_retries":0}'
    ],
    ["Assessed", '{"kind":"assessed","assessment":{"kind":"task","scope":"trivial"},"request":"r","follow_up":"none"}'],
    [
      "Assessed",
      '{"kind":"assessed","assessment":{"kind":"conversation","reply":"hi"},"request":"r","follow_up":"answer","calls":[{"step":"assess","input_tokens":1,"output_tokens":2,"cost_usd":0.5,"problem":"x"}],"degradations":[{"step":"assess","reason":"r"}]}'
    ],
    [
      "Crystallized",
      '{"kind":"crystallized","directive":{"goal":"g","original_request":"r","acceptance_criteria":[{"kind":"command","statement":"s","command":"c"},{"kind":"file","statement":"s","path":"p","regex":"r","guard":true},{"kind":"judged","statement":"s"}],"assumptions":[{"subject":"s","assumed":"a","by":"asker"}]}}'
    ],
    [
      "EnvironmentResolved",
      '{"kind":"environment_resolved","env":{"mounts":[{"id":"m","name":"m","path":"/m"}],"paths":["/m"],"workspace_context":"x"}}'
    ],
    ["Reviewed", '{"kind":"reviewed","verdict":{"passed":false,"score":0.5,"gaps":["g"],"by":"mechanical"}}'],
    ["Resumed", '{"kind":"resumed"}'],
    ["Abandoned", '{"kind":"abandoned","reason":"r"}']
  ]
  frozen.forEach(([tag, line], index) => {
    it(`line ${index} of the first release is still read: ${tag}`, () => {
      assert.strictEqual(Schema.decodeSync(StoredIntentRecord.FromJson)(`${head}${line}}`).record._tag, tag)
    })
  })

  it("a record of a newer form is refused", () => {
    const newer = `${head.replace('"version":1', '"version":2')}{"kind":"resumed"}}`
    assert.throws(() => Schema.decodeSync(StoredIntentRecord.FromJson)(newer))
  })
})
