import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Either, FastCheck, Schema } from "effect"
import { pathsOf, readCall } from "../src/CallAnalysis.js"
import { matchesCommand, matchesPath, matchesWord } from "../src/internal/glob.js"
import { readOnlyPaths, simpleWords } from "../src/internal/readOnlyCommands.js"
import { isSecret, specialBecause } from "../src/internal/sensitivePaths.js"
import { presets } from "../src/Presets.js"
import * as Rules from "../src/Rules.js"
import { notFollowed } from "./support/analyses.js"
import { requestOf } from "./support/requests.js"

const inside = (real: string, named = real): Rules.PathFact => ({ _tag: "Inside", real, named, protected: false })

/** Paths as they lead in a workspace without links: relative ones inside, all others not. */
const plainFact = (path: string): Rules.PathFact =>
  path.startsWith("/") || path.startsWith("~") || path.split("/").includes("..")
    ? { _tag: "Outside", named: `/outside/${path}` }
    : inside(path === "." ? "" : path)

interface World {
  readonly rules?: ReadonlyArray<Rules.Rule>
  readonly criteria?: ReadonlyArray<string>
  readonly facts?: Readonly<Record<string, Rules.PathFact>>
}

const strict = Rules.compile([], presets.strict)

const evaluate = (
  tool: string,
  input: Record<string, unknown>,
  { criteria = [], facts = {}, rules = [] }: World = {}
) => {
  const request = requestOf(tool, input)
  // No command is followed here: what is allowed is allowed without the analyzer.
  const call = readCall(request, () => notFollowed)
  const paths = new Map(pathsOf(call).map((path) => [path, facts[path] ?? plainFact(path)]))
  const compiled = rules.length === 0 ? strict : Rules.compile(rules, presets.strict)
  return Rules.evaluate(compiled, call, { criteriaCommands: criteria, paths })
}

/** `allow`, or what the agent is told. */
const verdict = (...args: Parameters<typeof evaluate>): string => {
  const { verdict } = evaluate(...args)
  switch (verdict._tag) {
    case "Allow":
      return verdict.for === "once" ? "allow" : `allow_${verdict.for}`
    case "Deny":
      return verdict.message
    case "Ask":
    case "Llm":
      return `${verdict._tag}: ${verdict.why}`
  }
}

const bash = (command: string, world: World = {}) => verdict("Bash", { command }, world)
const rule = (fields: {
  verdict: "allow" | "allow_session" | "deny"
  tool: string
  command?: string
  path?: string
  message?: string
}) => Schema.decodeUnknownSync(Rules.Rule)(fields)

/** Commands that may run in the plain world. */
const readOnly = [
  "ls",
  "ls -la src",
  "ls --color=never -R .",
  "pwd",
  "echo done",
  "cat README.md package.json",
  "cat -n src/a.ts",
  "head -n 20 src/a.ts",
  "head -5 src/a.ts",
  "head -n20 -q a b",
  "tail -n +3 a.txt",
  "wc -l src/a.ts",
  "grep -n TODO src/a.ts",
  "grep -A 3 -i todo -- src/a.ts",
  "git status",
  "git status --porcelain=v1 -b",
  "git diff HEAD~1 -- src/a.ts",
  "git diff --stat main..feature/x",
  "git log --oneline -n 5",
  "git log -20 --format=short HEAD^",
  "git show --stat HEAD~2",
  "git branch --show-current",
  "git rev-parse --abbrev-ref HEAD",
  "git ls-files -m src",
  "node --version",
  "npm -v",
  "  ls   -l\tsrc "
]

const criteria = ["npm test", "test -s hello.txt", `grep -q "hello  world" out.txt && ./check.sh`, "make\n./verify"]

describe("Rules", () => {
  it("allow what only reads in the workspace, by tool or by a command that is known", () => {
    for (const [tool, input] of [
      ["Read", { file_path: "src/a.ts" }],
      ["NotebookRead", { notebook_path: "a.ipynb" }],
      ["LS", {}],
      ["LS", { path: "src" }],
      ["Glob", { pattern: "**/*.ts" }],
      ["Glob", { pattern: "src/**", path: "packages" }],
      ["Grep", { pattern: "x{2}|/etc", path: "src", glob: "*.{ts,tsx}" }]
    ] as const) {
      assert.strictEqual(verdict(tool, input), "allow", tool)
    }
    for (const command of readOnly) assert.strictEqual(bash(command), "allow", command)
  })

  it("allow writes in the workspace", () => {
    assert.strictEqual(verdict("Write", { file_path: "src/a.ts", content: "" }), "allow")
    assert.strictEqual(verdict("Edit", { file_path: "src/a.ts" }), "allow")
    assert.strictEqual(verdict("MultiEdit", { file_path: ".github/workflows/ci.yml" }), "allow")
    assert.strictEqual(verdict("NotebookEdit", { notebook_path: "a.ipynb" }), "allow")
  })

  it("deny every path outside the workspace, and what nobody resolved", () => {
    for (const [tool, field] of [
      ["Read", "file_path"],
      ["Write", "file_path"],
      ["Edit", "file_path"],
      ["MultiEdit", "file_path"],
      ["NotebookEdit", "notebook_path"],
      ["LS", "path"],
      ["Grep", "path"]
    ] as const) {
      for (const path of ["/etc/passwd", "../x", "~/x", "a/../../x"]) {
        assert.match(verdict(tool, { [field]: path, pattern: "x" }), /outside the workspace/, `${tool} ${path}`)
      }
    }
    assert.match(
      verdict("Write", { file_path: "link" }, { facts: { link: { _tag: "Unclear", why: "it loops" } } }),
      /it loops/
    )
    const call = readCall(requestOf("Read", { file_path: "a" }), () => notFollowed)
    const rules = Rules.compile([rule({ verdict: "allow", tool: "*" })])
    assert.strictEqual(Rules.evaluate(rules, call, { criteriaCommands: [], paths: new Map() }).verdict._tag, "Deny")
  })

  it("deny search patterns that could lead out of the workspace", () => {
    for (const pattern of [
      "/etc/**",
      "../**",
      "src/../../**",
      "~/.ssh/*",
      "{/etc,src}/**",
      "{src,~/x}/**",
      "{a,../b}",
      "@(/etc)/*",
      "a\\../b"
    ]) {
      assert.notStrictEqual(verdict("Glob", { pattern }), "allow", pattern)
    }
    for (const glob of [".env", ".env*", "**/.env.*", ".*", "{.env,src/a.ts}", "config/*.{pem,txt}", "!.env", "id_*"]) {
      assert.match(verdict("Grep", { pattern: "KEY", glob }), /secrets/, glob)
    }
    for (const glob of ["*.ts", "**/*.{ts,tsx}", "*", "**/*", ".github/**", "env.ts", "{a,{b,c}}.md"]) {
      assert.strictEqual(verdict("Grep", { pattern: "KEY", glob }), "allow", glob)
    }
    assert.notStrictEqual(verdict("Grep", { pattern: "x", glob: "x".repeat(5_000) }), "allow")
    const named = (pattern: string) => pathsOf(readCall(requestOf("Glob", { pattern }), () => notFollowed))
    assert.deepStrictEqual(named("/work/tree/src/**/*.ts"), [".", "/work/tree/src/"])
    assert.deepStrictEqual(named("src/gen/*.ts"), [".", "./src/gen/"])
  })

  it("deny writes to special paths under every spelling, and no configured rule opens them", () => {
    const special = [
      ".git",
      ".git/hooks/pre-commit",
      "sub/.git/config",
      ".GIT/config",
      ".git./config",
      ".git /config",
      ".g\u200cit/config",
      "\uff0egit/config",
      "GIT~1/config",
      ".claude/settings.json",
      "sub/.Claude/agents/a.md",
      ".mcp.json",
      "pkg/.MCP.json",
      ".bashrc",
      ".zshrc",
      "home/.profile",
      ".bash_profile",
      ".envrc"
    ]
    const open = [rule({ verdict: "allow", tool: "*" }), rule({ verdict: "allow", tool: "Write", path: "**" })]
    for (const file_path of special) {
      assert.match(verdict("Write", { file_path }, { rules: open }), /may not be written/, file_path)
      // By a link with a harmless name, or a special name that leads elsewhere.
      assert.match(
        verdict("Edit", { file_path: "a" }, { rules: open, facts: { a: inside(file_path, "a") } }),
        /may not be written/
      )
      assert.match(
        verdict("Edit", { file_path: "a" }, { rules: open, facts: { a: inside("a", file_path) } }),
        /may not be written/
      )
    }
    assert.match(
      verdict(
        "Write",
        { file_path: "a" },
        { facts: { a: { _tag: "Inside", real: "a", named: "a", protected: true } } }
      ),
      /belongs to the driver/
    )
    assert.match(verdict("Write", { file_path: "." }), /workspace itself/)
    for (const name of [".gitignore", ".github/x", "git/config", "claude.md", "a.git", "bashrc"]) {
      assert.isUndefined(specialBecause(name), name)
    }
  })

  it("deny reading files that usually hold secrets, by Read and by commands, unless a rule names them", () => {
    const secrets = [
      ".env",
      ".env.local",
      "prod.env",
      "keys/id_rsa",
      "id_ed25519",
      "a/server.pem",
      "tls.key",
      ".npmrc",
      ".aws/config",
      "credentials.json"
    ]
    for (const path of secrets) {
      assert.match(verdict("Read", { file_path: path }), /keys or passwords/, path)
      assert.match(bash(`cat ${path}`), /keys or passwords/, path)
      assert.match(bash(`git diff -- ${path}`), /keys or passwords/, path)
      assert.match(verdict("Read", { file_path: "x" }, { facts: { x: inside(path, "x") } }), /keys or passwords/)
      assert.match(
        verdict("Read", { file_path: path }, { rules: [rule({ verdict: "allow", tool: "*" })] }),
        /keys or passwords/
      )
    }
    assert.strictEqual(
      verdict("Read", { file_path: ".env" }, { rules: [rule({ verdict: "allow", tool: "Read", path: ".env" })] }),
      "allow"
    )
    for (const path of [".env.example", ".env.sample", "id_rsa.pub", "environment.ts", "keyboard.ts"]) {
      assert.isFalse(isSecret(path), path)
    }
  })

  it("allow the commands of the goal's own criteria, exactly as they are written", () => {
    for (const command of criteria) assert.strictEqual(bash(command, { criteria }), "allow", command)
    assert.strictEqual(bash("  npm \t test ", { criteria }), "allow")
    for (const command of [
      "npm  tests",
      "npm test x",
      "npm",
      `grep -q "hello world" out.txt && ./check.sh`,
      `grep -q "hello  world" out.txt &&  ./check.sh`,
      "make ./verify",
      "make; ./verify",
      "",
      " "
    ]) {
      assert.notStrictEqual(bash(command, { criteria: [...criteria, " "] }), "allow", command)
    }
    assert.include(bash("rm x", { criteria }), "`npm test`")
  })

  it("deny a command outside its sandbox, also a criterion", () => {
    const input = { command: "npm test", dangerouslyDisableSandbox: true }
    assert.match(verdict("Bash", input, { criteria }), /sandbox/)
    assert.strictEqual(verdict("Bash", { ...input, dangerouslyDisableSandbox: false }, { criteria }), "allow")
  })

  it("deny commands that are unknown, or known ones with unknown options or paths", () => {
    for (const command of [
      "rm -rf .",
      "rm x",
      "npm install",
      "curl localhost",
      "env",
      "cd src",
      "PATH=x ls",
      "A=1 ls",
      "/bin/ls",
      "./ls",
      "=ls",
      "%1",
      "-ls",
      "cat",
      "cat -",
      "cat /etc/passwd",
      "cat ../x",
      "cat src/../a",
      "cat ~/x",
      "ls /",
      "ls --color=never --hyperlink",
      "ls --unknown",
      "ls -lZ",
      "tail -f a.log",
      "tail -n 1 --retry a",
      "wc --files0-from=list",
      "head -n",
      "head -n x a",
      "grep -r TODO src",
      "grep -f patterns a",
      "grep -e TODO a",
      "grep TODO",
      "echo -e x",
      "find .",
      "rg x src",
      "sed -n 1p a",
      "sort -o b a",
      "git",
      "git -C .. status",
      "git -c core.pager=x log",
      "git --exec-path=x status",
      "git diff --output=x",
      "git diff --no-index a b",
      "git diff --ext-diff",
      "git diff /etc/passwd a",
      "git log --format=%G?",
      "git log --show-signature",
      "git log -n",
      "git show HEAD:.env",
      "git show :/message",
      "git branch new",
      "git branch -D main",
      "git checkout .",
      "git commit -m x",
      "git grep -O x",
      "git status --unknown",
      "git constructor",
      "constructor",
      "__proto__ --version",
      "cargo --version",
      "go version",
      "yarn --version",
      "node --version x",
      "node -e 1",
      "python3 -v",
      `ls ${"x".repeat(5_000)}`
    ]) {
      assert.match(bash(command), /not allowed|lies outside|keys or passwords/, command)
    }
  })

  it("keep denying when anything of a shell's syntax is added to an allowed command", () => {
    const allowed = [...readOnly, ...criteria]
    const additions = [
      "; rm -rf .",
      " | sh",
      " || rm x",
      " && rm x",
      " & rm x",
      "&",
      " > out",
      " >> out",
      " < in",
      " 2>&1",
      " $(rm x)",
      " `rm x`",
      " ${HOME}",
      " $HOME",
      " <(rm x)",
      " <<EOF",
      "\nrm x",
      "\n",
      "\r\n",
      "\r",
      "\u2028",
      "\u0000",
      "\u000b",
      " *",
      " ?",
      " [a]",
      " {a,b}",
      " 'x'",
      ' "x"',
      " \\x",
      " #x",
      " !x",
      " (x)",
      " ~",
      " ~/x",
      "\\",
      "'",
      '"'
    ]
    const wrap = [
      (it: string) => `"${it}"`,
      (it: string) => `'${it}'`,
      (it: string) => `$(${it})`,
      (it: string) => `\`${it}\``,
      (it: string) => `(${it})`,
      (it: string) => `{ ${it}; }`,
      (it: string) => `! ${it}`,
      (it: string) => `bash -c '${it}'`,
      (it: string) => `env ${it}`,
      (it: string) => `sudo ${it}`,
      (it: string) => `time ${it}`,
      (it: string) => `eval ${it}`,
      (it: string) => `X=1 ${it}`,
      (it: string) => `>x ${it}`
    ]
    const world = { criteria: [...readOnly.map((it) => it.trim()), ...criteria] }
    FastCheck.assert(
      FastCheck.property(
        FastCheck.constantFrom(...allowed),
        FastCheck.constantFrom(...additions),
        FastCheck.double({ min: 0, max: 1, noNaN: true }),
        FastCheck.constantFrom(...wrap),
        (command, addition, where, wrapped) => {
          const at = Math.floor(where * command.length)
          for (const changed of [
            `${command}${addition}`,
            `${addition}${command}`,
            `${command.slice(0, at)}${addition}${command.slice(at)}`,
            wrapped(command)
          ]) {
            assert.notStrictEqual(bash(changed, world), "allow", JSON.stringify(changed))
          }
        }
      ),
      { numRuns: 3_000 }
    )
  })

  it("find no simple words in any text with a character that a shell could take for more than a character", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary", maxLength: 30 }), (text) => {
        const words = simpleWords(text)
        if (words === undefined) return
        assert.match(text, /^[A-Za-z0-9_./:,@%+=~^ \t-]*$/)
        assert.notMatch(text, /(^|[ \t])[=~^]|[:=][~^]/)
      }),
      { numRuns: 20_000 }
    )
  })

  it("never make an allowed command safer by an option that they do not know", () => {
    for (const command of readOnly) {
      const words = simpleWords(command) ?? []
      for (const option of ["--unknown", "--output=x", "--exec=x", "-Z9", "--no-such-thing"]) {
        if (words[0] === "echo") continue
        assert.isTrue(
          Either.isLeft(readOnlyPaths([...words.slice(0, 2), option, ...words.slice(2)])),
          `${command} ${option}`
        )
      }
    }
  })

  it("answer questions to a person, plans, schedules, the network, servers and unknown tools with what to do instead", () => {
    for (const [tool, message] of [
      ["AskUserQuestion", /Decide yourself/],
      ["EnterPlanMode", /do the work now/],
      ["ExitPlanMode", /do the work now/],
      ["CronCreate", /scheduled/],
      ["ScheduleWakeup", /scheduled/],
      ["WebFetch", /network/],
      ["WebSearch", /network/],
      ["EnterWorktree", /current directory/],
      ["mcp__github__create_issue", /MCP server/],
      ["Skill", /not allowed/],
      ["NewTool", /not allowed/],
      ["constructor", /not allowed/],
      ["__proto__", /not allowed/],
      ["bash", /not allowed/]
    ] as const) {
      assert.match(verdict(tool, { file_path: "a" }), message, tool)
    }
  })

  it("allow a subagent, notes and the agent's own background tasks", () => {
    for (const tool of ["Agent", "Task", "TodoWrite", "ToolSearch", "TaskUpdate", "BashOutput", "KillShell"]) {
      assert.strictEqual(verdict(tool, {}), "allow", tool)
    }
  })

  it("deny a call without the argument that they would judge", () => {
    for (const [tool, input] of [
      ["Read", {}],
      ["Write", { file_path: 7 }],
      ["Write", Object.create({ file_path: "a" })],
      ["NotebookEdit", { file_path: "a" }],
      ["Bash", {}],
      ["Bash", { command: ["ls"] }],
      ["Grep", { path: 7, pattern: "x" }],
      ["LS", { path: null }]
    ] as const) {
      assert.match(verdict(tool, input), /Give/, tool)
    }
  })

  it("give a message and the name of a rule with every verdict, whatever is asked", () => {
    const tool = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.constantFrom("Read", "Write", "Bash", "Glob", "Grep", "LS", "WebFetch")
    )
    const input = FastCheck.dictionary(
      FastCheck.constantFrom("file_path", "path", "command", "pattern", "glob"),
      FastCheck.oneof(FastCheck.string({ unit: "binary" }), FastCheck.jsonValue())
    )
    FastCheck.assert(
      FastCheck.property(tool, input, (tool, input) => {
        const { rationale, rule, verdict } = evaluate(tool, input)
        assert.isNotEmpty(rule)
        assert.include(rationale, rule)
        if (verdict._tag === "Deny") assert.isNotEmpty(verdict.message)
      }),
      { numRuns: 2_000 }
    )
  })

  describe("configured", () => {
    it("decide in their order, before the built-in ones", () => {
      const rules = [
        rule({ verdict: "deny", tool: "Write", path: "docs/secret/**", message: "Leave it." }),
        rule({ verdict: "allow_session", tool: "Write", path: "docs/**" }),
        rule({ verdict: "deny", tool: "Write" })
      ]
      const write = (file_path: string) => evaluate("Write", { file_path }, { rules })
      assert.deepInclude(write("docs/secret/a"), {
        verdict: { _tag: "Deny", message: "Leave it." },
        rule: "rule 1",
        source: "rules",
        rationale: "rule 1: deny Write docs/secret/**"
      })
      assert.deepStrictEqual(write("docs/a").verdict, { _tag: "Allow", for: "session" })
      assert.strictEqual(write("src/a").rule, "rule 3")
    })

    it("match commands word by word, and never one with shell syntax", () => {
      const rules = [
        rule({ verdict: "allow", tool: "Bash", command: "npm run *" }),
        rule({ verdict: "allow", tool: "Bash", command: "make test-*" })
      ]
      for (const command of ["npm run", "npm run build", "npm  run build -v", "make test-unit"]) {
        assert.strictEqual(bash(command, { rules }), "allow", command)
      }
      for (const command of [
        "npm runner",
        "npm ci",
        "npm run a; rm x",
        "npm run $(rm x)",
        "npm run a\nrm x",
        "npm run 'a'",
        "make test-a b",
        "xnpm run a",
        "make test"
      ]) {
        assert.notStrictEqual(bash(command, { rules }), "allow", command)
      }
    })

    it("allow Bash only where it is named, and deny it also by a pattern", () => {
      assert.notStrictEqual(bash("rm x", { rules: [rule({ verdict: "allow", tool: "*" })] }), "allow")
      assert.strictEqual(bash("rm x", { rules: [rule({ verdict: "allow", tool: "Bash" })] }), "allow")
      assert.notStrictEqual(bash("ls", { rules: [rule({ verdict: "deny", tool: "B*" })] }), "allow")
    })

    it("keep a path that Read is denied from commands too, in any case of letters", () => {
      const rules = [rule({ verdict: "deny", tool: "Read", path: "vault/**", message: "Not the vault." })]
      assert.strictEqual(bash("cat vault/a", { rules }), "Not the vault.")
      assert.strictEqual(verdict("Read", { file_path: "Vault/a" }, { rules }), "Not the vault.")
      assert.strictEqual(bash("cat src/a", { rules }), "allow")
    })

    it("never reach outside the workspace", () => {
      const rules = [rule({ verdict: "allow", tool: "Write" }), rule({ verdict: "allow", tool: "Read", path: "**" })]
      assert.match(verdict("Write", { file_path: "/etc/passwd" }, { rules }), /outside/)
      assert.match(verdict("Read", { file_path: "../x" }, { rules }), /outside/)
    })

    it("can allow tools that are otherwise denied", () => {
      const rules = [rule({ verdict: "allow", tool: "mcp__github__*" }), rule({ verdict: "allow", tool: "WebFetch" })]
      assert.strictEqual(verdict("mcp__github__get_issue", {}, { rules }), "allow")
      assert.strictEqual(verdict("WebFetch", {}, { rules }), "allow")
      assert.notStrictEqual(verdict("mcp__gitlab__get_issue", {}, { rules }), "allow")
    })

    it("are refused when they could never match", () => {
      for (const fields of [
        { verdict: "allow", tool: "Bash", command: "npm test | cat" },
        { verdict: "allow", tool: "Bash", command: "echo $HOME" },
        { verdict: "allow", tool: "Bash", command: " " },
        { verdict: "allow", tool: "Write", path: "~/x" },
        { verdict: "allow", tool: "Write", path: "../x" },
        { verdict: "allow", for: "turn", tool: "Write" },
        { verdict: "allow", tool: [] },
        { verdict: "allow", class: "readonly" },
        { verdict: "allow", reason: ["network", "net"] },
        { verdict: "maybe", tool: "Write" },
        { verdict: "allow", tool: "" }
      ]) {
        assert.isTrue(Either.isLeft(Schema.decodeUnknownEither(Rules.Rule)(fields)), JSON.stringify(fields))
      }
    })

    it("survive the way out and back", () => {
      FastCheck.assert(
        FastCheck.property(Arbitrary.make(Rules.Rule), (rule) => {
          const wire: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Rules.Rule)(rule)))
          assert.deepStrictEqual(Schema.decodeUnknownSync(Rules.Rule)(wire), rule)
        }),
        { numRuns: 50 }
      )
    })

    it("are read as they were written before there were classes, hosts and programs", () => {
      const wire: unknown = { verdict: "deny", tool: "Bash", command: "git push *", message: "No." }
      assert.deepStrictEqual<unknown>(Schema.encodeSync(Rules.Rule)(Schema.decodeUnknownSync(Rules.Rule)(wire)), wire)
    })
  })

  it("match patterns as they are documented", () => {
    for (const [pattern, path, expected] of [
      ["docs/**", "docs/a/b", true],
      ["docs/**", "docs", false],
      ["**/*.ts", "a.ts", true],
      ["**/*.ts", "a/b/c.ts", true],
      ["**/b/**", "a/b/c/d", true],
      ["*.ts", "a/b.ts", false],
      ["src/*/x", "src/a/x", true],
      ["src/*/x", "src/a/b/x", false],
      ["a?c", "abc", true],
      ["**", "", true]
    ] as const) {
      assert.strictEqual(matchesPath(pattern, path), expected, `${pattern} ${path}`)
    }
    assert.isTrue(matchesWord("a*b*c", "a1b2b3c"))
    assert.isFalse(matchesWord("a*b*c", "a1b2b3"))
    assert.isTrue(matchesCommand(["a", "*"], ["a"]))
    assert.isFalse(matchesCommand(["a", "*", "c"], ["a", "c"]))
    const slow = "*a".repeat(200)
    assert.isFalse(matchesWord(slow, "a".repeat(10_000) + "b"))
  })

  it("judge a very long command and path in no time", () => {
    const started = performance.now()
    for (const command of [
      " ".repeat(2_000_000),
      "ls ".repeat(500_000),
      `ls ${" ".repeat(3_000_000)}`,
      "\\ ".repeat(1_000_000)
    ]) {
      bash(command, { criteria })
    }
    verdict("Grep", { pattern: "x", glob: ".".repeat(2_000_000) })
    assert.isBelow(performance.now() - started, 10_000)
  })
})
