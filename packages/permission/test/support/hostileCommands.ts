/** Texts that are made to use up time or memory: short ones that grow, and long ones that repeat. None is ever run. */
const times = (count: number, text: string): string => text.repeat(count)
const each = (count: number, of: (index: number) => string): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => of(index))

/** What would grow without limit: refused. */
export const growing: Readonly<Record<string, string>> = {
  "a doubled variable": `a=src/;${times(26, " a=$a$a;")} touch "$a/x"`,
  "a doubled variable, printed": `a=xxxxxxxx;${times(40, ' a="$a$a";')} echo ok`,
  "an appended variable": `a=x;${times(40, " a+=$a;")} echo ok`,
  "replaced letters": `a=x;${times(30, " a=${a//x/xx};")} echo ok`,
  "a text replaced by itself": `a=${times(7_000, "x")}; b=\${a//x/$a}; echo $b`,
  printf: `a=x;${times(24, ' a=$(printf "%s%s" $a $a);')} echo ok`,
  "printf -v": `a=x;${times(40, ' printf -v a "%s%s" $a $a;')} echo ok`,
  "printf of many": `a=${times(3_000, "x")}; printf "${times(2_000, "%s")}" ${times(60, "$a ")}`,
  echo: `a=x;${times(40, ' a=$(echo "$a$a");')} echo ok`,
  "a doubled array": `a=(x y);${times(40, ' a=("${a[@]}" "${a[@]}");')} ls "\${a[@]}"`,
  "an appended array": `a=(${times(5_000, "x ")});${times(30, " a+=(${a[@]});")}`,
  "doubled arguments": `set -- a b;${times(40, ' set -- "$@" "$@";')} ls "$@"`,
  "a wide range": "echo {1..999999999}",
  "files of a wide range": "touch f{1..999999999}",
  "a loop over a wide range": "for i in {1..999999999}; do echo $i; done",
  "two wide ranges": "echo {1..90000}{1..90000}",
  "twelve braces": `echo ${times(12, "{a,b}")}`,
  "many ranges": times(500, "echo {1..255}{1..1}; "),
  "many words of long text": `a='${times(5_000, "x ")}'; echo ${times(900, "$a$a ")}`
}

/** Long or deep ones: answered, whatever the label. */
export const long: Readonly<Record<string, string>> = {
  "1 MB": times(200_000, "echo "),
  "10,000 substitutions": `${times(10_000, "$(")}ls${times(10_000, ")")}`,
  "5,000 quoted substitutions": `${times(5_000, '"$(')}ls${times(5_000, ')"')}`,
  "3,000 braces": `echo ${times(3_000, "{a,b}")}`,
  "doubled aliases": `alias a='b b'; ${times(40, "alias b='a a'; a; ")}`,
  "8,000 blocks": times(8_000, "{ "),
  "3,000 ifs": times(3_000, "if "),
  "3,000 pipes": `${times(3_000, "ls | ")}ls`,
  "1,800 variables": each(1_800, (it) => `v${it}=x`).join(";"),
  "12 loops within loops": `${times(12, "for a in 1 2 3 4; do ")}x=$a;y=$x${times(12, "; done")}`,
  "3 loops over 24": `${times(3, "for a in {1..24}; do ")}echo $a${times(3, "; done")}`,
  "30 loops that read": `${times(30, "while read a; do b=$a;c=$b;")}echo x${times(30, "; done")}`,
  "400 nested braces": `echo ${times(400, "{a,")}b${times(400, "}")}`,
  "functions that call twice": `${each(30, (it) => `f${it}() { f${it + 1}; f${it + 1}; }`).join("; ")}; f30() { ls; }; f0`,
  "a long pattern": `cat ${times(30, "*")}${times(3_000, "a*")}`,
  "many patterns": times(400, `cat ${times(15, "*a")}; `),
  brackets: `cat ${times(1_400, "[a")}`,
  "7,900 words": `ls ${times(7_900, "a ")}`,
  "2,500 files": `git add ${each(2_500, (it) => `a${it}`).join(" ")}`,
  "700 finds in one": `find . ${times(700, "-exec ls {} + ")}`,
  "3,000 wrappers": `${times(3_000, "env ")}ls`,
  "700 shells": times(700, "bash -c 'ls -l'; "),
  "1,000 substitutions": times(1_000, "$(ls) "),
  "900 here-documents": times(900, "cat <<E\nx\nE\n"),
  "800 writes to one file": `${times(800, "echo x >> a.sh; ")}sh a.sh`,
  "600 directories": `${times(600, "cd a || cd b; ")}cat x`,
  "a script of sed": `sed '${times(7_000, "s/a/b/;")}' f`,
  "a script of awk": `awk '${times(4_000, '{("')}' f`,
  "a filter of jq": `jq '${times(7_000, ".|")}.' f`,
  "code of node": `node -e '${times(800, "a.b(require);")}'`,
  "code of python": `python3 -c '${times(1_600, "print(1);")}'`,
  "3,000 redirections": `ls ${times(3_000, ">a ")}`
}
