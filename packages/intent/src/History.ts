/** What the model is shown of a session: its last exchanges, as many as fit a budget of tokens. Pure. */
import * as Option from "effect/Option"
import { Exchange } from "./Directive.js"
import type { SessionMessage } from "./IntentStore.js"

/**
 * About as many tokens as a model counts, rather more than less: four letters of ASCII make one, other characters one
 * each.
 */
export const estimateTokens = (text: string): number => {
  let ascii = 0
  let other = 0
  for (const character of text) {
    if (character < "\u0080") ascii++
    else other++
  }
  return Math.ceil(ascii / 4) + other
}

/** Messages by who answers whom. Each message is in one exchange; one that nobody has answered stands alone. */
export const exchangesOf = (
  messages: ReadonlyArray<Pick<SessionMessage, "role" | "text">>
): ReadonlyArray<Exchange> => {
  const exchanges: Array<Exchange> = []
  for (const { role, text } of messages) {
    const last = exchanges.at(-1)
    if (role === "user") exchanges.push(new Exchange({ user: text }))
    else if (last !== undefined && Option.isNone(last.agent)) {
      exchanges[exchanges.length - 1] = new Exchange({ user: last.user, agent: Option.some(text) })
    } else exchanges.push(new Exchange({ user: "", agent: Option.some(text) }))
  }
  return exchanges
}

const tokensOf = ({ agent, user }: Exchange): number =>
  estimateTokens(user) + Option.match(agent, { onNone: () => 0, onSome: estimateTokens })

/** The last exchanges, oldest first, with no more tokens than this together. The very last is cut rather than left out. */
export const boundHistory = (
  messages: ReadonlyArray<Pick<SessionMessage, "role" | "text">>,
  tokens: number
): ReadonlyArray<Exchange> => {
  const kept: Array<Exchange> = []
  let left = tokens
  for (const exchange of [...exchangesOf(messages)].reverse()) {
    const size = tokensOf(exchange)
    if (size > left) {
      if (kept.length === 0) kept.push(cutExchange(exchange, left))
      break
    }
    kept.push(exchange)
    left -= size
  }
  return kept.reverse()
}

const cutExchange = ({ agent, user }: Exchange, tokens: number): Exchange => {
  const forUser = Option.isNone(agent) ? tokens : Math.floor(tokens / 2)
  const said = cutToTokens(user, forUser)
  return new Exchange({
    user: said,
    agent: Option.map(agent, (text) => cutToTokens(text, tokens - estimateTokens(said)))
  })
}

/** The beginning of a text with an ellipsis, cut between two code points; the whole text when it fits. */
export const cutToTokens = (text: string, tokens: number): string => {
  if (estimateTokens(text) <= tokens) return text
  const mark = "…"
  let ascii = 0
  let other = estimateTokens(mark)
  let end = 0
  for (const character of text) {
    if (character < "\u0080") ascii++
    else other++
    if (Math.ceil(ascii / 4) + other > tokens) break
    end += character.length
  }
  return tokens < estimateTokens(mark) ? "" : text.slice(0, end) + mark
}
