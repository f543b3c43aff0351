// A PostgreSQL server of its own, to be restarted in the middle of a goal. None where the system has no PostgreSQL.
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const installed = () => {
  const root = "/usr/lib/postgresql"
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions.map((it) => join(root, it, "bin")).find((it) => existsSync(join(it, "initdb")))
  if (found !== undefined) return found
  return spawnSync("initdb", ["--version"]).status === 0 ? "" : undefined
}

const freePort = () =>
  new Promise((done, fail) => {
    const server = createServer()
    server.once("error", fail).listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })

export const startPostgres = async () => {
  const bin = installed()
  if (bin === undefined) return undefined
  const directory = mkdtempSync(join(tmpdir(), "driver-postgres-"))
  chmodSync(directory, 0o777)
  const port = await freePort()
  const data = join(directory, "data")
  /** The server refuses to be started by root. */
  const run = (program, args) => {
    const [command, ...rest] =
      process.getuid?.() === 0
        ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", join(bin, program), ...args]
        : [join(bin, program), ...args]
    const result = spawnSync(command, rest, { encoding: "utf8", cwd: directory, stdio: ["ignore", "pipe", "pipe"] })
    if (result.status !== 0) throw new Error(`${program}: ${result.stdout}${result.stderr}`)
    return result.stdout
  }
  const control = (...args) => run("pg_ctl", ["-D", data, "-w", "-l", join(directory, "log"), ...args])
  const options = `-p ${port} -k ${directory} -c listen_addresses=127.0.0.1 -c fsync=off`
  run("initdb", ["-D", data, "-A", "trust", "-U", "postgres", "--no-sync"])
  control("-o", options, "start")
  const psql = (database, sql) =>
    run("psql", ["-h", "127.0.0.1", "-p", String(port), "-U", "postgres", "-At", "-F", "\t", "-c", sql, database])
  let databases = 0
  return {
    newDatabase: () => {
      const name = `torture${++databases}`
      psql("postgres", `CREATE DATABASE ${name}`)
      return { url: `postgres://postgres@127.0.0.1:${port}/${name}`, query: (sql) => psql(name, sql) }
    },
    /** As after a crash of the server: every connection breaks. */
    restart: () => control("-m", "immediate", "-o", options, "restart"),
    stop: () => {
      control("-m", "immediate", "stop")
      rmSync(directory, { recursive: true, force: true })
    }
  }
}
