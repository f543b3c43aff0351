/** Whether commands have to be confined: a word of the configuration, which is read before anything is started. */
import * as Schema from "effect/Schema"

/** `off`: nothing is confined. `auto`: where it works. `required`: nothing runs where it does not. */
export const SandboxMode = Schema.Literal("off", "auto", "required")
export type SandboxMode = typeof SandboxMode.Type
