/**
 * Recognises short code in an argument that plainly does nothing but compute and print, in languages of which only this
 * much is known. Closed: each name is declared in it or listed here. Not a parser: what may be anything else (a pattern, a
 * comment, a quotation in another form) is refused, so that no text is taken for another kind of text.
 */
import { isSecretPath } from "../secrets.js"
import { isEndless, isPlainText, type Recognised, words } from "./Recognised.js"

interface Language {
  /** Functions, methods, classes and words of the language that are harmless wherever they stand. */
  readonly names: ReadonlySet<string>
  /** Tokens. Sticky; the first group is a name. */
  readonly token: RegExp
  /** Of the code without its strings: what is never recognised. */
  readonly never: RegExp
  /** Of a text in quotes: what is more than text. */
  readonly neverInText: RegExp
  /** Names that the code makes itself. */
  readonly declares: ReadonlyArray<RegExp>
  /** Calls with the name of one file. */
  readonly reads?: RegExp
  readonly writes?: RegExp
  /** `/` only divides: no pattern begins with it. */
  readonly divides?: true
  /** A word before `=>` is a text. */
  readonly quotesKeys?: true
  /** Whether what stands in a text counts as code: the first group. */
  readonly interpolation?: RegExp
}

const common =
  "if else elsif elif unless then end do for foreach in and or not true false nil null undef return my local our let const var "

/** Characters: more is no short code, and would cost more than linear time. */
const most = 1_024

const perl: Language = {
  names: words(
    `${common}print printf say sprintf join split map grep sort reverse keys values each length substr index rindex uc lc ucfirst lcfirst abs int sqrt sin cos atan2 exp log hex oct ord chr push pop shift unshift splice scalar defined exists delete wantarray time localtime gmtime ref sum sum0 min max first uniq shuffle product any all none reduce pairs use strict warnings utf8 feature List::Util Scalar::Util POSIX Data::Dumper Dumper JSON::PP Time::Local Time::Piece Text::Wrap MIME::Base64 Digest::MD5 Digest::SHA encode_json decode_json encode_base64 decode_base64 md5_hex sha1_hex sha256_hex floor ceil strftime fmod looks_like_number new pretty encode decode canonical utf8 indent STDOUT STDERR END eq ne lt gt le ge cmp x a b i n k v PI ymd wrap`
  ),
  token:
    /\s+|([A-Za-z_]\w*(?:::\w+)*)|[$@%]#?[A-Za-z_]\w*|\$[_\d.]|@_|\$#?\{|@\{|@\$|%\$|\d[\w.]*|"(?:[^"\\]|\\[ntr"\\$@])*"|'(?:[^'\\]|\\['\\])*'|=>|->|\.\.|&&|\|\||[-+*/%=!?:;,.(){}[\]<>]/y,
  never:
    /[$@%]#?(ENV|INC|SIG|0)\b|\b(CORE|STDIN|GLOBAL|do)\b|%\$|\$\$|\$#?\{|[@$%]\s*\{\s*"|->\s*\{|[\]}]\s*\{|<<|<\s*\$?\w*\s*>|->\s*[$([&]?\$|(?<!&)&(?!&)|\*\s*[{"']|`|%\s*\{|(?<![$@%])\b(q|qq|qw|qx|m|s|y|tr|qr)\s*[^\w\s,;)=.]|\$_\s*=(?![=~])|\\|\bsort\s+\$|\(\s*;/,
  neverInText: /`|@\{|\$\{|\$\w+\s*(->)?\s*[[{(]|[$@](ENV|INC|SIG|0)\b|\$[^\w\s"$.,;:)%/-]/,
  quotesKeys: true,
  declares: []
}

const ruby: Language = {
  names: words(
    `${common}puts print p pp printf format sprintf require json yaml set date time csv digest securerandom bigdecimal prime lambda proc when case load_file write JSON YAML Date Time Set Math Integer Float String Array Hash Comparable RUBY_VERSION RUBY_PLATFORM RUBY_ENGINE RUBY_PATCHLEVEL File Dir parse generate pretty_generate dump to_json to_yaml read readlines exist? size count length each each_with_index each_with_object each_slice each_cons map flat_map select filter reject reduce inject sum min max min_by max_by sort sort_by reverse first last take drop uniq zip group_by partition tally keys values key? include? any? all? none? find find_index index join split strip lstrip rstrip chomp chop upcase downcase capitalize swapcase gsub sub gsub! sub! upcase! downcase! chomp! strip! capitalize! squeeze! reverse! tr delete squeeze center ljust rjust to_s to_i to_f to_a to_h to_sym inspect round floor ceil abs even? odd? zero? times upto downto step chars lines bytes ord chr empty? nil? start_with? end_with? freeze dig fetch merge compact flatten push pop shift unshift concat transform_values transform_keys sqrt sin cos pi PI now today strftime year month day hour new basename extname dirname slice each_char each_line is_a? then puts hex oct match? scan format transpose rotate product combination permutation sample shuffle rand ljust version iso8601 utc y x s i n a b k v f`
  ),
  token:
    /\s+|([A-Za-z_]\w*[?!]?)|\$(?:_|\d|\.|stdout|stderr)(?!\w)|@[a-z_]\w*|&?:[a-z_]\w*[?!]?|\d[\w.]*|%[wi]\[[\w ./-]*\]|(?<=[(,]\s?|=~ ?)\/(?:[^/\\\n#`]|\\[^\n])+\/[imx]*|"(?:[^"\\]|\\[ntrs"\\e#])*"|'(?:[^'\\]|\\['\\])*'|=>|=~|\.\.\.?|&\.|&&|\|\||<=>|<<(?= )|[-+*%=!?:;,.(){}[\]<>|&/]/y,
  never:
    /\bENV\b|`|<<[~\-"'A-Za-z_]|%[xqQrs{(<[]|\?["'`]|(?<!&)&(?![:&.])|\$_\s*=(?![=~])|\b(inject|reduce)\s*\(?\s*["']|::|\bFile\b(?!\s*\.\s*(read|readlines|exist\?|basename|extname|dirname|size|write|join)(?!\w))|\bDir\b(?!\s*(\[|\.\s*glob\b))/,
  neverInText: /`|\\x|\\u|\\[0-7]/,
  declares: [
    /\b([a-z_]\w*)\s*(?:[-+*|]{1,2})?=(?![=~>])/g,
    /\|\s*\(?([a-z_]\w*)/g,
    /\|[^|]{0,60}?,\s*([a-z_]\w*)/g,
    /\bfor\s+([a-z_]\w*)/g,
    /([a-z_]\w*):(?!:)/g
  ],
  reads: /^(?:File\.(?:read|readlines|size|exist\?)|YAML\.load_file|Dir\.glob|Dir|CSV\.read)$/,
  writes: /^File\.write$/,
  interpolation: /#\{([^{}]*)\}/g
}

const php: Language = {
  names: words(
    `${common}echo print printf sprintf implode explode json_encode json_decode count strlen str_repeat str_replace strtoupper strtolower ucfirst ucwords lcfirst trim ltrim rtrim substr strpos strrev range array array_sum array_product array_keys array_values array_merge array_slice array_unique array_reverse array_flip array_combine array_fill array_column array_chunk array_diff array_intersect array_key_exists in_array min max abs floor ceil round sqrt pow intdiv pi rand mt_rand random_int number_format date time microtime mktime strtotime var_dump print_r var_export gettype is_array is_string is_int is_null isset empty unset phpversion php_uname memory_get_usage PHP_VERSION PHP_OS PHP_EOL PHP_INT_MAX PHP_OS_FAMILY PHP_MAJOR_VERSION JSON_PRETTY_PRINT JSON_UNESCAPED_SLASHES JSON_THROW_ON_ERROR M_PI SORT_STRING md5 sha1 crc32 hash base64_encode base64_decode bin2hex urlencode rawurlencode htmlspecialchars nl2br wordwrap str_pad str_split str_contains str_starts_with str_ends_with mb_strlen mb_strtoupper mb_substr sort rsort ksort krsort asort arsort foreach as switch case break default fn function file_get_contents file_put_contents file_exists filesize int float string bool version_compare uniqid extension_loaded array_map ord chr dechex hexdec bindec decbin ctype_digit is_numeric intval floatval strval boolval`
  ),
  token:
    /\s+|([A-Za-z_]\w*)|\$[A-Za-z_]\w*|\d[\w.]*|"(?:[^"\\]|\\[ntr"\\$])*"|'(?:[^'\\]|\\['\\])*'|=>|->|&&|\|\||[-+*/%=!?:;,.(){}[\]<>]/y,
  never:
    /\$(_|GLOBALS|this\b)|\$\$|\$\{|`|\?>|<<<|\/[/*]|["')\]}]\s*\(|\$\w+\s*\(|->\s*(\w+\s*\(|[${])|::|\\|\barray_map\b(?!\s*\(\s*(fn|function)\b)|\b(new|function\s+\w|namespace)\b/,
  divides: true,
  neverInText: /`|\{\$|\$\{|\\[x0-7u]|\$(_|GLOBALS)/,
  declares: [/->\s*(\w+)/g],
  reads: /^(file_get_contents|file_exists|filesize)$/,
  writes: /^file_put_contents$/
}

const lua: Language = {
  names: words(
    `${common}print tostring tonumber pairs ipairs type select unpack math string table os io floor ceil sqrt abs max min pi random sin cos exp log huge fmod tointeger format rep len sub upper lower gsub find match gmatch byte char reverse concat insert sort remove time date clock write function arg _VERSION assert error next x i j k v n s t a b`
  ),
  token:
    /\s+|([A-Za-z_]\w*)|\d[\w.]*|"(?:[^"\\\n]|\\[ntr"\\])*"|'(?:[^'\\\n]|\\['\\nt])*'|\.\.\.?|[~=<>]=|[-+*/%^#=;:,.(){}[\]<>]/y,
  never:
    /--|\[\[|\[=|\b(os|io)\b(?!\s*\.\s*(time|date|clock|write)\b)|\b(os|io|string|math|table)\s*\[|\b(while|until|repeat)\b/,
  divides: true,
  neverInText: /\\[x\du]/,
  declares: [
    /\blocal\s+([A-Za-z_]\w*)/g,
    /\b([A-Za-z_]\w*)\s*=(?!=)/g,
    /\bfor\s+([A-Za-z_]\w*)/g,
    /\bfor\s+\w+\s*,\s*([A-Za-z_]\w*)/g
  ]
}

const rLanguage: Language = {
  names: words(
    `${common}cat print message mean sum c sqrt paste paste0 sprintf length seq seq_len seq_along rev sort order max min median var sd quantile round nchar toupper tolower rep head tail names summary nrow ncol dim unique table range abs log log10 exp floor ceiling prod cumsum diff which is.na numeric integer character logical list vector matrix data.frame TRUE FALSE NULL NA Inf R.version.string R.version version format nlevels factor levels substr strsplit gsub sub grepl Sys.time Sys.Date sessionInfo packageVersion str read.csv readLines readRDS ls pi letters LETTERS colMeans rowSums t invisible suppressWarnings sep collapse na.rm digits header x y i n a b df`
  ),
  token:
    /\s+|([A-Za-z.][\w.]*)|\d[\w.]*|"(?:[^"\\]|\\[ntr"\\])*"|'(?:[^'\\]|\\['\\nt])*'|<-|\|>|[=<>!]=|&&|\|\||[-+*/^=!:;,(){}[\]<>$~|&]/y,
  never: /`|#|::|%|@|\b(file|append|con|fileEncoding)\s*=|"\s*=(?!=)|\bfunction\b|\\\(|<<-|->/,
  divides: true,
  neverInText: /\\[x\duU]/,
  declares: [/([A-Za-z.][\w.]*)\s*(?:<-|=(?!=))/g, /\bfor\s*\(\s*([A-Za-z.]\w*)/g, /\$\s*([A-Za-z.][\w.]*)/g],
  reads: /^(read\.csv|readLines|readRDS)$/
}

const julia: Language = {
  names: words(
    `${common}println print show display length sum prod maximum minimum extrema sqrt cbrt abs round floor ceil exp log sin cos tan pi mod rem div gcd lcm string repr join split strip uppercase lowercase replace reverse sort collect range map filter reduce zip enumerate rand ones zeros size push! first last keys values typeof isempty parse Int Int64 Float64 String Bool VERSION Sys CPU_THREADS time now using Pkg Statistics LinearAlgebra Dates Printf test instantiate status precompile resolve mean std median var begin nothing isprime factorial binomial x y i n a b`
  ),
  token:
    /\s+|([A-Za-z_]\w*!?)|@(?:time|show|assert|printf)\b|\d[\w.]*|"(?:[^"\\]|\\[ntr"\\$])*"|->|=>|\.\.\.|[=<>!]=|&&|\|\||[-+*/^%=!?:;,.(){}[\]<>|]/y,
  never: /`|#|'|"""|\bSys\b(?!\s*\.\s*CPU_THREADS)|\\/,
  divides: true,
  neverInText: /`|\$\(|\\[x\duU]/,
  declares: [/\b([a-z_]\w*)\s*=(?![=>])/g, /\b([a-z_]\w*)\s*->/g, /\bfor\s+([a-z_]\w*)/g]
}

const elixir: Language = {
  names: words(
    `${common}IO puts inspect Enum String Integer Float Map List Tuple Keyword MapSet Range Date Time DateTime NaiveDateTime Stream System version otp_release sum map filter reduce count max min sort reverse join each at into with_index chunk_every group_by frequencies uniq zip take drop member? all? any? find flat_map length split upcase downcase capitalize trim replace slice pad_leading duplicate to_string to_integer parse digits pow round floor ceil abs get put keys values merge new first last rem div hd tl fn is_list is_map is_binary utc_today utc_now to_iso8601 now! year month day tuple_size elem byte_size x y i n a b acc`
  ),
  token:
    /\s+|([A-Za-z_]\w*[?!]?)|\d[\w.]*|"(?:[^"\\]|\\[ntr"\\])*"|\|>|->|=>|<>|\+\+|\.\.|[=<>!]=|&&|\|\||[-+*/=!:;,.(){}[\]<>|&%]/y,
  never: /`|#|~|'|\?["'\\]|"""|(?<![\w"]):|\bSystem\b(?!\s*\.\s*(version|otp_release)\b)|&\d*\s*\(?"|\\/,
  divides: true,
  neverInText: /#\{|\\[xu]/,
  declares: [/\b([a-z_]\w*)\s*=(?![=~])/g, /\bfn\s+([a-z_]\w*)/g, /\bfn\s+\w+\s*,\s*([a-z_]\w*)/g, /\b([a-z_]\w*):\s/g]
}

/** Names that the code must not take for its own: elsewhere they may mean what they usually mean. */
const dangerous =
  /^(system|exec|eval|evalq|spawn|popen|open|fork|unlink|rm|rmtree|remove|delete|run|include|require|require_relative|load|loadfile|dofile|loadstring|send|__send__|public_send|\w+_eval|\w+_exec|method|const_get|binding|source|shell|passthru|proc_open|shell_exec|pcntl_\w+|assert|create_function|call_user_func\w*|cmd|download|kill|chmod|rename|cp|mv|touch|mkdir|ccall|invoke|apply|get|environment|sink|pipe|url|\w*apply|Map|Reduce|Filter|do\.call|match\.fun|trap|at_exit|require_once|include_once|syscall|import|dlopen|File|IO|Kernel|Process|Object|Code|Port|Node|Module)$/

/** Of Ruby: what only brings more names. */
const libraries =
  /^(json|yaml|set|date|time|csv|digest|digest\/\w+|securerandom|bigdecimal|prime|pp|ostruct|erb|forwardable|benchmark|stringio|English)$/

const literalIn = (text: string): string => text.slice(1, -1)

/** Names, strings and what is between them; none when there is anything else. */
const tokensIn = (language: Language, text: string): ReadonlyArray<string> | undefined => {
  const out: Array<string> = []
  for (let at = 0; at < text.length; ) {
    language.token.lastIndex = at
    const found = language.token.exec(text)
    if (found === null || found[0] === "") return undefined
    at = language.token.lastIndex
    out.push(found[0])
  }
  return out
}

const recognise =
  (language: Language) =>
  (text: string): Recognised | undefined => {
    if (text.length > most || /[^\t\n -~]/.test(text)) return undefined
    const all = tokensIn(language, text)
    if (all === undefined) return undefined
    const tokens = all.filter((it) => it.trim() !== "")
    if (isEndless(tokens)) return undefined
    const isText = (it: string | undefined): boolean => it !== undefined && /^["']/.test(it)
    // A text keeps its quotes, so that what may not stand beside one is seen.
    const plainOf = (it: string) => (isText(it) ? '""' : /^\/./.test(it) ? "0" : it)
    const bare = tokens.map(plainOf).join(" ")
    const tight = all.map(plainOf).join("")
    if (language.never.test(tight) || language.never.test(bare)) return undefined
    const declared = new Set(language.declares.flatMap((it) => [...tight.matchAll(it)].map((found) => found[1] ?? "")))
    const reads: Array<string> = []
    const writes: Array<string> = []
    for (const [index, it] of tokens.entries()) {
      if (isText(it)) {
        let plain = literalIn(it)
        if (it.startsWith('"') && language.neverInText.test(plain.replace(/(\$\w+)[{[]\$?\w+[}\]]/g, "$1")))
          return undefined
        if (it.startsWith('"') && language.interpolation !== undefined) {
          for (const [, inner = ""] of plain.matchAll(language.interpolation))
            if (!isKnown(language, inner, declared)) return undefined
          plain = plain.replace(language.interpolation, "")
          if (/#[{$@]/.test(plain)) return undefined
        }
        continue
      }
      if (it === "/" && language.divides !== true && !/^(\d|\)|\]|\$)/.test(tokens[index - 1] ?? "")) return undefined
      if (it === "(" && isText(tokens[index - 1])) return undefined
      if (!/^[A-Za-z_.]/.test(it) || /^\.+$/.test(it)) {
        // A name as a value: it may be called by what it is given to.
        if (/^&?:[a-z]/.test(it) && !language.names.has(it.replace(/^&?:/, "")) && tokens[index - 1] !== "[")
          return undefined
        continue
      }
      const next = tokens[index + 1]
      if (it === "require" && !libraries.test(literalIn(tokens[next === "(" ? index + 2 : index + 1] ?? "")))
        return undefined
      if (!language.names.has(it) && !(language.quotesKeys === true && next === "=>")) {
        // Followed by anything that it could be given, it may be a call of what has the same name.
        if (!declared.has(it) || dangerous.test(it) || /^[("'{\w$@:%]/.test(next === ":" ? "" : (next ?? "")))
          if (
            !declared.has(it) ||
            dangerous.test(it) ||
            !/^(in|do|then|and|or|if|unless|end|else|as|for)$/.test(next ?? "")
          )
            return undefined
      }
      const called = tokens[index - 1] === "." ? `${tokens[index - 2]}.${it}` : it
      const target =
        language.writes?.test(called) === true ? writes : language.reads?.test(called) === true ? reads : undefined
      if (target === undefined || (called === "Dir" && tokens[index + 1] === ".")) continue
      const file = tokens[index + 2] ?? ""
      if (!/^[([]$/.test(tokens[index + 1] ?? "") || !isText(file) || !/^[),\]]$/.test(tokens[index + 3] ?? ""))
        return undefined
      const path = literalIn(file)
      if (/[\\#$]|:\/\//.test(path) || !isPlainText(path, isSecretPath)) return undefined
      target.push(path)
    }
    return { project: false, reads, writes }
  }

const isKnown = (language: Language, text: string, declared: ReadonlySet<string>): boolean => {
  const tokens = tokensIn(language, text)?.filter((it) => it.trim() !== "")
  return (
    tokens !== undefined &&
    !language.never.test(text) &&
    tokens.every(
      (it, index) =>
        !/^[A-Za-z_]/.test(it) ||
        (language.names.has(it) && !/^(File|YAML|Dir|CSV|require)$/.test(it)) ||
        (declared.has(it) && !dangerous.test(it) && !/^[("'{\w$@:%]/.test(tokens[index + 1] ?? ""))
    ) &&
    !/["'`]/.test(text)
  )
}

export const recognisePerl = recognise(perl)
export const recogniseRuby = recognise(ruby)
export const recognisePhp = recognise(php)
export const recogniseLua = recognise(lua)
export const recogniseElixir = recognise(elixir)

/** A task of a package for developers, on the project. */
const projectTask =
  /^(?:devtools|testthat|lintr|styler|roxygen2|rmarkdown|covr|pkgdown|rcmdcheck|renv|targets|quarto|bookdown)::(?:test|test_dir|test_file|test_local|test_package|check|check_man|document|build|load_all|lint|lint_package|lint_dir|style_pkg|style_dir|style_file|roxygenise|render|render_site|render_book|package_coverage|build_site|build_articles|rcmdcheck|status|tar_make|spell_check|run_examples|build_readme|quarto_render)\([\w\s,=."'/-]*\)$/

export const recogniseR = (text: string): Recognised | undefined => {
  const task = text.length <= most && isInner(text) && text.split(/[;\n]/).every((it) => projectTask.test(it.trim()))
  return task ? { project: true, reads: [], writes: [] } : recognise(rLanguage)(text)
}

const isInner = (text: string): boolean => !/\.\.|(["'])[/~]/.test(text)

export const recogniseJulia = (text: string): Recognised | undefined => {
  const found = recognise(julia)(text)
  return found !== undefined && /\b(Pkg|using)\b/.test(text) ? { ...found, project: true } : found
}
