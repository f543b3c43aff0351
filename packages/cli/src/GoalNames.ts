/** Goals by the beginning of their id, as people name them. Pure. */
import type { GoalId } from "@driver/domain/Goal"
import * as Data from "effect/Data"
import * as Either from "effect/Either"

/** The text names no goal, or several. */
export class GoalNameError extends Data.TaggedError("GoalNameError")<{
  readonly name: string
  /** The goals it could be; empty when there is none. */
  readonly candidates: ReadonlyArray<string>
}> {
  override get message() {
    return this.candidates.length === 0
      ? `There is no goal whose id begins with ${JSON.stringify(this.name)}: \`driver list\` and \`driver worktrees\` show those there are`
      : `${JSON.stringify(this.name)} is the beginning of several goals' ids, give more of it: ${this.candidates.join(", ")}`
  }
}

/** At least this much of an id: less is more likely a slip than a name. */
const shortest = 4

export const findGoal = (name: string, known: ReadonlyArray<GoalId>): Either.Either<GoalId, GoalNameError> => {
  const wanted = name.trim().toLowerCase()
  const found = wanted.length < shortest ? [] : [...new Set(known)].sort().filter((id) => id.startsWith(wanted))
  const exact = found.find((id) => id === wanted)
  const [first, second] = found
  if (exact !== undefined) return Either.right(exact)
  if (first !== undefined && second === undefined) return Either.right(first)
  return Either.left(new GoalNameError({ name, candidates: found }))
}

/** Enough of each id to tell it from the others, at least eight characters. */
export const shortIds = (ids: ReadonlyArray<string>): ReadonlyMap<string, string> => {
  const distinct = [...new Set(ids)]
  const shortenTo = (length: number): ReadonlyMap<string, string> => {
    const shortened = new Map(distinct.map((id) => [id, id.slice(0, length)] as const))
    return length >= 36 || new Set(shortened.values()).size === distinct.length ? shortened : shortenTo(length + 4)
  }
  return shortenTo(8)
}
