import {
  agentEnvironment,
  criteriaEnvironment,
  gateEnvironment,
  looksSecret,
  secretValues
} from "@driver/cli/Environment"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"

const ours = {
  PATH: "/bin",
  HOME: "/home/ada",
  USER: "ada",
  LANG: "de_DE.UTF-8",
  LC_ALL: "de_DE.UTF-8",
  TERM: "xterm",
  TMPDIR: "/tmp",
  TZ: "Europe/Berlin",
  https_proxy: "http://user:word@proxy:8080",
  NO_PROXY: "localhost",
  NODE_EXTRA_CA_CERTS: "/ca.pem",
  ANTHROPIC_API_KEY: "sk-1",
  ANTHROPIC_BASE_URL: "http://localhost:1",
  CLAUDE_CONFIG_DIR: "/home/ada/.claude",
  CLAUDE_CODE_OAUTH_TOKEN: "tok",
  CLAUDE_CODE_USE_BEDROCK: "1",
  CLAUDECODE: "1",
  CLAUDE_CODE_ENTRYPOINT: "cli",
  CLAUDE_CODE_SESSION_ID: "outer",
  CLAUDE_CODE_SSE_PORT: "1234",
  AWS_SECRET_ACCESS_KEY: "aws",
  GITHUB_TOKEN: "gh",
  DATABASE_URL: "postgres://x",
  LD_PRELOAD: "/evil.so",
  NODE_OPTIONS: "--require /evil.js",
  GIT_DIR: "/elsewhere"
}

describe("agentEnvironment", () => {
  it("has the basics, the proxies, the agent's settings and keys, and nothing else", () => {
    assert.deepStrictEqual(agentEnvironment(ours, []), {
      PATH: "/bin",
      HOME: "/home/ada",
      USER: "ada",
      LANG: "de_DE.UTF-8",
      LC_ALL: "de_DE.UTF-8",
      TERM: "xterm",
      TMPDIR: "/tmp",
      TZ: "Europe/Berlin",
      https_proxy: "http://user:word@proxy:8080",
      NO_PROXY: "localhost",
      NODE_EXTRA_CA_CERTS: "/ca.pem",
      ANTHROPIC_API_KEY: "sk-1",
      ANTHROPIC_BASE_URL: "http://localhost:1",
      CLAUDE_CONFIG_DIR: "/home/ada/.claude",
      CLAUDE_CODE_OAUTH_TOKEN: "tok",
      CLAUDE_CODE_USE_BEDROCK: "1"
    })
  })

  it("adds what the configuration names, and only what is there", () => {
    const environment = agentEnvironment(ours, ["GITHUB_TOKEN", "NOT_THERE"])
    assert.strictEqual(environment["GITHUB_TOKEN"], "gh")
    assert.isFalse("NOT_THERE" in environment)
  })

  it("never hands on the marks of an outer session of the agent", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Z_]{0,12}$/), (rest) => {
        const name = `CLAUDE_CODE_${rest}_SESSION`
        assert.deepStrictEqual(agentEnvironment({ [name]: "x", CLAUDECODE: "1" }, []), {})
      })
    )
  })
})

describe("criteriaEnvironment", () => {
  it("has the basics and no key, and a proxy's address without its password", () => {
    assert.deepStrictEqual(criteriaEnvironment(ours, []), {
      PATH: "/bin",
      HOME: "/home/ada",
      USER: "ada",
      LANG: "de_DE.UTF-8",
      LC_ALL: "de_DE.UTF-8",
      TERM: "xterm",
      TMPDIR: "/tmp",
      TZ: "Europe/Berlin",
      https_proxy: "http://proxy:8080",
      NO_PROXY: "localhost",
      NODE_EXTRA_CA_CERTS: "/ca.pem"
    })
  })

  it("gives a criterion the secret that the configuration names, as it is", () => {
    const environment = criteriaEnvironment({ ...ours, MY_PROXY: "http://a:b@c" }, ["GITHUB_TOKEN", "MY_PROXY"])
    assert.strictEqual(environment["GITHUB_TOKEN"], "gh")
    assert.strictEqual(environment["MY_PROXY"], "http://a:b@c")
  })

  it("lets no name through that looks like a secret, whatever is around the word", () => {
    const word = fc.constantFrom(
      "KEY",
      "TOKEN",
      "SECRET",
      "PASSWORD",
      "PASSWD",
      "CREDENTIALS",
      "AUTH",
      "COOKIE",
      "API_KEY"
    )
    const around = fc.stringMatching(/^([A-Z]{1,6}_)?$/)
    const after = fc.stringMatching(/^(_[A-Z]{1,6})?$/)
    const start = fc.constantFrom("", "LC_", "ANTHROPIC_", "CLAUDE_", "XDG_", "npm_config_")
    fc.assert(
      fc.property(start, around, word, after, fc.boolean(), (prefix, before, secret, rest, lower) => {
        const plain = `${prefix}${before}${secret}${rest}`
        const name = lower ? plain.toLowerCase() : plain
        assert.isTrue(looksSecret(name), name)
        assert.deepStrictEqual(criteriaEnvironment({ [name]: "s3cret" }, []), {})
      })
    )
  })

  it("has nothing that the agent would not have", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[A-Za-z_]{1,16}$/), fc.string()), (environment) => {
        const agent = agentEnvironment(environment, [])
        for (const name of Object.keys(criteriaEnvironment(environment, []))) assert.isTrue(name in agent, name)
      })
    )
  })

  it.each([
    ["PATH", false],
    ["KEYBOARD_LAYOUT", false],
    ["MONKEY", false],
    ["GITHUB_TOKEN", true],
    ["npm_config__authToken", true],
    ["AWS_SECRET_ACCESS_KEY", true],
    ["SSH_AUTH_SOCK", true],
    ["PGPASSWORD", true],
    ["STRIPE_APIKEY", true]
  ])("knows of %s whether it looks like a secret: %s", (name, expected) => {
    assert.strictEqual(looksSecret(name), expected)
  })
})

describe("gateEnvironment", () => {
  it("makes empty what the agent has and the gate program is not for, and leaves the rest alone", () => {
    const agent = {
      PATH: "/bin",
      HOME: "/home/me",
      ANTHROPIC_API_KEY: "key",
      MINE: "passed on",
      HTTPS_PROXY: "http://me:pw@127.0.0.1:1"
    }
    assert.deepStrictEqual(gateEnvironment(agent), {
      ANTHROPIC_API_KEY: "",
      MINE: "",
      HTTPS_PROXY: "http://127.0.0.1:1"
    })
  })

  it("leaves, together with what the agent hands on, nothing but what criteria get", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^(ANTHROPIC_|LC_|MY_)?[A-Z_]{1,8}$/), fc.string()), (agent) => {
        const left = Object.entries({ ...agent, ...gateEnvironment(agent) }).filter(([, value]) => value !== "")
        const criteria = Object.entries(criteriaEnvironment(agent, [])).filter(([, value]) => value !== "")
        assert.deepStrictEqual(Object.fromEntries(left), Object.fromEntries(criteria))
      })
    )
  })
})

describe("secretValues", () => {
  it("are the values that no evidence may show, each once", () => {
    assert.deepStrictEqual(
      secretValues({ PATH: "/bin", GITHUB_TOKEN: "gh", GH_TOKEN: "gh", PGPASSWORD: "pw", EMPTY_KEY: " ", HOME: "/h" }),
      ["gh", "pw"]
    )
  })

  it.each([
    ["PWD", "/work/main"],
    ["OLDPWD", "/work"],
    ["SSH_AUTH_SOCK", "/tmp/ssh-x1/agent.42"],
    ["DB_PASSWORD_FILE", "/run/secrets/db"],
    ["GOOGLE_APPLICATION_CREDENTIALS", "~/keys/service.json"],
    ["PASSWORD_STORE_DIR", "../store/passwords"],
    ["TOKEN_URL", "https://login.example.org/oauth/token"],
    ["AUTH_HOST", "http://127.0.0.1:8080"],
    ["XDG_SESSION_TYPE", "wayland"],
    ["DESKTOP_SESSION", "ubuntu"],
    ["CLAUDE_CODE_MAX_OUTPUT_TOKENS", "128000"],
    ["CLAUDE_CODE_API_KEY_HELPER_TTL_MS", "3600000"]
  ])("do not hold %s=%s: where something is, and what is no secret anyway, stays readable", (name, value) => {
    assert.deepStrictEqual(secretValues({ [name]: value }), [])
  })

  it.each([
    ["DB_PWD", "hunter22"],
    ["PASSWORD", "/hunter2!"],
    ["PASSWORD", "123456"],
    ["AWS_SECRET_ACCESS_KEY", `/K7MDENG/bPxRfi${"CYEXAMPLEKEY0wJalr"}`],
    ["SENTRY_DSN", "https://abcdef@sentry.example.org/1"],
    ["DATABASE_PASSWORD_URL", "postgres://me:word@127.0.0.1/db"],
    ["TOKEN_URL", "https://example.org/?token=abcdef"],
    ["SECRET_HOOK", `https://hooks.example.org/T0/${"a1b2c3d4e5f6g7h8i9j0"}`],
    ["PRIVATE_KEY", "a/b\n/c/d"]
  ])("hold %s=%s", (name, value) => {
    assert.deepStrictEqual(secretValues({ [name]: value }), [value])
  })
})
