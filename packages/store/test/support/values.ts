/** Values to store. */
import { SessionId } from "@driver/domain/Binding"
import { GoalId } from "@driver/domain/Goal"
import { ChoiceAllow, ChoiceDeny, Decision, DecisionId } from "@driver/domain/Permission"
import type { BindingInput } from "@driver/runtime/BindingStore"
import { DateTime, FastCheck as fc, Option } from "effect"

const uuid = (group: number, n: number) => `00000000-0000-4000-800${group}-${n.toString(16).padStart(12, "0")}`

export const goalIdOf = (n: number) => GoalId.make(uuid(0, n))
export const decisionIdOf = (n: number) => DecisionId.make(uuid(1, n))

/** Text that databases and index syntaxes are known to trip over. */
export const awkward = [
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "x\udc00\ud800y",
  "👩‍🚀",
  "␛",
  "␛0000",
  "␛␛d800",
  "Zażółć gęślą jaźń",
  "日本語のテキスト",
  "हिन्दी में पाठ",
  '"',
  '""" OR *',
  "NEAR(a b, 5)",
  "a AND NOT b",
  "words : x",
  "col:*",
  "^start",
  "'; DROP TABLE driver_decisions; --",
  "\\",
  "' | '",
  "a & !b <-> c:*",
  "$1 ? ?1 :name @x",
  "\u2028\u2029\ufeff\uffff",
  "İıſßﬁ",
  "e\u0301"
]

export const bindingInput = (goal: number, changes: Partial<BindingInput> = {}): BindingInput => ({
  goalId: goalIdOf(goal),
  sessionId: SessionId.make(`session-${goal}`),
  model: Option.none(),
  workspace: `/workspaces/${goal}`,
  originChannel: Option.none(),
  dispatcher: Option.none(),
  ...changes
})

export const decision = (n: number, changes: Partial<ConstructorParameters<typeof Decision>[0]> = {}) =>
  new Decision({
    id: decisionIdOf(n),
    goalId: goalIdOf(1),
    turn: 1,
    tool: "Bash",
    input: { command: `echo ${n}` },
    choice: n % 2 === 0 ? new ChoiceAllow() : new ChoiceDeny({ message: "not now" }),
    rationale: "a rule",
    decidedAt: DateTime.unsafeMake(1_700_000_000_000 + n),
    ...changes
  })

/** Any UTF-16, halves of surrogate pairs and U+0000 included. */
export const anyText = fc.oneof(
  fc.constantFrom(...awkward),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 }).map((units) => String.fromCharCode(...units))
)

/** The same ones in every run. */
export const sampled = <A>(arbitrary: fc.Arbitrary<A>, numRuns: number) => fc.sample(arbitrary, { numRuns, seed: 4711 })
