/** What every `Registry` does: run on memory here, on databases where their layers are. */
import { IntentSessionId, MountId, ProjectId } from "@driver/intent/Directive"
import { NameTaken, Project, RegisteredMount, Registry, UnknownMount } from "@driver/intent/Registry"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Either, type Layer, Option, TestClock } from "effect"

const uuid = (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`

export const mountIdOf = (n: number) => MountId.make(uuid(n))
export const projectIdOf = (n: number) => ProjectId.make(uuid(1_000 + n))

export const mountOf = (n: number, changes: Partial<ConstructorParameters<typeof RegisteredMount>[0]> = {}) =>
  new RegisteredMount({ id: mountIdOf(n), name: `mount ${n}`, path: `/work/${n}`, ...changes })

export const projectOf = (n: number, changes: Partial<ConstructorParameters<typeof Project>[0]> = {}) =>
  new Project({ id: projectIdOf(n), name: `project ${n}`, mounts: [], instructions: "", ...changes })

const session = IntentSessionId.make("session 1")

/** `layer` gives an empty registry with every build. */
export const registryContract = <E>(
  name: string,
  layer: () => Layer.Layer<Registry, E>,
  options: { readonly available?: boolean } = {}
): unknown =>
  describe.skipIf(options.available === false)(`Registry on ${name}`, () => {
    it.effect("gives back what was added, by name, whatever its script", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const names = ["zebra", "Über", "商店 🏪", "alpha", "Beta"]
        for (const [index, it] of names.entries()) {
          yield* registry.addMount(mountOf(index, { name: it, path: `/home/ada/${it}/ab c` }))
        }
        const mounts = yield* registry.mounts
        assert.deepStrictEqual(
          mounts.map((it) => it.name),
          ["alpha", "Beta", "zebra", "Über", "商店 🏪"]
        )
        assert.deepStrictEqual(mounts[4], mountOf(2, { name: "商店 🏪", path: "/home/ada/商店 🏪/ab c" }))
        const project = projectOf(1, { mounts: [mountIdOf(2), mountIdOf(0)], instructions: "Zażółć\n\u0000 ␛ \ud800" })
        yield* registry.addProject(project)
        assert.deepStrictEqual(yield* registry.projects, [project])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("refuses a name that is taken, in whatever case, and changes nothing", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        yield* registry.addMount(mountOf(1, { name: "Straße" }))
        yield* registry.addProject(projectOf(1, { name: "Shop" }))
        const mount = yield* Effect.either(registry.addMount(mountOf(2, { name: "STRAßE" })))
        const project = yield* Effect.either(registry.addProject(projectOf(2, { name: "ｓｈｏｐ" })))
        assert.deepStrictEqual(mount, Either.left(new NameTaken({ kind: "mount", name: "STRAßE" })))
        assert.deepStrictEqual(project, Either.left(new NameTaken({ kind: "project", name: "ｓｈｏｐ" })))
        assert.strictEqual((yield* registry.mounts).length, 1)
        assert.strictEqual((yield* registry.projects).length, 1)
        // A project may have the name of a mount.
        yield* registry.addProject(projectOf(3, { name: "Straße" }))
      }).pipe(Effect.provide(layer()))
    )

    it.effect("refuses a project of a mount that is not there", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const refused = yield* Effect.either(registry.addProject(projectOf(1, { mounts: [mountIdOf(7)] })))
        assert.deepStrictEqual(refused, Either.left(new UnknownMount({ mount: mountIdOf(7) })))
        assert.deepStrictEqual(yield* registry.projects, [])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("takes a removed mount out of its projects and sessions, and minds none that is not there", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        yield* registry.addMount(mountOf(1))
        yield* registry.addMount(mountOf(2))
        yield* registry.addProject(projectOf(1, { mounts: [mountIdOf(1), mountIdOf(2)] }))
        yield* registry.setPrimary(session, mountIdOf(1))
        yield* registry.removeMount(mountIdOf(1))
        yield* registry.removeMount(mountIdOf(1))
        assert.deepStrictEqual(yield* registry.mounts, [mountOf(2)])
        assert.deepStrictEqual(yield* registry.projects, [projectOf(1, { mounts: [mountIdOf(2)] })])
        assert.deepStrictEqual(yield* registry.primaryOf(session), Option.none())
        yield* registry.removeProject(projectIdOf(1))
        yield* registry.removeProject(projectIdOf(1))
        assert.deepStrictEqual(yield* registry.projects, [])
        assert.strictEqual((yield* registry.mounts).length, 1)
        // The name is free again.
        yield* registry.addMount(mountOf(3, { name: mountOf(1).name }))
      }).pipe(Effect.provide(layer()))
    )

    it.effect("notes when mounts were used, and what is known of them; one that is gone stays gone", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        for (const n of [1, 2, 3]) yield* registry.addMount(mountOf(n))
        yield* TestClock.setTime(1_700_000_000_123)
        yield* registry.touchMounts([mountIdOf(3), mountIdOf(1), mountIdOf(9)])
        yield* registry.touchMounts([])
        yield* registry.summarizeMount(mountIdOf(2), "A shop 🏪")
        yield* registry.summarizeMount(mountIdOf(9), "Nothing")
        const used = Option.some(DateTime.unsafeMake(1_700_000_000_123))
        assert.deepStrictEqual(yield* registry.mounts, [
          mountOf(1, { lastUsedAt: used }),
          mountOf(2, { summary: Option.some("A shop 🏪") }),
          mountOf(3, { lastUsedAt: used })
        ])
      }).pipe(Effect.provide(layer()))
    )

    it.effect("knows each session's primary, and the last one that was set", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const other = IntentSessionId.make("Sitzung 二")
        for (const n of [1, 2]) yield* registry.addMount(mountOf(n))
        assert.deepStrictEqual(yield* registry.primaryOf(session), Option.none())
        yield* registry.setPrimary(session, mountIdOf(1))
        yield* registry.setPrimary(other, mountIdOf(1))
        yield* registry.setPrimary(session, mountIdOf(2))
        assert.deepStrictEqual(yield* registry.primaryOf(session), Option.some(mountIdOf(2)))
        assert.deepStrictEqual(yield* registry.primaryOf(other), Option.some(mountIdOf(1)))
      }).pipe(Effect.provide(layer()))
    )

    it.effect("lets one of many have a name that they want at the same time", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const added = yield* Effect.forEach(
          [1, 2, 3, 4, 5],
          (n) => Effect.either(registry.addMount(mountOf(n, { name: "shop" }))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(added.filter(Either.isRight).length, 1)
        assert.strictEqual((yield* registry.mounts).length, 1)
      }).pipe(Effect.provide(layer()))
    )
  })
