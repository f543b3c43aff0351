/** Rust, Go, C and what builds them. */
import type { ProgramTable } from "../ProgramEntry.js"
import { code } from "./projectCode.js"

export const native: ProgramTable = {
  rustup: {
    tells: "--version -V",
    subcommands: {
      "show which": { flags: "-v", operands: "text*" },
      "toolchain target component": {
        subcommands: {
          list: { flags: "--installed -v --verbose", values: { text: "--toolchain" } },
          "*": { effect: "system", style: "none", operands: "text*" }
        }
      },
      "*": { effect: "system", style: "none", operands: "text*" }
    }
  },
  cargo: {
    tells: "--version -V --help -h --list",
    flags: "-q -v -vv --quiet --verbose --locked --offline --frozen",
    values: { inside: "--color" },
    subcommands: {
      "build b check c test t run r bench clippy doc d   nextest fix fmt": code({
        flags:
          "-q -v -vv -r --release --all --workspace --all-targets --all-features --no-default-features --lib --bins --tests --benches --examples --locked --offline --frozen --no-run --no-fail-fast --keep-going --doc --quiet --verbose --no-deps --document-private-items --fix --allow-dirty --allow-staged --allow-no-vcs --broken-code --edition --edition-idioms --check --future-incompat-report --ignore-rust-version --tests",
        values: {
          inside:
            "-p -F -j -E --filter-expr --package --exclude --features --bin --test --bench --example --profile --target --jobs --message-format --color",
          code: "--manifest-path",
          write: "--target-dir"
        },
        attached: "--timings --message-format",
        operands: "inside*",
        rule: "cargoArguments"
      }),
      "tree metadata pkgid locate-project version verify-project read-manifest": {
        flags:
          "-e -d --locked --offline --frozen --no-deps --all-features --duplicates --workspace --no-default-features --no-dedupe",
        values: {
          inside:
            "-p -i -e --edges --invert --depth --prefix --format-version --features -F --target --package --charset --format --filter-platform",
          code: "--manifest-path"
        },
        operands: "text*"
      },
      clean: code({
        flags: "-n --dry-run --release --doc -r",
        values: { inside: "-p --package --profile --target", write: "--target-dir" }
      }),
      "fetch generate-lockfile vendor": code({ flags: "--locked --offline", rule: "netUse" }),
      update: code({
        flags: "-w --workspace --dry-run --locked --offline",
        values: { inside: "-p --package --precise" },
        operands: "text*",
        rule: "netUse"
      }),
      add: {
        flags: "--dev --build --optional --no-default-features",
        values: { inside: "-F --features --rename -p --package" },
        operands: "text*",
        effect: "workspace_write",
        rule: "cargoAdd"
      },
      "remove rm": code({ flags: "--dev --build", operands: "text*" }),
      "new init": {
        flags: "--lib --bin",
        values: { inside: "--name --edition --vcs" },
        operands: "write",
        effect: "workspace_write"
      },
      "audit deny outdated machete udeps expand llvm-cov tarpaulin insta": code({
        operands: "inside*",
        flags: "--all --check --workspace --html",
        values: { inside: "-p" }
      }),
      miri: code({ values: { inside: "-p" }, operands: "inside*", rule: "cargoArguments" }),
      "publish login logout owner yank install uninstall search package": {
        effect: "network",
        style: "none",
        operands: "text*"
      }
    }
  },
  rustc: {
    tells: "--version -V -vV -Vv --help",
    effect: "project_code",
    flags: "-O -g --test",
    values: { text: "--explain --print", inside: "--edition --crate-type --crate-name ", write: "-o --out-dir" },
    operands: "inside*"
  },
  rustfmt: code({
    flags: "--check -l -q -v",
    values: { inside: "--edition --emit", code: "--config-path" },
    operands: "write*"
  }),
  go: {
    style: "single",
    tells: "version help",
    subcommands: {
      "build test vet": code({
        style: "single",
        flags:
          "-a -v -x -n -race -msan -cover -short -failfast -json -trimpath -benchmem -i -buildvcs=false -buildvcs=true -c -fullpath -shuffle=on -shuffle=off -linkshared",
        values: {
          inside:
            "-run -skip -bench -benchtime -count -timeout -cpu -parallel -p -tags -mod -covermode -coverpkg -list -buildmode -fuzz -fuzztime -shuffle -vet -ldflags -gcflags",
          write: "-o -coverprofile -cpuprofile -memprofile -blockprofile -mutexprofile -outputdir -trace",
          code: "-modfile ",
          cwd: "-C"
        },
        operands: "inside*",
        rule: "goArguments"
      }),
      // What follows the package is for the program.
      run: code({
        style: "single",
        flags: "-a -v -x -n -race -msan -trimpath -buildvcs=false",
        values: { inside: "-p -tags -mod -ldflags -gcflags", code: "-modfile", cwd: "-C" },
        ordered: true,
        rule: "goRun"
      }),
      "list doc version help ": {
        style: "single",
        flags: "-m -json -deps -test -e -all  -short -src -c -cmd -compiled -export -find  -retracted",
        values: { inside: "-f -tags -mod" },
        operands: "text*",
        effect: "project_code"
      },
      fmt: code({ style: "single", flags: "-n -x", operands: "inside*" }),
      fix: code({ operands: "inside*" }),
      env: { style: "single", flags: "-json -changed", operands: "text*", rule: "goEnv" },
      mod: {
        subcommands: {
          "tidy download verify vendor": code({
            style: "single",
            flags: "-v -x -e -json",
            values: { inside: "-go -compat" },
            operands: "text*",
            rule: "netUse"
          }),
          "graph why": { style: "single", flags: "-m -vendor", operands: "text*" },
          "init edit": { style: "single", flags: "-fmt -json -print", operands: "text*", effect: "workspace_write" }
        }
      },
      tool: {
        subcommands: {
          cover: code({ style: "single", values: { code: "-func -html", write: "-o" } }),
          "nm objdump": { operands: "read*" },
          "*": { effect: "unknown_code", style: "none", operands: "text*" }
        }
      },
      clean: code({ style: "single", flags: " -testcache -i -n -x" }),
      work: { subcommands: { "sync use init edit": code({ operands: "inside*", flags: "-r" }) } },
      "get install": { effect: "network", style: "none", operands: "text*" },
      generate: code({ style: "single", flags: "-v -n -x", values: { inside: "-run -skip" }, operands: "inside*" })
    }
  },
  "gofmt goimports gofumpt": code({
    flags: "-l -d -s -e",
    effectWith: { "-w": "workspace_write" },
    operandsWith: { "-w": "write*" },
    effect: "reads",
    values: { inside: "-local -r" },
    operands: "read*"
  }),
  "golangci-lint staticcheck revive govulncheck errcheck": code({
    tells: "--version version",
    subcommands: {
      run: code({
        flags: "--fix --new -v --verbose --fast --tests",
        values: {
          inside: "-E -D -p --timeout --enable --disable --out-format --max-issues-per-linter --new-from-rev",
          code: "-c --config"
        },
        operands: "inside*"
      })
    },
    operands: "inside*"
  }),
  "gcc g++ ghc clang clang++ cc c++ tcc": code({
    tells: "--version -v -dumpversion -dumpmachine",
    style: "single",
    flags:
      "-c -S -E -g -g0 -g1 -g2 -g3 -ggdb -O -O0 -O1 -O2 -O3 -Os -Og -Ofast -Wall -Wextra -Werror -Wpedantic -pedantic -pedantic-errors -w -shared -static -fPIC -fpic -fPIE -pie -pthread -s -M -MM -MD -MMD -MP -pipe -march=native -m32 -m64 -fsyntax-only -dM -dD -dN -P -H -C -Wno-deprecated -Wno-deprecated-declarations -Wno-unused-result -Wno-sign-compare -Wno-format -Wno-error -Wno-missing-field-initializers -Wno-implicit-fallthrough -Wno-unknown-pragmas -Wno-pointer-sign -Wundef -Wcast-align -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations -Wold-style-cast -Woverloaded-virtual -Wnon-virtual-dtor -Wsign-conversion -Wnull-dereference -Wduplicated-cond -Wlogical-op -Wdouble-promotion -Wuninitialized -Wunused -Wformat=2 -Weverything -Werror=format-security -Wimplicit-fallthrough -Wvla -fno-strict-aliasing -fno-omit-frame-pointer -fno-common -fno-builtin -fno-inline -fno-stack-protector -fstack-protector-strong -fstack-protector -fdata-sections -ffunction-sections -fvisibility=hidden -fdiagnostics-color -fdiagnostics-color=always -fdiagnostics-color=never -ftime-report -fwrapv -ftrapv -fanalyzer -fmax-errors=1 -ferror-limit=1 -fprofile-instr-generate -fcoverage-mapping -ffast-math -funroll-loops -ftree-vectorize -fverbose-asm -masm=intel -mavx2 -msse4.2 -mcpu=native -print-search-dirs -print-libgcc-file-name -print-multiarch -no-pie -nodefaultlibs -O4 -Oz -fsyntax-only -v -nostdlib -nostartfiles -ffreestanding -flto -lm -lpthread -ldl -lrt -lstdc++ -lz -lssl -lcrypto -lncurses -lreadline -lcurl -lsqlite3 -rdynamic -fopenmp -fno-exceptions -fno-rtti -Wshadow -Wconversion -Wno-unused -Wno-unused-parameter -Wno-unused-variable -Wformat -coverage --coverage -fprofile-arcs -ftest-coverage",
    values: {
      write: "-o -MF",
      inside: "-std -D -U -x -l -march -mtune -fsanitize -MT -MQ -fvisibility",
      code: "-I -L -include -isystem"
    },
    operands: "inside*",
    rule: "compiler"
  }),
  "nm objdump readelf size addr2line c++filt": {
    flags:
      "-a -d -C -g -n -u -D -S -s -h -l -x -W -t -r -e -A -f -p -i --demangle --no-show-raw-insn --defined-only --undefined-only --wide --syms --dyn-syms --section-headers --sections --file-headers --file-header --program-headers --segments --headers --dynamic --symbols --all-headers --all --disassemble --disassemble-all --source --line-numbers --full-contents --reloc --relocs --numeric-sort --size-sort --reverse-sort --extern-only --print-size --print-file-name --notes --version-info --histogram --arch-specific --debugging --functions --inlines --pretty-print --basenames --demangle --radix=x --format=sysv --format=berkeley -v -V -P -o -B -H -c",
    values: { inside: "-j -M --section --start-address --stop-address --hex-dump --string-dump", read: "--exe" },
    attached: "--debug-dump --dwarf --radix --format --sort --visualize-jumps --disassembler-color --disassemble",
    operands: "read*"
  },
  ar: { style: "bundle", flags: "-r -c -s -t -x -v -u -q -p -d", effect: "workspace_write", operands: "write read*" },
  "make gmake bmake mingw32-make": {
    tells: "--version -v --help",
    flags:
      "-B -i -k -n -s -w -q -r -R -t -d --always-make --dry-run --just-print --recon --silent --quiet --keep-going --ignore-errors --no-print-directory --print-directory --question --touch --no-builtin-rules --trace --warn-undefined-variables -p --print-data-base",
    values: { cwd: "-C --directory", code: "-f --file --makefile", inside: "-W -o -l --what-if" },
    attached: "-j -O --jobs --output-sync --debug",
    operands: "text*",
    rule: "make"
  },
  "just task invoke inv mage rake ninja buck buck2 pants please waf b2 xmake tup": code({
    tells: "--version -V --list -l --summary --help",
    flags: "-k -n -v -T --verbose --dry-run -s --silent -q --quiet --targets --tests --buildoptions",
    values: { cwd: "-C", inside: "-j --jobs -t", code: "-f --justfile" },
    operands: "inside*",
    rule: "script"
  }),
  "bazel bazelisk": code({
    tells: "version --version help",
    flags: "--keep_going -k -c -s --nocache_test_results --cache_test_results=no",
    attached: "--test_output --config --test_filter --jobs --verbose_failures --runs_per_test --compilation_mode",
    operands: "text*",
    rule: "bazel"
  }),
  cmake: code({
    tells: "--version --help --list-presets",
    ends: "-E",
    flags: "-E -Wno-dev -Wdev --fresh --verbose --clean-first --trace -N -L -LA --debug-output --log-level=VERBOSE -j",
    values: {
      code: "-S --preset",
      write: "-B --build --prefix",
      inside: "--install -G -A -T -D --target -t --config --parallel --component"
    },
    attached: "-j --parallel",
    operands: "inside*",
    rule: "cmakeDefines"
  }),
  ctest: code({
    tells: "--version",
    flags: "-V -VV -Q -N --verbose --output-on-failure --rerun-failed --stop-on-failure --progress --schedule-random",
    values: { inside: "-R -E -L -LE -j -C --timeout --repeat --parallel", cwd: "--test-dir" },
    attached: "-j",
    style: "single"
  }),
  "configure autoreconf automake autoconf aclocal libtoolize": code({
    flags: "-i -f -v --install --force --verbose",
    operands: "inside*"
  }),
  "clang-format": {
    flags: "--dry-run -n --Werror -Werror --verbose",
    values: { inside: "--style -style --lines" },
    effectWith: { "-i": "workspace_write" },
    operandsWith: { "-i": "write*" },
    operands: "read*"
  },
  "clang-tidy cppcheck": code({
    flags: "--quiet --fix -fix --inline-suppr -q",
    values: { inside: "--checks --enable --std --error-exitcode --suppress", code: "-p" },
    operands: "inside*"
  }),
  "protoc buf": code({
    tells: "--version",
    flags: "--experimental_allow_proto3_optional",
    values: {
      code: "-I --proto_path",
      write:
        "--ts_out --js_out --go_out --python_out --java_out --cpp_out --ruby_out --csharp_out --grpc_out --grpc_python_out --go-grpc_out --ts_proto_out --descriptor_set_out --es_out --pyi_out --dart_out",
      inside: "--ts_opt --go_opt --es_opt --go-grpc_opt --ts_proto_opt"
    },
    operands: "inside*"
  })
}
