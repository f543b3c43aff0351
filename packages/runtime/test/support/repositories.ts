/** Real repositories in temporary directories, and what a person would type in them. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Goal, GoalId } from "@driver/domain/Goal"
import { Git, GitError } from "@driver/runtime/Git"
import { Workspace } from "@driver/runtime/Workspace"
import * as WorkspaceGit from "@driver/runtime/WorkspaceGit"
import { NodeContext } from "@effect/platform-node"
import { Context, Effect, Layer, Option, type Scope } from "effect"

const environment = {
  PATH: process.env["PATH"] ?? "/usr/bin:/bin",
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "Zoë",
  GIT_AUTHOR_EMAIL: "zoe@example.org",
  GIT_COMMITTER_NAME: "Zoë",
  GIT_COMMITTER_EMAIL: "zoe@example.org"
}

/** Runs a program as the agent or a person would; resolves with its output without the last newline. */
export const run = (cwd: string, ...argv: ReadonlyArray<string>): string => {
  const [program = "", ...args] = argv
  return execFileSync(program, args, {
    cwd,
    env: environment,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"]
  }).replace(/\n$/, "")
}

export const git = (cwd: string, ...args: ReadonlyArray<string>): string => run(cwd, "git", ...args)

export const write = (directory: string, name: string, content: string | Uint8Array): void => {
  const file = path.join(directory, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, content)
}

/** Everything below a directory but `.git`, as path → content. Symlinks are `-> target`, executables are marked. */
export const contents = (directory: string): Record<string, string> => {
  const found: Record<string, string> = {}
  const visit = (relative: Buffer) => {
    const here = Buffer.concat([Buffer.from(`${directory}/`), relative])
    for (const entry of fs.readdirSync(here, { withFileTypes: true, encoding: "buffer" })) {
      const name = Buffer.concat([relative, entry.name])
      const file = Buffer.concat([Buffer.from(`${directory}/`), name])
      // Names that are not UTF-8 stay apart from one another.
      const key = Buffer.from(name.toString()).equals(name) ? name.toString() : `latin1:${name.toString("latin1")}`
      if (entry.name.toString() === ".git") {
        continue
      }
      if (entry.isSymbolicLink()) {
        found[key] = `-> ${fs.readlinkSync(file)}`
      } else if (entry.isDirectory()) {
        visit(Buffer.concat([name, Buffer.from("/")]))
      } else {
        const executable = (fs.statSync(file).mode & 0o100) !== 0 ? "* " : ""
        found[key] = executable + fs.readFileSync(file, "latin1")
      }
    }
  }
  visit(Buffer.alloc(0))
  return Object.fromEntries(Object.entries(found).sort(([left], [right]) => (left < right ? -1 : 1)))
}

export interface Place {
  /** Everything lies below it. */
  readonly directory: string
  readonly repository: string
  readonly root: string
  readonly stateDirectory: string
}

/** A fresh directory, removed with the scope. No repository in it yet. */
export const makePlace = Effect.acquireRelease(
  Effect.sync((): Place => {
    const directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "driver-wörk space-")))
    return {
      directory,
      repository: path.join(directory, "repository"),
      root: path.join(directory, "worktrees"),
      stateDirectory: path.join(directory, "state")
    }
  }),
  ({ directory }) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** A repository with one commit of these files. */
export const initialise = (
  repository: string,
  files: Record<string, string> = { "a.txt": "a\n", "src/b.txt": "b\n" }
) => {
  fs.mkdirSync(repository, { recursive: true })
  git(repository, "init", "--quiet", "--template=", "--initial-branch=main")
  for (const [name, content] of Object.entries(files)) {
    write(repository, name, content)
  }
  git(repository, "add", "--all", "--force")
  git(repository, "commit", "--quiet", "--allow-empty", "-m", "first")
}

export const makeRepository = (files?: Record<string, string>) =>
  makePlace.pipe(Effect.tap((place) => Effect.sync(() => initialise(place.repository, files))))

let minted = 0

export const newGoal = (options: { readonly workspace?: string; readonly metadata?: Record<string, unknown> } = {}) => {
  minted += 1
  return new Goal({
    id: GoalId.make(`00000000-0000-4000-8000-${String(minted).padStart(12, "0")}`),
    description: "Grüße sagen",
    workspace: Option.fromNullable(options.workspace),
    metadata: options.metadata ?? {}
  })
}

export const layerGit: Layer.Layer<Git | NodeContext.NodeContext> = Git.layer().pipe(
  Layer.provideMerge(NodeContext.layer)
)

/** The same where git's commands are run one by one: no case is the usual one. */
export const layerGitInSteps = Layer.map(layerGit, (services) =>
  Context.add(services, Git, {
    run: Context.get(services, Git).run,
    script: ({ cwd, name }) =>
      new GitError({ reason: "exit", exitCode: 9, command: name, directory: cwd, detail: "done in steps" })
  })
)

export const layerWorkspace = (
  place: Place,
  options: Partial<WorkspaceGit.WorkspaceGitOptions> = {},
  git: Layer.Layer<Git | NodeContext.NodeContext> = layerGit
): Layer.Layer<Workspace> => WorkspaceGit.layer({ ...place, ...options }).pipe(Layer.provide(git))

type Service = Context.Tag.Service<typeof Workspace>

export interface World {
  readonly place: Place
  readonly workspace: Service
  readonly goal: Goal
  /** The worktree, made by `ensure`. */
  readonly directory: string
}

export const start = (place: Place, options: Partial<WorkspaceGit.WorkspaceGitOptions> = {}) =>
  Layer.build(layerWorkspace(place, options)).pipe(Effect.map((context) => Context.get(context, Workspace)))

/** A repository, a goal and its worktree. */
export const world = (files?: Record<string, string>): Effect.Effect<World, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const place = yield* makeRepository(files)
    const workspace = yield* start(place)
    const goal = newGoal()
    const { path: directory } = yield* workspace.ensure(goal)
    return { place, workspace, goal, directory }
  })

/** What an agent does at the end of a turn. Gives the new commit. */
export const commitAll = (directory: string, message = "work"): string => {
  git(directory, "add", "--all")
  git(directory, "commit", "--quiet", "--allow-empty", "-m", message)
  return git(directory, "rev-parse", "HEAD")
}
