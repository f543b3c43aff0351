/** Whether text that a command writes to a file, and then has the project run, does more than code of a project usually does. */
import { isOpen, patternOf, type Value } from "../values.js"

const marks =
  /child_process|\bexec(File|Sync|Cmd)?\b|\bspawn|\bfork\b|\bsystem\b|popen|subprocess|shutil|rmtree|\brm(Sync|dir)?\b|unlink|\bos\.(remove|rename|replace|chmod|environ|getenv)|process\.env|ENVIRON|\benv\[|\beval\b|Function\(|__import__|importlib|ctypes|\bfetch\(|https?:\/\/(?!localhost|127\.0\.0\.1|example)|\bnet\b.*connect|socket|urllib|requests\.|XMLHttp|WebSocket|\.ssh|\.env\b|id_rsa|credentials|\/etc\/|\/proc\/|\.git\/|~\/|\.\.\/\.\.|\bsudo\b|\bcurl\b|\bwget\b|\bchmod\b|\bgit\s+(push|reset|clean|checkout)|\bnpm\s+publish|postinstall|preinstall|prepare"|\bkill\b|\bdd\b|mkfs|>\s*\/|\.bashrc/i

const isCode =
  /\.([cm]?[jt]sx?|py|rb|pl|php|sh|bash|rs|go|java|kt|scala|c|cc|cpp|h|cs|swift|ex|exs|lua|mk|gradle|vue|svelte)$|\.config\.\w+$/i

/** Where a few words are enough to run anything. */
const runsText =
  /(^|\/)(node_modules\/.*|\.?venv\/.*|package\.json|Makefile|makefile|GNUmakefile|justfile|Rakefile|Dockerfile|[^/]*\.(sh|bash|mk)|\.?[a-z]*rc|build\.rs|setup\.py|conftest\.py|[^/]*\.config\.[cm]?[jt]s|config\.toml|pom\.xml|build\.gradle(\.kts)?|[^/]*\.csproj|Cargo\.toml|pyproject\.toml|tox\.ini|noxfile\.py|CMakeLists\.txt|turbo\.json|nx\.json|[^/]*\.(yml|yaml))$/

export const decidesWhatRuns = (path: string): boolean => runsText.test(path)

/** Files that hold data, or text for people. */
const isData = /\.(md|txt|rst|adoc|csv|tsv|log|html|css|svg|snap|out|lock|diff|patch|sql|graphql|proto)$/i
const dataForTests = /(^|\/)(fixtures?|testdata|__fixtures__|data|golden|expected)\//i

export const suspicious = (path: string, value: Value): string | undefined => {
  if (isData.test(path) || dataForTests.test(path)) return undefined
  if (isOpen(value)) {
    return isCode.test(path) || runsText.test(path) ? "what it wrote is not known before the command runs" : undefined
  }
  const text = patternOf(value)
  const found = marks.exec(text)
  if (found !== null) return `\`${found[0].slice(0, 40)}\` is in it`
  if (runsText.test(path)) return "it says what runs"
  // A name that is put together may be any.
  if (
    isCode.test(path) &&
    /\[[^\]]*["'`][^\]]*\+|\]\s*\(|\bimport\s*\(|require\((?!["'])|getattr|globals\(|\bconstructor\b|globalThis|\bReflect\b/.test(
      text
    )
  )
    return "what its code does cannot be followed"
  return undefined
}
