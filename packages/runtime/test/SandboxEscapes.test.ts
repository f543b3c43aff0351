// What a command that the agent lets run may try. Each attempt is made twice: without the sandbox it succeeds, so that
// this test can fail; with the sandbox it leaves nothing on the host.
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { git } from "./support/repositories.js"
import {
  environmentOf,
  everybody,
  type HostileWorld,
  hasSandbox,
  makeHostileWorld,
  runAs,
  sandboxPrefix,
  type Who
} from "./support/sandbox.js"

interface Attempt {
  readonly name: string
  /** For bash, in the worktree. */
  readonly command: string
  /** Whether the host has felt it. */
  readonly effect: (world: HostileWorld) => boolean
  /** Made in the sandbox only: to show it without would harm the machine. */
  readonly onlyInside?: true
  readonly onlyAs?: Who
  /** What comes after it needs a new world. */
  readonly spoils?: true
}

const has = (file: string, text?: string): boolean => {
  try {
    return text === undefined ? fs.existsSync(file) : fs.readFileSync(file, "utf8").includes(text)
  } catch {
    return false
  }
}
const wrote =
  (...parts: ReadonlyArray<string>) =>
  (world: HostileWorld) =>
    has(path.join(world.directory, ...parts))
/** The attempt puts what it got hold of into the worktree, where it may write. */
const got = (world: HostileWorld) => has(path.join(world.worktree, "loot"), "got it")
const stole = (world: HostileWorld) => has(path.join(world.worktree, "loot"), world.secret)
const reached = (name: string) => (world: HostileWorld) => world.reached.has(name)
const victimIsDead = (world: HostileWorld) => world.victim.exitCode !== null || world.victim.signalCode !== null
const branch = (world: HostileWorld, name: string): string => {
  try {
    return world.hostGit("rev-parse", name)
  } catch {
    return "gone"
  }
}
const first = (world: HostileWorld) => world.hostGit("rev-list", "--max-parents=0", "--all").split("\n")[0] ?? ""

/** What a person types in the worktree, with nothing switched off. */
const someoneLooks = (world: HostileWorld): boolean => {
  try {
    git(world.worktree, "-c", "safe.directory=*", "status")
  } catch {
    // A repository that is broken is not one that runs something.
  }
  return has(path.join(world.outside, "fsmonitor-ran"))
}

const evilRepository = `
git init -q --bare "$WT/evil.git"
printf '#!/bin/sh\\ntouch "%s/fsmonitor-ran"\\n' "$OUT" > "$WT/evil.sh"; chmod +x "$WT/evil.sh"
git --git-dir="$WT/evil.git" config core.bare false
git --git-dir="$WT/evil.git" config core.fsmonitor "$WT/evil.sh"
`

const marked = (world: HostileWorld) => `77${String(Number.parseInt(world.directory.slice(-4), 36)).padStart(7, "0")}`

/** Processes with the world's own sleep as their command line. */
const daemons = (world: HostileWorld): ReadonlyArray<number> =>
  fs.readdirSync("/proc").flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, "utf8") === `sleep\0${marked(world)}\0`
        ? [Number(pid)]
        : []
    } catch {
      return []
    }
  })
const leftDaemon = (world: HostileWorld) => daemons(world).length > 0

const attempts: ReadonlyArray<Attempt> = [
  { name: "writes outside of the worktree", command: 'echo x > "$OUT/new"', effect: wrote("outside", "new") },
  {
    name: "changes a file outside through a hard link",
    command: 'ln "$OUT/victim" hard && echo x >> hard',
    effect: ({ outside }) =>
      !has(path.join(outside, "victim"), "untouched\n") || has(path.join(outside, "victim"), "x"),
    spoils: true
  },
  {
    name: "changes a file outside through a symlink",
    command: 'ln -s "$OUT/victim" soft && echo x >> soft',
    effect: ({ outside }) => has(path.join(outside, "victim"), "x"),
    spoils: true
  },
  {
    name: "writes to a start-up file of the shell",
    command: 'echo evil >> "$REAL_HOME/.bashrc"',
    effect: ({ home }) => has(path.join(home, ".bashrc"), "evil"),
    spoils: true
  },
  {
    name: "makes a hook",
    command: 'printf "#!/bin/sh\\n" > "$C/hooks/pre-commit"',
    effect: ({ common }) => has(path.join(common, "hooks", "pre-commit")),
    spoils: true
  },
  {
    name: "changes the repository's configuration",
    command: "git config core.fsmonitor evil",
    effect: ({ common }) => has(path.join(common, "config"), "evil"),
    spoils: true
  },
  {
    name: "changes the worktree's own configuration",
    command:
      'printf "[core]\\nfsmonitor = evil\\n" > "$ADMIN/config.worktree.new"; mv "$ADMIN/config.worktree.new" "$ADMIN/config.worktree"',
    effect: ({ admin }) => has(path.join(admin, "config.worktree"), "evil"),
    spoils: true
  },
  {
    name: "rewrites the .git file, for the next git status",
    command: `${evilRepository} echo "gitdir: $WT/evil.git" > .git`,
    effect: someoneLooks,
    spoils: true
  },
  {
    name: "puts another .git in its place",
    command: `${evilRepository} mv .git old.git; mv evil.git .git`,
    effect: someoneLooks,
    spoils: true
  },
  {
    name: "rewrites commondir, for the next git status",
    command: `${evilRepository} echo "$WT/evil.git" > "$ADMIN/commondir"`,
    effect: someoneLooks,
    spoils: true
  },
  {
    name: "changes what gitdir says",
    command: 'echo "$OUT/.git" > "$ADMIN/gitdir"',
    effect: ({ admin, outside }) => has(path.join(admin, "gitdir"), outside),
    spoils: true
  },
  {
    name: "lends the repository foreign objects",
    command: 'echo "$OUT" > "$C/objects/info/alternates"',
    effect: ({ common }) => has(path.join(common, "objects", "info", "alternates")),
    spoils: true
  },
  {
    name: "deletes the repository's packs",
    command: 'rm -f "$C"/objects/pack/*',
    effect: (world) => !fs.readdirSync(path.join(world.common, "objects", "pack")).some((it) => it.endsWith(".pack")),
    spoils: true
  },
  {
    name: "moves another branch",
    command: "git update-ref refs/heads/main HEAD~1",
    effect: (world) => branch(world, "main") === first(world),
    spoils: true
  },
  {
    name: "moves another branch through a HEAD of its own",
    command: "git symbolic-ref HEAD refs/heads/main; git reset -q --soft HEAD~1",
    effect: (world) => branch(world, "main") === first(world),
    spoils: true
  },
  {
    name: "deletes another branch",
    command: "git branch -D other",
    effect: (world) => branch(world, "other") === "gone",
    spoils: true
  },
  {
    name: "moves the branch of another goal",
    command: 'git update-ref "refs/heads/driver/$OTHER_GOAL" HEAD~1',
    effect: (world) => branch(world, `driver/${world.otherGoalId}`) === first(world),
    spoils: true
  },
  {
    name: "empties the packed references",
    command: ': > "$C/packed-refs"',
    effect: ({ common }) => fs.readFileSync(path.join(common, "packed-refs"), "utf8") === "",
    spoils: true
  },
  {
    name: "moves a checkpoint",
    command: 'git update-ref "refs/driver/$OTHER_GOAL/base" HEAD~1',
    effect: (world) => branch(world, `refs/driver/${world.otherGoalId}/base`) === first(world),
    spoils: true
  },
  {
    name: "writes to another goal's worktree",
    command: 'echo x > "$WT2/new"',
    effect: ({ otherWorktree }) => has(path.join(otherWorktree, "new")),
    spoils: true
  },
  {
    name: "writes to the driver's state",
    command: 'echo x > "$STATE/driver.sqlite"; echo x > "$STATE/new"',
    effect: ({ place, secret }) =>
      has(path.join(place.stateDirectory, "new")) || !has(path.join(place.stateDirectory, "driver.sqlite"), secret),
    spoils: true
  },
  { name: "reads the driver's state", command: 'cat "$STATE/driver.sqlite" > loot', effect: stole },
  {
    name: "changes the settings of the agent's program",
    command: 'echo "{\\"hooks\\":{}}" > .claude/settings.json; echo "{\\"evil\\":1}" > .mcp.json',
    effect: ({ worktree }) =>
      has(path.join(worktree, ".claude", "settings.json"), "hooks") || has(path.join(worktree, ".mcp.json"), "evil"),
    spoils: true
  },
  { name: "reads a key for ssh", command: 'cat "$REAL_HOME/.ssh/id_rsa" > loot', effect: stole },
  {
    name: "reads logins",
    command: 'cat "$REAL_HOME"/.aws/* "$REAL_HOME/.netrc" "$REAL_HOME/.docker/config.json" > loot',
    effect: stole
  },
  { name: "reads the agent's login", command: 'cat "$REAL_HOME/.claude/.credentials.json" > loot', effect: stole },
  {
    name: "reads the .env of the main worktree",
    command: 'cat "$MAIN/.env" > loot',
    effect: ({ worktree }) => has(path.join(worktree, "loot"), "main-worktree-secret")
  },
  {
    name: "reads the passwords of the system",
    command: 'grep -q . /etc/shadow && echo "got it" > loot',
    effect: got,
    onlyAs: "root"
  },
  { name: "kills a process of the host", command: 'kill -9 "$VICTIM"', effect: victimIsDead, spoils: true },
  {
    name: "kills every process",
    command: "kill -9 -1; perl -e 'kill 9, -1'",
    effect: victimIsDead,
    onlyInside: true,
    spoils: true
  },
  {
    name: "traces a process of the host",
    command: `perl -e 'exit(syscall($ARGV[1] eq "x86_64" ? 101 : 117, 16, $ARGV[0] + 0, 0, 0) == 0 ? 0 : 1)' "$VICTIM" "$(uname -m)" && echo "got it" > loot`,
    effect: got
  },
  { name: "reads the environment of a process", command: 'cat "/proc/$VICTIM/environ" > loot', effect: stole },
  {
    name: "writes through the root of a process",
    command: 'for pid in "$VICTIM" 1; do echo x > "/proc/$pid/root$OUT/new"; done',
    effect: wrote("outside", "new")
  },
  {
    name: "writes through the working directory of a process",
    command: 'echo x > "/proc/$VICTIM/cwd$OUT/new"',
    effect: wrote("outside", "new")
  },
  {
    name: "speaks to the gate's socket",
    command: `node -e 'require("net").connect(process.env.GATE).on("data", () => process.exit(0)).on("error", () => process.exit(1))'`,
    effect: reached("gate")
  },
  {
    name: "speaks to a socket in the temporary directory",
    command: `node -e 'require("net").connect(process.env.TMP_SOCKET).on("data", () => process.exit(0)).on("error", () => process.exit(1))'`,
    effect: reached("temporary")
  },
  {
    name: "speaks to an abstract socket",
    command: `node -e 'require("net").connect("\\0" + process.env.ABSTRACT).on("data", () => process.exit(0)).on("error", () => process.exit(1))'`,
    effect: reached("abstract")
  },
  {
    name: "speaks to a server on loopback",
    command: 'read -r line < "/dev/tcp/127.0.0.1/$TCP"',
    effect: reached("tcp")
  },
  {
    name: "sends a datagram",
    command: 'for i in 1 2 3; do echo x > "/dev/udp/127.0.0.1/$UDP"; done; sleep 0.2',
    effect: reached("udp")
  },
  {
    name: "makes a namespace of its own",
    command: 'unshare --user --map-root-user sh -c \'echo "got it" > "$WT/loot"\'',
    effect: got
  },
  {
    name: "mounts",
    command:
      'unshare --user --map-root-user --mount sh -c \'mount -t tmpfs none /mnt && echo "got it" > "$WT/loot"\'; umount -l .git; umount -l "$C"',
    effect: (world) => got(world) || someoneLooks(world),
    spoils: true
  },
  {
    name: "mounts as root",
    command: 'mkdir m; mount -t tmpfs none m && umount m && echo "got it" > loot',
    effect: got,
    onlyAs: "root"
  },
  {
    name: "changes its root",
    command:
      'chroot / sh -c \'echo "got it" > "$WT/loot"\' || unshare --user --map-root-user chroot / sh -c \'echo "got it" > "$WT/loot"\'',
    effect: got
  },
  {
    name: "becomes another user",
    command: 'setpriv --reuid 12345 --clear-groups true && echo "got it" > loot',
    effect: got,
    onlyAs: "root"
  },
  {
    name: "gains by a set-user-id program",
    command: 'grep -q "NoNewPrivs:.0" /proc/self/status && echo "got it" > loot',
    effect: got
  },
  {
    name: "makes a device",
    command: 'mknod device c 1 3 && echo "got it" > loot',
    effect: got,
    onlyAs: "root"
  },
  {
    name: "changes a setting of the kernel",
    command:
      'v=$(cat /proc/sys/kernel/core_pattern); echo "$v" > /proc/sys/kernel/core_pattern && echo "got it" > loot',
    effect: got,
    onlyAs: "root"
  },
  {
    name: "reaches the terminal that the driver was started from",
    command: `script -qec 'true' /dev/null; : < /dev/tty && echo "got it" > loot`,
    effect: got
  },
  {
    name: "leaves a process behind by setsid",
    command: 'setsid sleep "$SLEEP" > /dev/null 2>&1 < /dev/null &\n sleep 0.05',
    effect: leftDaemon
  },
  {
    name: "leaves a process behind by two forks and nohup",
    command:
      '(setsid nohup sleep "$SLEEP" > /dev/null 2>&1 < /dev/null &) ; (exec nohup sleep "$SLEEP" > /dev/null 2>&1 &) ; sleep 0.05',
    effect: leftDaemon
  },
  {
    name: "leaves a file in shared memory",
    command: 'echo x > "/dev/shm/$NAME"',
    effect: ({ directory }) => has(`/dev/shm/${path.basename(directory)}`)
  },
  {
    name: "leaves a file in the temporary directory",
    command: 'echo x > "/tmp/$NAME"; echo x > "/var/tmp/$NAME"',
    effect: ({ directory }) => ["/tmp", "/var/tmp"].some((it) => has(`${it}/${path.basename(directory)}`))
  }
]

/** Whether it holds within two seconds: the system takes a moment to end what a sandbox leaves behind. */
const eventually = (predicate: () => boolean) =>
  Effect.suspend(() => (predicate() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 100 }),
    Effect.isSuccess
  )

/** What attempts leave behind when nothing stops them. */
const cleanUp = (world: HostileWorld) =>
  Effect.sync(() => {
    // Ours: they sleep for as long as the world's own number says.
    for (const pid of daemons(world)) process.kill(pid, "SIGKILL")
    for (const directory of ["/tmp", "/var/tmp", "/dev/shm"]) {
      fs.rmSync(path.join(directory, path.basename(world.directory)), { force: true })
    }
    fs.rmSync(path.join(world.worktree, "loot"), { force: true })
    fs.rmSync(path.join(world.outside, "new"), { force: true })
    world.reached.clear()
  }).pipe(Effect.zipRight(eventually(() => !leftDaemon(world))))

const hostileWorld = (who: Who) =>
  Effect.tap(makeHostileWorld(who), (world) => Effect.addFinalizer(() => cleanUp(world)))

/** With a terminal, as a person's shell has it: programs that are started there could type into it. */
const make = (world: HostileWorld, { command, name }: Attempt, prefix: ReadonlyArray<string>) => {
  const argv = [...prefix, "bash", "-c", command]
  const line = argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")
  return runAs(world, name.includes("terminal") ? ["script", "-qec", line, "/dev/null"] : argv, {
    ...environmentOf(world),
    SLEEP: marked(world)
  })
}

describe.skipIf(!hasSandbox)("Sandbox: a command of the agent", () => {
  for (const who of everybody) {
    const own = attempts.filter(({ onlyAs }) => onlyAs === undefined || onlyAs === who)

    it.scopedLive(`as ${who}, without the sandbox, does what it tries to`, () =>
      Effect.gen(function* () {
        const shown = own.filter(({ onlyInside }) => onlyInside === undefined)
        const show = (world: HostileWorld, attempt: Attempt) =>
          Effect.gen(function* () {
            assert.isFalse(attempt.effect(world), `${attempt.name}: before`)
            const { output } = yield* make(world, attempt, [])
            const hasSucceeded = yield* eventually(() => attempt.effect(world))
            assert.isTrue(hasSucceeded, `${attempt.name}: ${output}`)
            yield* cleanUp(world)
          })
        const world = yield* hostileWorld(who)
        yield* Effect.forEach(
          shown.filter(({ spoils }) => spoils === undefined),
          (attempt) => show(world, attempt),
          { discard: true }
        )
        yield* Effect.forEach(
          shown.filter(({ spoils }) => spoils),
          (attempt) => Effect.scoped(Effect.flatMap(hostileWorld(who), (it) => show(it, attempt))),
          { concurrency: 2, discard: true }
        )
      })
    )

    it.scopedLive(`as ${who}, in the sandbox, leaves nothing of it on the host`, () =>
      Effect.gen(function* () {
        const world = yield* hostileWorld(who)
        const prefix = yield* sandboxPrefix(world)
        const before = world.hostGit("for-each-ref")
        for (const attempt of own) {
          const { code, output } = yield* make(world, attempt, prefix)
          assert.notMatch(output, /^bwrap:/m, attempt.name)
          assert.notStrictEqual(code, null, `${attempt.name} did not end: ${output}`)
          if (attempt.effect === leftDaemon) {
            yield* eventually(() => !leftDaemon(world))
          }
          assert.isFalse(attempt.effect(world), `${attempt.name}: ${output}`)
          fs.rmSync(path.join(world.worktree, "loot"), { force: true })
        }
        assert.strictEqual(world.hostGit("for-each-ref"), before)
        assert.deepStrictEqual(fs.readdirSync(world.outside), ["victim"])
        assert.isFalse(victimIsDead(world))
        // It did run there, all of it.
        assert.isTrue(has(path.join(world.worktree, "evil.git", "config"), "fsmonitor"))
      })
    )
  }
})
