/** Type checks, tests, linters, formatters and builds of node projects. */
import type { ProgramTable } from "../ProgramEntry.js"
import { code, common } from "./projectCode.js"

const vitest = `${common} --run --watch=false --no-watch --coverage --no-coverage --ui=false --passWithNoTests --bail --silent --update -u --no-file-parallelism --no-isolate --globals --dom --typecheck --no-threads --single-thread --changed --allowOnly --hideSkippedTests --no-cache --clearCache --coverage.enabled --disable-console-intercept --logHeapUsage --expand-snapshot-diff --standalone --no-color --printConsoleTrace --merge-reports --list --json --related --isolate=false --poolOptions.threads.singleThread --threads=false --fileParallelism=false --allowOnly=false --retry`
const vitestText =
  "-t --testNamePattern --reporter --project --testTimeout --hookTimeout --teardownTimeout --bail --retry --shard --pool --environment --maxWorkers --minWorkers --maxConcurrency --sequence.seed --sequence.shuffle --exclude --changed --mode --maxThreads --minThreads --coverage.reporter --coverage.provider --coverage.include --coverage.exclude --slowTestThreshold "

export const javascript: ProgramTable = {
  tsc: code({
    tells: "--version -v --help -h --all",
    flags:
      "-b -w --build --noEmit --watch --strict --pretty --incremental --listFiles --listEmittedFiles --listFilesOnly --showConfig --explainFiles --traceResolution --diagnostics --extendedDiagnostics --skipLibCheck --esModuleInterop --allowJs --checkJs --declaration -d --emitDeclarationOnly --sourceMap --force -f --clean --dry --verbose --noErrorTruncation --composite --noUnusedLocals --noUnusedParameters --noImplicitAny --strictNullChecks --resolveJsonModule --isolatedModules --removeComments --preserveWatchOutput --noEmitOnError --stopBuildOnErrors --init --allowImportingTsExtensions --erasableSyntaxOnly --verbatimModuleSyntax --downlevelIteration --experimentalDecorators",
    values: {
      inside:
        "--target -t --module -m --moduleResolution --lib --jsx --types --maxNodeModuleJsDepth --customConditions --moduleDetection",
      code: "-p --project --rootDir --baseUrl --typeRoots",
      write: "--outDir --outFile --declarationDir --tsBuildInfoFile --generateTrace --generateCpuProfile"
    },
    operands: "inside*",
    rule: "tscValues"
  }),
  "vue-tsc svelte-check tsgo astro-check": code({
    flags: "-b --noEmit --build --pretty --incremental --skipLibCheck --fail-on-warnings --no-tsconfig",
    values: { inside: "--output --threshold", code: "-p --project --tsconfig --workspace" },
    operands: "inside*"
  }),
  vitest: code({
    tells: "--version -v --help -h",
    flags: vitest,
    values: {
      inside: vitestText,
      code: "-c --config -r --root --dir ",
      write: "--outputFile --coverage.reportsDirectory"
    },
    attached: "--coverage --update --changed --watch --ui",
    operands: "inside*"
  }),
  jest: code({
    tells: "--version -v --help",
    flags:
      "-i -u -b -o --ci --coverage --no-coverage --collectCoverage --runInBand --updateSnapshot --watchAll=false --watch=false --verbose --silent --bail --passWithNoTests --onlyChanged --onlyFailures --detectOpenHandles --forceExit --no-cache --clearCache --showConfig --listTests --json --expand --lastCommit --findRelatedTests --runTestsByPath --logHeapUsage --noStackTrace --colors --no-colors --useStderr --errorOnDeprecated --all --debug --detectLeaks --notify=false --all",
    values: {
      inside:
        "-t -w --testNamePattern --testPathPattern --testPathPatterns --testPathIgnorePatterns --maxWorkers --testTimeout --selectProjects --shard --coverageReporters --changedSince --collectCoverageFrom --maxConcurrency --seed --bail --reporters --testMatch --workerIdleMemoryLimit --env --coverageThreshold",
      code: "-c --config --rootDir --roots",
      write: "--outputFile --coverageDirectory"
    },
    attached: "--bail --ci --coverage",
    operands: "inside*",
    rule: "reporters"
  }),
  mocha: code({
    tells: "--version -V --help",
    flags:
      "-b -c --exit --bail --recursive --check-leaks --full-trace --parallel --no-color --color --forbid-only --forbid-pending --dry-run --inline-diffs --diff --no-timeout --sort --list-files --quiet",
    values: {
      inside:
        "-t -s -g -f -R -j -u --timeout --slow --grep --fgrep --reporter --jobs --retries --extension --ignore --ui",
      code: "-r --require --import --file --config --package --spec"
    },
    operands: "inside*"
  }),
  "ava tap tape uvu": code({
    flags: "-s -v --serial --verbose --fail-fast --update-snapshots -u --tap --no-coverage --bail ",
    values: { inside: "-m --match -T --timeout -c -j --jobs -R --reporter" },
    operands: "inside*"
  }),
  playwright: code({
    tells: "--version -V",
    subcommands: {
      test: {
        flags:
          "--headed --list -x --forbid-only --pass-with-no-tests --last-failed --quiet --fully-parallel -u --update-snapshots --only-changed",
        values: {
          inside:
            "-g --grep --grep-invert --project --reporter -j --workers --retries --timeout --shard --repeat-each --max-failures --trace --global-timeout --tsconfig",
          code: "-c --config",
          write: "--output"
        },
        attached: " --update-snapshots",
        operands: "inside*",
        effect: "project_code"
      },
      "show-report": { effect: "network" },
      "install install-deps": { effect: "network", style: "none", operands: "text*" }
    }
  }),
  cypress: code({
    subcommands: {
      run: {
        flags: "--headless --headed --quiet -q --component --e2e --no-exit",
        values: { inside: "-b --browser -s --spec --reporter --tag", code: "-C --config-file" },
        operands: "inside*",
        effect: "project_code"
      },
      verify: {},
      "info version": {}
    }
  }),
  eslint: code({
    tells: "--version -v --help -h",
    flags:
      "--fix --fix-dry-run --cache --quiet --no-eslintrc --no-ignore --no-inline-config --report-unused-disable-directives --exit-on-fatal-error --no-error-on-unmatched-pattern --pass-on-no-patterns --color --no-color --debug --stdin --no-warn-ignored --env-info --flag --stats  --pass-on-unpruned-suppressions --prune-suppressions --suppress-all",
    values: {
      inside:
        "--ext --rule --max-warnings --env --global --ignore-pattern --fix-type --parser-options --cache-strategy --stdin-filename --report-unused-disable-directives-severity --concurrency -f --format --parser --plugin",
      code: "-c --config --ignore-path --print-config --rulesdir --resolve-plugins-relative-to",
      write: "-o --output-file --cache-location --cache-file"
    },
    operands: "inside*"
  }),
  "eslint_d standard xo oxlint tslint": code({
    flags: "--fix --quiet --cache --deny-warnings --type-aware --version -D",
    values: { inside: "--ext --max-warnings -f --format -A -W", code: "-c --config --tsconfig" },
    operands: "inside*"
  }),
  stylelint: code({
    flags: "--fix --quiet -q --cache --allow-empty-input --color --no-color",
    values: { inside: "-f --formatter --max-warnings", code: "--config -c --ignore-path" },
    operands: "inside*"
  }),
  prettier: code({
    tells: "--version -v --help",
    flags:
      "-w -c -l -u --write --check --list-different --ignore-unknown --no-config --no-editorconfig --cache --no-cache --no-error-on-unmatched-pattern --no-semi --single-quote --jsx-single-quote --no-bracket-spacing --use-tabs --no-color --color --bracket-same-line --require-pragma --insert-pragma --with-node-modules --no-plugin-search",
    values: {
      inside:
        "--print-width --tab-width --trailing-comma --arrow-parens --prose-wrap --end-of-line --parser --log-level --loglevel --stdin-filepath --file-info --quote-props --cache-strategy --find-config-path --config-precedence --plugin",
      code: "--config --ignore-path --support-info",
      write: "--cache-location"
    },
    operands: "inside*"
  }),
  "biome rome": code({
    tells: "--version -V --help",
    flags: "--verbose",
    subcommands: {
      "check lint format ci": {
        flags:
          "--write --fix --unsafe --apply --apply-unsafe --apply-suggested --no-errors-on-unmatched --changed --staged --verbose --error-on-warnings --error-on-unmatched --skip-errors --json --colors=off --indent-style",
        values: {
          inside:
            "--max-diagnostics --diagnostic-level --reporter --colors --since --files-max-size --line-width --indent-style --indent-width --stdin-file-path --log-level --only --skip --formatter-enabled --linter-enabled --assist-enabled --organize-imports-enabled --files-ignore-unknown",
          code: "--config-path"
        },
        operands: "inside*",
        effect: "project_code"
      },
      "explain version rage search": { operands: "text*" },
      init: { effect: "workspace_write" }
    }
  }),
  dprint: code({
    subcommands: { "check fmt": { operands: "inside*", effect: "project_code", flags: "--verbose --diff" } }
  }),
  vite: code({
    tells: "--version -v",
    flags: "--minify --sourcemap --emptyOutDir --host --strictPort --ssr --watch --force --clearScreen",
    values: { inside: "-m --mode --port -l --logLevel --base --target", code: "-c --config", write: "--outDir" },
    attached: "--sourcemap --minify --host",
    operands: "inside*"
  }),
  "webpack webpack-cli esbuild parcel tsup swc babel rspack rslib unbuild microbundle ncc tsdown nest ng next nuxt nuxi astro remix gatsby svelte-kit vue-cli-service react-scripts storybook docusaurus vitepress typedoc api-extractor size-limit knip depcheck madge ts-prune ts-unused-exports dpdm publint attw license-checker markdownlint markdownlint-cli2 cspell commitlint htmlhint jscpd tsd sort-package-json syncpack manypkg npm-check-updates ncu lint-staged graphql-codegen openapi-typescript json2ts quicktype svgo terser uglifyjs html-minifier sass  lessc postcss tailwindcss tailwind autoprefixer marked":
    code({
      tells: "--version -v -V --help",
      style: "gnu",
      flags: `${common} --bundle --minify --sourcemap --watch=false --analyze --json --clean --dts --format=esm --format=cjs --platform=node --platform=browser --no-emit --check --fix -f --strict --production --no-exit-code --dry-run --all --noEmit --treeShaking --splitting --no-config --prod --ci --no-progress --no-lint --turbo --debug --include-entry-exports --include-libs -p --unlisted --circular`,
      values: {
        inside:
          "--mode -m --format --target --platform --loader --external --log-level --env --ext --extensions --extension --configuration --stats --threshold --max --reporter --reporters --ignore --ignore-pattern --entry --global-name --name --project --filter -t",
        code: "-c --config -i --input",
        write: "-o -d --outdir --out-dir --outfile --output --output-path --dist --out --output-dir --outDir --dir"
      },
      operands: "inside*",
      rule: "wrappedCoverage"
    }),
  rollup: code({
    tells: "--version -v",
    flags: "-w --watch -m --sourcemap --silent --failAfterWarnings --validate",
    values: {
      inside: "-f --format --environment -n --name -e --external -g --globals -p --plugin",
      code: "--config",
      read: "-i --input",
      write: "-o -d --file --dir"
    },
    attached: "-c -m --sourcemap",
    operands: "inside*"
  }),
  "nyc c8": code({
    tells: "--version",
    ordered: true,
    flags: "--all --check-coverage --clean --silent --skip-full",
    values: {
      inside: "-r --reporter -n --include -x --exclude --lines --branches --functions --statements",
      write: "--report-dir --reports-dir -o --temp-dir"
    },
    runs: "program"
  }),
  "turbo nx lerna rush lage wireit moon": code({
    tells: "--version",
    flags: `${common} --no-daemon --force --dry --dry-run --parallel --continue --no-cache --skip-nx-cache --all --affected --no-bail --stream --no-prefix --since --exclude-dependents --include-dependencies --summarize`,
    values: {
      inside:
        "--filter --scope --concurrency --output-logs --log-order --target -t --targets --projects -p --base --head --exclude --ignore --log-prefix --configuration -c --outputStyle --output-style",
      code: "",
      cwd: "--cwd"
    },
    operands: "inside*",
    rule: "script"
  }),
  changeset: code({
    tells: "--version",
    subcommands: {
      "add status version": {
        flags: "--empty --verbose",
        values: { inside: "--since --snapshot", write: "--output" },
        effect: "project_code",
        operands: "text*"
      },
      "publish tag": { effect: "network" },
      init: { effect: "workspace_write" }
    }
  }),
  prisma: code({
    tells: "--version -v",
    subcommands: {
      "generate validate format": {
        flags: "--no-engine --check",
        values: { code: "--schema --config" },
        effect: "project_code"
      },
      "*": { effect: "system", because: "changes a database", style: "none", operands: "text*" }
    }
  }),
  "drizzle-kit typeorm sequelize sequelize-cli knex supabase-cli": code({
    subcommands: {
      "generate check": {
        operands: "inside*",
        values: { code: "--config --schema", write: "--out" },
        effect: "project_code"
      },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  }),
  "husky lefthook pre-commit": code({
    subcommands: {
      run: {
        flags: "-a --all-files -v --verbose --show-diff-on-failure",
        values: { inside: "--files --hook-stage" },
        operands: "inside*",
        effect: "project_code"
      },
      "*": { effect: "unknown_code", style: "none", operands: "text*" }
    }
  }),
  "concurrently npm-run-all run-s run-p nodemon wait-on start-server-and-test pm2 forever serve http-server live-server json-server zx semantic-release release-it np standard-version degit create-react-app kill-port":
    { effect: "unknown_code", style: "none", operands: "text*" },

  "source-map-explorer bundlesize": code({ operands: "inside*" })
}
