import { execFileSync } from "node:child_process"
import {
  bubblewrapArguments,
  Mount,
  SandboxNetwork,
  type SandboxProfile,
  shellLine,
  toolDirectory
} from "@driver/agent/SandboxProfile"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"

const profile: SandboxProfile = {
  mounts: [],
  network: SandboxNetwork.None(),
  setEnv: {},
  nesting: "forbidden"
}

const text = (changed: Partial<SandboxProfile>) => bubblewrapArguments({ ...profile, ...changed }).join(" ")

describe("SandboxProfile", () => {
  it("becomes arguments in which a later mount covers an earlier one", () => {
    assert.include(
      text({
        mounts: [
          Mount.Empty({ path: "/home/me" }),
          Mount.ReadOnly({ path: "/home/me/.nvm" }),
          Mount.Hidden({ path: "/etc/shadow" }),
          Mount.Writable({ path: "/work" }),
          Mount.Pinned({ path: "/work/.git" })
        ]
      }),
      "--tmpfs /home/me --ro-bind-try /home/me/.nvm /home/me/.nvm --ro-bind /dev/null /etc/shadow --bind /work /work --ro-bind /work/.git /work/.git"
    )
  })

  it("always leaves every namespace and right behind, and ends with the driver", () => {
    for (const network of [SandboxNetwork.None(), SandboxNetwork.Proxy({ socket: "/run/p", loopback: "own" })]) {
      const args = bubblewrapArguments({ ...profile, network })
      for (const flag of [
        "--unshare-user",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--disable-userns"
      ]) {
        assert.include(args, flag)
      }
      assert.include(args.join(" "), "--cap-drop ALL")
      assert.notInclude(args, "--share-net")
      assert.strictEqual(args.at(-1), "--")
    }
    assert.include(text({ network: SandboxNetwork.Host() }), "--share-net")
    assert.notInclude(text({ nesting: "possible" }), "--disable-userns")
  })

  it("clears the environment only for one that is given whole", () => {
    assert.include(text({ env: { A: "1", B: "2" }, setEnv: { B: "3" } }), "--clearenv --setenv A 1 --setenv B 3 ")
    assert.notInclude(text({ setEnv: { B: "3" } }), "--clearenv")
  })

  it("becomes a line that a shell reads back word for word", () => {
    const word = FastCheck.oneof(
      FastCheck.string({ unit: "binary", maxLength: 12 }),
      FastCheck.stringMatching(/^['"$`\\ \n\t;&|<>(){}*?!#~=%^-]{0,12}$/)
    ).filter((it) => !it.includes("\0") && !/\p{Surrogate}/u.test(it))
    FastCheck.assert(
      FastCheck.property(FastCheck.array(word, { minLength: 1, maxLength: 20 }), (words) => {
        const line = shellLine(["printf", "%s\\0", ...words])
        const read = execFileSync("sh", ["-c", line], { encoding: "utf8" }).split("\0")
        assert.deepStrictEqual(read, [...words, ""])
      }),
      { numRuns: 30 }
    )
  })

  const home = "/home/me"
  for (const [entry, shown] of [
    ["/home/me/.nvm/versions/node/v20/bin", "/home/me/.nvm"],
    ["/home/me/.cargo/bin", "/home/me/.cargo"],
    ["/home/me/.local/bin", "/home/me/.local/bin"],
    ["/home/me/.local/share/mise/shims", "/home/me/.local/share/mise"],
    ["/home/me/bin", "/home/me/bin"],
    ["/home/me/tools/go/bin", "/home/me/tools/go"],
    ["/home/me/project/node_modules/.bin", "/home/me/project/node_modules"],
    ["/home/me/scripts", "/home/me/scripts"],
    ["/home/me/.docker/bin", undefined],
    ["/home/me/.ssh", undefined],
    ["/home/me/.config", undefined],
    ["/home/me/.config/gh/bin", undefined],
    ["/home/me", undefined],
    ["/home/me2/bin", undefined],
    ["/usr/bin", undefined]
  ] as const) {
    it(`shows ${shown ?? "nothing"} for ${entry} on the PATH`, () => {
      assert.strictEqual(toolDirectory(entry, home), shown)
    })
  }
})
