/** `driver mount` and `driver project`: what the subcommands take. What they do is in `mount.ts`, loaded when they are called. */

import type { Registry } from "@driver/intent/Registry"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { Composition } from "../Cli.js"
import { argument, config, json } from "../CommonOptions.js"

export const makeRegistryCommands = <E extends { readonly message: string }, R>(
  load: Effect.Effect<Composition<E, R>>
) => {
  const withRegistry = <A, E2, R2>(
    file: Option.Option<string>,
    body: (commands: typeof import("./mount.js")) => Effect.Effect<A, E2, R2 | Registry>
  ) =>
    Effect.gen(function* () {
      const [composition, it, commands] = yield* Effect.all([
        load,
        Effect.promise(() => import("../Settings.js")),
        Effect.promise(() => import("./mount.js"))
      ])
      const settings = yield* it.loadSettings({ config: file })
      return yield* Effect.provide(body(commands), composition.registry(settings))
    })

  const mountName = argument("name").pipe(Args.withDescription("The mount's name, or its id"))

  const mountAdd = Command.make(
    "add",
    {
      path: argument("path").pipe(Args.withDescription("A directory")),
      name: Options.text("name").pipe(
        Options.withDescription("What messages call it. Default: the directory's own name"),
        Options.optional
      ),
      config,
      json: json("the mount")
    },
    (args) => withRegistry(args.config, (it) => it.mountAdd(args))
  ).pipe(Command.withDescription("Give a directory a name"))

  const mountList = Command.make("list", { config, json: json("the mounts") }, (args) =>
    withRegistry(args.config, (it) => it.mountList(args))
  ).pipe(Command.withDescription("List the mounts"))

  const mountRemove = Command.make("remove", { name: mountName, config, json: json("what was removed") }, (args) =>
    withRegistry(args.config, (it) => it.mountRemove(args))
  ).pipe(Command.withDescription("Forget a mount; the directory stays"))

  const mount = Command.make("mount").pipe(
    Command.withDescription("The directories that messages of `driver ask` speak of, by name"),
    Command.withSubcommands([mountAdd, mountList, mountRemove])
  )

  const projectName = argument("name").pipe(Args.withDescription("The project's name"))

  const projectAdd = Command.make(
    "add",
    {
      name: projectName,
      mounts: Options.text("mount").pipe(
        Options.withDescription("A mount of it, the first is where work is done; can be given several times"),
        Options.repeated
      ),
      instructions: Options.text("instructions").pipe(
        Options.withDescription("What holds for all work on it"),
        Options.optional
      ),
      instructionsFile: Options.file("instructions-file").pipe(
        Options.withDescription("A file with the instructions"),
        Options.optional
      ),
      config,
      json: json("the project")
    },
    (args) => withRegistry(args.config, (it) => it.projectAdd(args))
  ).pipe(Command.withDescription("Put mounts together, with instructions"))

  const projectList = Command.make("list", { config, json: json("the projects") }, (args) =>
    withRegistry(args.config, (it) => it.projectList(args))
  ).pipe(Command.withDescription("List the projects"))

  const projectRemove = Command.make("remove", { name: projectName, config, json: json("what was removed") }, (args) =>
    withRegistry(args.config, (it) => it.projectRemove(args))
  ).pipe(Command.withDescription("Forget a project; its mounts stay"))

  const project = Command.make("project").pipe(
    Command.withDescription("Mounts that belong together, and the instructions for work on them"),
    Command.withSubcommands([projectAdd, projectList, projectRemove])
  )

  return { mount, project }
}
