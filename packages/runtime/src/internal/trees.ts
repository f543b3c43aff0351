/**
 * Trees and commits as objects: made, compared and printed, with no directory and no reference in between.
 *
 * Owns nothing that lasts: until a reference names it, git may prune what is made here, and a patch file is the
 * caller's. The tree of a directory comes from `snapshotIndex.ts`.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { encodeText, records, text } from "../Git.js"
import { makePrivateGit } from "./privateGit.js"
import type { SnapshotStore } from "./snapshotStore.js"

/** One path that differs between two trees. Names have one character per byte. */
export interface Change {
  readonly oldMode: string
  readonly newMode: string
  readonly name: string
}

const gitlinkMode = "160000"

/** For a commit of this moment. Milliseconds since the epoch. */
export const datedAt = (at: number) => {
  const date = `@${Math.floor(at / 1000)} +0000`
  return { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date }
}

/** Operations on the repository's objects, with our configuration. */
export const makeTrees = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { objects } = yield* makePrivateGit

  const commitTree = (
    store: SnapshotStore,
    tree: string,
    parents: ReadonlyArray<string>,
    message: string,
    at: number
  ) =>
    objects(store, {
      args: ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent])],
      stdin: encodeText(message.endsWith("\n") ? message : `${message}\n`),
      env: datedAt(at)
    }).pipe(Effect.map(text))

  const treeOf = (store: SnapshotStore, commit: string) =>
    objects(store, { args: ["rev-parse", "--verify", "--end-of-options", `${commit}^{tree}`] }).pipe(Effect.map(text))

  const emptyTree = (store: SnapshotStore) =>
    objects(store, { args: ["hash-object", "-t", "tree", "-w", "--stdin"] }).pipe(Effect.map(text))

  /** Paths that differ between two trees. */
  const compareTrees = (store: SnapshotStore, from: string, to: string) =>
    objects(store, { args: ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", from, to] }).pipe(
      Effect.map((output) => parseChanges(records(output)))
    )

  /** Writes the difference between a tree and its base as a mail that `git am` and `git apply` take. */
  const writePatch = Effect.fnUntraced(function* (
    store: SnapshotStore,
    base: string,
    tree: string,
    message: string,
    file: string
  ) {
    const now = yield* Clock.currentTimeMillis
    const commit = yield* commitTree(store, tree, [base], message, now)
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    yield* objects(store, {
      args: ["format-patch", "-1", "--binary", "--full-index", "--no-signature", `--output=${file}`, commit]
    })
  })

  /** The unified diff between two trees, renames found. At most `maxBytes` of UTF-8, cut between characters. */
  const diff = (store: SnapshotStore, from: string, to: string, maxBytes: number) =>
    objects(store, {
      args: ["diff-tree", "-r", "-p", "-M", "--no-ext-diff", "--no-textconv", from, to],
      maxOutputBytes: maxBytes
    }).pipe(Effect.map((output) => cutText(output.stdout, maxBytes)))

  return {
    commitTree,
    treeOf,
    emptyTree,
    compareTrees,
    writePatch,
    diff
  }
})

/** `diff-tree --raw -z`: pairs of `:old new sha sha status` and name. */
const parseChanges = (parts: ReadonlyArray<string>): ReadonlyArray<Change> => {
  const changes: Array<Change> = []
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const [oldMode = "", newMode = ""] = (parts[index] ?? "").slice(1).split(" ")
    changes.push({ oldMode, newMode, name: parts[index + 1] ?? "" })
  }
  return changes
}

/** True for a nested repository that HEAD does not have. */
export const isNewGitlink = (change: Change): boolean =>
  change.newMode === gitlinkMode && change.oldMode !== gitlinkMode

/** The first `maxBytes` as text, cut between characters. */
export const cutText = (bytes: Uint8Array, maxBytes: number): string => {
  let end = Math.min(bytes.length, maxBytes)
  // A continuation byte at the cut means that a character was cut: step back to where it begins.
  if (bytes.length >= maxBytes) {
    let start = end - 1
    while (start >= 0 && end - start < 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) {
      start--
    }
    const lead = bytes[start] ?? 0
    const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1
    if (start >= 0 && start + length > end) {
      end = start
    }
  }
  return new TextDecoder().decode(bytes.subarray(0, end))
}
