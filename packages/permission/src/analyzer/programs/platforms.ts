/** The JVM, .NET, Ruby, PHP and others; documents. */
import type { ProgramTable } from "../ProgramEntry.js"
import { code } from "./projectCode.js"

export const platforms: ProgramTable = {
  bats: code({
    tells: "--version -v",
    flags: "-r -t -p -T --tap --pretty --recursive --timing",
    values: { inside: "-f -j --filter --jobs --formatter -F" },
    operands: "inside*"
  }),
  "wasm-pack sqlc mkdocs mockgen wire doxygen miri": code({
    tells: "--version -v -V",
    flags:
      "-q -v --tap --release --dev --debug --strict --recursive -r --pretty --timing -b -c -l --list --summary --capture",
    values: {
      inside: "--target -f --filter -j --jobs --formatter -t -package -source",
      write: "-d -o --output --out-dir -destination",
      code: "-s --file"
    },
    operands: "inside*",
    rule: "script"
  }),
  "mvn mvnw mvnd": code({
    tells: "--version -v --help",
    flags:
      "-q -B -o -U -e -X -am -amd -ntp --batch-mode --quiet --offline --no-transfer-progress -fae -ff -fn --also-make --fail-at-end -V",
    values: { inside: "-pl -T -P -D -rf --projects --threads", code: "-f --file" },
    style: "single",
    operands: "inside*",
    rule: "maven"
  }),
  "gradle gradlew": code({
    tells: "--version -v --help",
    flags:
      "-q -i -d -s -S -a --quiet --info --stacktrace --no-daemon --daemon --offline --parallel --no-parallel --continue --build-cache --no-build-cache --rerun-tasks --dry-run -m --console=plain  --refresh-dependencies --warning-mode=all --no-configuration-cache --configuration-cache --continuous --all",
    values: {
      inside: "-x --tests --console --max-workers --warning-mode --exclude-task --configuration",
      cwd: "-p --project-dir",
      code: "-b --build-file"
    },
    operands: "inside*",
    rule: "gradle"
  }),
  "sbt mill ant lein boot": code({ tells: "--version", flags: "-batch", operands: "inside*", rule: "script" }),
  java: code({
    tells: "-version --version",
    style: "single",
    flags: "-ea -enableassertions -server --enable-preview",
    values: {
      inside: "-cp -classpath --class-path --module-path -p --source -m --module --add-opens --add-modules",
      code: "-jar"
    },
    ordered: true,
    operands: "inside*",
    rule: "java"
  }),
  javac: code({
    tells: "-version --version",
    style: "single",
    flags: "-g -Xlint -Werror -nowarn -verbose -parameters -Xlint:all -proc:none",
    values: {
      inside: "-cp -classpath --class-path -sourcepath --module-path --release -source -target -encoding",
      write: "-d -h -s"
    },
    operands: "inside*"
  }),
  dotnet: {
    tells: "--version --info --list-sdks --list-runtimes",
    subcommands: {
      "build test run clean restore format publish pack watch": code({
        flags:
          "--locked-mode --self-contained --no-self-contained --no-dependencies --disable-parallel --include-symbols --no-launch-profile --blame --list-tests --no-cache --use-lock-file --force-evaluate --interactive=false --no-hot-reload --restore --sc --no-restore --no-build --nologo --verify-no-changes --no-incremental --force -q --include-generated",
        values: {
          inside:
            "-c --configuration -v --verbosity -f --framework --filter -l --logger -r --runtime --diagnostics --severity --collect -a --arch --os --version-suffix --launch-profile --include --exclude --blame-hang-timeout --tl",
          code: "--project -s --settings",
          write: "-o --output --results-directory"
        },
        operands: "inside*"
      }),
      "new sln add list": {
        flags: "",
        operands: "inside*",
        values: { inside: "-n --name", write: "-o --output" },
        effect: "workspace_write"
      },
      ef: {
        subcommands: {
          migrations: {
            subcommands: {
              "add list remove script has-pending-model-changes": code({
                flags: "--no-build --json -v --verbose --idempotent --force -f --no-connect",
                values: {
                  inside: "-c --context -n --namespace --framework --configuration",
                  code: "-p --project -s --startup-project",
                  write: "-o --output-dir --output"
                },
                operands: "inside*"
              }),
              "*": { effect: "system", style: "none", operands: "text*" }
            }
          },
          dbcontext: {
            subcommands: {
              "list info": code({ flags: "--no-build --json", values: { code: "-p --project -s --startup-project" } }),
              "*": { effect: "system", style: "none", operands: "text*" }
            }
          },
          "*": { effect: "system", style: "none", operands: "text*" }
        }
      },
      tool: {
        subcommands: {
          restore: code({ flags: "-v", rule: "netUse" }),
          list: { flags: "-g --global --local" },
          "*": { effect: "network", style: "none", operands: "text*" }
        }
      },
      "nuget workload": { effect: "network", style: "none", operands: "text*" }
    }
  },
  "bundle bundler": {
    tells: "--version -v",
    subcommands: {
      exec: { ordered: true, runs: "program", effect: "project_code" },
      "install check": code({
        flags: "--quiet --local --frozen --deployment",
        values: { inside: "--jobs -j --retry --without" },
        rule: "netUse"
      }),
      "list show info outdated": { operands: "text*", flags: "--paths" },
      "version platform env": { flags: "--ruby" },
      lock: code({
        flags: "--local --normalize-platforms",
        values: { inside: "--add-platform --remove-platform" },
        rule: "netUse"
      }),
      binstubs: code({ operands: "inside*", flags: "--all --force" }),
      "*": { effect: "network", style: "none", operands: "text*" }
    }
  },
  "rspec rubocop minitest cucumber erb_lint standardrb brakeman reek srb sorbet": code({
    tells: "--version -v",
    flags:
      "-a -A --auto-correct --autocorrect --autocorrect-all --fix --fail-fast --parallel --profile  --only-failures --next-failure --color --no-color -b --backtrace --display-cop-names -D",
    values: {
      inside: "-e -f -t --example --format --tag --only --seed --order --pattern --fail-level -r --require -I",
      code: "-c --config",
      write: "-o --out"
    },
    operands: "inside*"
  }),
  rails: {
    tells: "--version -v",
    subcommands: {
      "test routes stats notes about spec middleware initializers zeitwerk:check assets:precompile assets:clean assets:clobber tmp:clear log:clear tmp:create time:zones:all test:all test:system":
        code({
          operands: "inside*",
          flags: "-v -d -b -f --expanded --fail-fast --verbose",
          values: { inside: "-n -c -g -e --name --seed -s" }
        }),
      "generate g destroy d": code({
        operands: "inside*",
        flags:
          "--skip --force --pretend --no-test-framework --skip-routes --no-helper --no-assets --no-migration --no-fixture --api -f -s -p -q --no-timestamps --skip-migration"
      }),
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  gem: {
    tells: "--version",
    subcommands: {
      "list env which contents": { operands: "text*", flags: "-l --local" },
      build: code({ flags: "--strict --force -q", values: { write: "-o --output", cwd: "-C" }, operands: "code" }),
      "specification spec dependency stale environment help": { operands: "text*", flags: "-l --local --ruby" },
      "*": { effect: "network", style: "none", operands: "text*" }
    }
  },
  "phpunit pest phpstan psalm php-cs-fixer phpcs phpcbf pint": code({
    tells: "--version",
    flags: "--testdox --stop-on-failure --colors --dry-run --diff -v --no-progress --no-coverage",
    values: {
      inside: "--filter --group --testsuite --level -l --standard --memory-limit --colors",
      code: "-c --configuration --config"
    },
    operands: "inside*"
  }),
  composer: {
    tells: "--version -V",
    subcommands: {
      "install dump-autoload validate check-platform-reqs": code({
        flags:
          "--no-dev --no-interaction -n -o --optimize-autoloader --no-progress --prefer-dist --no-scripts -q --strict --no-check-publish --no-check-all --no-check-lock",
        rule: "netUse"
      }),
      "show licenses depends why": {
        operands: "text*",
        flags: "-t --tree --direct -D -i --installed --no-interaction -n --no-dev --self --path --name-only",
        values: { text: "--format -f" }
      },
      "run run-script test": code({ operands: "inside*", rule: "script" }),
      "*": { effect: "network", style: "none", operands: "text*" }
    }
  },
  xcodebuild: code({
    tells: "-version -help -list -showsdks",
    style: "single",
    flags: "-quiet -verbose -list -json -enableCodeCoverage -parallel-testing-enabled -hideShellScriptEnvironment",
    values: {
      inside:
        "-scheme -project -workspace -destination -configuration -sdk -target -testPlan -only-testing -skip-testing -arch -jobs",
      write: "-derivedDataPath -resultBundlePath"
    },
    operands: "inside*",
    rule: "xcodeActions"
  }),
  swift: {
    tells: "--version",
    effect: "project_code",
    subcommands: {
      "build test run package": code({
        flags: "--parallel -v --verbose --enable-code-coverage --skip-build -q",
        values: { inside: "-c --configuration --filter --target --product --skip" },
        operands: "inside*"
      })
    }
  },
  mix: code({
    tells: "--version",
    subcommands: {
      "test compile format credo dialyzer docs deps.compile help xref": code({
        flags: "--check-formatted --warnings-as-errors --strict --force --trace --stale --failed --cover --all",
        values: { inside: "--only --exclude --seed --max-failures" },
        operands: "inside*"
      }),
      "deps.get": code({ rule: "netUse" }),
      "*": { effect: "unknown_code", style: "none", operands: "text*" }
    }
  }),
  "shellcheck shfmt hadolint actionlint markdown-link-check ajv spectral redocly buildifier taplo  tflint tfsec checkov kubeval kubeconform helm-docs":
    {
      tells: "--version -V",
      flags: "-x -a -d -l -s -ci -sr -bn --check",
      values: { cwd: "--chdir", inside: "-s -f -e -S -i -o -ln --shell --severity --format --exclude --ignore" },
      effectWith: { "-w --write": "workspace_write" },
      operands: "inside*"
    },
  "dot plantuml mmdc ditaa": {
    effect: "workspace_write",
    values: { inside: "-T -G -K", write: "-o ", code: "-i" },
    attached: "-T",
    operands: "read*"
  },
  pandoc: {
    tells: "--version",
    flags:
      "-s --standalone --toc --number-sections --mathjax -N -C --citeproc --embed-resources --self-contained --katex --listings --table-of-contents --no-highlight --section-divs --file-scope --preserve-tabs --reference-links --ascii --incremental --strip-comments --sandbox --verbose --quiet --list-of-figures --list-of-tables --html-q-tags --list-input-formats --list-output-formats --list-extensions --list-highlight-styles",
    values: {
      inside:
        "-f -t -r -w --from --to --read --write -V -M --metadata --wrap --columns --toc-depth --shift-heading-level-by --highlight-style --pdf-engine --slide-level --eol --dpi --resource-path --top-level-division --markdown-headings --split-level --id-prefix --title-prefix -T",
      read: "--css --bibliography --csl -c -H -B -A --include-in-header --include-before-body --include-after-body --reference-doc --metadata-file --epub-cover-image --abbreviations",
      write: "-o --output --extract-media",
      code: "--lua-filter --template -L -d --defaults"
    },
    operands: "inside*"
  },
  "pdflatex xelatex lualatex latexmk": code({
    tells: "--version",
    style: "single",
    flags:
      "-cd -f -g -silent -xelatex -lualatex -pdfxe -pdflua -pdfdvi -ps -dvi -bibtex -nobibtex -gg -time -recorder -no-shell-escape -interaction=nonstopmode -interaction=batchmode -synctex=1 -halt-on-error -pdf -c -C -file-line-error -draftmode -quiet",
    values: { inside: "-interaction -jobname", write: "-output-directory -outdir" },
    operands: "inside*",
    rule: "reporters"
  }),
  sponge: { flags: "-a", operands: "write" }
}
