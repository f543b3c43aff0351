/** Package managers of node projects, and what they run. */
import type { ProgramEntry, ProgramTable } from "../ProgramEntry.js"
import { code } from "./projectCode.js"

/** Reporters and loaders are code too: only those by name, or of the workspace. */
const npmRun: ProgramEntry = {
  flags:
    "-s --silent --if-present --workspaces --ws --include-workspace-root -ws --no-color --quiet --verbose -d --foreground-scripts -r --recursive --parallel --stream --no-bail --aggregate-output --sequential -q",
  values: {
    inside: "-w --workspace --filter -F --loglevel --workspace-concurrency --reporter --color",
    cwd: "--prefix -C --dir"
  },
  operands: "text*",
  ordered: true,
  rule: "script"
}
/** Options after the script's name are the script's. */
const script0: ProgramEntry = { ...npmRun, style: "none", rule: "scriptArguments" }
const ci: ProgramEntry = code({
  flags:
    "--ignore-scripts --no-audit --no-fund --prefer-offline --offline --legacy-peer-deps --silent --quiet --no-progress --no-optional --production --frozen-lockfile --immutable --prod --dev --verbose --no-save --include=dev --omit=dev --workspaces --strict-peer-dependencies --no-frozen-lockfile --package-lock-only --check-files --no-color -s -D -P -r --recursive --ignore-engines --non-interactive --pure-lockfile --inline-builds --immutable-cache --no-package-lock --fix-lockfile --lockfile-only --shamefully-hoist --ignore-workspace",
  values: {
    inside: "--include --omit --loglevel --filter -w --workspace --network-timeout --reporter",
    cwd: "--prefix -C --dir"
  }
})
const installNamed: ProgramEntry = {
  ...ci,
  flags: `${ci.flags} --save --save-dev --save-exact -E -O --save-optional --save-peer --dev --exact -d`,
  operands: "text*",
  rule: "packages"
}

const npmQuery: ProgramEntry = {
  flags:
    "-a -l --all --long --json --parseable -p --depth --production --prod --dev -r --recursive --link --silent --no-color",
  values: { inside: "--depth --omit --include -w --workspace --filter " },
  operands: "text*"
}

const npmSubcommands = {
  "run run-script rum urn": npmRun,
  "test t tst start stop restart": script0,
  "ci clean-install install-clean it": ci,
  "install i in add": installNamed,
  "ls list ll la  explain why query fund": npmQuery,
  "root bin prefix": { flags: "-g --global -w" },
  "view info show v outdated audit search ping whoami": {
    flags: "--json --production --omit=dev --long -g",
    values: { inside: "--audit-level --omit " },
    operands: "text*",
    effect: "network" as const
  },
  "exec x": {
    flags: "--no-install --no --offline --silent -s --workspaces --if-present",
    values: { inside: "-w --workspace" },
    ordered: true,
    rule: "runTool"
  },
  pkg: {
    subcommands: {
      get: { flags: "--json", operands: "text*" },
      set: { flags: "--json", operands: "text*", rule: "npmPackage" },
      "delete fix": {
        effect: "unknown_code" as const,
        because: "changes what the project's scripts are",
        style: "none" as const,
        operands: "text*"
      }
    }
  },
  config: {
    subcommands: {
      get: { operands: "text*", rule: "npmConfig" },
      "ls list": { flags: "-l --json" },
      "set delete edit fix": { effect: "unknown_code" as const, style: "none" as const, operands: "text*" }
    }
  },
  version: { flags: "--no-git-tag-version --json", operands: "text*", effect: "project_code" as const },
  pack: {
    flags: "--dry-run --json",
    effect: "project_code" as const,
    values: { write: "--pack-destination" },
    operands: "inside*"
  },
  "prune dedupe ddp rebuild rb": { ...ci, effect: "project_code" as const },
  "uninstall un remove rm r unlink": code({
    flags: "--save --save-dev -D -S --no-save -w",
    values: { inside: "-w --workspace --filter" },
    operands: "text*"
  }),
  "update up upgrade": { ...ci, operands: "text*", rule: "packages" },
  help: { operands: "text*" },
  doctor: { effect: "network" as const },
  init: { flags: "-y --yes", effect: "workspace_write" as const },
  "cache store": {
    subcommands: {
      "verify ls path status dir": {},
      "*": { effect: "system" as const, style: "none" as const, operands: "text*" }
    }
  }
}

export const packages: ProgramTable = {
  npm: {
    tells: "--version -v --help -h -l",
    flags:
      "-s --silent --quiet --verbose --no-color --workspaces -ws --if-present --no-fund --no-audit --offline --prefer-offline",
    values: { inside: "-w --workspace --loglevel", cwd: "--prefix -C" },
    subcommands: npmSubcommands
  },
  pnpm: {
    tells: "--version -v --help -h",
    flags:
      "-s -r -w --silent --recursive --parallel --stream --workspace-root --no-bail --aggregate-output --no-color --if-present --color --reverse --no-sort --offline --prefer-offline",
    values: { inside: "-F --filter --loglevel --reporter --workspace-concurrency", cwd: "-C --dir --prefix" },
    subcommands: {
      ...npmSubcommands,
      "exec x": {
        flags: "-r --recursive --parallel --no-bail",
        values: { inside: "--filter" },
        ordered: true,
        rule: "runTool"
      },
      "dlx create": { effect: "network", because: "fetches and runs a package", style: "none", operands: "text*" },
      "publish deploy login logout setup env link": { effect: "network", style: "none", operands: "text*" },
      "*": { ...script0, rule: "scriptOf" }
    },
    rule: "pnpmScript"
  },
  yarn: {
    tells: "--version -v --help -h",
    flags:
      "-s --silent --no-progress --non-interactive --frozen-lockfile --immutable --offline --ignore-scripts --prefer-offline --check-files --inline-builds --production --ignore-engines",
    values: { cwd: "--cwd", inside: "--network-timeout --mutex" },
    subcommands: {
      run: npmRun,
      "test start stop": script0,
      install: ci,
      "add upgrade up": installNamed,
      remove: code({ flags: "-D", operands: "text*" }),
      "list  why licenses": npmQuery,
      workspaces: {
        subcommands: {
          foreach: {
            flags: "-A -a -p -t -i -v --all --parallel --topological --interlaced --verbose --topological-dev",
            values: { inside: "--include --exclude --from" },
            ordered: true,
            rule: "yarnForeach"
          },
          run: npmRun,
          "info list": { flags: "--json -v" }
        }
      },
      workspace: { operands: "text", skips: 1, ordered: true, rule: "yarnWorkspace" },
      exec: { ordered: true, rule: "runTool" },
      "dlx create publish npm login logout global set plugin link config policies": {
        effect: "network",
        because: "fetches, publishes or changes what runs",
        style: "none",
        operands: "text*"
      },
      bin: { operands: "text" },
      dedupe: code({ flags: "--check" }),
      "versions version": { flags: "--json" },
      "audit outdated info": { effect: "network", style: "none", operands: "text*" },
      cache: { subcommands: { "list dir": {}, clean: { effect: "system" } } },
      "*": { ...script0, rule: "scriptOf" }
    },
    rule: "yarnAlone"
  },
  "npx bunx": {
    tells: "--version -v --help",
    flags: "--no-install --no --offline --prefer-offline -q --quiet",
    ordered: true,
    rule: "runTool"
  },
  "pnpx yarnpkg-dlx": { effect: "network", style: "none", operands: "text*" },
  "corepack nvm fnm volta n asdf mise rbenv sdk": {
    tells: "--version current list ls",
    effect: "system",
    style: "none",
    operands: "text*"
  },

  bun: {
    tells: "--version -v --revision",
    values: { text: "-e -p --eval --print" },
    guard: "javascriptOption",
    subcommands: {
      test: { style: "none", operands: "inside*", effect: "project_code" },
      run: { style: "none", operands: "text*", rule: "script" },
      "install i": ci,
      build: code({
        flags: "--minify --sourcemap --splitting --watch=false",
        values: { inside: "--target --format", write: "--outdir --outfile" },
        operands: "inside*"
      }),
      pm: { subcommands: { ls: { flags: "--all" } } },
      "*": { effect: "unknown_code", style: "none", operands: "text*" }
    }
  },
  deno: {
    tells: "--version -V",
    subcommands: {
      "test lint fmt check bench": code({
        flags:
          "--check --quiet -q --no-check --parallel --fail-fast --doc --fix --no-run -A --allow-all --allow-read --allow-write --allow-env --allow-net --allow-run --allow-sys --allow-ffi --watch --shuffle",
        attached: "--coverage --allow-read --allow-write --allow-env --junit-path --shuffle",
        values: { inside: "--filter --ext", code: "-c --config" },
        operands: "inside*"
      }),
      task: { style: "none", operands: "text*", rule: "script" },
      eval: {
        flags: "-p --print --check --no-check",
        values: { text: "--ext" },
        ordered: true,
        rule: "javascriptOperand"
      },
      "*": { effect: "unknown_code", style: "none", operands: "text*" }
    }
  }
}
