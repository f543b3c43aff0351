/** A daemon at work, as `driver serve` needs it; the composition makes it. */
import type { StoredEvent } from "@driver/domain/DriverEvent"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

/** An address of the loopback, and the file with the token that whoever comes there shows. */
export interface ListenOptions {
  readonly host: "127.0.0.1" | "::1"
  /** 0: the system picks one. */
  readonly port: number
  /** Absolute path. */
  readonly tokenFile: string
}

export interface ServeOptions {
  /** Absolute path. */
  readonly socket: string
  readonly listen: Option.Option<ListenOptions>
  /** At least 1. */
  readonly maxConcurrent: number
  /** 0 = no limit. */
  readonly perRepository: number
  /** Every event of every goal. */
  readonly onEvent: (event: StoredEvent) => Effect.Effect<void>
}

/** The daemon cannot do its work: it has not begun, or it stops. */
export class ServeError extends Data.TaggedError("ServeError")<{
  /** One sentence: what was wrong, where, and what to do. */
  readonly detail: string
}> {
  override get message() {
    return this.detail
  }
}

export class Serving extends Context.Tag("@driver/cli/Serving")<
  Serving,
  {
    /** Where it listens: `unix:/path`, `http://127.0.0.1:7717`. */
    readonly addresses: ReadonlyArray<string>
    /** What a person should know, a sentence each. */
    readonly notes: ReadonlyArray<string>
    /** Resolves when somebody asks the daemon to stop through its API; fails when it cannot go on. */
    readonly stopped: Effect.Effect<void, ServeError>
  }
>() {}
