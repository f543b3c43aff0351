/** The stream of a turn on a session that is opened when the stream is run: an agent that cannot start is an end of the turn. */
import type { AgentError, AgentEvent } from "@driver/agent/Agent"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { OpenSession } from "../Sessions.js"

export const turnOf = <R>(
  acquire: Effect.Effect<OpenSession, AgentError>,
  turn: (open: OpenSession) => Effect.Effect<Stream.Stream<AgentEvent, AgentError>, never, R>
): Stream.Stream<AgentEvent, AgentError, R> => Stream.unwrap(Effect.flatMap(acquire, turn))
