/** `driver mount` and `driver project`: the places that messages speak of, by name. The subcommands' work; `registryCommands.ts` says what they take. */
import { MountId, ProjectId } from "@driver/intent/Directive"
import { nameKey, Project, RegisteredMount, Registry, RegistryName } from "@driver/intent/Registry"
import { contextLimits } from "@driver/intent/WorkspaceContext"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Host } from "../Host.js"
import { fileError } from "../InputError.js"
import { agoText } from "../Render.js"
import { resolvePath } from "../Settings.js"
import { table } from "../Table.js"
import { fit, printable } from "../Text.js"

/** The name cannot be used, or names nothing. */
export class NameError extends Data.TaggedError("NameError")<{ readonly detail: string }> {
  override get message() {
    return this.detail
  }
}

const encodeMount = Schema.encodeSync(RegisteredMount)
const encodeProject = Schema.encodeSync(Project)

const validName = (name: string) =>
  Effect.mapError(
    Schema.decodeUnknown(RegistryName)(name.trim()),
    () => new NameError({ detail: `${JSON.stringify(name)} cannot be a name: one line of at most 100 characters` })
  )

/** The one that is called so, whatever the case, or that has the id. */
export const findNamed = <A extends { readonly id: string; readonly name: string }>(
  kind: "mount" | "project",
  all: ReadonlyArray<A>,
  wanted: string
): Effect.Effect<A, NameError> => {
  const found = all.find(({ id, name }) => nameKey(name) === nameKey(wanted.trim()) || id === wanted.trim())
  return found === undefined
    ? new NameError({
        detail: `There is no ${kind} ${JSON.stringify(wanted)}: \`driver ${kind} list\` shows those there are`
      })
    : Effect.succeed(found)
}

const print = (json: boolean, value: unknown, text: string) =>
  Effect.flatMap(Host, ({ stdout }) => stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : text))

export interface MountAddArguments {
  readonly path: string
  readonly name: Option.Option<string>
  readonly json: boolean
}

export const mountAdd = ({ json, name, path: given }: MountAddArguments) =>
  Effect.gen(function* () {
    const host = yield* Host
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = resolvePath(path, host.home, host.directory, given)
    const real = yield* Effect.mapError(fs.realPath(directory), () =>
      fileError(directory, "there is no such directory")
    )
    const { type } = yield* Effect.mapError(fs.stat(real), () => fileError(directory, "it cannot be looked at"))
    if (type !== "Directory") return yield* fileError(directory, "it is not a directory")
    const mount = new RegisteredMount({
      id: MountId.make(yield* host.uuid),
      name: yield* validName(Option.getOrElse(name, () => path.basename(real))),
      path: real
    })
    yield* Effect.flatMap(Registry, (it) => it.addMount(mount))
    yield* print(json, encodeMount(mount), `Added: ${printable(mount.name)} is ${printable(mount.path)}\n`)
  })

export const mountList = ({ json }: { readonly json: boolean }) =>
  Effect.gen(function* () {
    const mounts = yield* Effect.flatMap(Registry, (it) => it.mounts)
    const now = yield* Clock.currentTimeMillis
    yield* print(
      json,
      mounts.map((it) => encodeMount(it)),
      mounts.length === 0
        ? "There are no mounts: `driver mount add PATH` adds one.\n"
        : table(
            ["NAME", "USED", "PATH", "SUMMARY"],
            mounts.map(({ lastUsedAt, name, path, summary }) => [
              name,
              Option.match(lastUsedAt, {
                onNone: () => "never",
                onSome: (at) => agoText(now, DateTime.toEpochMillis(at))
              }),
              path,
              fit(printable(Option.getOrElse(summary, () => "-")), 60)
            ])
          )
    )
  })

export interface NameArguments {
  readonly name: string
  readonly json: boolean
}

export const mountRemove = ({ json, name }: NameArguments) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const mount = yield* findNamed("mount", yield* registry.mounts, name)
    yield* registry.removeMount(mount.id)
    yield* print(json, encodeMount(mount), `Removed: ${printable(mount.name)}. The directory stays.\n`)
  })

/** Bytes. Of more than a page a model is shown the beginning. */
const longestInstructions = 64 * 1024

const readInstructions = (fs: FileSystem.FileSystem, file: string) =>
  Effect.gen(function* () {
    const bytes = yield* Effect.mapError(fs.readFile(file), () => fileError(file, "it cannot be read"))
    if (bytes.length > longestInstructions) {
      return yield* fileError(
        file,
        `it is longer than ${longestInstructions / 1024} KiB: a model is shown the first ${contextLimits.instructions} characters`
      )
    }
    const text = yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () => fileError(file, "it is no text in UTF-8")
    })
    return /[^\P{Cc}\t\n\r]/u.test(text) ? yield* fileError(file, "it is no text: it has control characters") : text
  })

export interface ProjectAddArguments {
  readonly name: string
  readonly mounts: ReadonlyArray<string>
  readonly instructions: Option.Option<string>
  readonly instructionsFile: Option.Option<string>
  readonly json: boolean
}

export const projectAdd = (args: ProjectAddArguments) =>
  Effect.gen(function* () {
    const host = yield* Host
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const registry = yield* Registry
    if (Option.isSome(args.instructions) && Option.isSome(args.instructionsFile)) {
      return yield* new NameError({ detail: "Give the instructions or their file, not both" })
    }
    const known = yield* registry.mounts
    const mounts = yield* Effect.forEach(args.mounts, (it) => findNamed("mount", known, it))
    const file = Option.map(args.instructionsFile, (it) => resolvePath(path, host.home, host.directory, it))
    const fromFile = yield* Effect.transposeMapOption(file, (it) => readInstructions(fs, it))
    const project = new Project({
      id: ProjectId.make(yield* host.uuid),
      name: yield* validName(args.name),
      mounts: [...new Set(mounts.map(({ id }) => id))],
      instructions: Option.getOrElse(
        Option.orElse(args.instructions, () => fromFile),
        () => ""
      )
    })
    yield* registry.addProject(project)
    const { length } = [...project.instructions.trim()]
    if (length > contextLimits.instructions) {
      const { stderr } = yield* Host
      yield* stderr.write(
        `warning: models are shown the first ${contextLimits.instructions} of the instructions' ${length} characters\n`
      )
    }
    yield* print(args.json, encodeProject(project), `Added: the project ${printable(project.name)}\n`)
  })

export const projectList = ({ json }: { readonly json: boolean }) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const projects = yield* registry.projects
    const names = new Map((yield* registry.mounts).map(({ id, name }) => [id, name]))
    yield* print(
      json,
      projects.map((it) => encodeProject(it)),
      projects.length === 0
        ? "There are no projects: `driver project add NAME` adds one.\n"
        : table(
            ["NAME", "MOUNTS", "INSTRUCTIONS"],
            projects.map(({ instructions, mounts, name }) => [
              name,
              mounts.length === 0 ? "-" : mounts.flatMap((id) => names.get(id) ?? []).join(", "),
              instructions.trim() === "" ? "-" : fit(printable(instructions), 60)
            ])
          )
    )
  })

export const projectRemove = ({ json, name }: NameArguments) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const project = yield* findNamed("project", yield* registry.projects, name)
    yield* registry.removeProject(project.id)
    yield* print(json, encodeProject(project), `Removed: the project ${printable(project.name)}. Its mounts stay.\n`)
  })
