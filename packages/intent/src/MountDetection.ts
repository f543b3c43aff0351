/**
 * Which mounts and which project a message speaks of. Pure: names are looked for as
 * whole words, paths as whole paths, and nothing is asked of the file system.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Project, RegisteredMount } from "./Registry.js"

export interface DetectionSurroundings {
  /** Absolute path of the person's home directory: what `~` means. None: `~` means nothing. */
  readonly home: Option.Option<string>
  /** Milliseconds since the epoch. */
  readonly now: number
  /** A mount that nobody speaks of counts when it was used within this time. Zero: none does. */
  readonly recent: Duration.Duration
}

/** Why a mount was found. */
export type Reason = "path" | "name" | "recent"

export interface Detected {
  readonly mount: RegisteredMount
  readonly reason: Reason
}

/**
 * The mounts that the message means: those whose path is in it, the deepest first;
 * then those whose name is, in the order of the message, the lately used first where
 * that is the same. When there are none, the one used last, if that was lately.
 */
export const detectMounts = (
  message: string,
  mounts: ReadonlyArray<RegisteredMount>,
  { home, now, recent }: DetectionSurroundings
): ReadonlyArray<Detected> => {
  const paths = pathsIn(message, mounts, home)
  const byPath = mounts
    .filter(({ path }) => paths.has(trimmed(path)))
    .sort((a, b) => trimmed(b.path).length - trimmed(a.path).length || byRecentUse(a, b))
  const byName = mounts
    .flatMap((mount) => {
      const at = wordAt(message, mount.name)
      return byPath.includes(mount) || at < 0 ? [] : [{ mount, at }]
    })
    .sort((a, b) => a.at - b.at || b.mount.name.length - a.mount.name.length || byRecentUse(a.mount, b.mount))
  const found = [
    ...byPath.map((mount): Detected => ({ mount, reason: "path" })),
    ...byName.map(({ mount }): Detected => ({ mount, reason: "name" }))
  ]
  if (found.length > 0) return found
  const [last] = [...mounts].sort(byRecentUse)
  return last !== undefined && now - usedAt(last) < Duration.toMillis(recent) ? [{ mount: last, reason: "recent" }] : []
}

/** The project whose name comes first in the message; of two that begin there, the longer one. */
export const detectProject = (message: string, projects: ReadonlyArray<Project>): Option.Option<Project> => {
  const [first] = projects
    .flatMap((project) => {
      const at = wordAt(message, project.name)
      return at < 0 ? [] : [{ project, at }]
    })
    .sort((a, b) => a.at - b.at || b.project.name.length - a.project.name.length)
  return Option.map(Option.fromNullable(first), ({ project }) => project)
}

const usedAt = (mount: RegisteredMount): number =>
  Option.match(mount.lastUsedAt, { onNone: () => Number.NEGATIVE_INFINITY, onSome: DateTime.toEpochMillis })

const byRecentUse = (a: RegisteredMount, b: RegisteredMount): number => {
  const [first, second] = [usedAt(a), usedAt(b)]
  return first === second ? 0 : second > first ? 1 : -1
}

/** Compared whatever the case and the form of the letters. */
const folded = (text: string): string => text.normalize("NFKC").toLowerCase()

/** Scripts that put no blanks between words, and Hangul, which puts endings to words of other scripts. */
const blankless =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u
const hangul = /^\p{Script=Hangul}$/u

const isWordCharacter = (character: string): boolean => /^[\p{L}\p{N}\p{M}_]$/u.test(character)

/**
 * Whether a word that has `inside` at its end is over where `outside` comes, which has `beyond` behind it: `web` is a
 * word of `webを直して`, of `web's` and of `(web).`, and not of `website`, `web-ui`, `my.web` or `src/web/index.ts`.
 */
const isBoundary = (inside: string, outside: string, beyond: string): boolean => {
  if (outside === "") return true
  // These join words, but where nothing of a word follows: the end of a sentence.
  if (/^[-.@/\\:]$/.test(outside)) return !isWordCharacter(beyond)
  if (!isWordCharacter(outside)) return true
  if (/^\p{M}$/u.test(outside)) return false
  return blankless.test(inside) || blankless.test(outside) || hangul.test(inside) !== hangul.test(outside)
}

/** Where the name stands as a word of its own, in code points of the folded message; -1 when it does not. */
const wordAt = (message: string, name: string): number => {
  const text = [...folded(message)]
  const word = [...folded(name.trim())]
  const [first] = word
  const last = word[word.length - 1]
  if (first === undefined || last === undefined) return -1
  for (let at = 0; at + word.length <= text.length; at++) {
    if (!word.every((character, index) => text[at + index] === character)) continue
    const end = at + word.length
    const before = text[at - 1] ?? ""
    const after = text[end] ?? ""
    // One character of a blankless script is in half of its words.
    if (word.length === 1 && blankless.test(first) && (blankless.test(before) || blankless.test(after))) continue
    if (isBoundary(first, before, text[at - 2] ?? "") && isBoundary(last, after, text[end + 1] ?? "")) return at
  }
  return -1
}

const trimmed = (path: string): string => (path.length > 1 ? path.replace(/\/+$/, "") : path)

/** The paths of mounts that are in the message. Where one is the beginning of another, the longer one is meant. */
const pathsIn = (
  message: string,
  mounts: ReadonlyArray<RegisteredMount>,
  home: Option.Option<string>
): ReadonlySet<string> => {
  const text = message.normalize("NFC")
  const longest = new Map<number, { readonly path: string; readonly length: number }>()
  for (const path of new Set(mounts.map((mount) => trimmed(mount.path)))) {
    for (const form of writtenForms(path, home)) {
      for (const at of pathPlaces(text, form)) {
        if ((longest.get(at)?.length ?? 0) < form.length) longest.set(at, { path, length: form.length })
      }
    }
  }
  return new Set([...longest.values()].map(({ path }) => path))
}

/** How people write a path: as it is, with `~` for the home directory, with blanks escaped. */
const writtenForms = (path: string, home: Option.Option<string>): ReadonlyArray<string> => {
  const directory = Option.getOrUndefined(Option.map(home, trimmed))
  const fromHome =
    directory !== undefined && path.startsWith(`${directory}/`) ? [`~${path.slice(directory.length)}`] : []
  const all = [path, ...fromHome]
  return [...new Set([...all, ...all.map((it) => it.replaceAll(" ", "\\ "))])].map((it) => it.normalize("NFC"))
}

/** Where the path begins in the text, itself or with more of a path behind it. */
const pathPlaces = (text: string, form: string): ReadonlyArray<number> => {
  const places: Array<number> = []
  // The root is the beginning of every path: it says nothing.
  if (form === "/") return places
  const last = [...form].pop() ?? ""
  for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1)) {
    const before = [...text.slice(Math.max(0, at - 2), at)].pop() ?? ""
    const [after = "", beyond = ""] = [...text.slice(at + form.length, at + form.length + 4)]
    const begins = before === "" || blankless.test(before) || !/[\p{L}\p{N}\p{M}_/.~\\-]/u.test(before)
    if (begins && (after === "/" || isBoundary(last, after, beyond))) places.push(at)
  }
  return places
}
