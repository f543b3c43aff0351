/** Tools around a project: formatters, checkers, generators, queries, measurements; and those that only tell their version. */
import type { ProgramEntry, ProgramTable } from "../ProgramEntry.js"
import { code } from "./projectCode.js"

/** It writes what it makes from the project, and runs the project's configuration. */
const generator = (entry: ProgramEntry = {}): ProgramEntry =>
  code({ tells: "--version -v -V version --help", ...entry })

export const devtools: ProgramTable = {
  // Objects and libraries.
  strip: {
    flags:
      "-s -g -S -d -x -X -v -p -w -D -U --strip-all --strip-debug --strip-unneeded --strip-dwo --discard-all --discard-locals --preserve-dates --verbose --only-keep-debug --enable-deterministic-archives",
    values: { text: "-K -N -R -F --keep-symbol --strip-symbol --remove-section", write: "-o" },
    operands: "write*",
    effect: "workspace_write"
  },
  objcopy: {
    flags:
      "-S -g -x -X -v -p -w -D --strip-all --strip-debug --strip-unneeded --only-keep-debug --discard-all --preserve-dates --compress-debug-sections --decompress-debug-sections --weaken --localize-hidden",
    values: {
      text: "-I -O -B -F -j -R -K -N -L -G -W --only-section --remove-section --input-target --output-target --binary-architecture --gap-fill --pad-to --redefine-sym --rename-section --set-section-flags --change-addresses --strip-symbol --keep-symbol --set-start",
      read: "--add-gnu-debuglink",
      inside: "--add-section --update-section"
    },
    operands: "write*",
    effect: "workspace_write"
  },
  ranlib: { flags: "-D -U -t", operands: "write*", effect: "workspace_write" },
  "eu-readelf llvm-nm llvm-size llvm-readelf llvm-objdump llvm-readobj otool dwarfdump llvm-dwarfdump pahole": {
    flags:
      "-a -h -l -S -s -t -r -d -n -L -C -e -x -g -u -D -A -W -f -p -R --sections --symbols --all --debug-info --file-headers",
    operands: "read*"
  },
  ld: code({
    tells: "--version -v -V",
    style: "single",
    flags: "-r -s -S -static -shared -nostdlib -pie --gc-sections -n -N",
    values: { write: "-o -Map", inside: "-l -e -m -z", code: "-L -T" },
    operands: "inside*"
  }),
  "as nasm yasm": code({
    tells: "--version -v",
    style: "single",
    flags: "-g -W -w --32 --64",
    values: { write: "-o -l", inside: "-f -felf64 -D -d -march -mcpu", code: "-I" },
    operands: "inside*"
  }),

  // Builds.
  flex: {
    tells: "--version -V --help",
    flags:
      "-d -i -l -s -B -I -8 -7 -t -w -v -f -F -b -L -+ --debug --case-insensitive --fast --full --noline --nodefault --c++ --bison-bridge --reentrant --yylineno",
    values: { write: "-o --outfile --header-file", text: "-P --prefix" },
    attached: "-C",
    operands: "read*",
    effect: "workspace_write"
  },
  "bison byacc yacc": {
    tells: "--version -V --help",
    flags: "-d -y -v -t -l -k --debug --yacc --verbose --no-lines --token-table",
    values: { write: "-o --output -b --file-prefix --report-file", text: "-p --name-prefix -D --define -r --report" },
    attached: "-W --defines --header -g --graph --color",
    operands: "read",
    effect: "workspace_write"
  },
  re2c: {
    tells: "--version -v",
    flags: "-i -b -c -d -f -g -s -u -w -x -8 -W",
    values: { write: "-o --output" },
    operands: "read",
    effect: "workspace_write"
  },
  m4: {
    tells: "--version --help",
    flags: "-P -s -E -Q -g -G -i --prefix-builtins --synclines --quiet --silent --traditional --fatal-warnings",
    values: { code: "-I --include", text: "-D -U -L --define --undefine --nesting-limit" },
    operands: "code*",
    least: 1,
    rule: "m4"
  },
  cython: generator({
    flags: "-2 -3 -a -v -w -X --annotate --embed --cplus -+ --fast-fail --3str --gdb --line-directives -Werror",
    values: { write: "-o --output-file", inside: "-X --directive", code: "-I --include-dir" },
    operands: "inside*"
  }),
  cythonize: generator({
    flags: "-i -b -a -3 -f -k -q --inplace --build --annotate --force",
    values: { inside: "-X -j" },
    operands: "inside*"
  }),
  meson: generator({
    subcommands: {
      "setup configure compile test introspect dist init format rewrite": code({
        flags:
          "--wipe --reconfigure -v --verbose --clean --print-errorlogs --no-rebuild --list --benchmark -a --all --buildoptions --targets --tests --dependencies --projectinfo --no-suite --inplace -i -q --ninja-args=-v --installed --strip",
        values: {
          cwd: "-C",
          inside:
            "-j -D -t --buildtype --backend --suite --num-processes --timeout-multiplier --default-library --warnlevel --optimization --unity --wrap-mode --repeat --formats",
          code: "--cross-file --native-file",
          write: "--prefix --logbase"
        },
        style: "single",
        operands: "inside*",
        rule: "script"
      }),
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  }),
  scons: generator({
    flags:
      "-Q -s -k -c -n -u -U -D -i -q --quiet --silent --clean --keep-going --dry-run --no-exec --random --tree=all --debug=explain",
    values: { inside: "-j --jobs", cwd: "-C --directory", code: "-f --file --sconstruct" },
    attached: "-j",
    operands: "inside*",
    rule: "script"
  }),
  bear: {
    tells: "--version --help",
    flags: "--append --verbose",
    values: { write: "-o --output --cdb" },
    runs: "program",
    effect: "project_code"
  },
  ctags: {
    tells: "--version --help --list-languages --list-kinds --list-fields --list-extras",
    flags: "-R -a -e -x -u -V --recurse --append --verbose --tag-relative --file-scope=no",
    values: { write: "-f -o", text: "-h -I --sort -n", read: "-L" },
    attached:
      "--exclude --languages --langmap --fields --extras --extra --kinds --c-kinds --c++-kinds --python-kinds --java-kinds --javascript-kinds --typescript-kinds --go-kinds --rust-kinds --php-kinds --ruby-kinds --kinds-all --sort --tag-relative --recurse --output-format --links --excmd --totals --quiet --map-all",
    operands: "read*",
    rule: "tags"
  },
  etags: {
    tells: "--version",
    flags: "-a -D -I",
    values: { write: "-o --output" },
    operands: "read*",
    effect: "workspace_write"
  },
  "pkg-config pkgconf": {
    tells: "--version --help",
    flags:
      "--cflags --libs --modversion --exists --list-all --static --libs-only-l --libs-only-L --libs-only-other --cflags-only-I --cflags-only-other --print-errors --short-errors --silence-errors --print-requires --print-requires-private --print-provides --print-variables --errors-to-stdout --validate --uninstalled --keep-system-cflags --keep-system-libs --digraph --solution --path",
    values: {
      text: "--variable --atleast-version --exact-version --max-version --define-variable --atleast-pkgconfig-version"
    },
    operands: "text*"
  },
  "llvm-config python3-config python-config curl-config xml2-config sdl2-config pg_config": {
    flags:
      "--version --cflags --ldflags --libs --prefix --includes --embed --system-libs --cxxflags --bindir --libdir --includedir --components --host-target --sharedir --pkglibdir",
    operands: "text*"
  },

  // Sites and documents.
  hugo: generator({
    tells: "version --help",
    flags:
      "--minify -D -E -F --buildDrafts --buildFuture --buildExpired --gc --logLevel --quiet -q --verbose -v --panicOnWarning --templateMetrics --printPathWarnings --ignoreCache --enableGitInfo -M --renderToMemory",
    values: {
      inside: "-b --baseURL -e --environment -t --theme --logLevel",
      write: "-d --destination --cacheDir",
      code: "-s --source -c --contentDir --config --configDir -l --layoutDir --themesDir"
    },
    subcommands: {
      "server serve": code({
        flags: "-D -E -F --minify --disableFastRender --noHTTPCache -w --watch --navigateToChanged --buildDrafts",
        values: { inside: "-p --port --bind -b --baseURL -e --environment" }
      }),
      "list config": code({ flags: "--format", operands: "inside*" }),
      new: {
        subcommands: {
          "content site theme": code({
            flags: "--force -f",
            values: { inside: "-k --kind --format" },
            operands: "inside*"
          })
        }
      }
    }
  }),
  "jekyll zola eleventy mdbook pelican lektor gitbook antora middleman vuepress": generator({
    flags:
      "-q -D -I -V --quiet --drafts --future --incremental --trace --verbose --strict_front_matter --lsi --unpublished --dryrun --clean --fetch=false -r --dry-run",
    values: {
      inside: "-b --baseurl -u --base-url -p --port -H --host -t --theme --pathprefix --formats -i --interface",
      write: "-d --destination -o --output --output-dir --dest-dir --to-dir",
      code: "-s --source -c --config --input --settings"
    },
    operands: "inside*",
    rule: "script"
  }),
  "sphinx-build sphinx-apidoc sphinx-autogen sphinx-autobuild": generator({
    flags:
      "-W -n -E -a -q -Q -T -v -N -f -e -P --keep-going --no-color --force --separate --module-first --no-toc --implicit-namespaces",
    values: {
      text: "-b -M",
      inside: "-j -D -A -t --port --host --ignore --watch -H -V -R",
      write: "-d -w -o",
      code: "-c"
    },
    operands: "inside*"
  }),
  "asciidoctor asciidoctor-pdf asciidoc rst2html rst2html5 markdown multimarkdown cmark cmark-gfm redcarpet kramdown":
    generator({
      flags: "-v -q -s -e -w --verbose --quiet --strict --toc --smart --hardbreaks --unsafe --full --safe -t",
      values: {
        inside: "-b --backend -a --attribute -d --doctype -t --to --from -e --extension",
        write: "-o --out-file -D --destination-dir"
      },
      operands: "inside*"
    }),
  "jupyter jupyter-nbconvert": {
    tells: "--version --help",
    subcommands: {
      nbconvert: code({
        flags: "--execute --inplace --clear-output --allow-errors --no-input --stdout --no-prompt --debug",
        values: { inside: "--to --template --ExecutePreprocessor.timeout", write: "--output --output-dir" },
        attached:
          "--ExecutePreprocessor.timeout --ClearOutputPreprocessor.enabled --TagRemovePreprocessor.remove_cell_tags",
        operands: "inside*"
      }),
      kernelspec: { subcommands: { list: { flags: "--json" } } },
      "--paths": {},
      "*": { effect: "unknown_code", style: "none", operands: "text*" }
    }
  },
  "jupytext nbstripout papermill nbqa": generator({
    flags:
      "--sync --execute --update --test -q --quiet --dry-run --keep-output --keep-count --verify --no-progress-bar --nbqa-diff",
    values: { inside: "--to --from --set-formats -p --parameters -k --kernel --extra-keys", write: "-o --output" },
    operands: "inside*",
    rule: "script"
  }),
  "trunk wasm-bindgen": generator({
    flags: "--release --minify --verbose -v --offline --locked --no-typescript --debug --keep-debug --nodejs --browser",
    values: {
      inside: "--public-url --features --target --filehash --out-name --port -p --address",
      write: "-d --dist --out-dir",
      code: "--config"
    },
    operands: "inside*",
    rule: "trunk"
  }),
  "wasm-opt wasm2wat wat2wasm wasm-objdump wasm-strip wasm-validate wasm-tools wasm-dis wasm-as": generator({
    style: "single",
    flags:
      "-O -O0 -O1 -O2 -O3 -O4 -Os -Oz -g -h -x -d -v --debug-names --enable-simd --enable-bulk-memory --enable-threads --strip-debug --converge --fold-exprs",
    values: { write: "-o --output" },
    operands: "inside*"
  }),
  "tree-sitter": generator({
    subcommands: {
      "generate test parse highlight query tags build": code({
        flags: "-q --quiet --stat --no-bindings -u --update --wasm -t --time -d --debug",
        values: { inside: "-f --file-name -i --include --abi", write: "-o --output" },
        operands: "inside*"
      })
    }
  }),
  "gdalinfo ogrinfo": { flags: "-json -stats -so -al -q", style: "single", operands: "read text*", rule: "localMedia" },
  "lcov genhtml gcov gcovr geninfo kcov llvm-cov llvm-profdata": generator({
    flags:
      "-c -q -r -b -l -a -f -s -p --capture --initial --quiet --summary --list --remove --extract --add-tracefile --no-external --branch-coverage --legend --show-details --demangle-cpp --print-summary --html --html-details --exclude-unreachable-branches --txt --xml-pretty --branches --no-checksum --zerocounters -z -i merge report show export -sparse",
    values: {
      inside:
        "-d --directory -k --base-directory -t --test-name --title --ignore-errors --exclude -e --include --fail-under-line --prefix --filter --format -instr-profile --object",
      write: "-o --output-file --output --output-directory --xml --json --csv --cobertura"
    },
    operands: "inside*"
  }),

  // Formatters and checkers.
  "stylua scalariform nixfmt nixpkgs-fmt alejandra statix deadnix cmake-format cmake-lint gersemi fantomas csharpier rufo rubyfmt htmlbeautifier erb-format sqlfmt sql-formatter pg_format yamlfmt yamlfix mdformat markdownlint-cli jsonlint perltidy perlcritic uncrustify astyle beautysh swiftformat swiftlint swift-format purs-tidy efmt erlfmt topiary treefmt typos vale write-good alex proselint editorconfig-checker ec keep-sorted license-eye addlicense zprint cljfmt clj-kondo joker tidy xmlformat fprettify findent verible-verilog-format verilator tofu-fmt hclfmt ameba rustywind leptosfmt markdown-toc doctoc csslint lintr djhtml curlylint pyroma refurb ssort flynt tryceratops fixit darglint add-trailing-comma reorder-python-imports":
    generator({
      flags:
        "-i -w -q -v -c -n -r -s -u -d -l -b --check --write --fix --diff --verify --quiet --verbose --inplace --in-place --replace --recursive --dry-run --fail-on-change --strict --list --stdin --no-color --color --config-precedence=file-override --format --lint --autocorrect --lenient --wrap=keep --sort-modules --set-exit-if-changed --all --number --skip-string-normalization",
      values: {
        inside:
          "--glob --exclude --exclude-path --include --indent --indent-width --indent-type --column-width --line-width --tab-width --language -L --line-length --style -o --output-format --reporter --minAlertLevel --severity --locale --threads -j --wrap --ignore -e --edition -nci --spaces --dialect --style-path --swiftversion --exclude-dir --ignore-path",
        code: "--config --config-path -f --settings --config-file",
        write: "--output"
      },
      operands: "inside*",
      rule: "formats"
    }),
  "kube-linter kube-score conftest opa regal terraform-docs cue jsonnet jsonnetfmt jsonnet-lint cfn-lint cfn_nag checkmake promtool vacuum oasdiff swagger-cli":
    generator({
      flags:
        "-v -q -i -s -S -r -c --check --test --verbose --quiet --strict --ignore-missing-schemas --summary --inplace --recursive --bundle -d --dereference --all --fail --yaml-stream --coverage",
      values: {
        inside:
          "-o --output --output-format -f --format -e --expression -V --ext-str --tla-str --namespace -n -t --type --timeout --kubernetes-version --schema-location --include-checks --ignore-checks --out",
        code: "-J --jpath --config -p --policy -c --data -d",
        write: "-m --multi --output-file"
      },
      operands: "inside*",
      rule: "offline"
    }),
  kustomize: {
    tells: "version --version",
    subcommands: {
      build: code({
        flags: "--enable-managedby-label",
        values: { write: "-o --output" },
        operands: "inside",
        rule: "localTree"
      }),
      "edit cfg create": { effect: "system", style: "none", operands: "text*" },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },

  // Queries.
  gron: {
    tells: "--version --help",
    flags: "-u -v -c -m -s -j --ungron --values --colorize --monochrome --stream --no-sort --json",
    operands: "read",
    rule: "localMedia"
  },
  "jaq gojq": {
    tells: "--version -V --help -h",
    flags:
      "-r -j -a -c -C -M -n -e -s -S -R --raw-output --join-output --compact-output --color-output --monochrome-output --null-input --exit-status --slurp --sort-keys --raw-input --tab --yaml-input --yaml-output",
    values: { text: "--indent" },
    operands: "text*",
    rule: "jqFilter"
  },
  "tomlq xq": {
    tells: "--version --help -V",
    flags:
      "-r -j -c -C -M -n -e -s -S -R -y -Y -x -t -T --raw-output --compact-output --yaml-output --xml-output --toml-output --null-input --exit-status --slurp --sort-keys",
    values: { text: "--indent --xml-dtd --xml-root --width -w" },
    effectWith: { "-i --in-place": "workspace_write" },
    operands: "text*",
    rule: "wrappedJq"
  },
  dasel: {
    tells: "--version -v version",
    flags: "--plain -n --null --colour --compact --escape-html=false --pretty=false -c -m --multiple",
    values: { read: "-f --file", text: "-r -w -p -s --read --write --parser --selector --indent -i" },
    subcommands: {
      select: {
        flags: "--plain -n -m -c --compact",
        values: { read: "-f --file", text: "-r -w -p -s --read --write --parser --selector" },
        operands: "text"
      },
      "put delete": {
        flags: "--pretty=false --escape-html=false",
        values: {
          write: "-f --file -o --out",
          text: "-r -w -p -s -t -v --read --write --parser --selector --type --value"
        },
        operands: "text*",
        effect: "workspace_write"
      }
    },
    operands: "text"
  },
  "htmlq pup hq": {
    tells: "--version",
    flags: "-t -p -w --text --pretty -c --color -n --number",
    values: { text: "-a --attribute -i", read: "-f --filename" },
    operands: "text*"
  },
  "xsv qsv": {
    tells: "--version --help --list",
    subcommands: {
      "stats select headers count frequency search slice sample sort table join fixlengths flatten fmt cat dedup schema validate moarstats":
        {
          flags:
            "-n -j -i -s -v -r -u -R -N --no-headers --everything --numeric --reverse --ignore-case --just-names --mode --cardinality --median --quartiles",
          values: {
            text: "-d -s -l -e -i --select --limit --delimiter --start --end --len --index -c --condense -w --out-delimiter",
            write: "-o --output"
          },
          operands: "text*",
          rule: "tableFiles"
        }
    }
  },
  "csvjoin csvstack csvformat csvclean csvtool": {
    tells: "--version -V --help",
    flags:
      "-H -n -T -K -I -U -A -B --left --right --outer --no-header-row --no-inference --omit-error-rows --filenames",
    values: { text: "-c -d -D -q -Q -g -n -t --columns --delimiter --out-delimiter --groups -e --encoding" },
    operands: "read*"
  },
  xmlstarlet: { tells: "--version --help", style: "none", operands: "text*", rule: "xmlstarlet" },
  xsltproc: generator({
    flags: "--novalid --nonet --noout --xinclude --html --timing -v",
    values: { write: "-o --output", text: "--stringparam" },
    operands: "inside*"
  }),
  crudini: { tells: "--version --help", style: "none", operands: "text*", rule: "crudini" },
  sd: {
    tells: "--version -V --help",
    flags: "-p -F -s -A --preview --fixed-strings --string-mode --across",
    values: { text: "-n -f --max-replacements --flags" },
    operands: "text text write*",
    least: 2,
    effect: "workspace_write"
  },
  envsubst: { flags: "-v --variables", operands: "text", rule: "envsubst" },
  ed: {
    tells: "--version",
    flags: "-s -E -r --quiet --silent --restricted --extended-regexp",
    values: { text: "-p --prompt" },
    operands: "text",
    rule: "lineEditor"
  },
  sqlite3: { tells: "--version -version --help", style: "none", operands: "text*", rule: "sqlite" },
  "protolint graphql-schema-linter flatc thrift capnp": generator({
    flags:
      "-q -v -b -s -t --cpp --ts --python --rust --go --java --gen-all --gen-mutable --gen-object-api --json --strict-json -fix",
    values: { code: "-I --proto_path", write: "-o -out", inside: "--gen --src-prefix" },
    operands: "inside*"
  }),

  // The system, asked about files.
  namei: {
    flags: "-l -m -o -v -x -n --long --modes --owners --vertical --mountpoints --nosymlinks",
    operands: "stat*"
  },
  getfacl: {
    flags:
      "-a -c -d -e -E -n -p -R -s -t -L -P --access --default --omit-header --recursive --tabular --numeric --absolute-names",
    operands: "stat*"
  },
  lsattr: { flags: "-a -d -R -v -l -p -V", operands: "stat*" },
  "getfattr getcap pathchk mountpoint findmnt lslocks lsns lsipc": {
    flags: "-d -n -l -q -r -t -o -v -p -P -R -J --json -D --df --only-values",
    values: { text: "-m -o --output --name -T --target -S --source" },
    operands: "stat*"
  },
  mkfifo: { values: { text: "-m --mode" }, operands: "write*", least: 1, effect: "workspace_write", rule: "amount" },
  "acpi sensors lsscsi lshw inxi numactl lstopo upower hwinfo": {
    flags: "-V -a -b -s -i -t -H --hardware --show -short",
    operands: ""
  },
  "ts isutf8 uconv enca uchardet chardet chardetect": {
    flags: "-s -i -r -q -l -L --list",
    values: { text: "-f -t -x" },
    operands: "read*"
  },

  // Measurements, and what starts other programs.
  hyperfine: {
    tells: "--version -V --help",
    flags: "-i -N --ignore-failure --show-output --shell=none",
    values: {
      text: "-w -r -m -M -n -u -o --warmup --runs --min-runs --max-runs --command-name --time-unit --style --sort --min-benchmarking-time",
      command: "-p -s -c --prepare --setup --cleanup --conclude --reference",
      write: "--export-json --export-markdown --export-csv --export-asciidoc --export-orgmode"
    },
    operands: "command*",
    effect: "project_code"
  },
  script: {
    tells: "--version -V --help",
    flags: "-q -e -f -a --quiet --return --flush --append",
    values: { command: "-c --command", write: "-O --log-out -B --log-io", text: "-E --echo -m --logging-format" },
    operands: "write",
    effect: "workspace_write",
    rule: "recorded"
  },
  parallel: { tells: "--version -V --help", style: "none", operands: "text*", rule: "parallel" },
  "ssh-keygen": { style: "gnu", flags: "-q -l -v", values: { text: "-t -b -N -C -E -a -m -f" }, rule: "testKeys" },

  // Too much to follow, but they may say which they are.
  "watchexec chokidar onchange reflex air cargo-watch modd act earthly dagger devbox devenv rtx jenv tfenv goenv nodenv chezmoi stow lazygit tig gitui lazydocker tilt garden okteto telepresence stern kubectx kubens k6 locust vegeta wrk ab hey bombardier artillery newman grpcurl websocat mkcert step caddy nginx httpd apachectl haproxy traefik envoy redis-server postgres mysqld mongod memcached minio rabbitmq-server zookeeper kafka nats-server nats etcd gitleaks trufflehog snyk semgrep trivy grype syft cosign goreleaser release-please semantic-release-cli fastlane pod carthage xcrun xcode-select adb emulator sdkmanager avdmanager expo-cli cordova ionic capacitor tauri wine qemu-system-x86_64 qemu-img virtualbox multipass lxc ollama aider copilot opencode gemini codex tsh teleport boundary waypoint nomad-pack flarectl hcloud scw linode-cli civo eksctl kops kubeadm helmfile kubeseal sonar-scanner codecov coveralls-cli bundletool apktool jadx radare2 r2 binwalk ghidra volatility gdbserver lldb-server bpftrace bcc sysdig pprof py-spy rbspy async-profiler jmap jstack jcmd jps jstat jconsole visualvm tcpflow":
    {
      tells: "version -v -version",
      effect: "unknown_code",
      because: "is a program that is not followed",
      style: "none",
      operands: "text*"
    }
}
