/** `driver init`: writes `driver.yaml` and a goal to begin with. Never overwrites unless told to. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Host } from "../Host.js"
import { fileError } from "../InputError.js"
import { propose, type RepositoryFacts, readFirst } from "../RepositoryKind.js"
import { findRepository } from "../Settings.js"
import { configText, goalText } from "../Templates.js"

export interface InitArguments {
  readonly force: boolean
}

/** A manifest is not larger; a lockfile's head tells enough. */
const maxFactBytes = 256 * 1024

export const init = ({ force }: InitArguments) =>
  Effect.gen(function* () {
    const { directory, stdout } = yield* Host
    const path = yield* Path.Path
    const repository = yield* findRepository(directory)
    const root = Option.getOrElse(repository, () => directory)
    const proposal = propose(yield* factsOf(root))
    const say = (text: string) => stdout.write(`${text}\n`)

    if (Option.isNone(repository)) {
      yield* say(
        `${directory} is not inside a git repository: goals need one. Run \`git init\` and make a first commit, or set \`workspace: directory\` in driver.yaml.`
      )
    }
    yield* say(
      proposal.kinds.length === 0
        ? "No known kind of project was found here: the example goal creates a file."
        : `This looks like ${proposal.kinds.join(" and ")}.`
    )
    for (const { command, reason } of proposal.criteria) yield* say(`  proposed criterion: ${command}  (${reason})`)
    const config = yield* write(path.join(root, "driver.yaml"), configText(), force)
    const goal = yield* write(path.join(root, "goals", "example.yaml"), goalText(proposal), force)
    for (const { file, written } of [config, goal]) {
      yield* say(
        written
          ? `wrote ${path.relative(directory, file)}`
          : `${path.relative(directory, file)} exists and was left as it is (--force overwrites)`
      )
    }
    if (goal.written) {
      yield* say(
        `Next: edit ${path.relative(directory, goal.file)}, then \`driver lint ${path.relative(directory, goal.file)}\`.`
      )
    }
  })

const write = (file: string, text: string, force: boolean) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    // `wx`: two of us at once do not overwrite each other, and a dangling link counts as a file.
    return yield* fs.writeFileString(file, text, { flag: force ? "w" : "wx" }).pipe(
      Effect.as({ file, written: true }),
      Effect.catchIf(
        (error) => error._tag === "SystemError" && error.reason === "AlreadyExists",
        () => Effect.succeed({ file, written: false })
      )
    )
  }).pipe(Effect.mapError((error) => fileError(file, `cannot be written: ${error.message}`)))

/** Reading what cannot be read is not an error here: it tells nothing. */
export const factsOf = (directory: string): Effect.Effect<RepositoryFacts, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), (): Array<string> => [])
    const texts = yield* Effect.forEach(
      readFirst.filter((name) => names.includes(name)),
      (name) =>
        Effect.gen(function* () {
          const file = yield* fs.open(path.join(directory, name), { flag: "r" })
          const bytes = yield* file.readAlloc(maxFactBytes)
          return [
            name,
            Option.match(bytes, { onNone: () => "", onSome: (it) => new TextDecoder().decode(it) })
          ] as const
        }).pipe(Effect.scoped, Effect.option)
    )
    return { names: [...names].sort(), texts: Object.fromEntries(texts.flatMap(Option.toArray)) }
  })
