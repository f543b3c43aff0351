/** Text: searching, cutting, sorting, and the small languages for it. */
import type { ProgramTable } from "../ProgramEntry.js"

export const text: ProgramTable = {
  "grep egrep fgrep": {
    tells: "--version --help -V",
    flags:
      "-E -F -G -P -i -v -w -x -c -l -L -q -s -o -b -H -h -n -T -Z -z -a -I -r -R -U -y --extended-regexp --fixed-strings --basic-regexp --perl-regexp --ignore-case --no-ignore-case --invert-match --word-regexp --line-regexp --count --files-with-matches --files-without-match --quiet --silent --no-messages --only-matching --byte-offset --with-filename --no-filename --line-number --initial-tab --null --null-data --text --recursive --dereference-recursive --line-buffered --no-group-separator",
    values: {
      text: "-e -m -A -B -C -D -d --regexp --max-count --after-context --before-context --context --include --exclude --exclude-dir --binary-files --label --group-separator --directories --devices",
      read: "-f --file --exclude-from"
    },
    attached: "--color --colour",
    numeric: true,
    operands: "text*",
    rule: "search"
  },
  rg: {
    tells: "--version --help -V -h --type-list",
    flags:
      "-n -N -i -s -S -v -w -x -c -l -q -o -H -I -0 -F -P -U -u -uu -uuu -L -p -a -z -. --line-number --no-line-number --ignore-case --case-sensitive --smart-case --invert-match --word-regexp --line-regexp --count --count-matches --files-with-matches --files-without-match --quiet --only-matching --with-filename --no-filename --null --fixed-strings --pcre2 --multiline --multiline-dotall --unrestricted --follow --pretty --text --hidden --no-hidden --no-ignore --no-ignore-vcs --no-ignore-parent --no-ignore-dot --files --json --stats --trim --vimgrep --heading --no-heading --column --no-column --no-messages --no-config --sort-files --glob-case-insensitive --passthru --block-buffered --line-buffered --crlf --byte-offset --one-file-system --debug --max-columns-preview --null-data --auto-hybrid-regex --no-unicode --type-list",
    values: {
      text: "-e -m -A -B -C -g -t -T -r -M -d -j -E --regexp --max-count --after-context --before-context --context --glob --iglob --type --type-not --replace --max-columns --max-depth --threads --encoding --color --colors --sort --sortr --context-separator --engine --max-filesize --path-separator",
      read: "-f --file --ignore-file"
    },
    attached: "--color",
    operands: "text*",
    rule: "search"
  },
  "ag ack": {
    flags:
      "-i -s -S -v -w -l -L -c -o -Q -n -a -u -U -z -r -R -f -h -H --hidden --nocolor --color --nogroup --group --noheading --heading --column --literal --js --ts --python --ruby --go --java --cpp --cc --html --css --json --yaml --markdown --stats --vimgrep --numbers --nonumbers",
    values: { text: "-A -B -C -m -G --ignore --ignore-dir --depth --max-count --type --file-search-regex", read: "-p" },
    operands: "text*",
    rule: "search"
  },
  "ast-grep sg": {
    subcommands: {
      run: {
        flags: "--json --no-ignore",
        values: { text: "-p --pattern -l --lang --selector --strictness --color --heading -A -B -C --globs" },
        operands: "read*"
      }
    }
  },
  sed: {
    tells: "--version --help",
    flags:
      "-n -E -r -s -u -z --quiet --silent --regexp-extended --separate --unbuffered --null-data --posix --debug --sandbox",
    values: { text: "-e --expression -l --line-length", read: "-f --file" },
    attached: "-i --in-place",
    operands: "text*",
    rule: "sed"
  },
  "awk gawk mawk nawk": {
    tells: "--version -V",
    attached: "-i --include",
    flags: "-b -c -C -P -r -t -S --posix --traditional --re-interval --sandbox --lint --csv -k",
    values: { text: "-F -v --field-separator --assign -e --source" },
    operands: "text*",
    rule: "awk"
  },
  jq: {
    style: "none",
    tells: "--version --help -h -V",
    flags:
      "-r -j -a -c -C -M -n -e -s -S -R -b --raw-output --join-output --ascii-output --compact-output --color-output --monochrome-output --null-input --exit-status --slurp --sort-keys --raw-input --tab --seq --stream --raw-output0 --unbuffered --binary",
    values: { text: "--arg --argjson --indent", read: "--slurpfile --rawfile" },
    operands: "text*",
    rule: "jq"
  },
  yq: {
    flags:
      "-y -Y -s -S -c --yaml-output --yaml-roundtrip --slurp --compact-output --sort-keys -r -P -e -n -M -C -N -j --prettyPrint --exit-status --null-input --no-colors --colors --no-doc --unwrapScalar --tojson --raw-output",
    values: { text: "-o -p -I --output-format --input-format --indent" },
    effectWith: { "-i --inplace --in-place": "workspace_write" },
    operandsWith: { "-i --inplace --in-place": "text write*" },
    operands: "text read*",
    rule: "yqCommand"
  },
  xmllint: {
    flags: "--noout --format --recover --html --nonet --valid --noblanks --huge --pretty",
    values: { text: "--xpath --encode", read: "--schema --dtdvalid --relaxng", write: "--output -o" },
    operands: "read*"
  },
  sort: {
    tells: "--version --help",
    flags:
      "-b -d -f -g -h -i -M -n -R -r -V -c -C -m -s -u -z --ignore-leading-blanks --dictionary-order --ignore-case --general-numeric-sort --human-numeric-sort --month-sort --numeric-sort --random-sort --reverse --version-sort --merge --stable --unique --zero-terminated --debug",
    values: {
      text: "-k -t -S --key --field-separator --buffer-size --parallel --sort --batch-size",
      write: "-o --output -T --temporary-directory",
      read: "--files0-from --random-source"
    },
    attached: "--check",
    operands: "read*"
  },
  uniq: {
    flags: "-c -d -D -i -u -z --count --repeated --ignore-case --unique --zero-terminated",
    values: { text: "-f -s -w --skip-fields --skip-chars --check-chars" },
    attached: "--all-repeated --group",
    operands: "text*",
    rule: "uniq"
  },
  cut: {
    flags: "-n -s -z --complement --only-delimited",
    values: { text: "-b -c -d -f --bytes --characters --delimiter --fields --output-delimiter" },
    operands: "read*"
  },
  tr: { flags: "-c -C -d -s -t --complement --delete --squeeze-repeats --truncate-set1", operands: "text*" },
  paste: { flags: "-s -z --serial", values: { text: "-d --delimiters" }, operands: "read*" },
  join: {
    flags: "-i -z --header --check-order --nocheck-order",
    values: { text: "-1 -2 -a -e -j -o -t -v" },
    operands: "read*"
  },
  column: {
    flags: "-t -x -e -n -J -L --table --json --fillrows",
    values: { text: "-s -c -o -N -d -l -E -H -O -r -T --separator --output-separator --table-columns --output-width" },
    operands: "read*"
  },
  "fold fmt expand unexpand": {
    flags: "-b -s -c -u -i -a --spaces --initial",
    values: { text: "-w --width --tabs -p" },
    attached: "-t",
    numeric: true,
    operands: "read*"
  },
  "rev colrm look": { operands: "read*" },
  pr: { flags: "-t -n -m -a -d", values: { text: "-l -w -h" }, numeric: true, operands: "read*" },
  shuf: {
    flags: "-z -r --repeat",
    values: { text: "-n -i --head-count --input-range", write: "-o --output", read: "--random-source" },
    operandsWith: { "-e --echo": "text*" },
    effectWith: { "-e --echo": "reads" },
    operands: "read"
  },
  seq: {
    flags: "-w --equal-width",
    values: { text: "-f -s --format --separator" },
    operands: "text*",
    rule: "sequence"
  },
  numfmt: { values: { text: "--to --from --format --field -d --suffix --padding --round" }, operands: "text*" },
  "od hexdump hd": {
    flags: "-a -b -c -C -d -i -o -s -v -x --canonical --output-duplicates",
    values: { text: "-A -t -N -j -w -n -S --format --address-radix --read-bytes --skip-bytes" },
    operands: "read*"
  },
  xxd: { flags: "-a -b -C -e -E -i -p -ps -r -u", values: { text: "-c -g -l -s -o -n" }, operands: "read write" },
  strings: { flags: "-a -f -o", values: { text: "-n -t -e" }, operands: "read*" },
  "base64 base32 basenc": {
    flags: "-d -D -i --decode --ignore-garbage",
    values: { text: "-w --wrap" },
    operands: "read*"
  },
  iconv: {
    flags: "-c -s -l --list",
    values: { text: "-f -t --from-code --to-code", write: "-o --output" },
    operands: "read*"
  },
  "dos2unix unix2dos": { attached: "-i --info", flags: "-q -k -f", operands: "write*" },
  "less more most": { flags: "-R -F -X -S -N -i -r -e -M", operands: "read*", rule: "pager" },
  mlr: {
    tells: "--version",
    flags:
      "--icsv --ojson --ijson --ocsv --opprint --oxtab --c2p --c2j --j2c --c2t --t2c --csv --json --tsv --from-csv",
    ordered: true,
    rule: "miller"
  },
  col: { flags: "-b -f -p -x -h", operands: "" },
  tsort: { operands: "read*" },
  "cloc tokei scc sloccount": {
    flags:
      "--json --yaml --csv --by-file --quiet --git -f --no-cocomo --no-complexity --no-duplicates --no-gen --no-min-gen --wide -w -c -a",
    values: {
      text: "--exclude-dir --include-lang --exclude-lang -e -t -s --include-ext --not-match-d --exclude-ext --sort --type"
    },
    operands: "stat*"
  },
  "vim vi nvim emacs nano ex view pico joe micro helix hx code subl": {
    effect: "unknown_code",
    because: "is an editor that runs commands of its own",
    style: "none",
    operands: "text*"
  }
}
