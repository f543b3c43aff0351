import { PermissionGate } from "@driver/agent/PermissionGate"
import {
  AllowOnce,
  ChoiceAllow,
  ChoiceDeny,
  ChoiceObserve,
  Decision,
  DecisionId,
  Deny,
  type PermissionOutcome,
  type PermissionRequest
} from "@driver/domain/Permission"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Exit, FastCheck as fc, Layer, Ref, Scope, TestClock } from "effect"
import { AskDecider } from "../src/AskDecider.js"
import * as InProcessGate from "../src/InProcessGate.js"
import { type DecisionContext, PermissionDecider } from "../src/PermissionDecider.js"
import * as Shadow from "../src/Shadow.js"
import { callOf, goalId, recording } from "./support/requests.js"

type Decide = (request: PermissionRequest, context: DecisionContext) => Effect.Effect<PermissionOutcome>

const deciding = (decide: Decide) => Layer.succeed(PermissionDecider, { decide })
const allows = deciding(() => Effect.succeed(new AllowOnce({ rationale: "rule 1" })))
const denies = deciding(() => Effect.succeed(new Deny({ message: "Not that.", rationale: "rule 2" })))

const gateWith = (real: Layer.Layer<PermissionDecider>, shadow: Layer.Layer<PermissionDecider>) =>
  Effect.gen(function* () {
    const { decisions, registration } = yield* recording()
    const scope = yield* Scope.make()
    const { register } = yield* Effect.provide(
      PermissionGate,
      InProcessGate.layer().pipe(Layer.provide(Shadow.layer(real, shadow)))
    )
    const ticket = yield* Scope.extend(register(registration), scope)
    return { ticket, decisions, endGoal: Scope.close(scope, Exit.void) }
  })

const notesOf = (decisions: ReadonlyArray<Decision>) =>
  decisions.flatMap(({ choice, rationale }) => (choice._tag === "Observe" ? [[choice.note, rationale]] : []))

describe("Shadow", () => {
  it.scoped("records what it would have decided, and enforces nothing of it", () =>
    Effect.gen(function* () {
      const person = Layer.effect(
        PermissionDecider,
        Effect.map(AskDecider, ({ decide }) => ({ decide: (request, context) => decide(request, context, "rule 3") }))
      ).pipe(Layer.provide(AskDecider.layerUnasked))
      const shadows: ReadonlyArray<readonly [Layer.Layer<PermissionDecider>, string, string]> = [
        [allows, "would allow", "shadow: rule 1"],
        [denies, "would deny: Not that.", "shadow: rule 2"],
        [person, "would ask a person", "shadow: a person would be asked (rule 3)"]
      ]
      for (const [shadow, note, rationale] of shadows) {
        for (const [real, tag] of [
          [allows, "AllowOnce"],
          [denies, "Deny"]
        ] as const) {
          const { decisions, ticket } = yield* gateWith(real, shadow)
          assert.strictEqual((yield* ticket.decide(callOf("Bash")))._tag, tag)
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(notesOf(yield* decisions), [[note, rationale]])
          assert.strictEqual((yield* decisions).length, 2)
        }
      }
    })
  )

  it.scoped("neither slows nor breaks the real decider, whatever becomes of it", () =>
    Effect.gen(function* () {
      const broken: ReadonlyArray<Decide> = [
        () => Effect.die("a bug"),
        () => {
          throw new Error("a worse bug")
        },
        () => Effect.never,
        () => Effect.uninterruptible(Effect.never)
      ]
      for (const decide of broken) {
        const { decisions, endGoal, ticket } = yield* gateWith(allows, deciding(decide))
        assert.strictEqual((yield* ticket.decide(callOf("Bash")))._tag, "AllowOnce")
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(
          (yield* decisions).map(({ choice }) => choice._tag),
          ["Allow"]
        )
        yield* endGoal
      }
    })
  )

  it.scoped("works on few calls at once, and records nothing more when the goal has ended", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const running = yield* Ref.make(0)
      const slow = deciding(() =>
        Effect.zipRight(
          Ref.update(running, (n) => n + 1),
          Effect.as(Deferred.await(go), new AllowOnce({ rationale: "slow" }))
        )
      )
      const { decisions, endGoal, ticket } = yield* gateWith(allows, slow)
      for (let call = 0; call < 40; call++) yield* ticket.decide(callOf("Bash", { call }))
      assert.strictEqual(yield* Ref.get(running), 16)
      yield* endGoal
      yield* Deferred.succeed(go, undefined)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(notesOf(yield* decisions), [])
      assert.strictEqual((yield* decisions).length, 40)
    })
  )

  let ids = 0
  const decision = (command: string, choice: ChoiceAllow | ChoiceDeny | ChoiceObserve, turn = 1) =>
    new Decision({
      id: DecisionId.make(`00000000-0000-4000-8000-${String(ids++).padStart(12, "0")}`),
      goalId,
      turn,
      tool: "Bash",
      input: { command },
      choice,
      rationale: "r",
      decidedAt: DateTime.unsafeMake(0)
    })
  const allowed = new ChoiceAllow({})
  const denied = new ChoiceDeny({ message: "no" })
  const observed = (note: string) => new ChoiceObserve({ note })

  it("is compared with what was decided, call by call", () => {
    const records = [
      decision("a", allowed),
      decision("a", observed("would allow")),
      // The observation may come first.
      decision("b", observed("would deny: no")),
      decision("b", allowed),
      decision("c", denied),
      decision("c", observed("would ask a person")),
      // The same call in another turn is another call.
      decision("a", denied, 2),
      decision("a", observed("would deny: no"), 2),
      decision("d", allowed),
      decision("e", observed("would allow")),
      decision("f", denied),
      decision("f", observed("somebody else's note"))
    ]
    const { differences, table, unobserved, undecided } = Shadow.agreementOf(records)
    assert.deepStrictEqual(table, {
      allow: { allow: 1, deny: 1, ask: 0, nothing: 0 },
      deny: { allow: 0, deny: 1, ask: 1, nothing: 1 }
    })
    assert.deepStrictEqual([unobserved, undecided], [1, 1])
    assert.deepStrictEqual(
      differences.map(({ decided, said }) => [decided.input["command"], said]),
      [
        ["b", "deny"],
        ["c", "ask"],
        ["f", "nothing"]
      ]
    )
  })

  it.prop(
    "counts every record once",
    [fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom(allowed, denied, observed("would allow"))))],
    ([records]) => {
      const { table, undecided, unobserved } = Shadow.agreementOf(
        records.map(([command, choice]) => decision(command, choice))
      )
      const pairs = Object.values(table)
        .flatMap((row) => Object.values(row))
        .reduce((sum, n) => sum + n, 0)
      assert.strictEqual(2 * pairs + undecided + unobserved, records.length)
    }
  )
})
