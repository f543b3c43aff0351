import { detectMounts, detectProject } from "@driver/intent/MountDetection"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, FastCheck as fc, Option } from "effect"
import { mountIdOf, mountOf, projectOf } from "./support/registryContract.js"

const home = "/home/ada"

const surroundings = { home: Option.some(home), now: 1_000_000, recent: Duration.zero }

const named = (...names: ReadonlyArray<string>) =>
  names.map((name, index) => mountOf(index, { name, path: `/somewhere/else/${index}` }))

const at = (...paths: ReadonlyArray<string>) => paths.map((path, index) => mountOf(index, { name: `n${index}x`, path }))

const detected = (message: string, mounts: ReturnType<typeof named>, changes: Partial<typeof surroundings> = {}) =>
  detectMounts(message, mounts, { ...surroundings, ...changes })

describe("detectMounts", () => {
  const names: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    ["fix the login of webshop", ["webshop"], ["webshop"]],
    ["Fix WebShop.", ["webshop"], ["webshop"]],
    ["webshop: the login is broken", ["webshop"], ["webshop"]],
    ["(webshop) and `api`'s tests", ["api", "webshop"], ["webshop", "api"]],
    ["webshop's login", ["webshop"], ["webshop"]],
    // Inside of words.
    ["fix the website", ["web"], []],
    ["the web-ui is slow", ["web"], []],
    ["look at src/web/index.ts", ["web"], []],
    ["ask me@web.example", ["web"], []],
    ["my_web and webs", ["web"], []],
    ["http://web:80/", ["web"], []],
    ["the web-ui and the web", ["web"], ["web"]],
    ["the web-ui", ["web", "web-ui"], ["web-ui"]],
    ["is it the web? yes, web.", ["web"], ["web"]],
    ["naïve", ["nai"], []],
    // Several words, blanks in them.
    ["start the order service now", ["order service", "order"], ["order service", "order"]],
    ["start the ordering service", ["order service"], []],
    // Other scripts.
    ["repariere die Straße", ["straße"], ["straße"]],
    ["REPARIERE DIE STRASSE", ["straße"], []],
    ["почини магазин, пожалуйста", ["Магазин"], ["Магазин"]],
    ["почини магазинчик", ["магазин"], []],
    ["修复商店的登录", ["商店"], ["商店"]],
    ["修复商的登录", ["商"], []],
    ["商", ["商"], ["商"]],
    ["webのログインを直して", ["web"], ["web"]],
    ["web을 고쳐줘", ["web"], ["web"]],
    ["ストアのバグ", ["ストア"], ["ストア"]],
    ["cafe\u0301 ist langsam", ["café"], ["café"]],
    ["cafe ist langsam", ["café"], []],
    ["ｗｅｂｓｈｏｐ を直して", ["webshop"], ["webshop"]],
    ["rakieta 🚀 spada", ["🚀"], ["🚀"]],
    ["c++ und c#", ["c++"], ["c++"]],
    ["a.*b", [".*"], []],
    ["", ["web"], []],
    ["toString and constructor", ["constructor"], ["constructor"]]
  ]
  for (const [message, known, expected] of names) {
    it(`finds ${JSON.stringify(expected)} of ${JSON.stringify(known)} in ${JSON.stringify(message)}`, () => {
      assert.deepStrictEqual(
        detected(message, named(...known)).map(({ mount }) => mount.name),
        expected
      )
    })
  }

  const paths: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
    ["fix /work/shop", ["/work/shop"], ["/work/shop"]],
    ["fix /work/shop/src/a.ts.", ["/work/shop/"], ["/work/shop/"]],
    ["fix /work/shop.", ["/work/shop"], ["/work/shop"]],
    ["fix /work/shopping", ["/work/shop"], []],
    ["fix /work/shop-old", ["/work/shop"], []],
    ["fix /work/shop.old", ["/work/shop"], []],
    ["fix /other/work/shop", ["/work/shop"], []],
    ["fix ./work/shop", ["/work/shop"], []],
    ["fix ~/shop please", ["/home/ada/shop"], ["/home/ada/shop"]],
    ["fix ~/shop please", ["/home/bob/shop"], []],
    ["fix ~bob/shop please", ["/home/ada/shop"], []],
    ["in ~ is nothing", ["/home/ada", "/home/ada/shop"], []],
    ["in / is nothing", ["/"], []],
    ['look at "/work/my shop/a"', ["/work/my shop"], ["/work/my shop"]],
    ["look at /work/my\\ shop/a", ["/work/my shop"], ["/work/my shop"]],
    ["look at ~/my shop", ["/home/ada/my shop", "/home/ada/my"], ["/home/ada/my shop"]],
    ["look at /work/shop/api/x", ["/work/shop", "/work/shop/api"], ["/work/shop/api"]],
    [
      "/work/b and /work/a and /work/a/deep",
      ["/work/a", "/work/b", "/work/a/deep"],
      ["/work/a/deep", "/work/a", "/work/b"]
    ],
    ["开 /工作/商店 的登录", ["/工作/商店"], ["/工作/商店"]],
    ["cd '/home/ada/shop'", ["/home/ada/shop"], ["/home/ada/shop"]],
    ["cd /WORK/SHOP", ["/work/shop"], []]
  ]
  for (const [message, known, expected] of paths) {
    it(`finds ${JSON.stringify(expected)} of ${JSON.stringify(known)} in ${JSON.stringify(message)}`, () => {
      assert.deepStrictEqual(
        detected(message, at(...known)).map(({ mount }) => mount.path),
        expected
      )
    })
  }

  it("takes a path before a name", () => {
    const mounts = [mountOf(1, { name: "web", path: "/a" }), mountOf(2, { name: "api", path: "/b" })]
    assert.deepStrictEqual(
      detected("the web of /b/c", mounts).map(({ mount, reason }) => [mount.name, reason]),
      [
        ["api", "path"],
        ["web", "name"]
      ]
    )
  })

  it("falls back to the mount used last, when that was within the time", () => {
    const used = (n: number, millis: number) => mountOf(n, { lastUsedAt: Option.some(DateTime.unsafeMake(millis)) })
    const mounts = [mountOf(1), used(2, 900_000), used(3, 950_000)]
    const find = (recent: number) => detected("go on", mounts, { recent: Duration.millis(recent) })
    assert.deepStrictEqual(
      find(50_001).map(({ mount, reason }) => [mount.id, reason]),
      [[mountIdOf(3), "recent"]]
    )
    assert.deepStrictEqual(find(50_000), [])
    assert.deepStrictEqual(find(0), [])
    assert.deepStrictEqual(
      detected("go on with mount 1", mounts, { recent: Duration.infinity }).map(({ reason }) => reason),
      ["name"]
    )
  })

  const anyName = fc
    .oneof(fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }), fc.stringMatching(/^[a-z][a-z0-9 -]{0,10}$/))
    .map((it) => it.trim())
    .filter((it) => it !== "" && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(it))

  it("finds every name that stands between blanks, whatever its script and case", () => {
    fc.assert(
      fc.property(anyName, fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (name, before, after) => {
        const found = detected(`${before} ${name} ${after}`, named(name))
        assert.strictEqual(found.length, 1)
      })
    )
  })

  it("finds no name within a longer word of the same script", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zäöéл]{2,8}$/), fc.stringMatching(/^[a-zäöéл]{1,4}$/), (name, more) => {
        assert.deepStrictEqual(detected(`${name}${more}`, named(name)), [])
        assert.deepStrictEqual(detected(`${more}${name}`, named(name)), [])
      })
    )
  })

  it("finds every path as it is written, and gives each mount once", () => {
    const segment = fc
      .array(fc.constantFrom(..."abzXY09 _.-éßлд商店ス한"), { minLength: 2, maxLength: 8 })
      .map((characters) => characters.join(""))
      .filter((it) => /^[\p{L}\p{N}].*[\p{L}\p{N}]$/u.test(it))
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean(), (segments, fromHome) => {
        const rest = segments.join("/")
        const path = fromHome ? `${home}/${rest}` : `/srv/${rest}`
        const written = fromHome ? `~/${rest}` : path
        const mounts = [mountOf(1, { name: "zzzzzzzzzz", path })]
        for (const message of [written, `see ${written}/file.ts, and ${path}`, `"${path}"`, `in (${written}).`]) {
          assert.strictEqual(detected(message, mounts).length, 1, message)
        }
      })
    )
  })

  it("takes any message and any mounts in its stride", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.array(fc.tuple(anyName, fc.string({ unit: "binary", minLength: 1 })), { maxLength: 5 }),
        (message, known) => {
          const mounts = known.map(([name, path], index) => mountOf(index, { name, path }))
          const ids = detected(message, mounts, { recent: Duration.infinity }).map(({ mount }) => mount.id)
          assert.strictEqual(new Set(ids).size, ids.length)
          assert.isTrue(ids.every((id) => mounts.some((mount) => mount.id === id)))
        }
      )
    )
  })
})

describe("detectProject", () => {
  it("finds the project named first, and the longer of two names", () => {
    const projects = [
      projectOf(1, { name: "shop" }),
      projectOf(2, { name: "shop admin" }),
      projectOf(3, { name: "blog" })
    ]
    const find = (message: string) => Option.map(detectProject(message, projects), ({ name }) => name)
    assert.deepStrictEqual(find("the shop admin and the blog"), Option.some("shop admin"))
    assert.deepStrictEqual(find("the blog of the shop"), Option.some("blog"))
    assert.deepStrictEqual(find("the bookshop"), Option.none())
  })
})
