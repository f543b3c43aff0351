/**
 * The way from programs in a sandbox, which know proxies by host and port, to a proxy on a unix socket outside: a
 * listener on the sandbox's own loopback, started before the program and gone with the sandbox.
 *
 * `socat` does it in a few milliseconds; where there is none, Node does, which takes some 40.
 */
import { Mount } from "../SandboxProfile.js"
import * as Node from "./nodeProcess.js"

export type Bridge = { readonly socat: string } | { readonly node: string }

export const find = (): Bridge => {
  const socat = Node.systemProgram("socat")
  return socat === undefined ? { node: Node.ownProgram } : { socat }
}

/** What it needs to see. */
export const mounts = (bridge: Bridge): ReadonlyArray<Mount> =>
  "node" in bridge ? [Mount.ReadOnly({ path: bridge.node })] : []

/** Nothing else listens on the loopback of a sandbox that has just been made. */
const port = 3128

/** What programs find the proxy by. */
export const variables = (loopback: "own" | "proxied"): Readonly<Record<string, string>> => {
  const address = `http://127.0.0.1:${port}`
  const direct = loopback === "own" ? "localhost,127.0.0.1,::1" : ""
  return {
    HTTP_PROXY: address,
    http_proxy: address,
    HTTPS_PROXY: address,
    https_proxy: address,
    NO_PROXY: direct,
    no_proxy: direct,
    // Node 24 and later listen to the others only then.
    NODE_USE_ENV_PROXY: "1"
  }
}

/** Words to put before the program. It starts when the bridge listens, and keeps its own exit code. */
export const command = (bridge: Bridge, socket: string): ReadonlyArray<string> =>
  "socat" in bridge
    ? ["/bin/sh", "-c", socatScript, bridge.socat, socket]
    : [bridge.node, "-e", nodeScript, "--", socket]

/** `$0` is socat, `$1` the socket, the rest the program. */
const socatScript = `
"$0" "TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,backlog=64" "UNIX-CONNECT:$1" </dev/null >/dev/null 2>&1 &
shift
listens() {
  while read -r _ address _; do
    case "$address" in 0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}) return 0 ;; esac
  done </proc/net/tcp
  return 1
}
tries=0
until listens; do
  tries=$((tries + 1))
  if [ "$tries" -gt 1000 ]; then echo "driver: the way to the network proxy did not open" >&2; exit 126; fi
  sleep 0.003
done
exec "$@"
`

const nodeScript = `
const [socket, program, ...args] = process.argv.slice(1)
const net = require("node:net")
const server = net.createServer({ allowHalfOpen: true }, (near) => {
  const far = net.connect({ path: socket, allowHalfOpen: true })
  near.on("error", () => far.destroy())
  far.on("error", () => near.destroy())
  near.pipe(far)
  far.pipe(near)
})
server.listen(${port}, "127.0.0.1", () => {
  const child = require("node:child_process").spawn(program, args, { stdio: "inherit" })
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => child.kill(signal))
  child.on("error", (error) => {
    process.stderr.write("driver: " + error.message + "\\n")
    process.exit(127)
  })
  child.on("exit", (code, signal) => process.exit(code ?? 128 + require("node:os").constants.signals[signal]))
})
`
