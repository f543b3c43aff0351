/** Random ids in the shapes that the real agent gives them. Session ids are made in `Session`, event ids in `Output`. */
import { randomBytes } from "node:crypto"

const hex = (bytes: number): string => randomBytes(bytes).toString("hex")

export const messageId = (): string => `msg_01${hex(12)}`

export const requestId = (): string => `req_${hex(12)}`

export const toolUseId = (): string => `toolu_01${hex(12)}`

export const agentId = (): string => `a${hex(8)}`

/** An id of a background task: a letter and base 36 digits. */
export const taskId = (letter: string): string =>
  letter +
  BigInt(`0x${hex(6)}`)
    .toString(36)
    .padStart(8, "0")
    .slice(-8)

/** One run of a task or subagent; begins with the time, so that ids sort by it. */
export const runId = (): string => `0${Date.now().toString(36)}-${hex(4)}`
