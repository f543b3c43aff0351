/**
 * Advisors look at a request before it is decided and add warnings to it. They
 * decide nothing: one that fails, dies or takes too long is skipped and logged.
 */
import { PermissionRequest } from "@driver/domain/Permission"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface PermissionAdvisor {
  /** Names the advisor in the log. */
  readonly name: string
  /** Warnings about this request, each one sentence; none is the usual answer. */
  readonly advise: (request: PermissionRequest) => Effect.Effect<ReadonlyArray<string>, unknown>
}

/** The advisors of this process, in the order in which their warnings appear. None unless a layer says otherwise. */
export class PermissionAdvisors extends Context.Reference<PermissionAdvisors>()(
  "@driver/permission/PermissionAdvisors",
  { defaultValue: (): ReadonlyArray<PermissionAdvisor> => [] }
) {}

/** A warning that is longer is cut, so that none can fill a prompt. UTF-16 units. */
const longestWarning = 2_000

/** The request with all warnings added to those it has. All advisors are asked at once. */
export const addAdvisories = (
  request: PermissionRequest,
  advisors: ReadonlyArray<PermissionAdvisor>,
  /** How long one advisor may take. */
  timeout: Duration.DurationInput
): Effect.Effect<PermissionRequest> =>
  advisors.length === 0
    ? Effect.succeed(request)
    : Effect.map(
        Effect.forEach(advisors, (advisor) => ask(advisor, request, timeout), { concurrency: "unbounded" }),
        (warnings) =>
          new PermissionRequest(
            { ...request, advisories: [...request.advisories, ...warnings.flat()] },
            { disableValidation: true }
          )
      )

const ask = (advisor: PermissionAdvisor, request: PermissionRequest, timeout: Duration.DurationInput) =>
  Effect.suspend(() => advisor.advise(request)).pipe(
    Effect.flatMap((warnings) => Effect.sync(() => warnings.map((it) => String(it).slice(0, longestWarning)))),
    // An advisor that cannot be interrupted must not hold up the question.
    Effect.disconnect,
    Effect.timeout(timeout),
    Effect.catchAllCause((cause) =>
      Effect.as(
        Effect.logWarning(`The permission advisor ${advisor.name} failed and is skipped for this call`, cause),
        []
      )
    )
  )
