/** The event that tells how close a rate limit is, and when it is lifted. */
import type { Moment } from "./Decoder.js"
import type { Event } from "./Output.js"
import type { RateLimitStatus } from "./Step.js"

const epochSeconds = (moment: Moment): number =>
  "epochSeconds" in moment ? moment.epochSeconds : Math.ceil((Date.now() + moment.inMillis) / 1000)

export const rateLimitEvent = (
  status: RateLimitStatus,
  resetsAt: Moment | undefined,
  type: string,
  utilization: number | undefined
): Event => ({
  type: "rate_limit_event",
  rate_limit_info: {
    status,
    ...(resetsAt === undefined ? {} : { resetsAt: epochSeconds(resetsAt) }),
    rateLimitType: type,
    ...(utilization === undefined ? {} : { utilization }),
    isUsingOverage: false
  }
})
