import { Either, Option } from "effect"
import { defaults, settingsOf, type TelemetrySettings } from "../../src/TelemetryConfig.js"

/** Settings as they are by default, with these changes. */
export const settingsFor = (endpoint: string, changes: Partial<TelemetrySettings> = {}): TelemetrySettings => ({
  ...Option.getOrThrow(
    Either.getOrThrow(
      settingsOf({ config: { ...defaults, endpoint: Option.some(endpoint) }, environment: {}, version: "1.2.3" })
    )
  ),
  ...changes
})
