// Fails when the code breaks a rule of the house: an import against the arrows of the package drawing, a barrel import
// of a library that has deep ones, or something global reached directly.
import { readdirSync, readFileSync } from "node:fs"

const effect = ["effect", "@effect/platform"]

/** package → what its `src` may import, besides itself */
const mayImport = {
  domain: ["effect"],
  agent: [...effect, "@effect/ai", "@driver/domain"],
  permission: [...effect, "@effect/ai", "unbash", "@driver/domain", "@driver/agent"],
  runtime: [...effect, "@effect/ai", "re2js", "@driver/domain", "@driver/agent"],
  intent: [...effect, "@effect/ai", "@driver/domain", "@driver/agent"],
  store: [
    ...effect,
    "@effect/experimental",
    "@effect/sql",
    "@effect/sql-sqlite-node",
    "@effect/sql-pg",
    "@driver/domain",
    "@driver/agent",
    "@driver/intent",
    "@driver/permission",
    "@driver/runtime"
  ],
  stub: ["yaml", "node:"],
  server: [...effect, "@driver/domain", "@driver/agent", "@driver/permission", "@driver/runtime"],
  nats: ["effect", "@nats-io/jetstream", "@nats-io/transport-node", "@driver/domain", "@driver/runtime"],
  telemetry: [...effect, "@effect/opentelemetry", "@opentelemetry/api", "@driver/domain", "@driver/runtime"],
  simulation: ["effect", "@driver/domain", "@driver/agent", "@driver/runtime"],
  cli: [
    ...effect,
    "@effect/platform-node",
    "@effect/ai",
    "@effect/ai-anthropic",
    "@effect/ai-openai",
    "@effect/cli",
    "@effect/sql",
    "@effect/sql-sqlite-node",
    "@effect/sql-pg",
    "yaml",
    "node:",
    "@driver/domain",
    "@driver/agent",
    "@driver/intent",
    "@driver/nats",
    "@driver/permission",
    "@driver/runtime",
    "@driver/server",
    "@driver/store",
    "@driver/telemetry"
  ]
}

/** The programs that run on their own may name Node; so may the composition. */
const namesNode = (file) =>
  file === "permission/src/gateProgram.ts" || file === "agent/src/internal/nodeProcess.ts" || /^(stub|cli)\//.test(file)

/** what nobody may reach directly in `src`, and who is excused */
const globals = [
  [/\bDate\.now\(|\bnew Date\(/, "time comes from Clock"],
  [/\bMath\.random\(/, "randomness comes from Random"],
  [/\bprocess\.env\b/, "the environment is given by the composition"],
  [/(?<![.\w])set(?:Timeout|Interval|Immediate)\(/, "timers are operators on the effect they bound"],
  [/(?<![.\w])console\.\w+\(/, "logs go through Effect"],
  [/\bEffect\.run(?:Promise|Sync|Fork|Callback)\w*\(/, "only the composition runs effects"]
]
const reachesGlobals = (file) =>
  file === "permission/src/gateProgram.ts" ||
  file === "agent/src/internal/nodeProcess.ts" ||
  file.startsWith("stub/") ||
  file === "cli/src/main.ts" ||
  file === "cli/src/HostNode.ts" ||
  // The text of a program, not a program.
  file === "cli/src/demo/sampleRepository.ts"

const isAllowed = (specifier, allowed) =>
  allowed.some((it) => specifier === it || specifier.startsWith(it.endsWith(":") ? it : `${it}/`))

const offences = []
for (const [name, allowed] of Object.entries(mayImport)) {
  for (const entry of readdirSync(`packages/${name}/src`, { recursive: true })) {
    if (!/\.tsx?$/.test(entry)) continue
    const file = `${name}/src/${entry}`
    const text = readFileSync(`packages/${file}`, "utf8")
    const specifiers = [...text.matchAll(/(?:from|import)[ (]\s*"([^".][^"]*)"/g)].map((match) => match[1])
    for (const specifier of specifiers) {
      if (specifier.startsWith("node:") && namesNode(file)) continue
      if (!isAllowed(specifier, allowed)) {
        offences.push(`packages/${file} imports ${specifier}; ${name} may import ${allowed.join(", ")}`)
      }
      if (["effect", "@effect/platform", "@effect/cli", "@effect/platform-node", "@effect/sql"].includes(specifier)) {
        offences.push(`packages/${file} imports the barrel "${specifier}": name the module, "${specifier}/Module"`)
      }
    }
    if (reachesGlobals(file)) continue
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, " "))
    code.split("\n").forEach((line, index) => {
      for (const [pattern, why] of globals) {
        if (pattern.test(line)) offences.push(`packages/${file}:${index + 1} ${line.trim()}: ${why}`)
      }
    })
  }
}

for (const offence of offences) console.error(offence)
console.log(`boundaries: ${offences.length === 0 ? "ok" : `${offences.length} offences`}`)
process.exitCode = offences.length === 0 ? 0 : 1
