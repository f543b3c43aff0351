/** Package managers and runners: which of their arguments are code of the project, and which come from elsewhere. */
import { has } from "../arguments.js"
import { type Call, effect, refuse, same } from "../Call.js"
import { quote } from "../Findings.js"
import { keepInside } from "../paths.js"
import { devtools } from "../programs/devtools.js"
import { files } from "../programs/files.js"
import { git } from "../programs/git.js"
import { languages } from "../programs/languages.js"
import { media } from "../programs/media.js"
import { shell } from "../programs/shell.js"
import { text } from "../programs/text.js"
import type { Rule } from "../rules.js"
import { reachesBeyond } from "../tasks.js"
import { literal, show, textOf, type Value } from "../values.js"

const inside = (call: Call, words: ReadonlyArray<Value>): void => {
  for (const it of words) keepInside(call.run, call.shell, it, call.name)
}

/** Words of tasks that reach beyond the machine, or into a database. */
export const publishes = (text: string): boolean =>
  reachesBeyond(text) ||
  /(^|[:\-_.]|[a-z](?=[DPURMEFS]))(Deploy|deploy|[Pp]ublish\w*|[Uu]pload\w*|[Pp]ush|[Ee]xec|eval|[Rr]elease:perform|[Ff]lyway\w*|[Mm]igrate\w*)([:\-_.\s]|$|[A-Z])/.test(
    text
  ) ||
  /^db:|:(drop|reset|fresh|wipe|seed)$/.test(text)

/** A script of the project and its arguments. */
const script: Rule = (call, parsed) => {
  const [name, ...args] = [...parsed.operands, ...parsed.rest]
  const text = name === undefined ? undefined : textOf(name)
  if (name !== undefined && text === undefined)
    refuse(call, "unknown_code", `which script ${quote(show(name))} is, is not known before it runs`)
  if (
    text !== undefined &&
    /^(pub(lish)?|deploy|release|prod)(:|-|$)|[:-](deploy|publish)$|^(predeploy|postpublish|prepublish\w*)$|(^|[:-])(deploy|publish)(:|-|$)/.test(
      text
    )
  )
    effect(call, "network", "publishes or deploys")
  if (
    /^(turbo|nx|lerna|rush|lage|wireit|moon|sbt|mill)$/.test(call.name) &&
    (text === "exec" || text === "version" || text === "import" || text?.startsWith("eval") === true)
  ) {
    effect(call, "unknown_code", "runs another program")
  }
  const options = parsed.options.flatMap(({ name, value }) =>
    /^(-t|--targets?)$/.test(name) && value !== undefined ? [show(value)] : []
  )
  if ([text ?? "", ...options].some((it) => publishes(it)))
    effect(call, "network", "publishes, deploys or changes a database")
  if (text === "env") effect(call, "secret", "prints the environment")
  if (
    /^(ninja|meson|scons|rake|just|mage|task)$/.test(call.name) &&
    [...parsed.operands, ...parsed.rest].some((it) => /^(un)?install$|^deploy|^publish|^release$/.test(show(it)))
  ) {
    effect(call, "system", "installs or publishes")
  }
  if (
    args.some(
      (it) =>
        /^(turbo|nx|lerna|rush|lage|sbt|mill|ant|rake|just|task|mage)$/.test(call.name) &&
        (publishes(show(it)) || /^(exec|version|import)$/.test(show(it)))
    )
  )
    effect(call, "network", "publishes, or runs another program")
  ownOptions(call, args)
  inside(call, args)
  effect(call, "project_code")
  return same(call.shell)
}

/** npm takes options after the script's name for its own, up to `--`: few of them are harmless. */
export const ownOptions = (call: Call, args: ReadonlyArray<Value>): void => {
  if (!call.name.startsWith("npm ")) return
  for (const it of args) {
    const text = textOf(it)
    if (text === "--") return
    if (
      text?.startsWith("-") === true &&
      !/^(-s|--silent|--if-present|--watch(=\w+)?|--run|--coverage|--fix|--quiet|--verbose|--ci|--bail|--no-color|--no-coverage|-w|--workspace(=[\w@/.-]+)?|--workspaces|-ws|--include-workspace-root|--updateSnapshot|-u|--passWithNoTests|--watchAll=false|--runInBand|--production|--ignore-scripts|--no-fund|--no-audit)$/.test(
        text
      )
    ) {
      refuse(call, "unknown_option", `npm takes ${quote(text)} for an option of its own`)
    }
  }
}

/** Tools that are part of the project when they are in the table; any other may come from the network. */
const runTool: Rule = (call, parsed) => {
  const [first, ...args] = parsed.rest
  if (first === undefined) {
    refuse(call, "unknown_option", "what it runs is not known")
    return same(call.shell)
  }
  const text = textOf(first)
  if (text !== undefined && /^(npx|bunx|npm exec|npm x|npm)$/.test(call.name) && fetched.has(text)) {
    effect(call, "network", `fetches a package that is called ${quote(text)}`)
    return same(call.shell)
  }
  if (text === undefined) {
    refuse(call, "unknown_code", "what it runs is not known before it runs")
    return same(call.shell)
  }
  const name = text.replace(/(.)@[\w.^~-]+$/, "$1")
  if (name !== text) {
    effect(call, "network", `fetches and runs ${quote(text)}`)
    return same(call.shell)
  }
  const short = scoped[name] ?? name
  if (/[/\\]/.test(short) || call.run.lookUp(short) === undefined) {
    effect(call, "unknown_code", `may fetch and run ${quote(text)}, which is not known here`)
    return same(call.shell)
  }
  return call.runWords([literal(short), ...args], call.shell, call.input)
}

/** Not of node, though they run the project's code. */
const others = {
  "pip pip3 pytest py.test mypy ruff black isort flake8 pylint coverage tox nox poetry uv pdm hatch pipenv rye virtualenv python python3 cargo rustc rustfmt go gofmt goimports golangci-lint gcc g++ clang clang++ cc ld ar nm objdump make gmake just task mage rake ninja meson cmake ctest mvn mvnw gradle gradlew sbt ant java javac jar dotnet bundle bundler rspec rubocop rails gem phpunit composer swift xcodebuild mix rebar3 stack cabal protoc buf shellcheck shfmt pandoc pdflatex xelatex sponge bun deno node npm npx pnpm yarn":
    undefined
}

/** Programs of the system: npx takes these names for packages, which others own. */
const fetched: ReadonlySet<string> = new Set(
  [files, text, shell, git, languages, devtools, media, others]
    .flatMap((table) => Object.keys(table))
    .flatMap((names) => names.split(" "))
    .filter(
      (name) =>
        !/^(tsx|ts-node|ts-node-esm|rimraf|del-cli|mkdirp|cross-env|ast-grep|jiti|esno|vite-node|elm|elm-(test|format|review|json)|dprint|markdownlint-cli2?|jsonlint|sql-formatter|alex|write-good|csslint|htmlhint|doctoc|markdown-toc|swagger-cli|eleventy|vuepress|vitepress|antora|spago|purs|pulp|htmlbeautifier|prettier|cordova|ionic|nodemon|onchange|newman|expo-cli|swagger-cli|graphql-schema-linter)$/.test(
          name
        )
    )
)

const scoped: Readonly<Record<string, string>> = {
  "@biomejs/biome": "biome",
  "@playwright/test": "playwright",
  "@changesets/cli": "changeset",
  "@angular/cli": "ng"
}

/** Names of packages: those that the manifest already has need no name. */
const packages: Rule = (call, parsed) => {
  const names = parsed.operands
  call.run.findings.network = true
  for (const it of names) {
    const text = textOf(it)
    if (
      text === undefined ||
      !/^(@[\w.-]+\/)?[\w.-]+(\[[\w,.-]+\])?((@|==|~=|>=|<=|>|<)[\w.^~*-]*)?$/.test(text) ||
      /^\.\.?$/.test(text)
    )
      effect(call, "network", `installs ${quote(show(it))}, which is not a package's name`)
    else if (call.name.endsWith(" i") || /install|add|ci|update|upgrade|sync/.test(call.name))
      effect(call, "network", `installs ${quote(text)}, which the project does not have yet`)
  }
  effect(call, "project_code")
  return same(call.shell)
}

const pip: Rule = (call, parsed) => {
  call.run.findings.network = true
  for (const it of parsed.operands) {
    const text = textOf(it)
    if (text === undefined || !/^(\.{1,2}\/)?[\w./-]*(\[[\w,-]+\])?$/.test(text) || /(^|\/)\.\.(\/|$)/.test(text))
      effect(call, "network", `installs ${quote(show(it))}`)
    else if (/^\.(\/|$|\[)/.test(text)) continue
    else effect(call, "network", `installs ${quote(text)}, which the project does not name`)
  }
  for (const { name, value } of parsed.options) {
    if (/^(-r|--requirement|-e|--editable|-c|--constraint)$/.test(name) && value !== undefined)
      keepInside(call.run, call.shell, value, call.name)
    if (/^(-e|--editable)$/.test(name) && value !== undefined && !/^\.?[\w./-]*(\[[\w,-]+\])?$/.test(show(value)))
      effect(call, "network")
  }
  effect(call, "project_code")
  return same(call.shell)
}

const make: Rule = (call, parsed) => {
  for (const it of parsed.operands) {
    const text = textOf(it)
    if (text === undefined) {
      refuse(call, "unknown_code", `${quote(show(it))} is not known before it runs`)
      continue
    }
    if (
      /^(SHELL|MAKEFLAGS|\.SHELLFLAGS|MAKE|CC|CXX|LD|AR|AS|RM|INSTALL|PATH)\s*[:+?]?=/.test(text) &&
      !/^(CC|CXX)=(gcc|clang|g\+\+|clang\+\+|cc)(-\d+)?$/.test(text)
    )
      effect(call, "unknown_code", `takes a program from ${quote(text)}`)
    if (reachesBeyond(text) || text === "apply")
      effect(call, "system", `makes ${quote(text)}: that publishes or changes a database`)
    if (/^\w+[:+?]?!?=.*[$`;&|<>]|!=/.test(text)) effect(call, "unknown_code", `evaluates ${quote(text)}`)
    if (
      /^(un)?install([-_]|$)|^(deploy|publish|release|push|upload)([-_]|$)|[-_](deploy|publish)$/.test(text) &&
      !/[-_](notes|check|dry-run|docs|status|plan|preview)$/.test(text) &&
      !/^install[-_]?(deps|dependencies|dev|hooks)?$/.test(text.replace(/^install$/, "x"))
    )
      effect(call, "system", `makes ${quote(text)}: that installs or publishes`)
    keepInside(call.run, call.shell, it, call.name)
  }
  if (!has(parsed, "-n", "--dry-run", "--just-print", "--recon") || parsed.operands.length >= 0)
    effect(call, "project_code")
  return same(call.shell)
}

/** A tool that changes files only with some options, and runs the project's configuration in any case. */
const tool: Rule = (call, parsed) => {
  inside(call, parsed.operands)
  effect(call, "project_code")
  return same(call.shell)
}

const curl: Rule = (call, parsed) => {
  const urls = parsed.operands
  for (const it of urls) call.run.findings.hosts.add(/^(?:[a-z]+:\/\/)?([^/]*)/i.exec(show(it))?.[1])
  const local =
    urls.length > 0 &&
    urls.every((it) =>
      /^(https?:\/\/)?(localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(:\d+)?(\/|$|\?)/.test(textOf(it) ?? "")
    )
  if (local) {
    call.run.findings.network = true
    effect(call, "project_code")
  } else effect(call, "network")
  return same(call.shell)
}

export const rules: Readonly<Record<string, Rule>> = { script, runTool, packages, pip, make, tool, curl }
