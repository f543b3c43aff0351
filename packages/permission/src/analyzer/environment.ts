/**
 * Variables that change what programs do. In front of a command, or exported, a name is harmless when it is listed, or
 * when it does not sound like a program, an option or a path and its value is one plain word.
 */
import { add, quote } from "./Findings.js"
import { isInside, placesOf } from "./paths.js"
import type { Run, Shell } from "./Shell.js"
import { isOpen, literal, patternOf, textOf, type Value } from "./values.js"

/** Names of which any value may run something else, or send it elsewhere. */
const dangerous =
  /^(PATH|PWD|PYTHONPYCACHEPREFIX|GOCACHE|NODE_(V8_COVERAGE|COMPILE_CACHE|REDIRECT_WARNINGS|ICU_DATA)|COVERAGE_.*|SSLKEYLOGFILE|CCACHE_.*|LEX|YACC|FC|TEXTDOMAINDIR|HOME|SHELL|SHELLOPTS|BASHOPTS|BASH_.*|ENV|PROMPT_COMMAND|PS[0-4]|CDPATH|GLOBIGNORE|FCEDIT|LD_.*|DYLD_.*|GCONV_PATH|LOCPATH|NLSPATH|HOSTALIASES|RES_OPTIONS|MALLOC_.*|GIT_.*|EDITOR|VISUAL|PAGER|MANPAGER|MANOPT|BROWSER|LESS(OPEN|CLOSE|KEY.*)?|MORE|NODE_(OPTIONS|PATH|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED|REPL_.*)|NPM_CONFIG_.*|YARN_.*|PNPM_.*|BUN_.*|DENO_.*|COREPACK_.*|PYTHON(PATH|HOME|STARTUP|WARNINGS|INSPECT|BREAKPOINT|EXECUTABLE|PLATLIBDIR|USERBASE)|PIP_.*|UV_.*|POETRY_.*|PIPENV_.*|PYTEST_(ADDOPTS|PLUGINS)|PERL5?(LIB|OPT|DB|5DB|_.*)|PERL5.*|RUBY(OPT|LIB|SHELL)|GEM_.*|BUNDLE_.*|RAILS_MASTER_KEY|JAVA_(TOOL_OPTIONS|OPTS|HOME)|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|MAVEN_.*|MVN.*|GRADLE_.*|SBT_OPTS|KOTLIN_.*|RUSTC.*|RUSTFLAGS|RUSTDOC(FLAGS)?|CARGO(_HOME|_BUILD_.*|_TARGET_.*|_REGISTR.*|_SOURCE_.*|_HTTP_.*|_NET_.*|_ALIAS_.*|_ENCODED.*)?|RUSTUP_.*|GO(FLAGS|PROXY|SUMDB|NOSUMDB|INSECURE|PRIVATE|NOPROXY|ROOT|PATH|BIN|TOOLDIR|ENV|VCS|TOOLCHAIN|CACHEPROG|EXPERIMENT)|CGO_.*FLAGS|CC|CXX|CPP|LD|AR|AS|LDFLAGS|[A-Z]*_?CFLAGS|CXXFLAGS|GCC_EXEC_PREFIX|COMPILER_PATH|CPATH|[A-Z_]*INCLUDE_PATH|LIBRARY_PATH|MAKEFLAGS|MFLAGS|GNUMAKEFLAGS|MAKEFILES|MAKE|CMAKE_.*|TAR_OPTIONS|TAPE|RSH|GZIP|BZIP2?|XZ_(OPT|DEFAULTS)|ZSTD_.*|UNZIP.*|ZIPOPT|GREP_OPTIONS|POSIXLY_CORRECT|RIPGREP_CONFIG_PATH|FZF_.*|BAT_.*|AWKPATH|AWKLIBPATH|AWKPLUGINS|JQ_.*|XDG_.*|DOTNET_.*|NUGET_.*|MSBUILD.*|DOCKER_.*|COMPOSE_.*|CONTAINER_.*|BUILDKIT_.*|KUBECONFIG|KUBE_.*|HELM_.*|TF_.*|AWS_.*|AZURE_.*|GOOGLE_.*|CLOUDSDK_.*|GH_.*|GITHUB_.*|GITLAB_.*|PG(HOST.*|SERVICE.*|PASS.*|SYSCONFDIR|OPTIONS)|PSQL_.*|MYSQL_.*|SSH_.*|RSYNC_.*|CVS_.*|SVN_.*|HG.*|(HTTPS?|ALL|FTP|NO)_PROXY|CURL_.*|WGETRC|SSL_.*|OPENSSL_.*|REQUESTS_CA_BUNDLE|GNUPGHOME|SUDO_.*|ANSIBLE_.*|VAGRANT_.*|PRE_COMMIT_.*|HUSKY(_.*)?|SKIP|LEFTHOOK|PHP(RC|_INI_.*)|COMPOSER_.*|LUA_.*|R_.*|JULIA_.*|GUILE_.*|OCAML.*|ERL_.*|ELIXIR_ERL_OPTIONS|MIX_(HOME|ARCHIVES|BUILD.*)|VIM.*|EXINIT|MYVIMRC|TERMINFO.*|TERMCAP|INPUTRC|HIST.*|IGNOREEOF|OLDPWD|BASH|EXECIGNORE|FIGNORE|TMOUT|MAIL.*|SYSTEMD_.*|DBUS_.*|DISPLAY|XAUTHORITY|ESLINT_.*|PRETTIER_.*|VITE_NODE_.*|TS_NODE_.*|TSX_.*|ELECTRON_.*|PLAYWRIGHT_.*HOST|PUPPETEER_EXECUTABLE_PATH|CHROME_BIN|CYPRESS_RUN_BINARY|TURBO_(TOKEN|API|TEAM)|NX_.*TOKEN)$/i

/** Values of such names that are of no harm. */
const harmless: ReadonlyArray<readonly [RegExp, RegExp]> = [
  [/^(GIT_PAGER|PAGER|MANPAGER)$/, /^(cat|less|more|less -[A-Za-z]+|)$/],
  [/^(GIT_EDITOR|GIT_SEQUENCE_EDITOR|EDITOR|VISUAL)$/, /^(true|:|cat|\/bin\/true)$/],
  [
    /^(GIT_TERMINAL_PROMPT|GIT_OPTIONAL_LOCKS|GIT_LITERAL_PATHSPECS|GIT_MERGE_AUTOEDIT|GIT_ADVICE|GIT_NO_LAZY_FETCH|GIT_NO_REPLACE_OBJECTS|GIT_FLUSH|GIT_PROGRESS_DELAY)$/,
    /^[\w]*$/
  ],
  [/^GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL|DATE)$/, /^/],
  [/^GIT_CONFIG_(NOSYSTEM)$/, /^1$/],
  [/^GIT_CONFIG_(GLOBAL|SYSTEM)$/, /^\/dev\/null$/],
  [
    /^NODE_OPTIONS$/,
    /^(\s*(--max[-_]old[-_]space[-_]size=\d+|--no-warnings|--no-deprecation|--trace-warnings|--enable-source-maps|--experimental-vm-modules|--trace-deprecation|--unhandled-rejections=\w+|--experimental-strip-types|--stack-trace-limit=\d+)\s*)*$/
  ],
  [
    /^npm_config_(loglevel|fund|audit|progress|color|update_notifier|yes|fetch_retries|prefer_offline|offline)$/i,
    /^[\w]*$/
  ],
  [/^PIP_(DISABLE_PIP_VERSION_CHECK|NO_COLOR|QUIET|NO_INPUT|PROGRESS_BAR)$/, /^\w*$/],
  [/^PYTHONWARNINGS$/, /^(ignore|default|error|always|once|module)?$/],
  [
    /^RUSTFLAGS$/,
    /^(\s*-(D|W|A|F)\s*[\w-]+|\s*-C\s*(debuginfo=\d|opt-level=\w|target-cpu=native|debug-assertions(=\w+)?))*\s*$/
  ],
  [/^GOFLAGS$/, /^(\s*-(mod=(vendor|mod|readonly)|count=\d+|race|v|buildvcs=(true|false|auto)|trimpath))*\s*$/],
  [/^GO(OS|ARCH|111MODULE)$/, /^\w*$/],
  [/^(GOPROXY)$/, /^off$/],
  [/^GOTOOLCHAIN$/, /^local$/],
  [/^(CC|CXX|CPP|LD|AR)$/, /^(gcc|g\+\+|clang|clang\+\+|cc|c\+\+|tcc|ld|ar)(-\d+)?$/],
  [
    /^(CFLAGS|CXXFLAGS)$/,
    /^(\s*-(O[0-3sgz]?|g\d?|W[\w-]*|std=[\w+]+|D\w+(=\w+)?|f(sanitize=[\w,]+|PIC|no-[\w-]+)))*\s*$/
  ],
  [/^MAKEFLAGS$/, /^(-?j ?\d*|-s|-k|--silent|--no-print-directory|\s)*$/],
  [/^LESS$/, /^-?[FRSXiMK]*$/],
  [/^DISPLAY$/, /^(:\d+(\.\d+)?)?$/],
  [
    /^(DOTNET_(CLI_TELEMETRY_OPTOUT|NOLOGO|SKIP_FIRST_TIME_EXPERIENCE)|CARGO_(TERM_.*|INCREMENTAL|PROFILE_.*)|NO_PROXY|NEXT_.*|TF_IN_AUTOMATION|TF_INPUT|COMPOSE_PROJECT_NAME|DOCKER_BUILDKIT|BUILDKIT_PROGRESS|PYTHONUNBUFFERED|RUST_.*|PLAYWRIGHT_HTML_OPEN|TSX_TSCONFIG_PATH|HISTFILE_X|MIX_ENV|POSIXLY_CORRECT|GH_PAGER|AWS_PAGER|TF_LOG|JAVA_HOME_X|YARN_ENABLE_TELEMETRY|YARN_ENABLE_PROGRESS_BARS|HUSKY_X|COREPACK_ENABLE_DOWNLOAD_PROMPT|ESLINT_USE_FLAT_CONFIG|UV_OFFLINE|UV_FROZEN|UV_NO_PROGRESS|CI_.*|POETRY_NO_INTERACTION|BUNDLE_WITHOUT|TURBO_TELEMETRY_DISABLED)$/i,
    /^[\w.:,=-]*$/
  ],
  [/^OLDPWD$/, /^$/]
]

/** Names that any program may take: how much it says, where it listens, what it is called. */
const ordinary =
  /^(NODE_ENV|CI|CONTINUOUS_INTEGRATION|DEBUG|PORT|HOST|HOSTNAME|TZ|LANG|LANGUAGE|LC_\w+|TERM|COLUMNS|LINES|NO_COLOR|(FORCE|CLI)_?COLOR\w*|COLORTERM|COLOR|VERBOSE|QUIET|LOG_?LEVEL|\w+_LOG(_LEVEL)?|RUST_BACKTRACE|RUST_LOG|BABEL_ENV|APP_ENV|RAILS_ENV|RACK_ENV|MIX_ENV|FLASK_ENV|DJANGO_SETTINGS_MODULE|PYTHON(UNBUFFERED|DONTWRITEBYTECODE|HASHSEED|FAULTHANDLER|IOENCODING|UTF8)|UPDATE_\w+|SEED|TEST_\w+|E2E_\w+|JEST_\w+|VITEST_?\w*|CYPRESS_\w+|PLAYWRIGHT_\w+|VITE_\w+|NEXT_\w+|REACT_APP_\w+|NUXT_\w+|PUBLIC_\w+|STORYBOOK_\w+|GENERATE_SOURCEMAP|SOURCE_DATE_EPOCH|CGO_ENABLED|GO(OS|ARCH|ARM|AMD64|MAXPROCS|GC|DEBUG|MEMLIMIT|TRACEBACK|111MODULE)|OMP_NUM_THREADS|\w+_NUM_THREADS|CUDA_VISIBLE_DEVICES|TF_CPP_MIN_LOG_LEVEL|TOKENIZERS_PARALLELISM|DEBIAN_FRONTEND|SHELLCHECK_OPTS|ASAN_OPTIONS|UBSAN_OPTIONS|LSAN_OPTIONS|MSAN_OPTIONS|TSAN_OPTIONS|IFS|WATCHPACK_POLLING|CHOKIDAR_USEPOLLING|BROWSERSLIST\w*|ANALYZE|PROFILE|VERSION|NAME|USER_AGENT)$/

/** Names that sound as if a program, an option or a place were in them. */
const tellsPrograms =
  /(^|_)(CMD|COMMAND|SHELL|EDITOR|PAGER|BROWSER|PROGRAM|EXE|EXEC|EXECUTABLE|BIN|BINARY|OPTS?|OPTIONS|FLAGS|ARGS?|PRELOAD|PATH|PATHS|HOOKS?|PROXY|WRAPPER|LAUNCHER|PLUGINS?|LOADER|LIB|LIBRARY|LIBRARIES|INIT|RC|STARTUP|CONFIG\w*|HOME|ROOT|DIR|PREFIX|REGISTRY|INDEX|REMOTE|SERVER|ENDPOINT|INTERPRETER|COMPILER|LINKER|RUNNER|DRIVER|BACKEND|MODULES?|IMPORTS?|REQUIRE|ASKPASS|RSH|SSH|TOOL|CC|CXX|LD|AR)$/

/** One word that is no path, no option, no address. */
const plainWord = /^[\w.][\w.,:+@%-]{0,63}$|^$/

/** Paths where programs look for code: harmless within the workspace. */
const searchPaths = /^(PYTHONPATH|NODE_PATH|CLASSPATH|PERL5LIB|RUBYLIB|TS_NODE_PROJECT)$/

/** A number, or a name: `BUILD_ID=$(date +%s)`. */
const isHarmlessHole = (value: Value): boolean =>
  value.pieces.every((it) => (typeof it === "string" ? plainWord.test(it) : it.kind === "number" || it.kind === "name"))

const leadsOut = (run: Run, shell: Shell, text: string): boolean =>
  !text.includes("://") &&
  text
    .split(/[=:,;\s]/)
    .some(
      (part) =>
        /^(~|\/|\.\.(\/|$))|\/\.\.(\/|$)/.test(part) &&
        part !== "/dev/null" &&
        (placesOf(run, shell, literal(part)) ?? [""]).some((it) => !isInside(run, it))
    )

/** `exported`: programs that are started see it. */
export const assign = (run: Run, shell: Shell, name: string, value: Value, exported = false): void => {
  const text = textOf(value)
  if (/\[[\s\S]*(\$\(|`)/.test(text ?? patternOf(value))) {
    add(
      run.findings,
      "unknown_code",
      `The value of ${quote(name)} would run a command wherever it is taken for a number.`
    )
  }
  if (text !== undefined && harmless.some(([names, values]) => names.test(name) && values.test(text))) return
  if (searchPaths.test(name) && !isOpen(value)) {
    const parts = patternOf(value).split(":")
    const inside = parts.every((part) => {
      const places = placesOf(run, shell, literal(part))
      return part !== "" && places !== undefined && places.every((it) => isInside(run, it))
    })
    if (inside) {
      add(run.findings, "project_code", `${quote(name)} lets programs load code of the workspace.`)
      return
    }
  }
  if (text !== undefined && /^[A-Z]/.test(name) && exported && leadsOut(run, shell, text)) {
    add(run.findings, "environment", `${quote(name)} leads programs out of the workspace.`)
  }
  if (exported && !ordinary.test(name) && !dangerous.test(name)) {
    const local = text !== undefined && /^[a-z]+:\/\/(localhost|127\.0\.0\.1|\[::1\])([:/][\w./:-]*)?$/.test(text)
    const plain = text === undefined ? isHarmlessHole(value) : plainWord.test(text)
    if (!local && (tellsPrograms.test(name) || !plain)) {
      add(run.findings, "environment", `${quote(name)} is not a variable that is known here, and may change what runs.`)
      return
    }
  }
  if (dangerous.test(name)) {
    add(run.findings, "environment", `${quote(name)} changes what other programs run or where they connect to.`)
  }
}
