/**
 * What changed since a checkpoint, in at most 1 KiB: files, commits, where HEAD went.
 *
 * Owns the text. The tree it looks at is `snapshotIndex.ts`'s; the whole difference is `diff` in `trees.ts`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { encodeText, text } from "../Git.js"
import type { CheckpointId, DiffStat } from "../Workspace.js"
import { makeCheckpoints } from "./checkpoints.js"
import { makePrivateGit } from "./privateGit.js"
import { makeSnapshotIndex } from "./snapshotIndex.js"
import type { SnapshotStore } from "./snapshotStore.js"
import { cutText } from "./trees.js"
import type { Failure } from "./workspaceFailure.js"
import { commitPattern, headText, makeWorktreeHead } from "./worktreeHead.js"

/** At most 1 KiB of UTF-8. */
export const maxDiffStatBytes = 1024

/** Compares the directory with a checkpoint. */
export const makeDiffStat = Effect.gen(function* () {
  const { raw } = yield* makePrivateGit
  const { head } = yield* makeWorktreeHead
  const { recall, settle, take } = yield* makeSnapshotIndex
  const { find } = yield* makeCheckpoints

  const statOf = (store: SnapshotStore, from: string, to: string) =>
    raw(store, {
      args: ["diff-tree", "-r", "-M", "--stat=76,50,20", from, to],
      maxOutputBytes: 64 * 1024
    }).pipe(Effect.map(text))

  /** What changed since a checkpoint. One git process when nothing did. */
  const diffStat = Effect.fnUntraced(function* (
    store: SnapshotStore,
    since: CheckpointId
  ): Effect.fn.Return<DiffStat, Failure> {
    const { last } = yield* recall(store)
    const from =
      last?.id === since
        ? last
        : yield* find(store, since, "diffStat").pipe(
            Effect.map((found) => ({ commit: found.commit, tree: undefined, head: headText(found.head) }))
          )
    const taken = yield* take(store, from.commit)
    yield* settle(store, taken)
    const { tree } = taken
    const moved = yield* describeMove(store, from.head, headText(yield* head(store)))
    if (tree === from.tree) {
      return { text: formatDiffStat("", moved), filesChanged: 0, fingerprint: tree }
    }
    const stat = Option.isSome(taken.stat) ? taken.stat.value : yield* statOf(store, from.commit, tree)
    const total = /^ (\d+) files? changed/.exec(stat.slice(stat.lastIndexOf("\n") + 1))
    return {
      text: formatDiffStat(stat, moved),
      filesChanged: total === null ? 0 : Number(total[1]),
      fingerprint: tree
    }
  })

  /** One line about HEAD, empty when it stands where it stood. */
  const describeMove = Effect.fnUntraced(function* (store: SnapshotStore, from: string, to: string) {
    if (from === to) {
      return ""
    }
    const [fromBranch = "", fromCommit = ""] = from.split(" ")
    const [toBranch = "", toCommit = ""] = to.split(" ")
    const where = fromBranch === toBranch ? "" : ` on ${toBranch.replace(/^refs\/heads\//, "")}`
    if (!commitPattern.test(toCommit) || fromCommit === toCommit) {
      return ` HEAD is ${toCommit.slice(0, 10)}${where}`
    }
    const counted = yield* raw(store, {
      args: ["rev-list", "--count", toCommit, ...(commitPattern.test(fromCommit) ? [`^${fromCommit}`] : [])],
      answers: [0, 128]
    })
    const count = counted.exitCode === 0 ? Number(text(counted)) : 0
    return ` ${count} ${count === 1 ? "commit" : "commits"}, HEAD is ${toCommit.slice(0, 10)}${where}`
  })

  return {
    diffStat
  }
})

/** git's `--stat` and a line about HEAD. What does not fit is left out of the list of files; the totals stay. */
export const formatDiffStat = (stat: string, moved: string): string => {
  const lines = stat === "" ? [] : stat.split("\n")
  const totals = [...lines.splice(-1), ...(moved === "" ? [] : [moved])]
  const size = (parts: ReadonlyArray<string>) => encodeText(parts.join("\n")).length
  if (size([...lines, ...totals]) <= maxDiffStatBytes) {
    return [...lines, ...totals].join("\n")
  }
  const kept: Array<string> = []
  for (const line of lines) {
    if (size([...kept, line, " ...", ...totals]) > maxDiffStatBytes) {
      break
    }
    kept.push(line)
  }
  return cutText(encodeText([...kept, " ...", ...totals].join("\n")), maxDiffStatBytes)
}
