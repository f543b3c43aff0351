/** Names of a project's tasks that reach beyond the machine, or lose what is in a database. */

/** Always. */
const beyond = /^(deploy|undeploy|publish|unpublish|upload|destroy|dropall|wipe|rollback)$/
/** Beside a word for a database. */
const loses = /^(drop|reset|fresh|flush|purge|wipe|truncate|refresh|seed|query|load|down|zero)$/
const stores =
  /^(db|database|table|tables|users|databases|schema|sql|migrate|migration|migrations|doctrine|liquibase|flyway|redis|mongo|postgres)$/

/** `db:reset`, `doctrine:query:sql`, `dropAll` in their words. */
const wordsOf = (text: string): ReadonlyArray<string> =>
  text
    .replace(/([a-z])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .split(/[:\-_/]/)

/** One argument, or a task and its first argument: `db reset`. Not paths. */
export const reachesBeyond = (...texts: ReadonlyArray<string>): boolean => {
  if (texts.some((it) => !/^[\w:-]+$|^(db|database|schema|migrate|migration)\/\w+$/.test(it) || it.startsWith("-")))
    return false
  const words = texts.flatMap(wordsOf)
  // It only tells about it.
  if (/^(notes|check|dry|docs|status|plan|preview|changelog)$/.test(words.at(-1) ?? "")) return false
  return (
    words.some((it) => beyond.test(it)) ||
    (words.some((it) => loses.test(it)) && words.some((it) => stores.test(it))) ||
    (words.includes("drop") && words.includes("all")) ||
    words.some((it) => /^drop(db|database|tables?|schema|all)$/.test(it)) ||
    texts.some((it) => /^(flush|dbshell|sqlflush|loaddata)$/.test(it))
  )
}

/** Whether one of these arguments, or two that stand together, do. */
export const anyReachesBeyond = (texts: ReadonlyArray<string>): boolean =>
  texts.some((it, index) => reachesBeyond(it) || (index > 0 && reachesBeyond(texts[index - 1] ?? "", it)))

/** A program or a script by its path: `./cmd/dropdb`, `scripts/deploy.py`. */
export const nameOf = (path: string): string => (path.split("/").at(-1) ?? "").replace(/\.\w+$/, "")
