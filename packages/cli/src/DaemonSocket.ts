/** Where the commands on goals go: to the daemon, when one listens, or to the stores alone. */
import * as Context from "effect/Context"

/** The environment variable that names the socket of a daemon which serves several repositories. */
export const socketVariable = "DRIVER_SOCKET"

export class DaemonSocket extends Context.Tag("@driver/cli/DaemonSocket")<
  DaemonSocket,
  {
    /** Absolute path of the socket that a daemon of this configuration listens on. */
    readonly socket: string
    /** Whether one does: then whatever is asked of goals goes through it. */
    readonly listening: boolean
  }
>() {}
