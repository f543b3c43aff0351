import { propose, type RepositoryFacts } from "@driver/cli/RepositoryKind"
import { goalFileIssues } from "@driver/domain/GoalFile"
import { FileSystem } from "@effect/platform"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { parse } from "yaml"
import { runCli } from "./support/cli.js"
import { directoryWith } from "./support/files.js"

const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

/** A root of these files; a value of `true` is a file whose text does not matter. */
const root = (files: Record<string, string | true>): RepositoryFacts => ({
  names: Object.keys(files),
  texts: Object.fromEntries(Object.entries(files).flatMap(([name, text]) => (text === true ? [] : [[name, text]])))
})

const manifest = (value: object) => JSON.stringify(value)
const typescript = { devDependencies: { typescript: "5" } }

const repositories: ReadonlyArray<
  readonly [string, Record<string, string | true>, ReadonlyArray<string>, ReadonlyArray<string>]
> = [
  ["nothing known", { "README.md": true }, [], []],
  [
    "npm without dependencies",
    { "package.json": manifest({ scripts: { test: "node --test" } }) },
    ["Node.js (npm)"],
    ["npm test"]
  ],
  [
    "npm with everything",
    {
      "package.json": manifest({ scripts: { test: "vitest", lint: "eslint ." }, ...typescript }),
      "package-lock.json": true,
      "tsconfig.json": true
    },
    ["Node.js (npm)"],
    ["{ test -d node_modules || npm ci; } && npm test && npx tsc --noEmit && npm run lint"]
  ],
  [
    "what npm init leaves behind",
    { "package.json": manifest({ scripts: { test: 'echo "Error: no test specified" && exit 1', build: "make" } }) },
    ["Node.js (npm)"],
    ["npm run build"]
  ],
  [
    "a script for types",
    { "package.json": manifest({ scripts: { "type-check": "tsc" }, ...typescript }), "tsconfig.json": true },
    ["Node.js (npm)"],
    ["npm run type-check"]
  ],
  [
    "pnpm by lockfile",
    { "package.json": manifest({ scripts: { test: "x" }, dependencies: { a: "1" } }), "pnpm-lock.yaml": true },
    ["Node.js (pnpm)"],
    ["{ test -d node_modules || pnpm install --frozen-lockfile; } && pnpm test"]
  ],
  [
    "yarn 1 by lockfile",
    {
      "package.json": manifest({ scripts: { test: "x" }, dependencies: { a: "1" } }),
      "yarn.lock": "# yarn lockfile v1\n"
    },
    ["Node.js (yarn)"],
    ["{ test -d node_modules || yarn install --frozen-lockfile; } && yarn test"]
  ],
  [
    "yarn by packageManager",
    { "package.json": manifest({ packageManager: "yarn@4.1.0", scripts: { test: "x" } }), "package-lock.json": true },
    ["Node.js (yarn)"],
    ["yarn test"]
  ],
  [
    "bun",
    { "package.json": manifest({ scripts: { test: "bun test" } }), "bun.lockb": true },
    ["Node.js (bun)"],
    ["bun run test"]
  ],
  ["a package.json that is none", { "package.json": "{ oops" }, ["Node.js (npm)"], []],
  [
    "Rust",
    { "Cargo.toml": "[workspace]\nmembers = []" },
    ["Rust"],
    ["cargo test --workspace", "cargo clippy --workspace --all-targets -- -D warnings"]
  ],
  ["Go", { "go.mod": true }, ["Go"], ["go test ./...", "go vet ./..."]],
  [
    "Python with pytest",
    { "pyproject.toml": "[tool.pytest.ini_options]\n[tool.ruff]\n", "uv.lock": true },
    ["Python (uv)"],
    ["uv run python -m pytest -q", "uv run ruff check ."]
  ],
  ["Python with tox", { "tox.ini": true, "setup.py": true }, ["Python"], ["tox"]],
  ["Python with a tests directory", { "setup.py": true, tests: true }, ["Python"], ["python -m unittest discover"]],
  ["Maven with its wrapper", { "pom.xml": true, mvnw: true }, ["Java (Maven)"], ["./mvnw -q verify"]],
  ["Gradle", { "build.gradle.kts": true }, ["JVM (Gradle)"], ["gradle check"]],
  ["Elixir", { "mix.exs": true }, ["Elixir"], ["mix deps.get && mix test"]],
  [
    "Ruby with specs",
    { Gemfile: 'gem "rspec"', ".rubocop.yml": true },
    ["Ruby"],
    ["bundle exec rspec", "bundle exec rubocop"]
  ],
  [".NET", { "App.csproj": true }, [".NET"], ["dotnet test"]],
  [
    "PHP",
    { "composer.json": manifest({}), "phpunit.xml.dist": true },
    ["PHP"],
    ["{ test -d vendor || composer install --no-interaction; } && vendor/bin/phpunit"]
  ],
  [
    "CMake",
    { "CMakeLists.txt": true },
    ["C/C++ (CMake)"],
    ["cmake -S . -B build && cmake --build build && ctest --test-dir build --output-on-failure"]
  ],
  [
    "a Makefile",
    { Makefile: "CC := gcc\nall: a\ntest check: all\n\t./run\n.PHONY: test\nlint:\n" },
    ["Make"],
    ["make test", "make check", "make lint"]
  ],
  ["a Makefile that only builds", { Makefile: "build:\n\tcc x.c\n" }, ["Make"], ["make build"]],
  ["a Makefile beside Go", { Makefile: "test:\n", "go.mod": true }, ["Go"], ["go test ./...", "go vet ./..."]],
  [
    "a Makefile beside a package.json without scripts",
    { Makefile: "test:\n", "package.json": "{}" },
    ["Node.js (npm)", "Make"],
    ["make test"]
  ],
  [
    "two languages",
    { "package.json": manifest({ scripts: { test: "x" } }), "Cargo.toml": "" },
    ["Node.js (npm)", "Rust"],
    ["npm test", "cargo test", "cargo clippy --all-targets -- -D warnings"]
  ]
]

describe("propose", () => {
  for (const [what, files, kinds, commands] of repositories) {
    it(`knows ${what}`, () => {
      const proposal = propose(root(files))
      assert.deepStrictEqual(proposal.kinds, kinds)
      assert.deepStrictEqual(
        proposal.criteria.map(({ command }) => command),
        commands
      )
      for (const { reason } of proposal.criteria) assert.notStrictEqual(reason, "")
    })
  }
})

const inDirectory = <A, E>(
  files: Record<string, string>,
  use: (root: string) => Effect.Effect<A, E, FileSystem.FileSystem>
) => Effect.scoped(Effect.flatMap(directoryWith(files), use)).pipe(Effect.provide(platform))

describe("driver init", () => {
  it.live("writes a configuration and a goal that fits, in the repository's root", () =>
    inDirectory({ ".git/HEAD": "", "go.mod": "module x", "sub/x": "" }, (directory) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const { code, stderr, stdout } = yield* runCli(["init"], { directory: `${directory}/sub` })
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        assert.deepStrictEqual(stdout.split("\n"), [
          "This looks like Go.",
          "  proposed criterion: go test ./...  (the tests)",
          "  proposed criterion: go vet ./...  (no suspicious constructs)",
          "wrote ../driver.yaml",
          "wrote ../goals/example.yaml",
          "Next: edit ../goals/example.yaml, then `driver lint ../goals/example.yaml`.",
          ""
        ])
        const goal = parse(yield* fs.readFileString(`${directory}/goals/example.yaml`))
        assert.deepStrictEqual(goalFileIssues(goal), [])
        assert.deepStrictEqual(goal.acceptance, [{ shell: "go test ./..." }, { shell: "go vet ./..." }])
        assert.isNull(parse(yield* fs.readFileString(`${directory}/driver.yaml`)))
      })
    )
  )

  it.live("leaves what is there alone, says so, and overwrites with --force", () =>
    inDirectory({ ".git/HEAD": "", "driver.yaml": "base: mine" }, (directory) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const first = yield* runCli(["init"], { directory })
        assert.strictEqual(first.code, 0)
        assert.include(first.stdout, "driver.yaml exists and was left as it is (--force overwrites)\n")
        assert.include(first.stdout, "wrote goals/example.yaml\n")
        assert.strictEqual(yield* fs.readFileString(`${directory}/driver.yaml`), "base: mine")
        const forced = yield* runCli(["init", "--force"], { directory })
        assert.include(forced.stdout, "wrote driver.yaml\n")
        assert.notStrictEqual(yield* fs.readFileString(`${directory}/driver.yaml`), "base: mine")
      })
    )
  )

  it.live("works outside of git, with a sentence", () =>
    inDirectory({}, (directory) =>
      Effect.gen(function* () {
        const { code, stdout } = yield* runCli(["init"], { directory })
        assert.strictEqual(code, 0)
        assert.match(stdout, /is not inside a git repository: goals need one\. Run `git init`/)
        assert.include(stdout, "No known kind of project was found here")
        assert.include(stdout, "wrote driver.yaml\n")
      })
    )
  )

  it.live("says why when it cannot write", () =>
    inDirectory({ ".git/HEAD": "", goals: "a file where a directory should be" }, (directory) =>
      Effect.gen(function* () {
        const { code, stderr } = yield* runCli(["init"], { directory })
        assert.strictEqual(code, 2)
        assert.match(stderr, /^driver: .*goals\/example\.yaml: cannot be written: /)
      })
    )
  )
})
