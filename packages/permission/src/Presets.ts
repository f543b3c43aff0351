/**
 * The presets: rules for people who write none. Data, in the words of the rule
 * language, so that `driver policy show` can print what is in force.
 */
import * as Schema from "effect/Schema"
import type { Rule } from "./Rules.js"

export const PresetName = Schema.Literal("strict", "default", "open")
export type PresetName = typeof PresetName.Type

const readTools = ["Read", "NotebookRead", "LS", "Glob", "Grep"] as const
const writeTools = ["Write", "Edit", "MultiEdit", "NotebookEdit"] as const

/** What holds while no person is at hand, in each preset. */
const unattended: ReadonlyArray<Rule> = [
  {
    name: "no questions",
    verdict: "deny",
    tool: "AskUserQuestion",
    message:
      "No person is there to answer. Decide yourself, take the simplest reading that satisfies the goal, and write the assumption down in your final answer."
  },
  {
    name: "no plan mode",
    verdict: "deny",
    tool: ["EnterPlanMode", "ExitPlanMode"],
    message:
      "No person is there to approve a plan, and none is needed. Write the plan down in your answer if it helps, and do the work now."
  },
  {
    name: "one worktree",
    verdict: "deny",
    tool: ["EnterWorktree", "ExitWorktree"],
    message: "This run has its own worktree already, and must stay in it. Work in the current directory."
  },
  {
    name: "nothing scheduled",
    verdict: "deny",
    tool: ["CronCreate", "CronDelete", "CronList", "ScheduleWakeup", "Monitor"],
    message: "Nothing may be scheduled or left running in this run. Do the work now, in this turn."
  },
  {
    name: "own notes",
    verdict: "allow",
    tool: ["Agent", "Task", "Todo*", "Task*", "ToolSearch", "ListAgents", "BashOutput", "KillBash", "KillShell"],
    class: "read_only"
  },
  { name: "criterion", verdict: "allow", criterion: true },
  {
    name: "secret",
    verdict: "deny",
    reason: "secret",
    message:
      "Keys and passwords may not be read. Work without their contents: names of variables stand in the code that uses them, or in an example file."
  }
]

const network: Rule = {
  name: "network",
  verdict: "deny",
  reason: "network",
  message:
    "The network may not be used in this run. Work with the files of the workspace and the packages that are installed; if you cannot go on without it, say so and what you needed."
}

/** Why dangerous calls are denied, and what to do instead. */
const dangers: ReadonlyArray<Rule> = [
  network,
  {
    name: "privilege",
    verdict: "deny",
    reason: "privilege",
    message: "Work as the user that you are, without sudo, su and the like; if something has to be installed, say what."
  },
  {
    name: "destructive",
    verdict: "deny",
    reason: "destructive",
    message:
      "Delete single files by name, and known build output such as dist; to undo your own change, edit the file back. History and work that is not committed stay."
  },
  {
    name: "system",
    verdict: "deny",
    reason: "system",
    message:
      "Leave other processes, services, schedules, databases and infrastructure alone. What the goal needs is in the workspace."
  },
  {
    name: "safety off",
    verdict: "deny",
    reason: "safety_off",
    message: "Run it without the option that switches a check off, and mend what the check complains about."
  },
  {
    name: "environment",
    verdict: "deny",
    reason: "environment",
    message: "Run the program without changing the variables that decide what is run."
  },
  {
    name: "resources",
    verdict: "deny",
    reason: "resources",
    message: "Run something that ends by itself and takes no more than it needs."
  },
  {
    name: "write outside",
    verdict: "deny",
    reason: "outside",
    message:
      "Only the workspace may be changed: use a path below the current directory, and put temporary files there too."
  },
  {
    name: "not followed",
    verdict: "deny",
    reason: ["unparsable", "unknown_code"],
    message:
      "What cannot be followed before it runs is not run. Write the command out plainly, with names of programs and files as they are; put longer code into a file of the workspace."
  },
  {
    name: "not known",
    verdict: "deny",
    tool: "Bash",
    reason: ["unknown_program", "unknown_option"],
    message:
      "Use a program and options that are known, one of the project's own scripts, or Read, Grep, Glob, Write and Edit."
  }
]

const outsideReads: Rule = {
  name: "outside",
  verdict: "deny",
  tool: [...readTools, ...writeTools, "Bash"],
  where: "outside",
  message:
    "This path lies outside the workspace. Only files in the workspace may be read or written: use a path below the current directory, and put temporary files there too."
}

export const presets: Readonly<Record<PresetName, ReadonlyArray<Rule>>> = {
  strict: [
    ...unattended,
    { ...network, tool: ["WebFetch", "WebSearch"] },
    { name: "read in the workspace", verdict: "allow", tool: readTools, where: "inside" },
    { name: "write in the workspace", verdict: "allow", tool: writeTools, where: "inside" },
    { name: "read-only command", verdict: "allow", tool: "Bash", plain: true }
  ],
  default: [
    ...unattended,
    ...dangers,
    outsideReads,
    { name: "read", verdict: "allow", class: "read_only" },
    { name: "write in the workspace", verdict: "allow", class: "workspace_write" }
  ],
  open: [
    ...unattended,
    ...dangers,
    { name: "read", verdict: "allow", class: "read_only", where: "anywhere" },
    { name: "write in the workspace", verdict: "allow", class: "workspace_write" },
    { name: "tool of a server", verdict: "allow", tool: "mcp__*" }
  ]
}

/** In one sentence each, for people. */
export const presetDescriptions: Readonly<Record<PresetName, string>> = {
  strict:
    "Files of the workspace by the agent's own tools, the goal's criteria, and a few plain commands that only read.",
  default:
    "Also every command that only reads in the workspace, changes named files in it, or runs the project's own scripts.",
  open: "All but what is dangerous: also reads outside the workspace, and the tools of MCP servers."
}
