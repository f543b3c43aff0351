/** `driver worktrees`: the goals' workspaces, what they hold, and the checkpoints one can go back to. */
import { Workspace, type WorkspaceEntry } from "@driver/runtime/Workspace"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { shortIds } from "../GoalNames.js"
import { Host } from "../Host.js"
import { agoText } from "../Render.js"
import { table } from "../Table.js"
import { printable } from "../Text.js"

export interface WorktreesArguments {
  readonly json: boolean
}

export const worktrees = ({ json }: WorktreesArguments) =>
  Effect.gen(function* () {
    const { stdout } = yield* Host
    const workspace = yield* Workspace
    const entries = yield* workspace.list
    if (json) return yield* stdout.write(`${JSON.stringify(entries.map(encode), null, 2)}\n`)
    if (entries.length === 0) return yield* stdout.write("There are no workspaces of goals.\n")
    const now = yield* Clock.currentTimeMillis
    const short = shortIds(entries.map(({ goalId }) => goalId))
    yield* stdout.write(
      table(
        ["GOAL", "WORK", "BRANCH", "PATH"],
        entries.map((entry) => [
          short.get(entry.goalId) ?? entry.goalId,
          entry.undelivered ? "undelivered" : "-",
          Option.getOrElse(entry.branch, () => "-"),
          entry.path
        ])
      )
    )
    for (const entry of entries.filter(({ checkpoints }) => checkpoints.length > 0)) {
      yield* stdout.write(
        `\ncheckpoints of ${short.get(entry.goalId) ?? entry.goalId} (driver rollback ${short.get(entry.goalId) ?? entry.goalId} --to <number>)\n`
      )
      for (const { commit, createdAt, id, label } of entry.checkpoints) {
        yield* stdout.write(
          `  ${id.padStart(3)}  ${commit.slice(0, 10)}  ${agoText(now, createdAt)}  ${printable(label)}\n`
        )
      }
    }
  })

const encode = (entry: WorkspaceEntry) => ({
  goal_id: entry.goalId,
  path: entry.path,
  branch: Option.getOrNull(entry.branch),
  base: Option.getOrNull(entry.base),
  repository: Option.getOrNull(entry.repository),
  undelivered: entry.undelivered,
  checkpoints: entry.checkpoints.map(({ commit, createdAt, id, label }) => ({
    id,
    commit,
    created_at: DateTime.formatIso(DateTime.unsafeMake(createdAt)),
    label
  }))
})
