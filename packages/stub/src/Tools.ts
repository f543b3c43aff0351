/**
 * What the tools do, and how their results look in the stream: Write, Edit and Read work on files, Bash is a process.
 * Permission has been given when these are called.
 */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, resolve } from "node:path"
import type { ToolInput } from "./Permissions.js"
import type { Finished } from "./Processes.js"

/** A tool's result: what the model reads, and the structured form beside it. */
export interface ToolResult {
  readonly content: unknown
  readonly structured: unknown
  /** Left out of the event when undefined, as the real agent does for the file tools. */
  readonly isError: boolean | undefined
}

export const failed = (message: string): ToolResult => ({
  content: message,
  structured: `Error: ${message}`,
  isError: true
})

/** An error of the tool machinery itself. */
export const toolUseError = (message: string): ToolResult => ({
  content: `<tool_use_error>${message}</tool_use_error>`,
  structured: message,
  isError: true
})

const parameters: Readonly<
  Record<string, { readonly required: ReadonlyArray<string>; readonly optional: ReadonlyArray<string> }>
> = {
  Write: { required: ["file_path", "content"], optional: [] },
  Edit: { required: ["file_path", "old_string", "new_string"], optional: ["replace_all"] },
  Read: { required: ["file_path"], optional: ["offset", "limit"] },
  Bash: {
    required: ["command"],
    optional: ["description", "timeout", "run_in_background", "dangerouslyDisableSandbox"]
  }
}

/** What is wrong with an input, or `undefined`. Tools of other names take anything. */
export const inputProblem = (tool: string, input: ToolInput): string | undefined => {
  const known = parameters[tool]
  if (known === undefined) return undefined
  const lines = [
    ...known.required.filter((name) => !(name in input)).map((name) => `The required parameter \`${name}\` is missing`),
    ...known.required
      .filter((name) => name in input && typeof input[name] !== "string")
      .map(
        (name) => `The parameter \`${name}\` type is expected as \`string\` but provided as \`${typeof input[name]}\``
      ),
    ...Object.keys(input)
      .filter((name) => !known.required.includes(name) && !known.optional.includes(name))
      .map((name) => `An unexpected parameter \`${name}\` was provided`)
  ]
  return lines.length === 0 ? undefined : `${tool} failed due to the following issues:\n${lines.join("\n")}`
}

/** The input as the model would write it: file paths absolute, a description for every command. */
export const completeInput = (tool: string, input: ToolInput, cwd: string): ToolInput => {
  if (tool === "Bash") return { ...input, description: input["description"] ?? "run" }
  return typeof input["file_path"] === "string" && tool in parameters
    ? { ...input, file_path: resolve(cwd, input["file_path"]) }
    : input
}

/** One hunk with three lines of context around everything that changed. */
export const structuredPatch = (before: string, after: string) => {
  if (before === after) return []
  const old = before.replace(/\n$/, "").split("\n")
  const now = after.replace(/\n$/, "").split("\n")
  let head = 0
  while (head < old.length && head < now.length && old[head] === now[head]) head++
  let tail = 0
  while (tail < old.length - head && tail < now.length - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++
  const from = Math.max(0, head - 3)
  const after3 = Math.min(tail, 3)
  const oldEnd = old.length - tail
  const newEnd = now.length - tail
  return [
    {
      oldStart: from + 1,
      oldLines: oldEnd + after3 - from,
      newStart: from + 1,
      newLines: newEnd + after3 - from,
      lines: [
        ...old.slice(from, head).map((line) => ` ${line}`),
        ...old.slice(head, oldEnd).map((line) => `-${line}`),
        ...now.slice(head, newEnd).map((line) => `+${line}`),
        ...old.slice(oldEnd, oldEnd + after3).map((line) => ` ${line}`)
      ]
    }
  ]
}

const text = (input: ToolInput, key: string): string => String(input[key] ?? "")

const note = "(file state is current in your context — no need to Read it back)"

const write = (input: ToolInput): ToolResult => {
  const filePath = text(input, "file_path")
  const content = text(input, "content")
  const originalFile = existsSync(filePath) ? readFileSync(filePath, "utf8") : null
  mkdirSync(dirname(filePath), { recursive: true })
  writeFileSync(filePath, content)
  const created = originalFile === null
  return {
    content: created
      ? `File created successfully at: ${filePath} ${note}`
      : `The file ${filePath} has been updated successfully. ${note}`,
    structured: {
      type: created ? "create" : "update",
      filePath,
      content,
      structuredPatch: created ? [] : structuredPatch(originalFile, content),
      originalFile,
      userModified: false
    },
    isError: undefined
  }
}

const edit = (input: ToolInput): ToolResult => {
  const filePath = text(input, "file_path")
  const oldString = text(input, "old_string")
  const newString = text(input, "new_string")
  const replaceAll = input["replace_all"] === true
  if (!existsSync(filePath)) return toolUseError(`File does not exist: ${filePath}`)
  const originalFile = readFileSync(filePath, "utf8")
  const found = oldString === "" ? 0 : originalFile.split(oldString).length - 1
  if (found === 0) return toolUseError(`String to replace not found in file.\nString: ${oldString}`)
  if (found > 1 && !replaceAll) {
    return toolUseError(
      `Found ${found} matches of the string to replace, but replace_all is false.\nString: ${oldString}`
    )
  }
  const edited = originalFile.split(oldString).join(newString)
  writeFileSync(filePath, edited)
  return {
    content: `The file ${filePath} has been updated successfully. ${note}`,
    structured: {
      filePath,
      oldString,
      newString,
      originalFile,
      structuredPatch: structuredPatch(originalFile, edited),
      userModified: false,
      replaceAll
    },
    isError: undefined
  }
}

const read = (input: ToolInput): ToolResult => {
  const filePath = text(input, "file_path")
  if (!existsSync(filePath)) return toolUseError(`File does not exist: ${filePath}`)
  if (statSync(filePath).isDirectory())
    return toolUseError(`EISDIR: illegal operation on a directory, read '${filePath}'`)
  const content = readFileSync(filePath, "utf8")
  const lines = content.split("\n")
  return {
    content: lines.map((line, i) => `${i + 1}\t${line}`).join("\n"),
    structured: {
      type: "text",
      file: { filePath, content, numLines: lines.length, startLine: 1, totalLines: lines.length }
    },
    isError: undefined
  }
}

const fileTools: Readonly<Record<string, (input: ToolInput) => ToolResult>> = { Write: write, Edit: edit, Read: read }

/** The result of a file tool, or `undefined` when it is none. An error of the file system is the tool's error. */
export const runFileTool = (tool: string, input: ToolInput): ToolResult | undefined => {
  const work = fileTools[tool]
  if (work === undefined) return undefined
  try {
    return work(input)
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error))
  }
}

export const bashResult = ({ code, output }: Finished): ToolResult => {
  const shown = output.trimEnd()
  if (code !== 0) return failed(`Exit code ${code}${shown === "" ? "" : `\n${shown}`}`)
  return {
    content: shown === "" ? "(Bash completed with no output)" : shown,
    structured: { stdout: shown, stderr: "", interrupted: false, isImage: false, noOutputExpected: false },
    isError: false
  }
}

/** What an AskUserQuestion gives, by the answers that the gate put into its input. */
export const questionResult = (input: ToolInput): ToolResult => {
  const answers = typeof input["answers"] === "object" && input["answers"] !== null ? input["answers"] : {}
  const pairs = Object.entries(answers).map(([question, answer]) => `"${question}"="${answer}"`)
  return {
    content:
      pairs.length === 0
        ? "The user did not answer the questions."
        : `Your questions have been answered: ${pairs.join(", ")}. You can now continue with these answers in mind.`,
    structured: { questions: input["questions"] ?? [], answers },
    isError: undefined
  }
}
