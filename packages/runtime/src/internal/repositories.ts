/**
 * Finding the repository to work on: where it is, how it writes files, the commit that new work starts from,
 * and a place outside of it for the worktrees.
 *
 * Owns nothing. It makes the worktree root when that is absent, and one commit in a repository that has none.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Git, records, text } from "../Git.js"
import type { ObjectFormat } from "./snapshotStore.js"
import { type Failure, fail } from "./workspaceFailure.js"
import { makeWorktreeHead } from "./worktreeHead.js"

/** A repository as found from a directory in it. */
export interface Repository {
  readonly directory: string
  /** Absolute, symlinks resolved. */
  readonly common: string
  /** Where its HEAD is. */
  readonly gitDirectory: string
  readonly objectFormat: ObjectFormat
}

export type Repositories = Effect.Effect.Success<ReturnType<typeof makeRepositories>>

/** Questions to repositories, and git on them for references and worktrees. */
export const makeRepositories = Effect.fnUntraced(function* (options: {
  /** Where the worktrees lie. */
  readonly root: string
  /** What new goals start from. Default `HEAD`. */
  readonly base?: string
}) {
  const git = yield* Git
  const { resolveBranch } = yield* makeWorktreeHead
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path

  /** git on the repository, for references and worktrees. */
  const inRepository = (common: string, args: ReadonlyArray<string>, answers: ReadonlyArray<number> = [0]) =>
    git.run({ args, cwd: common, env: { GIT_DIR: common }, answers })

  const isDirectory = (directory: string) =>
    fs.stat(directory).pipe(
      Effect.map((info) => info.type === "Directory"),
      Effect.orElseSucceed(() => false)
    )

  const locate = Effect.fnUntraced(function* (directory: string): Effect.fn.Return<Repository, Failure> {
    if (!(yield* isDirectory(directory))) {
      return yield* fail(
        "ensure",
        "not_a_repository",
        `there is no directory ${directory}; name the repository to work on`
      )
    }
    const found = yield* git.run({
      args: ["rev-parse", "--path-format=absolute", "--git-common-dir", "--absolute-git-dir", "--show-object-format"],
      cwd: directory,
      answers: [0, 128]
    })
    const lines = text(found).split("\n")
    const [common, gitDirectory, format] = lines
    if (found.exitCode !== 0 || lines.length !== 3 || common === undefined || gitDirectory === undefined) {
      return yield* fail(
        "ensure",
        "not_a_repository",
        `${directory} is not in a git repository that can be used (${found.stderr.trim().split("\n")[0] ?? ""}); run \`git init\` there, or use directory mode`
      )
    }
    return {
      directory,
      common: yield* fs.realPath(common),
      gitDirectory: yield* fs.realPath(gitDirectory),
      objectFormat: format === "sha256" ? "sha256" : "sha1"
    }
  })

  /** Value-only settings that decide how files are written, for our own configuration. */
  const checkoutSettings = (common: string) =>
    inRepository(common, ["config", "--local", "--list", "-z"]).pipe(
      Effect.map((output) =>
        records(output).flatMap((entry) => {
          const match = /^core\.(autocrlf|eol|symlinks|filemode|ignorecase|precomposeunicode)\n([a-z0-9]+)$/i.exec(
            entry
          )
          return match === null ? [] : [`${match[1]} = ${match[2]}`]
        })
      )
    )

  /** False when no directory from here upwards is a git directory or has one: git would find none either. */
  const mayBeInRepository = (directory: string): Effect.Effect<boolean> => {
    const has = (name: string) => Effect.orElseSucceed(fs.exists(path.join(directory, name)), () => true)
    const here = Effect.zipWith(has(".git"), has("HEAD"), (inside, bare) => inside || bare)
    const parent = path.dirname(directory)
    return Effect.flatMap(here, (found) =>
      found || parent === directory ? Effect.succeed(found) : mayBeInRepository(parent)
    )
  }

  /** The directory that worktrees lie in, made when absent, refused where it would pollute somebody's `git status`. */
  const prepareRoot = Effect.fnUntraced(function* (): Effect.fn.Return<string, Failure> {
    const wanted = path.resolve(options.root)
    yield* fs.makeDirectory(wanted, { recursive: true }).pipe(
      Effect.catchIf(
        (error) => error._tag === "SystemError" && (error.reason === "AlreadyExists" || error.reason === "BadResource"),
        () => fail("ensure", "bad_root", `the worktree root ${wanted} is not a directory; choose another one`)
      )
    )
    const root = yield* fs.realPath(wanted)
    if (!(yield* mayBeInRepository(root))) {
      return root
    }
    const inside = yield* git.run({
      args: ["rev-parse", "--is-inside-work-tree", "--is-inside-git-dir"],
      cwd: root,
      answers: [0, 128]
    })
    const [inWorkTree, inGitDirectory] = text(inside).split("\n")
    if (inside.exitCode !== 0) {
      return root
    }
    if (inGitDirectory === "true") {
      return yield* fail(
        "ensure",
        "bad_root",
        `the worktree root ${root} is inside a git directory; choose another one`
      )
    }
    if (inWorkTree === "true") {
      const ignored = yield* git.run({
        args: ["check-ignore", "--quiet", "--", "worktree"],
        cwd: root,
        answers: [0, 1]
      })
      if (ignored.exitCode !== 0) {
        const top = text(yield* git.run({ args: ["rev-parse", "--show-toplevel"], cwd: root }))
        return yield* fail(
          "ensure",
          "bad_root",
          `the worktree root ${root} is inside the repository ${top}, whose status would show every worktree; choose a root outside of it, or add the root to its .gitignore`
        )
      }
    }
    return root
  })

  /** Where HEAD stands, when it names a branch that is a file. */
  const headCommit = (repository: Repository) =>
    fs.readFileString(path.join(repository.gitDirectory, "HEAD")).pipe(
      Effect.map((content) => /^ref: (refs\/heads\/[A-Za-z0-9._/-]+)\n$/.exec(content)?.[1]),
      Effect.flatMap((branch) => (branch === undefined ? Effect.succeedNone : resolveBranch(repository, branch))),
      Effect.orElseSucceed(() => Option.none<string>())
    )

  /** The commit new work starts from. A repository without a commit gets an empty one, on the goal's branch only. */
  const startingPoint = Effect.fnUntraced(function* (repository: Repository): Effect.fn.Return<string, Failure> {
    const base = options.base ?? "HEAD"
    const known = base === "HEAD" ? yield* headCommit(repository) : Option.none<string>()
    if (Option.isSome(known)) {
      return known.value
    }
    const inGitDirectory = (args: ReadonlyArray<string>, answers: ReadonlyArray<number> = [0]) =>
      git.run({ args, cwd: repository.gitDirectory, env: { GIT_DIR: repository.gitDirectory }, answers })
    const resolved = yield* inGitDirectory(
      ["rev-parse", "--verify", "--quiet", "--end-of-options", `${base}^{commit}`],
      [0, 1, 128]
    )
    if (resolved.exitCode === 0) {
      return text(resolved)
    }
    // What goals before this one have left are no commits of the repository's own.
    const ours = ["refs/driver/*", "refs/heads/driver/*"].map((pattern) => `--exclude=${pattern}`)
    const unborn =
      (yield* inGitDirectory(["rev-list", "-n", "1", "--single-worktree", ...ours, "--all"])).stdout.length === 0
    if (base !== "HEAD" || !unborn) {
      return yield* fail(
        "ensure",
        "base_not_found",
        `${repository.directory} has no commit ${base} to start from; name a branch, tag or commit that exists`
      )
    }
    const tree = text(yield* inGitDirectory(["hash-object", "-t", "tree", "-w", "--stdin"]))
    return text(yield* inGitDirectory(["commit-tree", "-m", "Start from an empty repository", tree]))
  })

  return {
    inRepository,
    isDirectory,
    locate,
    checkoutSettings,
    prepareRoot,
    startingPoint
  }
})
