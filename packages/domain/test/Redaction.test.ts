import { dropTorn, mark, redact } from "@driver/domain/Redaction"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Redacted } from "effect"

const known = (...values: ReadonlyArray<string>) => values.map((value) => Redacted.make(value))
const clean = (text: string) => redact(text, [])

// Put together at run time: a scanner of repositories would take the literal for a real key.
const join = (...parts: ReadonlyArray<string>) => parts.join("")
const pem = (label: string) =>
  `-----BEGIN ${label}-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nVJTUt9Us8cKj+/AB12==\n-----END ${label}-----`
const base64 = (text: string) => btoa(text)

describe("Redaction", () => {
  describe("of known values", () => {
    const secret = 's3cr3t/välue+with spaces & "quotes"'
    const utf8 = String.fromCharCode(...new TextEncoder().encode(secret))

    it.each([
      ["as it is", secret],
      ["percent-encoded", encodeURIComponent(secret)],
      ["form-encoded", encodeURIComponent(secret).replaceAll("%20", "+")],
      ["in base64", base64(utf8)],
      ["in base64 without padding", base64(utf8).replace(/=+$/, "")],
      ["in base64 for URLs", base64(utf8).replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_")],
      ["inside a JSON string", JSON.stringify(secret).slice(1, -1)]
    ])("takes them out %s", (_, form) => {
      assert.strictEqual(redact(`<${form}>${form}<${form}`, known(secret)), `<${mark}>${mark}<${mark}`)
    })

    it("takes out the longer one first when one contains the other", () => {
      assert.strictEqual(redact("abcdef-ghijkl abcdef", known("abcdef", "abcdef-ghijkl")), `${mark} ${mark}`)
    })

    it("takes out the lines of one that has several", () => {
      const key = "first line of a secret\nsecond line of a secret"
      assert.strictEqual(
        redact("  first line of a secret\r\n  second line of a secret", known(key)),
        `  ${mark}\r\n  ${mark}`
      )
    })

    it("does not look for short ones, which are ordinary words", () => {
      assert.strictEqual(redact("a test is a test", known("test", "", " ")), "a test is a test")
      assert.strictEqual(redact("sixsix", known("sixsix")), mark)
    })

    it("takes out what a cut has left of one", () => {
      const secrets = known("open sesame now")
      assert.strictEqual(redact("he said open sesa… and left", secrets), `he said ${mark}… and left`)
      assert.strictEqual(redact("he said open… and left", secrets), "he said open… and left")
      assert.strictEqual(redact("no cut: open sesa", secrets), "no cut: open sesa")
      for (const begun of [
        join("gh", "p_a1B"),
        join("sk-", "ant-api03-x"),
        join("npm", "_a1"),
        join("eyJ", "hbGciOi")
      ]) {
        assert.strictEqual(clean(`before ${begun}… after`), `before ${mark}… after`)
        assert.strictEqual(clean(`before ${begun} after`), `before ${begun} after`)
      }
    })

    it("takes dollar signs in them literally", () => {
      assert.strictEqual(redact("pa$$wo$&rd", known("pa$$wo$&rd")), mark)
    })

    it("drops what a cut has left of one at the beginning", () => {
      const secrets = known("open sesame now")
      assert.strictEqual(dropTorn("sesame now, it said", secrets), " it said")
      assert.strictEqual(dropTorn("now", secrets), "")
      assert.strictEqual(dropTorn("half-a-token and more", []), " and more")
      assert.strictEqual(dropTorn(" whole words", secrets), " whole words")
      assert.strictEqual(dropTorn("x".repeat(600), []), "x".repeat(88))
    })

    it.prop(
      "leaves no known value, wherever it stands",
      [FastCheck.string(), FastCheck.string({ minLength: 6 }), FastCheck.string()],
      ([before, value, after]) => {
        FastCheck.pre(value.trim().length >= 6 && !mark.includes(value.trim()))
        assert.notInclude(redact(before + value + after, known(value)).replaceAll(mark, "\0"), value.trim())
      }
    )
  })

  it.each([
    ["Anthropic", join("sk-", "ant-api03-", "AbCdEfGhIjKlMnOpQrStUv", "-_12")],
    ["OpenAI", join("sk-", "proj-", "Ab1".repeat(12))],
    ["GitHub", join("gh", "p_", "a1B2".repeat(9))],
    ["GitHub, fine-grained", join("github", "_pat_", "11ABCDEFG0", "abcdefghijkl_mnopqrstuvwxyz")],
    ["GitLab", join("gl", "pat-", "abcdefghij0123456789")],
    ["AWS", join("AK", "IA", "IOSFODNN7EXAMPLE")],
    ["Google", join("AI", "za", "SyA1234567890abcdefghijklmnopqrstuv")],
    ["Stripe", join("sk", "_live_", "4eC39HqLyjWDarjtT1zdp7dc")],
    ["Slack", join("xo", "xb-", "123456789012-abcdefABCDEF")],
    ["npm", join("npm", "_", "a1B2".repeat(9))],
    [
      "a JSON web token",
      join("ey", "JhbGciOiJIUzI1NiJ9", ".", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", ".", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P")
    ],
    ["a PKCS #8 key", pem("PRIVATE KEY")],
    ["an RSA key", pem("RSA PRIVATE KEY")],
    ["an OpenSSH key", pem("OPENSSH PRIVATE KEY")],
    ["a PGP key", pem("PGP PRIVATE KEY BLOCK")]
  ])("takes out what looks like a key of %s", (_, key) => {
    assert.strictEqual(clean(`before ${key} after`), `before ${mark} after`)
    assert.strictEqual(clean(`"${key}"`), `"${mark}"`)
    assert.strictEqual(clean(`x\n${key}\ny`), `x\n${mark}\ny`)
  })

  it.each([
    ["Authorization: Bearer abcdef0123456789", `Authorization: Bearer ${mark}`],
    ["authorization: Basic dXNlcjpwYXNz", `authorization: Basic ${mark}`],
    ['{"Authorization":"token abcdefghij"}', `{"Authorization":"token ${mark}"}`],
    ["curl -H 'x: bearer abcdefghijklmnop1'", `curl -H 'x: bearer ${mark}'`],
    ["https://me:hunter2@example.org/x", `https://me:${mark}@example.org/x`],
    ["postgres://app:p%40ss@db:5432/app", `postgres://app:${mark}@db:5432/app`],
    ["ANTHROPIC_API_KEY=abcdef", `ANTHROPIC_API_KEY=${mark}`],
    ["export MY_TOKEN=abc.def-ghi", `export MY_TOKEN=${mark}`],
    ["DB_PASSWORD='abc def'", `DB_PASSWORD='abc def'`],
    ["DB_PASSWORD='abcdef'", `DB_PASSWORD='${mark}'`],
    ["AWS_SECRET=abcdef GH_PAT=ghijkl", `AWS_SECRET=${mark} GH_PAT=${mark}`],
    ["PASSWORD=hunter2", `PASSWORD=${mark}`],
    ["password=hunter2", `password=${mark}`],
    ["password: hunter2!", `password: ${mark}`],
    ["db_password = hunter22", `db_password = ${mark}`],
    ['"password": "correct-horse"', `"password": "${mark}"`],
    ["client_secret: 'abcdefgh'", `client_secret: '${mark}'`],
    ['apiKey: "abcdefgh"', `apiKey: "${mark}"`],
    ["mysql --password=hunter22 app", `mysql --password=${mark} app`],
    ["deploy --api-key abcdefgh app", `deploy --api-key ${mark} app`]
  ])("makes of %j %j", (text, expected) => {
    assert.strictEqual(clean(text), expected)
  })

  it("takes out a private key whose end or beginning was cut off", () => {
    const key = pem("RSA PRIVATE KEY")
    assert.strictEqual(clean(key.slice(0, 60)), `${mark}\n`)
    assert.strictEqual(clean(`error: here\n${key.slice(40)}\nmore`), `error: here\n${mark}\nmore`)
    assert.strictEqual(clean(key.slice(40)), mark)
  })

  it("takes out each of several private keys and what lies between them stays", () => {
    const key = pem("EC PRIVATE KEY")
    assert.strictEqual(clean(`${key}\nbetween: them\n${key}`), `${mark}\nbetween: them\n${mark}`)
  })

  it.each([
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "id 7f2c8a1e-5b0d-4c36-9e8f-0a1b2c3d4e5f",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    '"integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="',
    "const MAX_TOKENS = 4096",
    "maxTokens: 200000, total_tokens: 1234567",
    "if (token === undefined) return next(token)",
    "function login(password: string, apiKey: string): Token",
    "password = getPassword(user)",
    "password=password",
    "const password = process.env.DB_PASSWORD",
    "API_KEY=$OTHER_KEY",
    "API_KEY=${OTHER_KEY}",
    "PRIMARY_KEY=user_id FOREIGN_KEY=account_id CACHE_KEY=users:list",
    "KEY=value_of_map",
    'type: "string", password: "string"',
    "Bearer authentication is required",
    "the bearer of this letter",
    "http://localhost:8080/a@b",
    "https://example.org/path?x=1",
    "git@github.com:owner/repository.git",
    "sk-loading-indicator-wrapper-element",
    'class="sk-spinner-double-bounce-animated"',
    "task-ant-farm",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "eyJust a word",
    "AKIA is a prefix, AKIAIOSFODNN7EXAMPLEX is too long",
    "expect(received).toBe(expected) // Object.is equality",
    "  ✓ src/token.test.ts (12 tests) 34ms",
    "tests/password_test.py::test_reset_password PASSED [ 42%]",
    "monkey=business1 turkey: sandwich2",
    "author: someone123, authority=example7"
  ])("leaves %j as it is", (text) => {
    assert.strictEqual(clean(text), text)
  })

  it.prop("is done after once", [FastCheck.string()], ([text]) => {
    assert.strictEqual(clean(clean(text)), clean(text))
  })

  it("takes linear time on whatever was made to be slow", () => {
    const parts = [
      "-----BEGIN PRIVATE KEY-----",
      "-----END PRIVATE KEY-----",
      "MIIEvQIBADANBgkq\n",
      "sk-",
      "sk-a",
      "eyJ",
      "eyJhbGciOiJ.",
      "https://",
      "a://b:",
      "A_",
      "_KEY=",
      "bearer ",
      "authorization:",
      "password: ",
      "--a-",
      "a",
      " ",
      "=",
      "\n"
    ]
    for (const part of parts) {
      const started = performance.now()
      clean(part.repeat(Math.ceil(1_000_000 / part.length)))
      const elapsed = performance.now() - started
      assert.isBelow(elapsed, 10_000, JSON.stringify(part))
    }
  })

  it("finds the same in a text by itself as in one that has everything a secret could begin with", () => {
    const words = [
      join("sk-", "ant-abcdefgh1"),
      join("sk-", "abcdefghij0123456789"),
      join("gh", "p_abcdefghij0123456789"),
      join("github", "_pat_abcdefghij0123456789"),
      join("gl", "pat-abcdefghij0123456789"),
      join("np", "m_abcdefghij0123456789abcdefghij"),
      join("py", "pi-", "a".repeat(50)),
      join("h", "f_abcdefghij0123456789abcdefghij"),
      join("AK", "IAABCDEFGHIJKLMNOP"),
      join("AI", "za", "b".repeat(35)),
      join("ya", "29.abcdefghij0123456789"),
      join("sk_", "live_abcdefghij012345"),
      join("S", "G.abcdefghij012345.abcdefghij012345"),
      join("xo", "xb-abcdefghij0"),
      join("xa", "pp-abcdefghij0"),
      join("ey", "Jabcdefghij.abcd.abcdefghij"),
      "bearer abcdefghij0123456789",
      "--password hunter2hunter2",
      "SECRET_TOKEN=hunter2hunter2",
      'password: "hunter2hunter2"',
      "user:hunter2@host",
      "https://user:hunter2@host",
      pem("PRIVATE KEY"),
      "sk-a…",
      "git commit",
      " ",
      "-",
      "_",
      "\n"
    ]
    const texts = FastCheck.array(FastCheck.constantFrom(...words), { minLength: 1, maxLength: 6 })
    FastCheck.assert(
      FastCheck.property(texts, (parts) => {
        const text = parts.join("")
        // What follows is no part of any secret.
        assert.strictEqual(clean(`${text}\n:…`), `${clean(text)}\n:…`)
      }),
      { numRuns: 2_000 }
    )
  })
})
