/**
 * Where a word leads as a path, and what it means to read, write or delete there.
 * Text only: links are not followed.
 */
import { add, addPath, clean, quote } from "./Findings.js"
import type { Run, Shell } from "./Shell.js"
import { isSecretPath, specialPath } from "./secrets.js"
import { isOpen, patternOf, show, type Value } from "./values.js"

/** `.` and `..` resolved as text. `~` is the home directory; other users' are left as they are. */
export const resolve = (run: Run, cwd: string, path: string): string => {
  let text = path
  if (text === "~" || text.startsWith("~/")) {
    text = (run.home ?? "~") + text.slice(1)
  }
  if (text.startsWith("~")) return normalize(text)
  return normalize(text.startsWith("/") ? text : `${cwd}/${text}`)
}

const normalize = (path: string): string => {
  const out: Array<string> = []
  const rooted = path.startsWith("/")
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue
    if (segment === ".." && (rooted || out.length > 1)) out.pop()
    else out.push(segment)
  }
  return (rooted ? "/" : "") + out.join("/")
}

export const isInside = (run: Run, path: string): boolean =>
  path === run.workspace || path.startsWith(run.workspace === "/" ? "/" : `${run.workspace}/`)

export const relativeOf = (run: Run, path: string): string =>
  path === run.workspace ? "" : path.slice(run.workspace.length + (run.workspace === "/" ? 0 : 1))

/** What a word names in each directory in which the shell may stand; none when that is not known. */
export const placesOf = (run: Run, shell: Shell, value: Value): ReadonlyArray<string> | undefined => {
  if (isOpen(value)) return undefined
  const text = patternOf(value)
  // What `..` after a part that is not known leads to is not known either.
  const hole = value.pieces.findIndex((it) => typeof it !== "string")
  if (
    hole >= 0 &&
    text.split("/").includes("..") &&
    patternOf({ pieces: value.pieces.slice(hole) })
      .split("/")
      .includes("..")
  )
    return undefined
  if (hole === 0 && /^\/?\//.test(prefixAfter(value))) return undefined
  if (text.startsWith("/") || text.startsWith("~")) return [resolve(run, "/", text)]
  if (shell.cwd.length === 0) return undefined
  return shell.cwd.map((cwd) => resolve(run, cwd, text))
}

/** A part that may be empty in front of a `/` makes a path absolute: only patterns of the shell never are. */
const prefixAfter = ({ pieces }: Value): string => {
  const [first, second] = pieces
  return typeof first !== "string" &&
    first?.kind !== "glob" &&
    first?.kind !== "number" &&
    typeof second === "string" &&
    second.startsWith("/") &&
    first?.kind === "text"
    ? second
    : ""
}

/** Devices that are no files. */
const standard = /^\/dev\/(null|stdin|stdout|stderr|tty|zero|full|u?random|fd(\/\d+)?)$|^\/proc\/self\/fd\/[012]$/
const sink = /^\/dev\/(null|stdout|stderr|tty|fd\/[12])$|^\/proc\/self\/fd\/[12]$/

/** `put`: a redirection writes, and what it writes is noted as text. */
export type Access = "stat" | "read" | "write" | "put" | "delete"

/** Judges one word as a path. Answers the places, when they are known. */
export const touch = (
  run: Run,
  shell: Shell,
  value: Value,
  access: Access,
  program: string
): ReadonlyArray<string> | undefined => {
  const places = placesOf(run, shell, value)
  if (places === undefined) {
    if (access === "stat") return undefined
    add(
      run.findings,
      "unknown_code",
      shell.cwd.length === 0
        ? `${quote(program)} works in a directory that is not known before the command runs.`
        : `${quote(program)} would ${access === "put" ? "write" : access} ${quote(show(value))}: the path is not known before the command runs.`
    )
    return undefined
  }
  for (const path of places) judge(run, path, access, program)
  return places
}

/** They change what a file is called or who may use it, not what is in it. */
const keepsText = /^(chmod|touch|mkdir|rmdir|rm|git (add|rm|stage|update-index))$/

export const judge = (run: Run, path: string, how: Access, program: string): void => {
  const access = how === "put" ? "write" : how
  if (access === "stat") {
    if (!standard.test(path)) addPath(run.findings, { path, access: "read" })
    if (/^\/proc\/[^/]+\/(root|cwd|fd\/|environ)/.test(path))
      add(run.findings, "secret", `${quote(path)} is another name for something that may not be read.`)
    return
  }
  if (access === "read") {
    if (/^\/dev\/(zero|full|u?random)$/.test(path) && !/^(head|dd|od|xxd)$/.test(program)) {
      add(run.findings, "resources", `${quote(program)} would read ${quote(path)}, which has no end.`)
    }
    if (standard.test(path)) return
    if (
      /[*?[]/.test(path) &&
      !isInside(run, path) &&
      !isPackageCache(run, path) &&
      (path.startsWith("~") ||
        /^\/(home|root|Users)\//.test(path) ||
        (run.home !== undefined && path.startsWith(`${run.home}/`)))
    ) {
      add(run.findings, "secret", `${quote(program)} would read whatever ${quote(path)} matches, secrets too.`)
    }
    if (
      isAbove(run, path) ||
      (/^(git|diff|cp|tar|zip|rsync|mv)\b/.test(program) && run.workspace.startsWith(`${path}/`))
    ) {
      add(run.findings, "secret", `${quote(program)} would read all of ${quote(path)}, secrets too.`)
    }
    addPath(run.findings, { path, access: "read" })
    if (isSecretPath(path) || isHiddenAtHome(run, path)) {
      run.findings.secrets.add(clean(path, 200))
      add(run.findings, "secret", `${quote(program)} reads ${quote(path)}, which usually holds secrets.`)
    }
    if (/^\/dev\/(tcp|udp)\//.test(path)) network(run, path)
    else if (path.startsWith("/dev/") && !path.startsWith("/dev/shm/")) {
      add(run.findings, "system", `${quote(program)} reads the device ${quote(path)}.`)
    }
    return
  }
  if (sink.test(path) && access === "write") return
  if (/^\/dev\/(tcp|udp)\//.test(path)) {
    network(run, path)
    return
  }
  addPath(run.findings, { path, access })
  if (!isInside(run, path)) {
    add(run.findings, "outside", `${quote(program)} would ${access} ${quote(path)}, which is outside the workspace.`)
    return
  }
  const relative = relativeOf(run, path)
  if (relative === "" && access === "delete") {
    add(run.findings, "destructive", `${quote(program)} would delete the workspace itself.`)
    return
  }
  const because = specialPath(relative)
  if (because !== undefined) {
    add(run.findings, "special_path", `${quote(program)} would ${access} ${quote(relative)}: ${because}.`)
    return
  }
  if (how === "write" && !keepsText.test(program)) run.edited.add(path)
  add(run.findings, "workspace_write", `${quote(program)} would ${access} ${quote(relative)}.`)
}

/** Below the hidden directories of the user: packages and toolchains, and settings that hold no secrets. */
const open =
  /^(\.(cargo\/(registry|git)|rustup|m2\/repository|gradle\/(caches|wrapper)|npm\/_(logs|npx)|nvm|pyenv\/versions|rbenv\/versions|local\/(lib|share\/(pnpm|uv))|deno|bun\/install|vscode\/extensions|cache\/(pip|uv|go-build|yarn|pre-commit|ms-playwright))\/|\.config\/(nvim\/|git\/(ignore|attributes|config)$)|\.(bashrc|bash_profile|bash_aliases|profile|zshrc|zprofile|gitconfig|gitignore[\w.]*|inputrc|tmux\.conf|vimrc|editorconfig|prettierrc|selected_editor)$)/

/** Of what a program shows the content. */
const belowHome = (run: Run, path: string): string | undefined => {
  if (path.startsWith("~/")) return path.slice(2)
  return run.home !== undefined && path.startsWith(`${run.home}/`) ? path.slice(run.home.length + 1) : undefined
}

/** Hidden directories of the user hold tokens of any program: secret unless they are known to hold none. */
const isHiddenAtHome = (run: Run, path: string): boolean => {
  const relative = isInside(run, path) ? undefined : belowHome(run, path)
  return relative?.startsWith(".") === true && !open.test(relative)
}

/** Sources of packages that were fetched, when the name of the file itself is known. */
const isPackageCache = (run: Run, path: string): boolean => {
  const relative = belowHome(run, path) ?? path
  return (
    (open.test(relative) || /^go\/pkg\/mod\/|(^|\/)site-packages\//.test(relative)) && !/\/[*?[][^/]*$/.test(relative)
  )
}

/** A directory with secrets of the user below it, outside the workspace. */
const isAbove = (run: Run, path: string): boolean =>
  !isInside(run, path) &&
  (/^(\/|~[\w-]*|\/home|\/home\/[^/]+|\/root|\/etc|\/etc\/ssh|\/proc|\/proc\/(\d+|self|thread-self)|\/var|\/run|\/Users(\/[^/]+)?)$/.test(
    path
  ) ||
    path === run.home ||
    (run.home !== undefined && path === `${run.home}/.config`) ||
    path === "~/.config")

const network = (run: Run, path: string): void => {
  run.findings.hosts.add(path.split("/")[3])
  add(run.findings, "network", `${quote(path)} is a connection to the network.`)
}

/** A word for code of the project: it may not lead out of the workspace, to a secret, or to another host. */
export const keepInside = (run: Run, shell: Shell, value: Value, program: string): void => {
  if (isOpen(value)) {
    add(
      run.findings,
      "unknown_code",
      `An argument of ${quote(program)}, ${quote(show(value))}, is not known before the command runs.`
    )
    return
  }
  const text = patternOf(value)
  const url = /(?:^|[=\s'"])([a-z][a-z0-9+.-]*):\/\/([^/\s'"]*)/i.exec(text)
  if (url !== null && !/^(file)$/i.test(url[1] ?? "")) {
    if (!/^([^@]*@)?(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)(:\d+)?$/.test(url[2] ?? "")) {
      run.findings.hosts.add(url[2])
      add(
        run.findings,
        "network",
        `An argument of ${quote(program)} names ${quote(url[2] ?? "")}, which is reached over the network.`
      )
    }
    return
  }
  for (const part of candidates(text)) {
    if (!/^[~/]|\.\.|\.env|secret|credential|\.(key|pem|p12|pfx)$|\*|\[|\?|id_|\.npmrc|\.netrc|\.git\b/i.test(part))
      continue
    const bases = shell.cwd.length === 0 ? ["/"] : shell.cwd
    for (const base of bases) {
      const path = resolve(run, base, part)
      if (/^\/dev\/(null|stdout|stderr)$/.test(path)) continue
      if (leaves(part) && !isInside(run, path)) {
        add(run.findings, "outside", `An argument of ${quote(program)}, ${quote(text)}, leads out of the workspace.`)
      } else if (isSecretPath(path)) {
        run.findings.secrets.add(clean(path, 200))
        add(
          run.findings,
          "secret",
          `An argument of ${quote(program)} names ${quote(part)}, which usually holds secrets.`
        )
      } else if (/(^|\/)\.git(\/|$)/.test(relativeOf(run, path))) {
        add(
          run.findings,
          "special_path",
          `An argument of ${quote(program)}, ${quote(text)}, leads into git's own files.`
        )
      }
    }
  }
}

const leaves = (text: string): boolean => /^[~/]/.test(text) || text.split("/").includes("..")

/** The parts of a word that a program may take for a path: all, and what follows `=`, `:`, `,` or `@`. */
const candidates = (text: string): ReadonlyArray<string> => {
  if (/\s/.test(text) && !text.startsWith("-")) return leaves(text) ? [text] : []
  const parts = new Set([text, ...text.split(/[=:,@]/)])
  const short = /^-[A-Za-z](.+)$/.exec(text)
  if (short !== null) parts.add(short[1] ?? "")
  return [...parts].filter((it) => it !== "")
}

/** Whether the command itself changed the file, or a directory around it, or files of a pattern that it matches. */
export const isEdited = (run: Run, path: string): boolean =>
  [...run.edited].some(
    (it) =>
      it === path || path.startsWith(`${it}/`) || (/[*?[]/.test(it) && path.startsWith(it.slice(0, it.search(/[*?[]/))))
  )
