/** Files and directories. */
import type { ProgramTable } from "../ProgramEntry.js"

const print = "--color -F --format --time --sort --indicator-style --quoting-style --hyperlink --classify --time-style"

export const files: ProgramTable = {
  "ls dir vdir": {
    tells: "--version --help",
    flags:
      "-a -A -b -B -c -C -d -f -g -G -h -H -i -k -l -L -m -n -N -o -p -q -Q -r -R -s -S -t -u -U -v -x -X -1 -Z --all --almost-all --author --escape --ignore-backups --directory --dired --no-group --human-readable --si --dereference --inode --kibibytes --numeric-uid-gid --literal --hide-control-chars --show-control-chars --quote-name --reverse --recursive --size --group-directories-first --full-time --context --zero",
    values: { text: "-I --ignore --hide -w --width -T --tabsize --block-size" },
    attached: `${print} -F`,
    operands: "stat*"
  },
  "exa eza lsd": {
    flags:
      "-l -a -A -1 -R -T -r -h -F -G -d -g -i --tree --long --all --recurse --git --icons --group-directories-first --oneline --classic",
    values: { text: "-L -s --level --sort --depth -I --ignore-glob --total-size" },
    attached: "--color --icon",
    operands: "stat*"
  },
  tree: {
    tells: "--version --help",
    flags:
      "-a -d -l -f -x -q -N -Q -p -u -g -s -h -D -F -v -t -c -U -r -i -A -S -n -C -X -J --du --si --inodes --device --noreport --dirsfirst --filesfirst --prune --gitignore --matchdirs --ignore-case --inodes --metafirst",
    values: { text: "-L -P -I --filelimit --timefmt --charset -H -T", write: "-o", read: "--fromfile --gitfile" },
    attached: "--sort",
    operands: "stat*"
  },
  stat: {
    flags: "-L -f -t -x -s -r -n --dereference --file-system --terse",
    values: { text: "-c --format --printf" },
    operands: "stat*",
    tells: "--version"
  },
  file: {
    flags: "-b -i -L -k -z -h -p -s -r -v -0 -N --brief --mime --mime-type --mime-encoding --dereference --extension",
    values: { text: "-F -P -e", read: "-f" },
    operands: "stat*"
  },
  du: {
    flags:
      "-a -b -c -h -H -k -L -l -m -P -s -S -x -0 --all --apparent-size --bytes --total --human-readable --si --summarize --one-file-system --separate-dirs --inodes --null",
    values: { text: "-d --max-depth -B --block-size -t --threshold --exclude", read: "-X --exclude-from" },
    attached: "--time",
    operands: "stat*"
  },
  df: {
    flags: "-a -h -H -i -k -l -m -P -T --all --human-readable --inodes --local --portability --print-type --total --si",
    values: { text: "-t -x -B --type --exclude-type --block-size" },
    attached: "--output",
    operands: "stat*"
  },
  "basename dirname": { flags: "-a -z --multiple --zero", values: { text: "-s --suffix" }, operands: "text*" },
  "realpath readlink": {
    flags:
      "-e -f -m -n -q -s -v -z -L -P --canonicalize --canonicalize-existing --canonicalize-missing --no-newline --quiet --strip --no-symlinks",
    values: { text: "--relative-to --relative-base" },
    operands: "stat*"
  },
  cat: {
    tells: "--version --help",
    flags:
      "-A -b -e -E -n -s -t -T -u -v --show-all --number-nonblank --show-ends --number --squeeze-blank --show-tabs --show-nonprinting",
    operands: "read*"
  },
  tac: { flags: "-b -r --before --regex", values: { text: "-s --separator" }, operands: "read*" },
  "bat batcat": {
    flags: "-p -pp -n -A --plain --number --show-all --list-themes",
    values: {
      text: "-l --language -r --line-range -H --highlight-line --style --paging --color --theme --wrap --tabs -m --terminal-width"
    },
    operands: "read*"
  },
  nl: {
    flags: "-p",
    values: {
      text: "-b -d -f -h -i -l -n -s -v -w --body-numbering --number-format --number-width --starting-line-number"
    },
    operands: "read*"
  },
  "head tail": {
    tells: "--version --help",
    flags: "-q -v -z -f -F -r --quiet --silent --verbose --zero-terminated --retry",
    values: { text: "-n -c -s --lines --bytes --pid --sleep-interval" },
    attached: "--follow",
    numeric: true,
    operands: "read*",
    rule: "amount"
  },
  wc: {
    flags: "-c -m -l -L -w --bytes --chars --lines --max-line-length --words",
    values: { text: "--total" },
    operands: "stat*",
    tells: "--version"
  },
  "md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum shasum cksum sum md5": {
    flags: "-b -c -t -w -z -q --binary --check --tag --text --quiet --status --strict --warn --ignore-missing",
    values: { text: "-a -l --algorithm --length" },
    operands: "stat*"
  },
  touch: {
    flags: "-a -c -f -h -m --no-create --no-dereference",
    values: { text: "-d -t --date --time", stat: "-r --reference" },
    operands: "write*",
    least: 1
  },
  mkdir: {
    flags: "-p -v --parents --verbose",
    values: { text: "-m --mode" },
    operands: "write*",
    least: 1,
    rule: "amount"
  },
  rmdir: { flags: "-p -v --parents --verbose --ignore-fail-on-non-empty", operands: "delete*", least: 1 },
  rm: {
    flags: "-f -i -I -r -R -d -v --force --recursive --dir --verbose --one-file-system --preserve-root",
    attached: "--interactive",
    operands: "delete*",
    rule: "remove"
  },
  unlink: { operands: "delete", least: 1, rule: "unlink" },
  rimraf: { operands: "delete*", flags: "-v", rule: "remove" },
  "del-cli del": { operands: "delete*", rule: "remove" },
  mkdirp: { operands: "write*" },
  cp: {
    flags:
      "--parents -a -b -d -f -H -i -L -n -p -P -r -R -T -u -v -x -c --archive --force --interactive --dereference --no-clobber --no-dereference --recursive --remove-destination --strip-trailing-slashes --no-target-directory --update --verbose --one-file-system",
    values: { write: "-t --target-directory", text: "-S --suffix --no-preserve" },
    attached: "--preserve --backup --reflink --sparse --update",
    rule: "copy"
  },
  mv: {
    flags:
      "-b -f -i -n -T -u -v --force --interactive --no-clobber --no-target-directory --update --verbose --strip-trailing-slashes",
    values: { write: "-t --target-directory", text: "-S --suffix" },
    attached: "--backup --update",
    rule: "copy"
  },
  install: {
    flags: "-b -c -C -d -D -p -s -T -v --compare --directory --preserve-timestamps --verbose --no-target-directory",
    values: { text: "-m --mode -S --suffix", write: "-t --target-directory" },
    operands: "read* write",
    operandsWith: { "-d --directory": "write*", "-t --target-directory": "read*" },
    rule: "amount"
  },
  ln: {
    flags:
      "-b -f -i -L -n -P -r -s -T -v --force --symbolic --relative --no-dereference --no-target-directory --verbose",
    values: { write: "-t --target-directory", text: "-S --suffix" },
    rule: "link"
  },
  chmod: { flags: "-c -f -v -R --changes --quiet --silent --verbose --recursive", rule: "mode" },
  truncate: {
    flags: "-c --no-create",
    values: { text: "-s --size", stat: "-r --reference" },
    operands: "write*",
    rule: "amount"
  },
  tee: { flags: "-a -i -p --append --ignore-interrupts", attached: "--output-error", operands: "write*", rule: "tee" },
  split: {
    flags: "-d -x -e -u --numeric-suffixes --verbose --elide-empty-files",
    values: { text: "-a -b -C -l -n -t --suffix-length --bytes --lines --number --additional-suffix" },
    numeric: true,
    rule: "splitFile"
  },
  dd: { style: "none", rule: "dd" },
  fallocate: { values: { text: "-l -o --length" }, flags: "-x", operands: "write", rule: "amount" },
  mktemp: {
    flags: "-d -q -u -t --directory --quiet --dry-run",
    values: { text: "--suffix", cwd: "", write: "-p" },
    attached: "--tmpdir",
    operands: "text",
    rule: "mktemp"
  },
  find: { style: "none", rule: "find" },
  "fd fdfind": {
    flags:
      "-H -I -u -s -i -g -F -a -l -L -p -0 -1 -q --hidden --no-ignore --unrestricted --no-ignore-vcs --case-sensitive --ignore-case --glob --fixed-strings --absolute-path --list-details --follow --full-path --print0 --strip-cwd-prefix --one-file-system --prune",
    values: {
      text: "-d --max-depth --min-depth -e --extension -t --type -E --exclude -S --size --changed-within --changed-before -c --color -j --threads --max-results --exact-depth -o --owner"
    },
    operands: "text stat*",
    style: "none",
    rule: "fd"
  },
  "locate which whereis type": {
    flags: "-a -i -l -c -b -m -s --all --skip-alias",
    values: { text: "-n" },
    operands: "text*"
  },
  tar: {
    tells: "--version --help",
    style: "bundle",
    flags:
      "-c -x -t -r -u -d -z -j -J -a -v -p -k -m -O -h -S -W -w -n --create --extract --get --list --append --update --diff --gzip --gunzip --bzip2 --xz --zstd --auto-compress --verbose --preserve-permissions --same-permissions --keep-old-files --keep-newer-files --overwrite --touch --to-stdout --dereference --no-recursion --no-same-owner --no-same-permissions --numeric-owner --sparse --wildcards --no-wildcards --anchored --exclude-vcs --exclude-vcs-ignores --skip-old-files --totals --one-file-system --null --utc --full-time",
    values: {
      cwd: "-C --directory",
      text: "-f --file -b --exclude --strip-components --owner --group --mode --mtime --sort --format -H --level --newer --label -V",
      read: "-X --exclude-from"
    },
    attached: "--warning --checkpoint",
    operands: "text*",
    rule: "tar"
  },
  zip: {
    flags: "-d -r -q -v -9 -1 -0 -6 -j -u -g -X -y -o -D -l -S --quiet --recurse-paths --symlinks",
    values: { text: "-x -i -n --exclude --include" },
    operands: "write read*"
  },
  unzip: {
    flags: "-l -p -t -v -q -qq -o -n -j -a -L -u -f -Z -c -C -X -V",
    values: { cwd: "", write: "-d", text: "-x" },
    operands: "text*",
    rule: "unzip"
  },
  zipinfo: { flags: "-1 -2 -l -s -m -v -h -t", operands: "read*" },
  "gzip gunzip bzip2 bunzip2 xz unxz zstd unzstd lzma pigz": {
    flags:
      "-c -d -f -k -l -n -N -q -r -t -v -z -0 -1 -2 -3 -4 -5 -6 -7 -8 -9 --stdout --to-stdout --decompress --uncompress --force --keep --list --test --best --fast --quiet --verbose",
    values: { text: "-T -p --threads", write: "-o --output" },
    attached: "--long --threads --ultra --adapt",
    numeric: true,
    rule: "gzip"
  },
  "zcat bzcat xzcat zstdcat gzcat zless zmore": { flags: "-f -q -v -l", operands: "read*" },
  "zgrep bzgrep xzgrep zegrep zfgrep": {
    flags: "-n -i -v -c -l -L -h -H -o -w -x -q -s -E -F -a",
    values: { text: "-e -A -B -C -m" },
    rule: "search",
    operands: "text*"
  },
  zdiff: { flags: "-u -q", operands: "read*" },
  rsync: {
    flags:
      "-a -r -v -q -z -n -u -t -p -l -L -k -o -g -D -h -H -i -P -x -c -S -W -m -O -0 --archive --recursive --verbose --quiet --dry-run --update --times --perms --links --copy-links --delete --delete-after --delete-before --delete-during --delete-excluded --del --progress --stats --human-readable --ignore-existing --existing --checksum --partial --prune-empty-dirs --itemize-changes --no-owner --no-group --no-perms --no-times --inplace --whole-file --mkpath",
    values: {
      text: "--exclude --include -f --max-size --min-size --chmod --info --out-format",
      read: "--exclude-from --include-from --files-from"
    },
    rule: "rsync"
  },
  "shred wipe srm": { effect: "destructive" },
  diff: {
    tells: "--version",
    flags:
      "-a -b -B -c -d -e -E -i -l -n -N -p -P -q -r -s -t -T -u -w -y -Z --brief --report-identical-files --recursive --new-file --ignore-case --ignore-all-space --ignore-space-change --ignore-blank-lines --ignore-trailing-space --side-by-side --suppress-common-lines --text --minimal --unified --normal --no-dereference --left-column --expand-tabs --strip-trailing-cr --show-c-function",
    values: {
      text: "-I -L -x -C -U -W --label --exclude --width --ignore-matching-lines --show-function-line --tabsize --line-format --GTYPE",
      read: "-X --exclude-from --from-file --to-file"
    },
    attached: "--color --unified --context",
    numeric: true,
    operands: "read*"
  },
  "cmp comm": {
    flags:
      "-b -l -s -1 -2 -3 -i -z -12 -13 -23 --print-bytes --quiet --silent --verbose --check-order --nocheck-order --total",
    values: { text: "-n --bytes --output-delimiter" },
    operands: "read*"
  },
  "sdiff colordiff diff3 diffstat icdiff difft delta wdiff": {
    flags: "-u -r -q -s -w -b -p -l -m",
    values: { text: "-U -W" },
    operands: "read*"
  },
  patch: {
    flags:
      "-s -f -N -R -E -t -u -c -b -l --dry-run --forward --reverse --silent --quiet --force --batch --no-backup-if-mismatch --verbose",
    attached: "-p",
    values: {
      read: "-i --input",
      write: "-o -r --output --reject-file",
      cwd: "-d --directory",
      text: "--strip -F --fuzz -z -V"
    },
    operands: "write read",
    effect: "workspace_write",
    rule: "patchText"
  },
  "cksfv b3sum": { operands: "stat*" }
}
