/**
 * How deep a task is gone into. The model proposes; what can be seen may deepen it and
 * never make it shallower, so that no message talks itself out of its review. Pure.
 */
import type { Scope } from "./Directive.js"

export interface RoutedScope {
  readonly scope: Scope
  /** Why it is not what the model proposed; absent when it is. */
  readonly because?: string
}

/** Code points. More than this is no small step. */
export const longestTrivial = 400

/** List items in a request that make it more than one step. */
const stepsOfTask = 3

export const routeScope = (proposed: Scope, request: string): RoutedScope => {
  if (proposed === "substantial") return { scope: "substantial" }
  if (speaksToTheAssessor(request)) {
    return { scope: "substantial", because: "the message speaks about how it is to be assessed" }
  }
  if (Array.from(request).length > longestTrivial) return { scope: "substantial", because: "the message is long" }
  if ((request.match(/^\s*(?:[-*•]|\d{1,2}[.)])\s+\S/gm) ?? []).length >= stepsOfTask) {
    return { scope: "substantial", because: "the message is a list of steps" }
  }
  return { scope: "trivial" }
}

const assessorPhrases: ReadonlyArray<RegExp> = [
  // Our own words, as an answer would have them.
  /["']?\b(?:scope|kind|follow_up|verdict|passed|score|assessment)\b["']?\s*[:=]\s*["']?(?:trivial|substantial|conversation|task|true|false|answer|[01]\b)/i,
  /\b(?:as|is|be) (?:a )?(?:["'`])?trivial\b|\btrivial task\b|\bscope\s+trivial\b/i,
  /\b(?:skip|bypass|omit|disable|without|no need for|don't need|do not need)\b.{0,20}\b(?:review|acceptance|criteria|verification|checks?)\b/i,
  /\bmark\b.{0,30}\b(?:as )?(?:passed|done|accepted|complete|trivial)\b/i,
  // Attempts to give new instructions, in several languages.
  /\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:instructions?|prompts?|rules|above)\b/i,
  /\b(?:system|developer) (?:prompt|message|override)\b|<\/?(?:system|assistant|instructions?|data)[-\w]*>/i,
  /\byou are (?:now|no longer)\b/i,
  /(?:ignorier|vergiss|missacht)\w*.{0,30}(?:anweisung|regel|prompt)|(?:ohne|überspring\w*).{0,20}(?:prüfung|review)/i,
  /ignore[rz]?.{0,30}(?:instructions|consignes|règles)|sans (?:revue|vérification)/i,
  /(?:ignora|olvida)\w*.{0,30}(?:instrucciones|reglas|istruzioni|regole|instruções|regras)|sin (?:revisión|verificación)/i,
  /(?:игнорируй|забудь).{0,30}(?:инструкц|правил)|без проверки/i,
  /(?:忽略|无视|無視|跳过|跳過).{0,15}(?:指令|指示|说明|規則|规则|审查|审核|検証|レビュー)|(?:指示|命令|ルール|レビュー).{0,6}(?:無視|スキップ)/,
  /(?:지시|명령|규칙|검토|리뷰).{0,8}(?:무시|건너)/
]

/** The message is about the assessment rather than about the work. Too often is harmless: it costs a review. */
export const speaksToTheAssessor = (message: string): boolean => {
  const text = message.normalize("NFKC").replace(/[\u200b-\u200f\u2060\ufeff]/g, "")
  return assessorPhrases.some((phrase) => phrase.test(text))
}
