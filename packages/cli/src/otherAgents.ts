/**
 * The agents of the configuration that take over for the first one, and the agents
 * elsewhere that take parts: what of them is wrong, and the settings of one. Pure.
 */
import * as Option from "effect/Option"
import type { AgentKind, Config, OtherAgentConfig } from "./Config.js"
import type { AgentSettings, Settings } from "./Settings.js"

export interface OtherAgent {
  readonly name: string
  /** In place of the configuration's `agent`. */
  readonly config: Config["agent"]
  readonly agent: AgentSettings
  /** Whose usage limits it shares. */
  readonly account: string
}

/** As `agent` where the other one does not say; a program or model of another kind of agent is none of its own. */
export const agentConfigOf = (agent: Config["agent"], kind: AgentKind, other: OtherAgentConfig): Config["agent"] => {
  const own = Option.getOrElse(other.kind, () => kind)
  const inherited = <A>(value: Option.Option<A>) => (own === kind ? value : Option.none<A>())
  return {
    ...agent,
    kind: own,
    binary: Option.orElse(other.binary, () => inherited(agent.binary)),
    model: Option.orElse(other.model, () => inherited(agent.model)),
    scenario: Option.orElse(other.scenario, () => inherited(agent.scenario))
  }
}

export interface AgentComplaint {
  readonly at: ReadonlyArray<PropertyKey>
  readonly message: string
}

export const agentComplaints = (
  { agent, intent }: Pick<Config, "agent" | "intent">,
  kind: AgentKind
): ReadonlyArray<AgentComplaint> => {
  const twice = (key: string, agents: ReadonlyArray<{ readonly name: string }>) =>
    agents.flatMap(({ name }, index) =>
      agents.findIndex((it) => it.name === name) < index
        ? [
            {
              at: ["intent", key, index, "name"],
              message: `${JSON.stringify(name)} is the name of another one: take another`
            }
          ]
        : []
    )
  return [
    ...twice("other_agents", intent.otherAgents),
    ...intent.otherAgents.flatMap((other, index) => {
      const own = agentConfigOf(agent, kind, other)
      return own.kind === "stub" && Option.isNone(own.scenario)
        ? [
            {
              at: ["intent", "other_agents", index, "scenario"],
              message: "is missing: the stub agent needs a scenario file to play"
            }
          ]
        : []
    }),
    ...twice("remote_agents", intent.remoteAgents),
    ...intent.remoteAgents.flatMap(({ capabilities, url }, index) => [
      ...(URL.canParse(url) && /^https?:/i.test(url)
        ? []
        : [
            {
              at: ["intent", "remote_agents", index, "url"],
              message: "is no URL of HTTP, such as https://agents.example.org/goals"
            }
          ]),
      ...(capabilities.length === 0
        ? [
            {
              at: ["intent", "remote_agents", index, "capabilities"],
              message: "is empty: nothing would ever be given to this agent"
            }
          ]
        : [])
    ])
  ]
}

/**
 * The settings for a goal of this agent; without a name those of the first one. Undefined: there is none of this name.
 * Where somebody is left to take over, a usage limit is not waited for.
 */
export const settingsFor = (settings: Settings, name: Option.Option<string>): Settings | undefined => {
  const { otherAgents } = settings
  const at = Option.match(name, {
    onNone: () => -1,
    onSome: (it) => otherAgents.findIndex((other) => other.name === it)
  })
  const endAtLimit = at + 1 < otherAgents.length
  if (Option.isNone(name)) return { ...settings, agent: { ...settings.agent, endAtLimit } }
  const other = otherAgents[at]
  if (other === undefined) return undefined
  return {
    ...settings,
    agent: { ...other.agent, endAtLimit },
    config: { ...settings.config, agent: other.config, account: other.account }
  }
}
