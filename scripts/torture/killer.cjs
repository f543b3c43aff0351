// Loaded into a driver that is to die: at the Nth append to its journal, before or after it, by SIGKILL, so that nothing
// of the driver runs any more; or into one whose database has no room left.
const Module = require("node:module")

const [when, place] = (process.env.TORTURE_DIE ?? ":").split(":")
const pages = Number(process.env.TORTURE_PAGES ?? 0)
const load = Module._load
let appends = 0

const dieAt = (moment) => {
  if (when === moment && appends === Number(place)) process.kill(process.pid, "SIGKILL")
}

const patch = (Database) => {
  const { prepare } = Database.prototype
  Database.prototype.prepare = function (sql, ...rest) {
    const statement = prepare.call(this, sql, ...rest)
    if (pages > 0 && !this.isBounded) {
      this.isBounded = true
      // What SQLite answers beyond it is what it answers on a full disk.
      prepare.call(this, `PRAGMA max_page_count = ${pages}`).get()
    }
    if (!/INSERT INTO driver_journal/.test(sql)) return statement
    for (const method of ["all", "run", "get"]) {
      const original = statement[method]
      statement[method] = function (...args) {
        appends++
        dieAt("before")
        const result = original.apply(this, args)
        dieAt("after")
        return result
      }
    }
    return statement
  }
}

Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest)
  if (request === "better-sqlite3" && !loaded.isMortal) {
    loaded.isMortal = true
    patch(loaded)
  }
  return loaded
}
