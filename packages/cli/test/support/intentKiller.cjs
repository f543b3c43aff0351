// Loaded into a driver that is to die: by SIGKILL behind its Nth write to the intent's tables, so that nothing of the driver
// runs any more.
const Module = require("node:module")

const place = Number(process.env.INTENT_DIE_BEHIND ?? 0)
const load = Module._load
let writes = 0

const patch = (Database) => {
  const { prepare } = Database.prototype
  Database.prototype.prepare = function (sql, ...rest) {
    const statement = prepare.call(this, sql, ...rest)
    if (!/INSERT INTO driver_(?:intent_|goal_results)/.test(sql)) return statement
    for (const method of ["all", "run", "get"]) {
      const original = statement[method]
      statement[method] = function (...args) {
        const result = original.apply(this, args)
        writes++
        if (writes === place) process.kill(process.pid, "SIGKILL")
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
