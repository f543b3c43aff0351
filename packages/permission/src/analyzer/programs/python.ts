/** Python: packages, tests, linters, environments. */
import type { ProgramTable } from "../ProgramEntry.js"
import { code, common } from "./projectCode.js"

export const python: ProgramTable = {
  "pip pip3": {
    tells: "--version -V --help",
    subcommands: {
      "list freeze show check inspect debug": {
        flags:
          "-v -l --local --user --all --verbose  --not-required --exclude-editable -f --files --disable-pip-version-check",
        values: { inside: "--format --exclude" },
        operands: "text*"
      },
      install: {
        flags:
          "-q -U -v --quiet --upgrade --no-deps --no-cache-dir --no-build-isolation --disable-pip-version-check --pre --no-input --require-hashes --no-warn-script-location --force-reinstall --no-color --require-virtualenv --dry-run",
        values: {
          inside: "--progress-bar --upgrade-strategy --timeout --retries -r --requirement -e --editable -c --constraint"
        },
        operands: "text*",
        rule: "pip"
      },
      uninstall: code({ flags: "-y --yes -q", operands: "text*" }),
      "download wheel": { effect: "network", style: "none", operands: "text*" },
      "index search config cache hash help": { effect: "network", style: "none", operands: "text*" }
    }
  },
  "pytest py.test": code({
    tells: "--version -V --help -h",
    flags:
      "-v -vv -vvv -q -qq -s -x -l -ra -rA -rs -rf -rx -rP -rN -rE -rw --lf --ff --nf --sw --exitfirst --last-failed --failed-first --new-first --stepwise --stepwise-skip  --no-header --no-summary --collect-only --co --setup-show --showlocals --strict-markers --strict-config --disable-warnings --cache-clear --quiet --verbose --no-cov --cov --cov-append --cov-branch --runslow --fixtures --markers --doctest-modules --continue-on-collection-errors --forked --snapshot-update --benchmark-only --benchmark-skip --benchmark-disable --full-trace  --durations-min --headed --asyncio-mode=auto",
    values: {
      inside:
        "-k -m -n -r -W --maxfail --tb --durations --color --capture --timeout --dist --reruns --numprocesses --cov-report --cov-fail-under --import-mode --log-cli-level --log-level --randomly-seed --count --show-capture --verbosity --asyncio-mode --hypothesis-seed --hypothesis-profile --junit-prefix --browser --order -p -o --override-ini",
      code: "-c --rootdir --confcutdir --ignore --ignore-glob --deselect --cov-config",
      write: "--junitxml --junit-xml --basetemp --html --resultlog --report-log --json-report-file"
    },
    attached: "--cov --cov-report --lf --ff --color --timeout",
    operands: "inside*"
  }),
  "mypy pyright basedpyright pylint flake8 pyflakes pycodestyle pydocstyle bandit vulture radon pytype pyre ty ruff black isort autopep8 yapf autoflake pyupgrade djlint sqlfluff codespell yamllint ansible-lint interrogate docformatter blue":
    code({
      tells: "--version -V --help",
      flags: `${common} --fix --unsafe-fixes --diff --check --check-only -c -r --recursive --in-place -i --aggressive -a --strict --ignore-missing-imports --show-error-codes --no-error-summary --pretty  --non-interactive --statistics --count --show-source --exit-zero --preview --no-cache --fast --line-length --skip-string-normalization -S --profile --show-fixes --add-noopt --remove-all-unused-imports --remove-unused-variables --py3-only --py36-plus --py37-plus --py38-plus --py39-plus --py310-plus --py311-plus --py312-plus --no-incremental --namespace-packages --explicit-package-bases --outputjson --warnings --stats --errors-only -E --exit-non-zero-on-fix --write-changes -w --list-files --show-files --show-settings --combine-as --atomic --force-sort-within-sections --ignore-noqa --watch=false --show-column-numbers --warn-unused-ignores --disallow-untyped-defs --check-untyped-defs --verifytypes --skip-magic-trailing-comma  --no-color-output`,
      values: {
        inside:
          "--select --ignore --extend-select --extend-ignore -l --line-length --max-line-length --max-complexity --target-version -t --output-format --format --disable --enable --python-version --platform --exclude --extend-exclude --force-exclude --include --severity-level --pythonversion --level -j --jobs --fail-under --follow-imports --skip -L --profile -m --module --package -p --per-file-ignores --line-ranges --multi-line --src --known-first-party --disable-error-code --enable-error-code --stdin-filename --color -f --style",
        code: "--config --config-file --rcfile --settings-path --project --ignore-words ",
        write: "-o --cache-dir --junit-xml --output-file --html-report --txt-report --any-exprs-report"
      },
      operands: "inside*"
    }),
  "coverage tox nox": code({
    tells: "--version",
    subcommands: {
      run: {
        flags: "-a -p --append --branch --parallel-mode",
        values: { inside: "--source --omit --include -m --rcfile" },
        ends: "-m",
        operands: "inside*",
        ordered: true,
        effect: "project_code"
      },
      "report combine html xml json lcov erase debug": {
        flags: "-m -i -q --show-missing --skip-covered --skip-empty --ignore-errors --keep -a",
        values: { inside: "--fail-under --include --omit --precision --sort --format", write: "-d -o" },
        operands: "inside*",
        effect: "project_code"
      }
    },
    flags: "-r -p -q -v -l --recreate --listenvs -a --parallel",
    values: { inside: "-e -s -k -t --session --skip-missing-interpreters" },
    operands: "inside*",
    rule: "noCommand"
  }),
  "poetry uv pdm hatch pipenv rye": code({
    tells: "--version -V --help",
    flags: "-q -v -n --quiet --verbose --no-interaction --no-ansi --offline --no-cache --frozen --locked",
    values: { cwd: "-C --directory --project" },
    subcommands: {
      run: {
        flags:
          "-q --quiet --frozen --locked --no-sync --all-extras --no-dev --isolated --active --offline --all-groups",
        values: { inside: "--extra --group --only-group -p --python --no-group" },
        ordered: true,
        runs: "program",
        effect: "project_code"
      },
      "install sync": {
        flags:
          "--no-root --no-dev --sync --all-extras --only-root --frozen-lockfile --no-lock --no-self --no-editable --check --clean --prod -d -G --frozen --locked --no-interaction --dev --deploy --all-groups --no-install-project --quiet -q --all-packages",
        values: { inside: "--with --without --only -E --extras --extra --group" },
        effect: "project_code",
        rule: "netUse"
      },
      lock: { flags: "--no-update --check --locked", effect: "project_code", rule: "netUse" },
      env: {
        subcommands: {
          "show find info list": { flags: "--full-path -p", operands: "text*" },
          "*": { effect: "unknown_code", style: "none", operands: "text*" }
        }
      },
      "show list check tree version": {
        flags: "--tree --latest --all --info -t -l --only --frozen --no-dev --short -s",
        values: { inside: "--depth --package" },
        operands: "text*"
      },
      add: {
        flags: "-D --dev -G",
        values: { inside: "--group -G --extra --optional" },
        operands: "text*",
        rule: "pip"
      },
      remove: { operands: "text*", flags: "--dev", values: { inside: "--group" }, effect: "project_code" },
      build: {
        flags: "--wheel --sdist",
        values: { inside: "-f --format", write: "-o --output --out-dir" },
        effect: "project_code"
      },
      venv: {
        flags: "--seed -q",
        values: { inside: "-p --python --prompt" },
        operands: "write",
        effect: "workspace_write"
      },
      pip: {
        subcommands: {
          "list freeze show tree check": { flags: "-q --format", values: { inside: "--format" }, operands: "text*" },
          install: {
            flags: "-q -U --upgrade --no-deps --quiet",
            values: { inside: "-r --requirement -e --editable -c --constraint" },
            operands: "text*",
            rule: "pip"
          },
          sync: { operands: "inside*", effect: "project_code", rule: "netUse" },
          compile: {
            operands: "inside*",
            values: { write: "-o --output-file" },
            flags: "-q --upgrade",
            effect: "project_code"
          }
        }
      }
    }
  }),
  virtualenv: { operands: "write*", flags: "-q ", values: { inside: "-p --python" }, effect: "workspace_write" },
  "django-admin manage.py alembic flask uvicorn gunicorn celery streamlit ipython pipx twine": {
    tells: "--version",
    effect: "unknown_code",
    style: "none",
    operands: "text*"
  },

  "pyenv conda mamba": {
    tells: "--version versions version",
    subcommands: {
      "versions version which prefix list info": { flags: "--bare --json", operands: "text*" },
      env: { subcommands: { list: { flags: "--json" }, "*": { effect: "system", style: "none", operands: "text*" } } },
      run: { flags: "--no-capture-output", values: { text: "-n --name" }, runs: "program", effect: "project_code" },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  }
}
