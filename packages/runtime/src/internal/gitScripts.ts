/**
 * Several git commands as one program, for what each turn needs: starting a program costs the driver more than git's
 * work does, since the system copies the driver's page tables for it.
 *
 * A script does the usual case and changes nothing that doing it in steps would not have changed, or it says `unusual`:
 * then the steps are done one by one, and what is wrong shows there. Standard input is descriptor 3.
 */

/** Exit code: the case is not the usual one. */
const unusual = 9

/**
 * The paths on standard input into the index, and the tree of it. `$1`: a commit to compare the index with, or nothing.
 * Prints the comparison as `--stat`, a line feed, and the tree.
 */
export const indexAndTree = `
git update-index -q --refresh --add --remove --replace -z --stdin <&3 || exit ${unusual}
[ -z "$1" ] || git diff-index -r -M --stat=76,50,20 --cached "$1" &
compared=$!
tree=$(git write-tree) || exit ${unusual}
wait "$compared" || exit ${unusual}
printf '\\n%s' "$tree"
`

/**
 * A directory in which nothing has changed as the next checkpoint: `$1` its reference, `$2` the repository that has it,
 * `$3` the tree of the index or nothing, `$4` and what follows the parents as `-p <commit>`. The message is on
 * standard input. Prints `<tree>:<commit>`.
 */
export const checkpointOfSame = `
reference=$1 repository=$2 tree=$3
shift 3
commit() {
  [ -n "$tree" ] || tree=$(git write-tree) || return
  printf '%s:' "$tree"
  git commit-tree "$tree" "$@" <&3
}
made=$(commit "$@" & git ls-files -t -m -o --exclude-standard || echo failed; wait)
case $made in *[!0-9a-f:]* | *: | '') exit ${unusual} ;; esac
(
  GIT_DIR=$repository
  unset GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
  git update-ref --no-deref --stdin
) <<END || exit ${unusual}
create $reference \${made#*:}
END
echo "$made"
`
