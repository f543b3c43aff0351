import { IntentContext, IntentSessionId, type MountId } from "@driver/intent/Directive"
import { Environments, ExecEnv } from "@driver/intent/ExecEnv"
import { MountSummaries, SummaryError } from "@driver/intent/MountSummaries"
import { Registry } from "@driver/intent/Registry"
import * as RegistryEnvironments from "@driver/intent/RegistryEnvironments"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Layer, Option, Ref, Schema, TestClock } from "effect"
import { mountIdOf, mountOf, projectIdOf, projectOf } from "./support/registryContract.js"

const shop = mountOf(1, { name: "shop", path: "/work/shop" })
const api = mountOf(2, { name: "api", path: "/work/api" })
const docs = mountOf(3, { name: "docs", path: "/work/shop/docs" })
const copy = mountOf(4, { name: "copy", path: "/work/shop" })

const context = (changes: Partial<ConstructorParameters<typeof IntentContext>[0]> = {}) =>
  new IntentContext({ sessionId: IntentSessionId.make("s"), ...changes })

const given = (
  options: Partial<RegistryEnvironments.RegistryEnvironmentsOptions> = {},
  summaries = MountSummaries.layerNone
) =>
  RegistryEnvironments.layer({
    home: Option.none(),
    directory: Option.none(),
    recent: Duration.zero,
    ...options
  }).pipe(Layer.provide(summaries), Layer.provideMerge(Registry.layerMemory))

const registered = Effect.gen(function* () {
  const registry = yield* Registry
  for (const mount of [shop, api, docs, copy]) yield* registry.addMount(mount)
  yield* registry.addProject(projectOf(1, { name: "store", mounts: [api.id, docs.id], instructions: "Use tabs." }))
})

const idsOf = (env: { readonly mounts: ReadonlyArray<{ readonly id: MountId }> }) => env.mounts.map(({ id }) => id)

/** A message on its whole way. */
const say = (message: string, changes: Partial<ConstructorParameters<typeof IntentContext>[0]> = {}) =>
  Effect.gen(function* () {
    const environments = yield* Environments
    const env = yield* environments.resolve(message, context(changes))
    // What is touched may have been read from a journal.
    yield* environments.touch(Schema.decodeSync(ExecEnv)(Schema.encodeSync(ExecEnv)(env)), context(changes))
    return idsOf(env)
  })

describe("RegistryEnvironments", () => {
  it.effect("takes the mounts that are given, in order, each once, and each path once", () =>
    Effect.gen(function* () {
      yield* registered
      const { resolve } = yield* Environments
      const env = yield* resolve("about docs", context({ mountHints: [copy.id, api.id, copy.id, shop.id] }))
      assert.deepStrictEqual(idsOf(env), [copy.id, api.id, shop.id])
      assert.deepStrictEqual(env.paths, ["/work/shop", "/work/api"])
      assert.match(env.workspaceContext, /\*\*copy\*\* → \/work\/shop/)
    }).pipe(Effect.provide(given()))
  )

  it.effect("adds those of the project, with its instructions, be it given or named", () =>
    Effect.gen(function* () {
      yield* registered
      const { resolve } = yield* Environments
      for (const env of [
        yield* resolve("mend docs", context({ projectHint: Option.some(projectIdOf(1)) })),
        yield* resolve("mend docs of the store", context())
      ]) {
        assert.deepStrictEqual(idsOf(env), [docs.id, api.id])
        assert.deepStrictEqual(env.projectId, Option.some(projectIdOf(1)))
        assert.match(env.workspaceContext, /Use tabs\./)
      }
      assert.deepStrictEqual(idsOf(yield* resolve("the store", context())), [api.id, docs.id])
    }).pipe(Effect.provide(given({ directory: Option.some("/work/shop") })))
  )

  it.effect("refuses hints that name nothing", () =>
    Effect.gen(function* () {
      yield* registered
      const { resolve } = yield* Environments
      const mount = yield* Effect.either(resolve("x", context({ mountHints: [shop.id, mountIdOf(99)] })))
      const project = yield* Effect.either(resolve("x", context({ projectHint: Option.some(projectIdOf(99)) })))
      for (const refused of [mount, project]) {
        assert.isTrue(
          Either.isLeft(refused) && !refused.left.retryable && /driver (mount|project) list/.test(refused.left.message)
        )
      }
    }).pipe(Effect.provide(given()))
  )

  it.effect("keeps the session's primary first, and adds what is spoken of", () =>
    Effect.gen(function* () {
      yield* registered
      assert.deepStrictEqual(yield* say("mend the api"), [api.id])
      assert.deepStrictEqual(yield* say("and now the docs of the shop"), [api.id, docs.id, shop.id])
      assert.deepStrictEqual(yield* say("go on"), [api.id])
      // Another session has its own.
      assert.deepStrictEqual(yield* say("go on", { sessionId: IntentSessionId.make("other") }), [])
      // Whoever says so, changes it.
      assert.deepStrictEqual(yield* say("go on", { mountHints: [docs.id] }), [docs.id])
      assert.deepStrictEqual(yield* say("go on"), [docs.id])
      yield* Effect.flatMap(Registry, (it) => it.removeMount(docs.id))
      assert.deepStrictEqual(yield* say("go on"), [])
    }).pipe(Effect.provide(given()))
  )

  it.effect("goes by where the person is when nobody says more, and does not stick to it", () =>
    Effect.gen(function* () {
      yield* registered
      assert.deepStrictEqual(yield* say("go on"), [docs.id])
      assert.deepStrictEqual(yield* say("mend the api"), [api.id])
      assert.deepStrictEqual(yield* say("go on"), [api.id])
    }).pipe(Effect.provide(given({ directory: Option.some("/work/shop/docs/deep") })))
  )

  it.effect("is in no mount in a directory whose name only begins like one's", () =>
    Effect.gen(function* () {
      yield* registered
      assert.deepStrictEqual(yield* say("go on"), [])
    }).pipe(Effect.provide(given({ directory: Option.some("/work/shopping") })))
  )

  it.effect("goes by recent use within its time, and notes the use", () =>
    Effect.gen(function* () {
      yield* registered
      yield* say("mend the api")
      yield* TestClock.adjust("59 minutes")
      assert.deepStrictEqual(yield* say("go on", { sessionId: IntentSessionId.make("b") }), [api.id])
      yield* TestClock.adjust("59 minutes")
      assert.deepStrictEqual(yield* say("go on", { sessionId: IntentSessionId.make("c") }), [api.id])
      yield* TestClock.adjust("60 minutes")
      assert.deepStrictEqual(yield* say("go on", { sessionId: IntentSessionId.make("d") }), [])
    }).pipe(Effect.provide(given({ recent: Duration.hours(1) })))
  )

  it.effect("changes nothing by looking", () =>
    Effect.gen(function* () {
      yield* registered
      const registry = yield* Registry
      const before = yield* registry.mounts
      const { resolve } = yield* Environments
      yield* resolve("mend the api", context())
      assert.deepStrictEqual(yield* registry.mounts, before)
      assert.deepStrictEqual(yield* registry.primaryOf(IntentSessionId.make("s")), Option.none())
    }).pipe(Effect.provide(given()))
  )
})

describe("RegistryEnvironments, summaries", () => {
  it.effect("are looked for in the background, once, and are there the next time", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make<ReadonlyArray<string>>([])
      const begun = yield* Deferred.make<void>()
      const looked = yield* Deferred.make<void>()
      const summaries = Layer.succeed(MountSummaries, {
        summarize: (mount) =>
          Ref.update(asked, (before) => [...before, mount.name]).pipe(
            Effect.zipRight(Deferred.succeed(begun, undefined)),
            Effect.zipRight(Deferred.await(looked)),
            Effect.as(Option.some("Sells things."))
          )
      })
      yield* Effect.gen(function* () {
        yield* registered
        yield* say("mend the shop")
        yield* say("mend the shop again")
        yield* Deferred.await(begun)
        yield* Deferred.succeed(looked, undefined)
        const { resolve } = yield* Environments
        const env = yield* resolve("the shop", context()).pipe(
          Effect.repeat({ until: ({ mounts }) => mounts.some(({ summary }) => Option.isSome(summary)) })
        )
        assert.match(env.workspaceContext, /Sells things\./)
        yield* say("the shop")
        yield* Effect.yieldNow()
        assert.deepStrictEqual(yield* Ref.get(asked), ["shop"])
      }).pipe(Effect.provide(given({}, summaries)))
    })
  )

  it.effect("that fail, die or hang harm nobody, and at most two are looked for at once", () =>
    Effect.gen(function* () {
      const running = yield* Ref.make({ now: 0, most: 0, ended: 0 })
      const summaries = Layer.succeed(MountSummaries, {
        summarize: (mount) =>
          Effect.acquireUseRelease(
            Ref.update(running, (it) => ({ ...it, now: it.now + 1, most: Math.max(it.most, it.now + 1) })),
            () =>
              mount.name === "api"
                ? new SummaryError({ detail: "no" })
                : mount.name === "docs"
                  ? Effect.die("oh")
                  : Effect.never,
            () => Ref.update(running, (it) => ({ ...it, now: it.now - 1, ended: it.ended + 1 }))
          )
      })
      yield* Effect.gen(function* () {
        yield* registered
        const registry = yield* Registry
        for (const n of [5, 6]) yield* registry.addMount(mountOf(n))
        const all = [shop.id, mountIdOf(5), api.id, mountIdOf(6), docs.id, copy.id]
        yield* say("all", { mountHints: all })
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* Ref.get(running), { now: 0, most: 2, ended: 6 })
        const mounts = yield* registry.mounts
        assert.isTrue(mounts.every(({ summary }) => Option.isNone(summary)))
      }).pipe(Effect.provide(given({}, summaries)))
    })
  )
})
