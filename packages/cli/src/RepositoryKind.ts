/**
 * Finds out from a directory's files what kind of project it is, and which commands
 * tell whether it is in order. Pure: reading the files is the caller's part.
 */

export interface RepositoryFacts {
  /** Names of the files and directories in the root. */
  readonly names: ReadonlyArray<string>
  /** The texts of those files in `readFirst` that are there. */
  readonly texts: Readonly<Record<string, string>>
}

/** The files whose text says more than their name. */
export const readFirst: ReadonlyArray<string> = [
  "package.json",
  "yarn.lock",
  "Makefile",
  "makefile",
  "GNUmakefile",
  "justfile",
  "pyproject.toml",
  "tox.ini",
  "setup.cfg",
  "composer.json",
  "Gemfile",
  "Cargo.toml",
  "CMakePresets.json"
]

export interface ProposedCriterion {
  readonly command: string
  /** Why, for the comment beside it. */
  readonly reason: string
}

export interface Proposal {
  /** `Node.js (npm)`, `Rust`, … in the order in which they were found. */
  readonly kinds: ReadonlyArray<string>
  /** Best first. */
  readonly criteria: ReadonlyArray<ProposedCriterion>
}

export const propose = (facts: RepositoryFacts): Proposal => {
  const found = detectors.flatMap((detect) => {
    const one = detect(facts)
    return one === undefined ? [] : [one]
  })
  // A Makefile beside another tool usually calls it: its targets count when nothing else was found.
  const own = found.filter(({ kind }) => !kind.startsWith("Make") && !kind.startsWith("just"))
  const chosen = own.some(({ criteria }) => criteria.length > 0) ? own : found
  const seen = new Set<string>()
  return {
    kinds: chosen.map(({ kind }) => kind),
    criteria: chosen
      .flatMap(({ criteria }) => criteria)
      .filter(({ command }) => !seen.has(command) && seen.add(command))
  }
}

interface Detected {
  readonly kind: string
  readonly criteria: ReadonlyArray<ProposedCriterion>
}

type Detector = (facts: RepositoryFacts) => Detected | undefined

const has = ({ names }: RepositoryFacts, ...wanted: ReadonlyArray<string>) =>
  wanted.some((name) => names.includes(name))

const matching = ({ names }: RepositoryFacts, pattern: RegExp) => names.some((name) => pattern.test(name))

const json = (text: string | undefined): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text ?? "")
    return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {}
  } catch {
    // A file that is no JSON tells nothing.
    return {}
  }
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {}

/** What `npm init` writes. */
const isPlaceholder = (script: string) => /no test specified/.test(script)

interface Manager {
  readonly name: string
  readonly run: (script: string) => string
  readonly exec: (command: string) => string
  readonly install: string
}

const managers = {
  npm: {
    name: "npm",
    run: (it) => (it === "test" ? "npm test" : `npm run ${it}`),
    exec: (it) => `npx ${it}`,
    install: "npm ci"
  },
  pnpm: {
    name: "pnpm",
    run: (it) => (it === "test" ? "pnpm test" : `pnpm run ${it}`),
    exec: (it) => `pnpm exec ${it}`,
    install: "pnpm install --frozen-lockfile"
  },
  yarn: { name: "yarn", run: (it) => `yarn ${it}`, exec: (it) => `yarn ${it}`, install: "yarn install --immutable" },
  yarn1: {
    name: "yarn",
    run: (it) => `yarn ${it}`,
    exec: (it) => `yarn ${it}`,
    install: "yarn install --frozen-lockfile"
  },
  bun: {
    name: "bun",
    run: (it) => `bun run ${it}`,
    exec: (it) => `bunx ${it}`,
    install: "bun install --frozen-lockfile"
  }
} satisfies Record<string, Manager>

const managerOf = (facts: RepositoryFacts, named: unknown): Manager => {
  const name = typeof named === "string" ? named.split("@")[0] : undefined
  const yarn = facts.texts["yarn.lock"]?.includes("# yarn lockfile v1") === true ? managers.yarn1 : managers.yarn
  if (name === "pnpm" || name === "bun" || name === "npm") return managers[name]
  if (name === "yarn") return typeof named === "string" && /^yarn@1\./.test(named) ? managers.yarn1 : yarn
  if (has(facts, "pnpm-lock.yaml")) return managers.pnpm
  if (has(facts, "yarn.lock")) return yarn
  if (has(facts, "bun.lock", "bun.lockb")) return managers.bun
  return managers.npm
}

const lockfiles = ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"]

const node: Detector = (facts) => {
  if (!has(facts, "package.json")) return undefined
  const manifest = json(facts.texts["package.json"])
  const scripts = record(manifest["scripts"])
  const manager = managerOf(facts, manifest["packageManager"])
  const dependencies = { ...record(manifest["dependencies"]), ...record(manifest["devDependencies"]) }
  const script = (name: string) => {
    const text = scripts[name]
    return typeof text === "string" && text.trim() !== "" && !isPlaceholder(text)
  }
  const typeCheck = ["typecheck", "type-check", "check-types", "types", "tsc"].find(script)
  const commands: Array<ProposedCriterion> = []
  if (script("test")) commands.push({ command: manager.run("test"), reason: "the package's own tests" })
  if (typeCheck !== undefined) commands.push({ command: manager.run(typeCheck), reason: "types" })
  else if (has(facts, "tsconfig.json") && "typescript" in dependencies) {
    commands.push({ command: manager.exec("tsc --noEmit"), reason: "types: there is a tsconfig.json" })
  }
  if (script("lint")) commands.push({ command: manager.run("lint"), reason: "the package's own linter" })
  if (commands.length === 0 && script("build")) commands.push({ command: manager.run("build"), reason: "it builds" })
  const kind = `Node.js (${manager.name})`
  const [first, ...rest] = commands
  if (first === undefined) return { kind, criteria: [] }
  // A goal's worktree is a fresh checkout without node_modules. One criterion, since several at once would install at once.
  if (Object.keys(dependencies).length > 0 && has(facts, ...lockfiles)) {
    const all = [first, ...rest]
    return {
      kind,
      criteria: [
        {
          command: [`{ test -d node_modules || ${manager.install}; }`, ...all.map(({ command }) => command)].join(
            " && "
          ),
          reason: `${all.map(({ reason }) => reason).join(", ")}; a worktree starts without node_modules`
        }
      ]
    }
  }
  return { kind, criteria: commands }
}

const deno: Detector = (facts) =>
  has(facts, "deno.json", "deno.jsonc")
    ? {
        kind: "Deno",
        criteria: [
          { command: "deno test", reason: "the tests" },
          { command: "deno check .", reason: "types" }
        ]
      }
    : undefined

const rust: Detector = (facts) => {
  if (!has(facts, "Cargo.toml")) return undefined
  const workspace = /^\[workspace\]/m.test(facts.texts["Cargo.toml"] ?? "") ? " --workspace" : ""
  return {
    kind: "Rust",
    criteria: [
      { command: `cargo test${workspace}`, reason: "the tests" },
      { command: `cargo clippy${workspace} --all-targets -- -D warnings`, reason: "no warnings" }
    ]
  }
}

const go: Detector = (facts) =>
  has(facts, "go.mod", "go.work")
    ? {
        kind: "Go",
        criteria: [
          { command: "go test ./...", reason: "the tests" },
          { command: "go vet ./...", reason: "no suspicious constructs" }
        ]
      }
    : undefined

const python: Detector = (facts) => {
  if (!has(facts, "pyproject.toml", "tox.ini", "setup.py", "setup.cfg", "pytest.ini", "requirements.txt", "noxfile.py"))
    return undefined
  const project = facts.texts["pyproject.toml"] ?? ""
  const prefix = has(facts, "uv.lock")
    ? "uv run "
    : has(facts, "poetry.lock")
      ? "poetry run "
      : has(facts, "pdm.lock")
        ? "pdm run "
        : ""
  const kind = `Python${prefix === "" ? "" : ` (${prefix.split(" ")[0]})`}`
  const criteria: Array<ProposedCriterion> = []
  const usesPytest =
    has(facts, "pytest.ini", "conftest.py") ||
    /pytest/.test(project) ||
    /^\[tool:pytest\]/m.test(facts.texts["setup.cfg"] ?? "")
  if (has(facts, "tox.ini") || /^\[tool\.tox/m.test(project))
    criteria.push({ command: `${prefix}tox`, reason: "there is a tox configuration" })
  else if (has(facts, "noxfile.py")) criteria.push({ command: `${prefix}nox`, reason: "there is a noxfile" })
  else if (usesPytest) criteria.push({ command: `${prefix}python -m pytest -q`, reason: "the tests" })
  else if (has(facts, "tests", "test"))
    criteria.push({ command: `${prefix}python -m unittest discover`, reason: "the tests" })
  if (has(facts, "mypy.ini", ".mypy.ini") || /^\[tool\.mypy/m.test(project))
    criteria.push({ command: `${prefix}mypy .`, reason: "types" })
  if (has(facts, "ruff.toml", ".ruff.toml") || /^\[tool\.ruff/m.test(project))
    criteria.push({ command: `${prefix}ruff check .`, reason: "the linter" })
  return { kind, criteria }
}

const maven: Detector = (facts) =>
  has(facts, "pom.xml")
    ? {
        kind: "Java (Maven)",
        criteria: [{ command: `${has(facts, "mvnw") ? "./mvnw" : "mvn"} -q verify`, reason: "the tests" }]
      }
    : undefined

const gradle: Detector = (facts) =>
  has(facts, "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
    ? {
        kind: "JVM (Gradle)",
        criteria: [
          { command: `${has(facts, "gradlew") ? "./gradlew" : "gradle"} check`, reason: "the tests and checks" }
        ]
      }
    : undefined

const elixir: Detector = (facts) =>
  has(facts, "mix.exs")
    ? {
        kind: "Elixir",
        criteria: [{ command: "mix deps.get && mix test", reason: "the tests; a worktree starts without deps" }]
      }
    : undefined

const ruby: Detector = (facts) => {
  if (!has(facts, "Gemfile", "Rakefile") && !matching(facts, /\.gemspec$/)) return undefined
  const bundle = has(facts, "Gemfile") ? "bundle exec " : ""
  const usesRspec = has(facts, "spec", ".rspec") || /rspec/.test(facts.texts["Gemfile"] ?? "")
  const criteria: Array<ProposedCriterion> = usesRspec
    ? [{ command: `${bundle}rspec`, reason: "the specs" }]
    : has(facts, "bin") && has(facts, "config.ru")
      ? [{ command: "bin/rails test", reason: "the tests" }]
      : [{ command: `${bundle}rake test`, reason: "the tests" }]
  if (has(facts, ".rubocop.yml")) criteria.push({ command: `${bundle}rubocop`, reason: "the linter" })
  return { kind: "Ruby", criteria }
}

const dotnet: Detector = (facts) =>
  matching(facts, /\.(sln|slnx|csproj|fsproj|vbproj)$/)
    ? { kind: ".NET", criteria: [{ command: "dotnet test", reason: "the tests" }] }
    : undefined

const php: Detector = (facts) => {
  if (!has(facts, "composer.json")) return undefined
  const scripts = record(json(facts.texts["composer.json"])["scripts"])
  const test =
    "test" in scripts
      ? { command: "composer test", reason: "the package's own tests" }
      : has(facts, "phpunit.xml", "phpunit.xml.dist")
        ? { command: "vendor/bin/phpunit", reason: "the tests" }
        : undefined
  const install = "{ test -d vendor || composer install --no-interaction; }"
  return {
    kind: "PHP",
    criteria:
      test === undefined
        ? []
        : [{ command: `${install} && ${test.command}`, reason: `${test.reason}; a worktree starts without vendor` }]
  }
}

const swift: Detector = (facts) =>
  has(facts, "Package.swift")
    ? { kind: "Swift", criteria: [{ command: "swift test", reason: "the tests" }] }
    : undefined

const cmake: Detector = (facts) =>
  has(facts, "CMakeLists.txt")
    ? {
        kind: "C/C++ (CMake)",
        criteria: [
          {
            command: "cmake -S . -B build && cmake --build build && ctest --test-dir build --output-on-failure",
            reason: "it builds and its tests pass"
          }
        ]
      }
    : undefined

/** Targets that tell whether a project is in order, best first. */
const telling = ["test", "tests", "check", "lint", "typecheck", "build", "all"]

const targetsOf = (text: string): ReadonlySet<string> =>
  new Set(
    text
      .split("\n")
      // `a b: c`, not `a := b` nor a recipe's line.
      .flatMap((line) => /^([A-Za-z0-9][\w.\- ]*?)\s*::?(?![=])/.exec(line)?.[1]?.split(/\s+/) ?? [])
  )

const runner =
  (kind: string, program: string, files: ReadonlyArray<string>): Detector =>
  (facts) => {
    const file = files.find((name) => facts.names.includes(name))
    if (file === undefined) return undefined
    const targets = targetsOf(facts.texts[file] ?? "")
    const known = telling.filter((target) => targets.has(target))
    const checks = known.filter((target) => target !== "build" && target !== "all")
    return {
      kind,
      criteria: (checks.length > 0 ? checks : known.slice(0, 1)).slice(0, 3).map((target) => ({
        command: `${program} ${target}`,
        reason: `the target ${target} of the ${file}`
      }))
    }
  }

const detectors: ReadonlyArray<Detector> = [
  node,
  deno,
  rust,
  go,
  python,
  maven,
  gradle,
  elixir,
  ruby,
  dotnet,
  php,
  swift,
  cmake,
  runner("Make", "make", ["GNUmakefile", "makefile", "Makefile"]),
  runner("just", "just", ["justfile"])
]
