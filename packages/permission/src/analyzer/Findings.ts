/** Collects what an analysis finds; the worst reason gives the label. */
import type { Analysis, CommandClass, PathUse, ProgramUse, Reason, ReasonKind } from "../CommandAnalyzer.js"

const labels: Readonly<Record<ReasonKind, CommandClass>> = {
  unparsable: "dangerous",
  unknown_code: "dangerous",
  unknown_program: "dangerous",
  unknown_option: "dangerous",
  outside: "dangerous",
  special_path: "dangerous",
  secret: "dangerous",
  network: "dangerous",
  privilege: "dangerous",
  destructive: "dangerous",
  system: "dangerous",
  safety_off: "dangerous",
  environment: "dangerous",
  resources: "dangerous",
  workspace_write: "workspace_write",
  project_code: "workspace_write",
  reads: "read_only"
}

const rank: Readonly<Record<CommandClass, number>> = { read_only: 0, workspace_write: 1, dangerous: 2 }

/** What is said about one thing is said once, and about many things no more than this. */
const mostReasons = 20
const mostUses = 1_000

export interface Findings {
  readonly reasons: Map<string, Reason>
  readonly programs: Array<ProgramUse>
  readonly paths: Map<string, PathUse>
  readonly hosts: Set<string | undefined>
  readonly secrets: Set<string>
  readonly unparsable: Array<string>
  network: boolean
  privilege: boolean
  worst: number
}

export const make = (): Findings => ({
  reasons: new Map(),
  programs: [],
  paths: new Map(),
  hosts: new Set(),
  secrets: new Set(),
  unparsable: [],
  network: false,
  privilege: false,
  worst: 0
})

/** Control and invisible characters are not for messages. */
export const clean = (text: string, most = 80): string => {
  const short = text.length > most ? `${text.slice(0, most - 1)}…` : text
  if (/^[ -~]*$/.test(short)) return short
  return short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (it) => `\\u{${(it.codePointAt(0) ?? 0).toString(16)}}`)
}

export const quote = (text: string): string => `\`${clean(text)}\``

export const add = (findings: Findings, kind: ReasonKind, message: string): void => {
  const label = labels[kind]
  if (kind === "network") findings.network = true
  if (kind === "privilege") findings.privilege = true
  findings.worst = Math.max(findings.worst, rank[label])
  const key = `${kind} ${message}`
  if (!findings.reasons.has(key) && findings.reasons.size < mostReasons * 4)
    findings.reasons.set(key, { label, kind, message })
}

export const addPath = (findings: Findings, use: PathUse): void => {
  if (findings.paths.size < mostUses) findings.paths.set(`${use.access} ${use.path}`, use)
}

export const addProgram = (findings: Findings, use: ProgramUse): void => {
  if (findings.programs.length < mostUses) findings.programs.push(use)
}

export const toAnalysis = (findings: Findings): Analysis => {
  const label = (Object.keys(rank) as Array<CommandClass>).find((it) => rank[it] === findings.worst) ?? "dangerous"
  const reasons = [...findings.reasons.values()].sort((a, b) => rank[b.label] - rank[a.label])
  const told =
    reasons.length > 0
      ? reasons.slice(0, mostReasons)
      : [{ label: "read_only", kind: "reads", message: "It reads at most." } as const]
  return {
    label,
    reasons: told,
    programs: findings.programs,
    paths: [...findings.paths.values()],
    hosts: [...findings.hosts],
    network: findings.network,
    privilege: findings.privilege,
    secrets: [...findings.secrets],
    unparsable: findings.unparsable
  }
}
