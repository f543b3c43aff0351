/** Languages with tools of their own: what builds, tests, checks and formats a project in them. */
import type { ProgramEntry, ProgramTable } from "../ProgramEntry.js"
import { code } from "./projectCode.js"

const outside: ProgramEntry = { effect: "system", style: "none", operands: "text*" }
const fetches: ProgramEntry = { effect: "network", style: "none", operands: "text*" }
const unfollowed: ProgramEntry = { effect: "unknown_code", style: "none", operands: "text*" }
const runs: ProgramEntry = { ordered: true, runs: "program", effect: "project_code" }
/** What the lock file or the manifest names. */
const restores = (flags: string, inside = ""): ProgramEntry => code({ flags, values: { inside }, rule: "netUse" })

export const languages: ProgramTable = {
  // Languages whose code in an argument is recognised when it only computes and prints.
  "lua luajit lua5.1 lua5.3 lua5.4": {
    tells: "-v --version",
    flags: "-W",
    values: { text: "-e" },
    ordered: true,
    rule: "lua"
  },
  Rscript: {
    tells: "--version --help",
    flags: "--vanilla --no-save --no-restore --no-init-file --quiet --verbose --no-environ --slave",
    values: { text: "-e" },
    ordered: true,
    rule: "rLanguage"
  },
  R: {
    tells: "--version --help RHOME",
    flags: "--vanilla --no-save --no-restore --quiet -q -s --slave --no-echo --no-init-file",
    values: { text: "-e", code: "-f --file" },
    subcommands: {
      CMD: {
        subcommands: {
          "build check": code({
            flags:
              "--no-manual --no-build-vignettes --as-cran --no-tests --no-vignettes --no-examples --md5 --resave-data --compact-vignettes",
            attached: "--compact-vignettes --resave-data",
            values: { write: "-o --output", inside: "--timings" },
            operands: "inside*"
          }),
          "config Rd2txt": { flags: "--all", operands: "text*" },
          BATCH: code({ flags: "--vanilla --no-save --no-restore", operands: "code write" })
        }
      }
    },
    rule: "rLanguage"
  },
  julia: {
    tells: "--version -v --help",
    flags:
      "-q --quiet -i --color=yes --color=no --startup-file=no --compiled-modules=no --depwarn=yes --check-bounds=yes --project",
    values: { text: "-e -E --eval --print -O -t -p --threads --procs --optimize", code: "--project" },
    ordered: true,
    rule: "julia"
  },
  elixir: {
    tells: "--version -v --help --short-version",
    values: { text: "-e" },
    flags: "--no-halt",
    ordered: true,
    rule: "elixir"
  },
  elixirc: code({ tells: "--version -v", values: { write: "-o" }, operands: "inside*" }),
  "clojure clj": code({ tells: "--version --help", style: "none", operands: "text*", rule: "clojure" }),
  bb: code({ tells: "--version tasks", subcommands: { run: code({ operands: "inside*", rule: "script" }) } }),
  erl: { tells: "-version", effect: "unknown_code", style: "none", operands: "text*" },
  erlc: code({
    style: "single",
    flags: "-W -Wall -Werror +debug_info",
    values: { write: "-o", code: "-I -pa" },
    operands: "inside*"
  }),
  "luac luac5.4": code({ flags: "-p -l -s -v", values: { write: "-o" }, operands: "inside*" }),
  luarocks: code({
    tells: "--version",
    flags: "--local --lua-version=5.4 --tree=lua_modules",
    subcommands: {
      "make test lint build": code({
        flags: "--local --no-install --test-type=busted",
        operands: "inside*",
        rule: "netUse"
      }),
      install: code({ flags: "--only-deps --deps-only --local", operands: "inside*", rule: "onlyDependencies" }),
      "list show path which doc": { flags: "--porcelain --installed", operands: "text*" },
      "*": fetches
    }
  }),
  busted: code({
    tells: "--version --help",
    flags:
      "-v --verbose -c --coverage --shuffle --keep-going --no-keep-going -l --list --lazy --no-auto-insulate -R --recursive",
    values: {
      inside:
        "-p --pattern -t --tags --exclude-tags --filter --filter-out -o --output --repeat --seed -r --run -m --lpath -C --directory",
      code: "-f --config-file --helper --coverage-config-file"
    },
    operands: "inside*"
  }),
  luacheck: code({
    tells: "--version -v --help",
    flags: "-q -qq -qqq --quiet --codes --no-color --no-unused --no-global --no-max-line-length -g -u",
    values: {
      inside: "--std --globals --read-globals --ignore --only --formatter -j --max-line-length --exclude-files",
      code: "--config"
    },
    operands: "inside*"
  }),

  // Crystal, Nim, Zig, Elm, Gleam, D, V, Odin, Haxe.
  crystal: code({
    tells: "--version -v version help --help",
    subcommands: {
      "build run spec docs": code({
        flags:
          "--release --no-debug --static --error-trace --order=random -v --verbose --fail-fast --no-color --progress --stats --time -d --debug --no-codegen --threads --warnings=all",
        values: {
          inside: "-e --example -l --line -D --define --tag --threads --target --format",
          write: "-o --output"
        },
        operands: "inside*"
      }),
      tool: {
        subcommands: {
          format: code({ flags: "--check", operands: "inside*" }),
          "unreachable context hierarchy dependencies": code({ flags: "--check", operands: "inside*" })
        }
      },
      env: { operands: "text*" },
      "*": unfollowed
    }
  }),
  shards: code({
    tells: "--version version",
    subcommands: {
      "install check list lock prune": restores("--frozen --production --without-development --skip-postinstall"),
      build: code({ flags: "--release --production --static --frozen --no-debug", operands: "inside*" })
    }
  }),
  nim: code({ tells: "--version -v", style: "none", operands: "text*", rule: "nim" }),
  nimpretty: code({ flags: "--backup:off --backup:on", operands: "write*" }),
  nimble: code({
    tells: "--version -v",
    flags: "-y --accept --silent --verbose -d --depsOnly",
    subcommands: {
      "build test check tasks dump setup lock deps c cpp doc": code({
        flags: "-d:release -y --verbose --silent -d:danger",
        operands: "inside*"
      }),
      install: code({ flags: "-d --depsOnly -y", operands: "inside*", rule: "onlyDependencies" }),
      "*": fetches
    }
  }),
  zig: code({
    tells: "version env targets zen help",
    subcommands: {
      "build test run build-exe build-lib build-obj ast-check": code({
        style: "single",
        flags:
          "-Doptimize=ReleaseFast -Doptimize=ReleaseSafe -Doptimize=ReleaseSmall -Doptimize=Debug --summary -O -fno-strip -fstrip -lc --release -freference-trace -fincremental -dynamic -static -target",
        values: {
          inside: "-O -target -mcpu --name --test-filter -D --summary -j",
          write: "--prefix -p -femit-bin --cache-dir"
        },
        operands: "inside*",
        rule: "script"
      }),
      fmt: code({ flags: "--check --ast-check --stdin", values: { inside: "--exclude" }, operands: "write*" }),
      init: { flags: "-m --minimal", effect: "workspace_write" },
      "*": unfollowed
    }
  }),
  elm: code({
    tells: "--version --help",
    subcommands: {
      make: code({
        flags: "--optimize --debug",
        values: { write: "--output --docs", inside: "--report" },
        operands: "inside*"
      }),
      diff: fetches,
      "*": unfollowed
    }
  }),
  "elm-test elm-format elm-review elm-json elm-test-rs": code({
    tells: "--version --help",
    flags: "--yes --validate --fix-all --fix --elm-version=0.19",
    values: {
      inside: "--seed --fuzz --report --elm-version",
      code: "--config --elmjson --compiler",
      write: "--output"
    },
    operands: "inside*",
    rule: "script"
  }),
  "gleam v odin haxe spago purs pulp": code({
    tells: "--version version",
    flags: "-v --verbose",
    subcommands: {
      "build test check run fmt format analyze compile clean docs deps vet": code({
        flags:
          "-v --verbose --release -c --watch=false --test --fast --pedantic --check --warnings-as-errors --quiet -prod",
        values: { inside: "--target -p -j --filter", write: "-o -out" },
        operands: "inside*",
        rule: "script"
      }),
      "*": unfollowed
    }
  }),
  "dmd ldc2 gdc dub": code({
    tells: "--version",
    flags: "-O -release -unittest -g -w -wi -c --force --quiet -q",
    attached: "--build --config --compiler=ldc2 --compiler=dmd",
    subcommands: {
      "build test run lint describe clean list": code({
        flags: "-q --force --coverage",
        attached: "--build --config",
        operands: "inside*"
      })
    }
  }),

  // Dart and Flutter.
  dart: code({
    tells: "--version --help",
    flags: "--enable-asserts --disable-analytics",
    subcommands: {
      "analyze test format compile fix doc create info": code({
        flags:
          "--fatal-infos --fatal-warnings --no-fatal-warnings --set-exit-if-changed --dry-run --apply -n --enable-asserts --chain-stack-traces --run-skipped --verbose -v",
        values: {
          inside:
            "-n --name -t --tags -x -P --reporter -r -j --concurrency --timeout --platform -p -l --line-length --total-shards --template --define -D",
          write: "-o --output --coverage"
        },
        attached: "--output --fatal-infos --coverage",
        operands: "inside*",
        rule: "script"
      }),
      run: code({ flags: "--enable-asserts", operands: "inside*", rule: "dartRun" }),
      pub: { subcommands: dartPackages() },
      "*": unfollowed
    }
  }),
  flutter: code({
    tells: "--version --help",
    flags: "-v --verbose --no-version-check --suppress-analytics --no-color",
    subcommands: {
      "analyze test build assemble gen-l10n clean format create doctor devices": code({
        flags:
          "--release --debug --profile --no-pub --coverage --web --no-codesign --no-sound-null-safety --split-per-abi --obfuscate --tree-shake-icons --no-tree-shake-icons --fatal-infos --no-fatal-infos --no-fatal-warnings --update-goldens --wasm -v --verbose --simulator --config-only --machine",
        values: {
          inside:
            "--name --plain-name -t --tags --flavor --target --build-name --build-number -j --concurrency --reporter --web-renderer --base-href --target-platform --dart-define --platforms --org --template --timeout",
          write: "--split-debug-info --coverage-path -o --output",
          code: "--dart-define-from-file"
        },
        operands: "inside*"
      }),
      pub: { subcommands: dartPackages() },
      "*": unfollowed
    }
  }),
  melos: code({
    tells: "--version",
    subcommands: {
      "bootstrap bs analyze format test list clean run": code({
        flags: "--no-select",
        operands: "inside*",
        rule: "script"
      })
    }
  }),

  // Haskell, OCaml.
  cabal: code({
    tells: "--version --numeric-version help",
    flags: "-v0 -v1 -v2 --offline",
    subcommands: {
      "build test run bench check haddock freeze clean format configure gen-bounds list-bin sdist v2-build v2-test repl status":
        code({
          flags:
            "-v0 -v1 -v2 --enable-tests --enable-benchmarks --disable-tests --offline --dry-run --only-dependencies --enable-coverage -O0 -O1 -O2 --keep-going --ghc-options=-Wall --ghc-options=-Werror",
          values: {
            inside: "--test-show-details -f --flags -j --jobs --test-option --project-dir --minimize-conflict-set",
            write: "--builddir"
          },
          operands: "inside*"
        }),
      exec: runs,
      "*": fetches
    }
  }),
  stack: code({
    tells: "--version --numeric-version",
    flags: "--silent --verbose --no-terminal",
    subcommands: {
      "build test bench haddock ghci clean path ls list sdist query dot": code({
        flags:
          "--fast --pedantic --test --no-run-tests --haddock --coverage --only-dependencies --dry-run --keep-going --no-haddock-deps --bench --no-run-benchmarks",
        values: { inside: "--ta --test-arguments --flag -j --jobs --ghc-options --stack-yaml" },
        operands: "inside*"
      }),
      exec: runs,
      run: code({ ordered: true, rule: "script" }),
      "*": fetches
    }
  }),
  "hlint ormolu fourmolu stylish-haskell brittany cabal-fmt hindent weeder ghcid stan": code({
    tells: "--version -v",
    flags: "-i --inplace --in-place -r -q -c --check --report --no-cabal -v",
    values: { inside: "--mode -m -o --ghc-opt -X --ignore --hint -h -j", code: "--config --no-exit-code" },
    operands: "inside*"
  }),
  dune: code({
    tells: "--version --help",
    flags: "--no-print-directory",
    subcommands: {
      "build test runtest fmt format clean promote describe check utop subst init ocaml-merlin": code({
        flags: "--force -f --auto-promote --release --verbose --no-buffer --preview --all",
        values: { inside: "-p -j --profile --display --root", write: "--build-dir" },
        operands: "inside*",
        rule: "script"
      }),
      exec: code({ style: "none", rule: "duneExec" }),
      "*": unfollowed
    }
  }),
  opam: {
    tells: "--version",
    subcommands: {
      "list show var lint config": {
        flags: "--installed -i --short --all -a",
        values: { text: "--columns -f --field" },
        operands: "text*"
      },
      switch: { subcommands: { "list show": { flags: "--short -s" }, "*": outside } },
      exec: runs,
      install: code({
        flags: "--deps-only -y --yes --with-test --with-doc --locked",
        operands: "inside*",
        rule: "onlyDependencies"
      }),
      "*": fetches
    }
  },
  "ocamlformat ocp-indent": code({
    tells: "--version",
    flags: "-i --inplace --check --enable-outside-detected-project",
    values: { inside: "--impl --name -p --profile", write: "-o --output" },
    operands: "inside*"
  }),
  "ocamlc ocamlopt ocamlfind": code({
    tells: "-version list",
    style: "single",
    flags: "-c -g -w -linkpkg ocamlopt ocamlc -bin-annot",
    values: { inside: "-package -w", write: "-o", code: "-I" },
    operands: "inside*"
  }),

  // Erlang.
  rebar3: code({
    tells: "--version version help",
    subcommands: {
      "compile eunit ct dialyzer xref fmt lint cover clean deps tree lock proper edoc escriptize release path unlock":
        code({
          flags: "-v --verbose -c --cover --check -w --write -a --all",
          values: { inside: "--module --suite --case --dir --name --sname -m -s" },
          operands: "inside*"
        }),
      "get-deps": code({ rule: "netUse" }),
      as: code({ operands: "inside*", rule: "rebarProfile" }),
      "*": unfollowed
    }
  }),

  // The JVM.
  javap: {
    style: "single",
    tells: "-version",
    flags: "-c -p -v -l -s -public -private -protected -constants -sysinfo -verbose",
    values: { read: "-cp -classpath" },
    operands: "read*"
  },
  "kotlinc kotlinc-jvm kotlinc-js": code({
    tells: "-version -help",
    style: "single",
    flags: "-include-runtime -progressive -nowarn -Werror -verbose -no-stdlib -no-reflect -java-parameters",
    values: { inside: "-cp -classpath -jvm-target -language-version -api-version -module-name -opt-in", write: "-d" },
    operands: "inside*"
  }),
  "scalac scala3-compiler": code({
    tells: "-version -help",
    style: "single",
    flags: "-deprecation -unchecked -feature -Werror -Xfatal-warnings -Xlint -explain -release",
    values: { inside: "-cp -classpath -source -release", write: "-d" },
    operands: "inside*"
  }),
  "scala-cli": code({
    tells: "--version version",
    subcommands: {
      "compile test run fmt clean doc": code({
        flags: "--check --watch=false --power -q",
        values: { inside: "-S --scala --main-class", write: "-o" },
        operands: "inside*"
      }),
      "*": unfollowed
    }
  }),
  "ktlint detekt ktfmt google-java-format scalafmt scalafix javadoc groovydoc checkstyle pmd spotbugs jdeps": code({
    tells: "--version -version --help",
    flags:
      "-F --format --relative --color --quiet -q --verbose --auto-correct --build-upon-default-config --all-rules --kotlinlang-style --google-style -n --dry-run -i --replace --set-exit-if-changed --aosp --skip-sorting-imports --test --check --list --non-interactive --diff --stdout -s -summary --print-module-deps -html -xml",
    values: {
      inside: "--reporter --editorconfig --includes --excludes --exclude -f --mode --fail-level --lines -R --language",
      code: "-c --config --ruleset --baseline --diff-branch -input --input",
      write: "-d -o --output -r --report --report-file"
    },
    operands: "inside*"
  })
}

function dartPackages(): Readonly<Record<string, ProgramEntry>> {
  return {
    "get downgrade deps": restores(
      "--offline --enforce-lockfile --dry-run -n --no-example --example --no-precompile",
      "-s --style -C --directory"
    ),
    run: code({ flags: "--enable-asserts", operands: "inside*", rule: "dartRun" }),
    "*": fetches
  }
}
