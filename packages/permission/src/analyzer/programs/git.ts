/** git: the options of each of its commands that do no more than their label says. */
import type { ProgramEntry, ProgramTable } from "../ProgramEntry.js"

const diffFlags =
  "-p -u -s -z -R -a -b -w -W -M -C -D -B --patch --no-patch --raw --stat --numstat --shortstat --summary --name-only --name-status --no-color --no-color-moved --word-diff --check --full-index --binary --text --ignore-space-at-eol --ignore-cr-at-eol --ignore-space-change --ignore-all-space --ignore-blank-lines --function-context --exit-code --quiet --no-ext-diff --no-textconv --no-prefix --no-renames --minimal --patience --histogram --indent-heuristic --no-indent-heuristic --compact-summary --patch-with-stat --patch-with-raw --pickaxe-all --pickaxe-regex --find-copies-harder --irreversible-delete --cumulative --no-relative --default-prefix --color --reverse --cc -c -m --combined-all-paths --remerge-diff"
const diffText =
  "-S -G -U -l --unified --diff-filter --diff-algorithm --anchored --word-diff-regex --src-prefix --dst-prefix --line-prefix --inter-hunk-context --max-depth --skip-to --rotate-to --stat-width --stat-name-width --stat-count --stat-graph-width --find-object"
const diffAttached =
  "-U -M -C -B -l --stat --color --color-moved --color-moved-ws --color-words --word-diff --ignore-submodules --submodule --relative --dirstat --abbrev --find-renames --find-copies --break-rewrites --ws-error-highlight --unified --diff-merges"
const logFlags = `${diffFlags} -g -i -E -F -P -h -L --oneline --graph --decorate --no-decorate --all --branches --tags --remotes --merges --no-merges --reverse --first-parent --follow --abbrev-commit --no-abbrev-commit --topo-order --date-order --author-date-order --full-history --dense --sparse --simplify-merges --simplify-by-decoration --ancestry-path --show-pulls --walk-reflogs --relative-date --parents --children --left-right --left-only --right-only --cherry-pick --cherry-mark --cherry --boundary --no-walk --do-walk --source --no-notes --notes --show-notes --log-size --clear-decorations --regexp-ignore-case --extended-regexp --fixed-strings --perl-regexp --invert-grep --all-match --no-mailmap --mailmap --use-mailmap --no-expand-tabs  --bisect  --ignore-missing --encoding=UTF-8 --full-diff --remove-empty --timestamp --no-min-parents --no-max-parents`
const logText = `${diffText} -n -L --max-count --skip --since --after --until --before --author --committer --grep --grep-reflog --min-parents --max-parents --date --format --encoding --exclude --glob --decorate-refs --decorate-refs-exclude --since-as-filter --min-age --max-age`
const logAttached = `${diffAttached} --pretty --format --decorate --branches --tags --remotes --no-walk --abbrev --expand-tabs --notes --ancestry-path`

const log: ProgramEntry = {
  flags: logFlags,
  values: { text: logText, write: "--output" },
  attached: logAttached,
  numeric: true,
  operands: "text*",
  rule: "gitRevisions"
}
const diff: ProgramEntry = {
  flags: `${diffFlags} --cached --staged --no-index --merge-base --theirs --ours --base -0 -1 -2 -3`,
  values: { text: diffText, write: "--output" },
  attached: diffAttached,
  operands: "text*",
  rule: "gitDiff"
}

const commitFlags =
  "-a -v -q -s -o -i --all --verbose --quiet --signoff --no-signoff --allow-empty --allow-empty-message --no-edit --dry-run --short --branch --porcelain --long --null --status --no-status --only --include --no-gpg-sign --reset-author --no-post-rewrite --no-verbose -z -u"

export const git: ProgramTable = {
  git: {
    tells: "--version --help -h --html-path --man-path --info-path --exec-path",
    flags:
      "--no-pager -P --no-replace-objects --literal-pathspecs --no-optional-locks --icase-pathspecs --glob-pathspecs --noglob-pathspecs --no-lazy-fetch --no-advice",
    values: { cwd: "-C", text: "-c" },
    guard: "gitSetting",
    rule: "gitSettingOnly",
    subcommands: {
      status: {
        flags:
          "-s -b -v -vv -z -u -uno -unormal -uall --short --branch --long --verbose --null --show-stash --no-show-stash --ahead-behind --no-ahead-behind --renames --no-renames --no-column",
        attached: "--porcelain --untracked-files --ignored --ignore-submodules --column --find-renames",
        operands: "text*"
      },
      "log whatchanged": log,
      show: log,
      "diff ": diff,
      "diff-tree diff-index diff-files": {
        ...diff,
        flags: `${diffFlags} -r -t --root --cached  --no-commit-id -v --merge-base`,
        attached: `${diffAttached} --pretty --format`
      },
      "range-diff": {
        flags: `${diffFlags} --no-dual-color --dual-color --left-only --right-only --no-notes`,
        attached: `${diffAttached} --creation-factor`,
        operands: "text*"
      },
      shortlog: {
        flags: "-n -s -e -c --numbered --summary --email --no-merges --all --merges --committer",
        values: { text: "--since --until --after --before --group --author --grep --format" },
        attached: "-w",
        operands: "text*"
      },
      "blame annotate": {
        flags:
          "-b -c -e -f -k -l -n -p -s -t -w -M -C --root --show-stats --show-name --show-number --show-email --porcelain --line-porcelain --incremental --progress --first-parent --color-lines --color-by-age --minimal",
        values: { text: "-L -S --since --date --ignore-rev --abbrev", read: "--ignore-revs-file --contents" },
        attached: "-M -C --abbrev",
        operands: "text*",
        rule: "gitRevisions"
      },
      grep: {
        flags:
          "-n -i -I -v -w -a -E -G -P -F -l -L -z -o -c -h -H -p -q -W -r --line-number --column --ignore-case --invert-match --word-regexp --text --extended-regexp --basic-regexp --perl-regexp --fixed-strings --files-with-matches --name-only --files-without-match --null --only-matching --count --break --heading --show-function --function-context --all-match --cached --untracked  --no-color --full-name --quiet --recursive --recurse-submodules --no-recursive --exclude-standard --and --or --not  --no-textconv",
        values: {
          text: "-e -A -B -C -m --after-context --before-context --context --max-depth --threads --max-count",
          read: "-f"
        },
        attached: "--color -C",
        numeric: true,
        operands: "text*",
        rule: "gitRevisions"
      },
      "ls-files": {
        flags:
          "-c -d -m -o -i -s -u -k -t -v -f -z --cached --deleted --modified --others --ignored --stage --unmerged --killed --directory --no-empty-directory --exclude-standard --error-unmatch --full-name --recurse-submodules --debug --eol --deduplicate",
        values: { text: "-x --exclude --with-tree", read: "-X --exclude-from" },
        attached: "--abbrev --format",
        operands: "text*"
      },
      "ls-tree": {
        flags: "-d -r -t -l -z --long --name-only --name-status --object-only --full-name --full-tree",
        attached: "--abbrev --format",
        operands: "text*"
      },
      "rev-parse": {
        flags:
          "--verify -q --quiet --sq --not --symbolic --symbolic-full-name --abbrev-ref --short --all --branches --tags --remotes --show-toplevel --show-prefix --show-cdup --show-superproject-working-tree --git-dir --absolute-git-dir --git-common-dir --is-inside-git-dir --is-inside-work-tree --is-bare-repository --is-shallow-repository --show-object-format --revs-only --no-revs --flags --no-flags --default --local-env-vars",
        values: { text: "--git-path --since --until --prefix --path-format" },
        attached: "--short --abbrev-ref --disambiguate --branches --tags --remotes --glob --exclude --path-format",
        operands: "text*"
      },
      "rev-list": {
        ...log,
        flags: `${logFlags} --count --objects --quiet --disk-usage --use-bitmap-index --no-object-names --no-commit-header --header`
      },
      describe: {
        flags: "--all --tags --contains --debug --exact-match --long --always --first-parent",
        values: { text: "--match --exclude --candidates" },
        attached: "--dirty --broken --abbrev",
        operands: "text*"
      },
      "name-rev": {
        flags: "--tags --all --always --name-only --no-undefined",
        values: { text: "--refs --exclude" },
        operands: "text*"
      },
      "merge-base": { flags: "-a --all --octopus --is-ancestor --fork-point --independent", operands: "text*" },
      cherry: { flags: "-v", attached: "--abbrev", operands: "text*" },
      "for-each-ref": {
        flags: " --ignore-case --omit-empty --include-root-refs",
        values: { text: "--format --sort --count --points-at --exclude" },
        attached: "--color --merged --no-merged --contains --no-contains",
        operands: "text*"
      },
      "show-ref": {
        flags: "-q -d -s --head --heads --branches --tags --quiet --dereference --verify --exists",
        attached: "--hash --abbrev",
        operands: "text*"
      },
      "show-branch": {
        flags:
          "-a -r --all --remotes --current --list --sha1-name --no-name --independent --merge-base --topo-order --date-order",
        operands: "text*"
      },
      "cat-file": {
        attached: "--batch-check",
        flags: "-p -t -s -e --batch-all-objects --unordered --buffer --follow-symlinks",
        operands: "text*",
        rule: "gitRevisions"
      },
      "verify-pack": { flags: "-v -s --verbose --stat-only", operands: "read*" },
      "count-objects": { flags: "-v -H -vH --verbose --human-readable" },
      "check-ignore": { flags: "-q -v -n -z --quiet --verbose --non-matching --no-index", operands: "text*" },
      "check-attr": { flags: "-a -z --all --cached", values: { text: "--source" }, operands: "text*" },
      "check-ref-format": { flags: "--branch --normalize --allow-onelevel", operands: "text*" },
      "check-mailmap var": { operands: "text*", least: 1 },
      "verify-commit verify-tag": {
        flags: "-v --raw",
        operands: "text*",
        effect: "unknown_code",
        because: "runs the program that checks signatures"
      },
      "hash-object": { flags: "-t", operands: "read*" },
      "ls-remote": { effect: "network", style: "none", operands: "text*" },
      "symbolic-ref": { flags: "-q --quiet --short", operands: "text", least: 1 },
      fsck: {
        flags: "--full --no-dangling --unreachable --connectivity-only --no-reflogs --progress --no-progress --strict"
      },
      "update-index": {
        flags: "--refresh -q --really-refresh",
        attached: "--chmod",
        operands: "write*"
      },
      "diff-pairs patch-id stripspace column fmt-merge-msg interpret-trailers": {
        flags: "-s --strip-comments --stable --verbatim --parse",
        attached: "--mode --padding --width",
        operands: "read*"
      },
      version: { flags: "--build-options" },
      help: { flags: "-a -g", operands: "text*" },
      "merge-tree": { flags: "--write-tree --name-only --no-messages -z", operands: "text*" },
      reflog: {
        flags: logFlags,
        values: { text: logText },
        attached: logAttached,
        numeric: true,
        operands: "text*",
        subcommands: {
          show: log,
          exists: { operands: "text" },
          list: {},
          "expire delete drop write": { effect: "destructive", style: "none", operands: "text*" }
        }
      },
      branch: {
        flags:
          "-a -r -v -vv -l -i -q -f -m -d -c --all --remotes --verbose --list --show-current --ignore-case --no-color --no-column --move --delete --copy --force --quiet --track --no-track --unset-upstream --merged --no-merged --contains --no-contains --omit-empty",
        values: { text: "-u --set-upstream-to --points-at --sort --format" },
        attached: "--color --column --abbrev --track --contains --merged --no-merged --no-contains",
        effectWith: { "-D -M -C -f --force": "destructive" },
        operands: "text*",
        rule: "gitBranch"
      },
      tag: {
        flags:
          "-l -a -n -i --list --annotate --ignore-case --no-color --create-reflog --column --no-column --no-sign --merged --no-merged --contains --no-contains",
        values: { text: "-m --message --sort --format --points-at --cleanup", read: "-F --file" },
        attached: "-n --color --contains --no-contains --merged --no-merged --column",
        effectWith: { "-d --delete -f --force": "destructive" },
        operands: "text*",
        rule: "gitTag"
      },
      remote: {
        flags: "-v --verbose",
        subcommands: {
          "get-url": { flags: "--push --all", operands: "text" },
          show: { flags: "-n", operands: "text*", least: 0 },
          "-v": {},
          "prune update": { operands: "text*", effect: "network" },
          "add set-url remove rm rename set-head set-branches": {
            style: "none",
            operands: "text*",
            effect: "network",
            because: "changes where the repository is sent to or taken from"
          }
        }
      },
      config: {
        flags:
          "-l -z --list --get --get-all --get-regexp --local --show-origin --show-scope --name-only --bool --int --null --global --system --worktree --add --unset --unset-all --replace-all --edit -e --rename-section --remove-section --includes --no-includes --all --regexp",
        values: { text: "--type --default --value --blob --url", read: "-f --file" },
        operands: "text*",
        rule: "gitConfig"
      },
      add: {
        flags:
          "-A -u -v -n -N -p --patch --all --update --verbose --dry-run --intent-to-add --refresh --ignore-errors --ignore-missing --renormalize --sparse --no-all --ignore-removal",
        values: { text: "--chmod" },
        operands: "text*",
        effect: "workspace_write",
        rule: "gitAdd"
      },
      stage: { flags: "-A -u -v --all --update", operands: "text*", effect: "workspace_write", rule: "gitAdd" },
      commit: {
        flags: commitFlags,
        values: {
          text: "-m -C --message --author --date --cleanup --trailer --fixup --squash --reuse-message",
          read: "-F --file -t --template"
        },
        attached: "--untracked-files",
        effectWith: { "--amend": "destructive", "-n --no-verify": "safety_off" },
        operands: "text*",
        effect: "workspace_write"
      },
      mv: {
        flags: "-k -v -n --verbose --dry-run",
        operands: "write*",
        effect: "workspace_write",
        least: 2,
        rule: "gitMove"
      },
      rm: {
        flags: "-n -r -q --cached --dry-run --quiet --ignore-unmatch --sparse -f --force",
        operands: "text*",
        effect: "workspace_write",
        rule: "gitRemove"
      },
      checkout: {
        flags:
          "-q --quiet --progress --no-progress -t --track --no-track --guess --no-guess -d --detach --no-overlay --recurse-submodules --no-recurse-submodules -l",
        values: { text: "-b" },
        attached: "--track",
        effectWith: {
          "-f --force -B --ours --theirs -m --merge -p --patch --orphan --ignore-other-worktrees --overwrite-ignore":
            "destructive"
        },
        operands: "text*",
        effect: "workspace_write",
        rule: "gitCheckout"
      },
      switch: {
        flags:
          "-q --quiet --progress --no-progress -t --track --no-track --guess --no-guess -d --detach --recurse-submodules",
        values: { text: "-c --create" },
        attached: "--track",
        effectWith: {
          "-f --force -C --force-create --discard-changes -m --merge --orphan --ignore-other-worktrees": "destructive"
        },
        operands: "text*",
        effect: "workspace_write"
      },
      restore: {
        flags: "-S -W -q --staged --worktree --quiet --progress",
        values: { text: "-s --source" },
        operands: "text*",
        effect: "workspace_write",
        rule: "gitRestore"
      },
      reset: {
        flags: "-q --quiet --mixed -N --intent-to-add --refresh --no-refresh",
        effectWith: { "--hard --merge --keep --soft -p --patch": "destructive" },
        operands: "text*",
        effect: "workspace_write",
        rule: "gitReset"
      },
      clean: {
        flags: "-d -f -x -X -n -q -ff --dry-run --quiet --force",
        values: { text: "-e --exclude" },
        operands: "text*",
        rule: "gitClean"
      },
      merge: {
        flags:
          "-q -v -n --ff --no-ff --ff-only --squash --no-squash --no-commit --commit --no-edit --stat --no-stat --abort --continue --quit --log --no-log --no-gpg-sign --signoff --quiet --verbose --no-progress --progress --autostash --no-autostash",
        values: { text: "-m --message --into-name", read: "-F --file" },
        attached: "--log",
        effectWith: { "--no-verify": "safety_off" },
        operands: "text*",
        effect: "workspace_write",
        rule: "gitMerge"
      },
      revert: {
        flags: "-n --no-edit --no-commit --abort --continue --skip --quit -s --signoff --no-gpg-sign",
        values: { text: "-m --mainline" },
        operands: "text*",
        effect: "workspace_write"
      },
      "cherry-pick": {
        flags:
          "-n -x -s --no-commit --abort --continue --skip --quit --signoff --ff --allow-empty --keep-redundant-commits --no-gpg-sign --no-edit",
        values: { text: "-m --mainline" },
        operands: "text*",
        effect: "workspace_write"
      },
      stash: {
        flags: "-q -u -k --quiet --include-untracked --keep-index --no-keep-index -S --staged",
        values: { text: "-m --message" },
        effect: "reads",
        rule: "gitStashAlone",
        subcommands: {
          list: { flags: logFlags, values: { text: logText }, attached: logAttached, numeric: true, operands: "text*" },
          show: {
            flags: `${diffFlags} -u --include-untracked --only-untracked`,
            attached: diffAttached,
            operands: "text*",
            rule: "gitRevisions"
          },
          "push save": {
            flags: "-q -u -k -a --quiet --include-untracked --keep-index --no-keep-index -S --staged",
            values: { text: "-m --message" },
            operands: "text*",
            effect: "workspace_write"
          },
          "pop apply": { flags: "-q --quiet --index", operands: "text", effect: "workspace_write" },
          "branch create store": { operands: "text*", effect: "workspace_write" },
          "drop clear": { flags: "-q", operands: "text*", effect: "destructive" }
        }
      },
      fetch: {
        flags:
          "-a -p -q -t -v --all --prune --quiet --tags --no-tags --verbose --dry-run --progress --no-progress --unshallow --no-recurse-submodules --append",
        values: { text: "--depth --deepen --jobs -j --shallow-since" },
        operands: "text*",
        effect: "workspace_write",
        rule: "gitRemoteName"
      },
      pull: {
        flags:
          "-q -v --ff-only --ff --no-rebase --rebase --quiet --verbose --no-edit --tags --prune --autostash --stat",
        operands: "text*",
        effect: "workspace_write",
        rule: "gitRemoteName"
      },
      rebase: { effect: "destructive", because: "rewrites history", style: "none", operands: "text*" },
      push: { effect: "network", because: "publishes", style: "none", operands: "text*" },
      "clone send-email send-pack fetch-pack http-fetch http-push daemon instaweb svn p4 credential credential-store credential-cache lfs request-pull imap-send upload-pack receive-pack upload-archive shell archimport":
        { effect: "network", style: "none", operands: "text*" },
      "filter-branch filter-repo prune gc repack replace update-ref reflog-expire read-tree checkout-index commit-tree write-tree mktag mktree fast-import fast-export unpack-objects pack-objects pack-refs maintenance update-server-info multi-pack-index commit-graph sparse-checkout hook rerere":
        { effect: "destructive", style: "none", operands: "text*" },
      init: {
        flags: "-q --quiet",
        values: { text: "-b --initial-branch" },
        operands: "write",
        effect: "workspace_write"
      },
      "format-patch": {
        flags: `${diffFlags} -n -N -k -s --stdout --numbered --no-numbered --keep-subject --signoff --cover-letter --attach --inline --no-cover-letter --zero-commit`,
        values: {
          text: "--start-number --subject-prefix -v --reroll-count --in-reply-to --suffix --base",
          write: "-o --output-directory"
        },
        attached: `${diffAttached} --thread`,
        numeric: true,
        operands: "text*",
        rule: "gitFormat"
      },
      apply: {
        flags:
          "-3 -R -v -q -N --check --stat --numstat --summary --index --cached --3way --reverse --verbose --quiet --recount --reject --ignore-whitespace --intent-to-add --allow-empty --no-add",
        values: { text: "-p -C --whitespace --exclude --include " },
        attached: "-p -C",
        operands: "read*",
        effect: "workspace_write",
        rule: "gitApply"
      },
      am: {
        flags:
          "-3 -s -k -q --3way --signoff --keep --quiet --abort --continue --skip --quit --keep-cr --ignore-whitespace",
        operands: "read*",
        effect: "workspace_write"
      },
      archive: {
        flags: "-l -v --list --verbose --worktree-attributes -0 -9",
        values: { text: "--format --prefix", write: "-o --output" },
        operands: "text*",
        rule: "gitRevisions"
      },
      bundle: {
        subcommands: {
          "verify list-heads": { flags: "-q --quiet", operands: "read text*" },
          create: { flags: "-q --quiet --all --branches --tags --progress", numeric: true, operands: "write text*" }
        }
      },
      worktree: {
        subcommands: {
          list: { flags: "-v -z --porcelain --verbose" },
          add: {
            flags: "-d -q --detach --checkout --no-checkout --quiet --track --no-track --guess-remote",
            values: { text: "-b --reason" },
            operands: "write text",
            effect: "workspace_write"
          },
          prune: { flags: "-n -v --dry-run --verbose", effect: "workspace_write" },
          remove: { operands: "delete", effect: "workspace_write" },
          "move lock unlock repair": { effect: "system", style: "none", operands: "text*" }
        }
      },
      submodule: {
        subcommands: {
          status: { flags: "--recursive --cached -q", operands: "text*" },
          summary: { operands: "text*" },
          foreach: { effect: "unknown_code", style: "none", operands: "text*" },
          "update init sync add deinit set-url set-branch absorbgitdirs": {
            effect: "network",
            style: "none",
            operands: "text*"
          }
        }
      },
      bisect: {
        subcommands: {
          log: {},
          view: { flags: "--oneline --stat" },
          visualize: { flags: "--oneline --stat" },
          "start good bad new old skip reset": {
            operands: "text*",
            flags: "--no-checkout --first-parent",
            effect: "workspace_write"
          },
          run: { effect: "unknown_code", style: "none", operands: "text*" }
        }
      },
      notes: {
        subcommands: {
          "list show get-ref": { operands: "text*" },
          "add append edit copy": { values: { text: "-m" }, flags: "-f", operands: "text*", effect: "workspace_write" }
        }
      }
    }
  }
}
