/**
 * The memory of permission decisions: every one of them, with goal, turn, reason
 * and time.
 *
 * `recall` finds earlier decisions by words. What the words of a decision are, and
 * which decision resembles a question more, is decided by the pure functions
 * here, so that every store gives the same answer; a database's full-text index
 * only finds the candidates.
 */
import type { GoalId } from "@driver/domain/Goal"
import type { Decision, DecisionId } from "@driver/domain/Permission"
import { textOf, wordsOf } from "@driver/domain/Words"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { StoreError } from "./StoreError.js"

export interface RecallQuery {
  /** Only decisions about this tool: what was said of `Bash` is no precedent for `Write`. */
  readonly tool: string
  /** Words to look for in the input and the rationale; one is enough. Any text is allowed; without a word in it nothing is found. */
  readonly text: string
  /** Only this goal's decisions; absent: all goals'. */
  readonly goalId?: GoalId
  /** At most this many, best first. */
  readonly limit: number
}

export class DecisionStore extends Context.Tag("@driver/runtime/DecisionStore")<
  DecisionStore,
  {
    /** Idempotent per decision id. */
    readonly record: (decision: Decision) => Effect.Effect<void, StoreError>
    /** Decisions of a goal, oldest first. */
    readonly list: (goalId: GoalId) => Effect.Effect<ReadonlyArray<Decision>, StoreError>
    /** Earlier decisions that share words with this request: most shared words first, then the latest. */
    readonly recall: (query: RecallQuery) => Effect.Effect<ReadonlyArray<Decision>, StoreError>
  }
>() {
  /** Forgets everything with its scope. */
  static readonly layerMemory: Layer.Layer<DecisionStore> = Layer.effect(
    this,
    Effect.map(Ref.make<Rows>({ byId: HashMap.empty(), recorded: 0 }), (rows) => makeMemory(rows))
  )
}

/** How much of a decision is indexed, in UTF-16 units: a tool's input can be a whole file. */
const indexed = { rationale: 4_096, input: 16_384, words: 1_024 }

/** The words of a query. */
export const wordsOfQuery = (text: string): ReadonlyArray<string> => wordsOf(text.slice(0, indexed.input))

/** The words a decision is found by: of its rationale and of a bounded part of its input. */
export const wordsOfDecision = (decision: Decision): ReadonlyArray<string> =>
  wordsOf(`${decision.rationale.slice(0, indexed.rationale)}\n${textOf(decision.input, indexed.input)}`, indexed.words)

/** What `recall` orders by. */
export interface RecallCandidate {
  readonly id: DecisionId
  /** As `wordsOfDecision` gives them. */
  readonly words: ReadonlyArray<string>
  /** Milliseconds since the epoch. */
  readonly decidedAt: number
  /** Order of recording, ascending. */
  readonly recorded: number
}

/** The candidates that share a word with the query: most shared words first, then the latest, at most `limit`. */
export const rankRecalled = <Candidate extends RecallCandidate>(
  query: ReadonlyArray<string>,
  candidates: ReadonlyArray<Candidate>,
  limit: number
): ReadonlyArray<Candidate> =>
  candidates
    .map((candidate) => {
      const words = new Set(candidate.words)
      return { candidate, shared: query.filter((word) => words.has(word)).length }
    })
    .filter(({ shared }) => shared > 0)
    .sort(
      (a, b) =>
        b.shared - a.shared ||
        b.candidate.decidedAt - a.candidate.decidedAt ||
        b.candidate.recorded - a.candidate.recorded
    )
    .slice(0, wholeLimit(limit))
    .map(({ candidate }) => candidate)

/** A limit from outside as a count: not negative, whole, and no more than a database takes. */
export const wholeLimit = (limit: number): number =>
  Number.isNaN(limit) ? 0 : Math.floor(Math.min(Math.max(limit, 0), 10_000))

interface Row extends RecallCandidate {
  readonly decision: Decision
}

interface Rows {
  readonly byId: HashMap.HashMap<DecisionId, Row>
  readonly recorded: number
}

/** Without spans, as the memory it is: a simulation asks it more often than anything else. */
const makeMemory = (rows: Ref.Ref<Rows>) =>
  DecisionStore.of({
    record: (decision) =>
      Ref.update(rows, (known) => {
        if (HashMap.has(known.byId, decision.id)) return known
        const row: Row = {
          decision,
          id: decision.id,
          words: wordsOfDecision(decision),
          decidedAt: DateTime.toEpochMillis(decision.decidedAt),
          recorded: known.recorded
        }
        return { byId: HashMap.set(known.byId, decision.id, row), recorded: known.recorded + 1 }
      }),
    list: (goalId) =>
      Effect.map(Ref.get(rows), ({ byId }) =>
        [...HashMap.values(byId)]
          .filter(({ decision }) => decision.goalId === goalId)
          .sort((a, b) => a.decidedAt - b.decidedAt || a.recorded - b.recorded)
          .map(({ decision }) => decision)
      ),
    recall: (query) =>
      Effect.map(Ref.get(rows), ({ byId }) =>
        rankRecalled(
          wordsOfQuery(query.text),
          [...HashMap.values(byId)].filter(
            ({ decision }) =>
              decision.tool === query.tool && (query.goalId === undefined || decision.goalId === query.goalId)
          ),
          query.limit
        ).map(({ decision }) => decision)
      )
  })
