/**
 * `Environments` over the registry: which mounts are active for a message, and what
 * is said of them.
 *
 * Mounts that a caller names are taken as they are. Otherwise the session's primary
 * stays first, and what the message speaks of comes after it; the first message that
 * speaks of a mount makes it the session's primary; one that was only guessed does not
 * stay. Summaries are looked for in the
 * background, and nobody waits for them.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { MountId, ProjectId } from "./Directive.js"
import { EnvironmentError, Environments, ExecEnv, Mount } from "./ExecEnv.js"
import { detectMounts, detectProject } from "./MountDetection.js"
import { MountSummaries } from "./MountSummaries.js"
import { type Project, type RegisteredMount, Registry, type RegistryError } from "./Registry.js"
import { renderContext } from "./WorkspaceContext.js"

export interface RegistryEnvironmentsOptions {
  /** Absolute path: what `~` in a message means. */
  readonly home: Option.Option<string>
  /** Where the person is: the mount around it is active when the message and the session speak of none. Absolute path. */
  readonly directory: Option.Option<string>
  /** How long ago a mount may have been used to count when nothing else says which. Zero: none does. */
  readonly recent: Duration.DurationInput
}

/** At most so many mounts are looked at at the same time. */
const summariesAtOnce = 2

const summaryTimeout = Duration.seconds(5)

export const layer = (
  options: RegistryEnvironmentsOptions
): Layer.Layer<Environments, never, Registry | MountSummaries> =>
  Layer.scoped(
    Environments,
    Effect.gen(function* () {
      const registry = yield* Registry
      const summaries = yield* MountSummaries
      const fibers = yield* FiberSet.make<void>()
      const places = yield* Effect.makeSemaphore(summariesAtOnce)
      /** Once per mount is enough for one process. */
      const asked = new Set<MountId>()

      const enrich = (mount: Mount) =>
        summaries.summarize(mount).pipe(
          Effect.timeout(summaryTimeout),
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.void,
              onSome: (summary) => registry.summarizeMount(mount.id, summary)
            })
          ),
          Effect.catchAllCause((cause) => Effect.logDebug(`The mount ${mount.name} has no summary`, cause)),
          places.withPermits(1)
        )

      return {
        resolve: Effect.fn("Environments.resolve")(function* (message, context) {
          const [mounts, projects, sticky, now] = yield* Effect.all([
            registry.mounts,
            registry.projects,
            registry.primaryOf(context.sessionId),
            Clock.currentTimeMillis
          ]).pipe(Effect.mapError(unreadable))
          const project = yield* projectOf(message, context.projectHint, projects)
          const { active, isGuess } = yield* activeMounts(message, context.mountHints, {
            mounts,
            ofProject: Option.match(project, { onNone: () => [], onSome: (it) => it.mounts }),
            sticky,
            directory: options.directory,
            surroundings: { home: options.home, now, recent: Duration.decode(options.recent) }
          })
          return new ExecEnv({
            mounts: active.map(({ id, name, path, summary }) => new Mount({ id, name, path, summary })),
            paths: [...new Set(active.map(({ path }) => path))],
            workspaceContext: renderContext(active, project),
            projectId: Option.map(project, ({ id }) => id),
            primaryGuessed: isGuess && active.length > 0
          })
        }),

        touch: Effect.fn("Environments.touch")(function* (env, context) {
          const [primary] = env.mounts
          if (primary === undefined) return
          const sticky = yield* registry.primaryOf(context.sessionId).pipe(Effect.mapError(unreadable))
          const replaces = context.mountHints.length > 0 || (Option.isNone(sticky) && !env.primaryGuessed)
          yield* registry
            .touchMounts(env.mounts.map(({ id }) => id))
            .pipe(
              Effect.zipRight(Effect.when(registry.setPrimary(context.sessionId, primary.id), () => replaces)),
              Effect.mapError(unreadable)
            )
          for (const mount of env.mounts) {
            if (Option.isSome(mount.summary) || asked.has(mount.id)) continue
            asked.add(mount.id)
            yield* FiberSet.run(fibers, enrich(mount))
          }
        })
      }
    })
  )

const unreadable = ({ message, retryable }: RegistryError): EnvironmentError =>
  new EnvironmentError({ detail: message, retryable })

const projectOf = (
  message: string,
  hint: Option.Option<ProjectId>,
  projects: ReadonlyArray<Project>
): Effect.Effect<Option.Option<Project>, EnvironmentError> => {
  if (Option.isNone(hint)) return Effect.succeed(detectProject(message, projects))
  const found = projects.find(({ id }) => id === hint.value)
  return found === undefined
    ? new EnvironmentError({
        detail: `There is no project ${hint.value}: \`driver project list\` shows those there are`,
        retryable: false
      })
    : Effect.succeedSome(found)
}

interface Known {
  readonly mounts: ReadonlyArray<RegisteredMount>
  readonly ofProject: ReadonlyArray<MountId>
  readonly sticky: Option.Option<MountId>
  readonly directory: Option.Option<string>
  readonly surroundings: Parameters<typeof detectMounts>[2]
}

interface Active {
  /** The primary first, each once. */
  readonly active: ReadonlyArray<RegisteredMount>
  /** Nobody has spoken of the primary, in this message or before. */
  readonly isGuess: boolean
}

const activeMounts = (
  message: string,
  hints: ReadonlyArray<MountId>,
  known: Known
): Effect.Effect<Active, EnvironmentError> => {
  const byId = new Map(known.mounts.map((mount) => [mount.id, mount]))
  const unknown = hints.find((id) => !byId.has(id))
  if (unknown !== undefined) {
    return new EnvironmentError({
      detail: `There is no mount ${unknown}: \`driver mount list\` shows those there are`,
      retryable: false
    })
  }
  const { ids, isGuess } = hints.length > 0 ? { ids: hints, isGuess: false } : foundMounts(message, known)
  return Effect.succeed({
    active: [...new Set([...ids, ...known.ofProject])].flatMap((id) => byId.get(id) ?? []),
    isGuess
  })
}

/** When nobody has named any: the session's primary, then what the message speaks of, else where the person is. */
const foundMounts = (
  message: string,
  { directory, mounts, ofProject, sticky, surroundings }: Known
): { readonly ids: ReadonlyArray<MountId>; readonly isGuess: boolean } => {
  const first = Option.filter(sticky, (id) => mounts.some((mount) => mount.id === id))
  const detected = detectMounts(message, mounts, surroundings)
  const spoken = detected.filter(({ reason }) => reason !== "recent")
  const ids = [...Option.toArray(first), ...spoken.map(({ mount }) => mount.id)]
  if (ids.length > 0) return { ids, isGuess: false }
  // A project says where it is; only without one the surroundings do.
  if (ofProject.length > 0) return { ids: [], isGuess: false }
  const around = Option.flatMap(directory, (it) => mountAround(it, mounts))
  return {
    ids: Option.match(around, { onSome: ({ id }) => [id], onNone: () => detected.map(({ mount }) => mount.id) }),
    isGuess: true
  }
}

/** The deepest mount that the directory is in. */
const mountAround = (directory: string, mounts: ReadonlyArray<RegisteredMount>): Option.Option<RegisteredMount> =>
  Option.fromNullable(
    mounts
      .filter(({ path }) => directory === path || directory.startsWith(path.endsWith("/") ? path : `${path}/`))
      .sort((a, b) => b.path.length - a.path.length)[0]
  )
