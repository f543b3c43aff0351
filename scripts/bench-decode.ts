// How fast captured events are decoded: bytes → lines → JSON → typed events → the fold of a turn, on one core, beside
// its floor, which is `JSON.parse` of the same lines and nothing else. Medians.
import { readdirSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { performance } from "node:perf_hooks"
import * as ClaudeEvents from "@driver/agent/ClaudeEvents"
import * as JsonLines from "@driver/agent/JsonLines"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

const rounds = 15
const warmUp = 3
/** As much as a pipe gives at once. */
const blockBytes = 65_536
const megabytes = 20

// The benchmarks are started from the root, also as bundles.
const directory = resolve("packages/agent/test/fixtures/claude")
const captured = readdirSync(directory)
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => readFileSync(resolve(directory, name)))
const once = Buffer.concat(captured)
const bytes = new Uint8Array(
  Buffer.concat(Array.from({ length: Math.ceil((megabytes * 1e6) / once.length) }, () => once))
)
const blocks = Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, i) =>
  bytes.subarray(i * blockBytes, (i + 1) * blockBytes)
)
const lines = new TextDecoder()
  .decode(bytes)
  .split("\n")
  .filter((line) => line !== "")

const fresh = () => ClaudeEvents.begin({ sessionId: Option.none(), compacts: false })

let events = 0

/** What the agent's reader and a turn do with a chunk of lines. A new turn begins where one is drained. */
const decodeAll = Effect.suspend(() => {
  let turn = fresh()
  return Stream.fromIterable(blocks).pipe(
    // One block per chunk, as a pipe gives them.
    Stream.rechunk(1),
    JsonLines.decode({ maxLineBytes: 64 * 1024 * 1024, read: ClaudeEvents.decode }),
    Stream.runForEachChunk((decoded) =>
      Effect.sync(() => {
        for (const event of decoded) {
          const [next, told] = ClaudeEvents.step(turn, event)
          events += told.length
          turn = ClaudeEvents.isDrained(next) ? fresh() : next
        }
      })
    )
  )
})

const parseAll = () => {
  for (const line of lines) events += JSON.parse(line) === null ? 1 : 0
}

const median = (values: ReadonlyArray<number>) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const rate = (milliseconds: number) => bytes.length / 1e3 / milliseconds

const decoded: Array<number> = []
const parsed: Array<number> = []
// In turns, so that whatever else the machine does hits both alike.
for (let round = 0; round < rounds + warmUp; round++) {
  const start = performance.now()
  await Effect.runPromise(decodeAll)
  const middle = performance.now()
  parseAll()
  const end = performance.now()
  if (round < warmUp) continue
  decoded.push(rate(middle - start))
  parsed.push(rate(end - middle))
}

const [decode, floor] = [median(decoded), median(parsed)]
const ratio = decode / floor
console.log(
  JSON.stringify({
    benchmark: "decode",
    lines: lines.length,
    megabytes: Math.round(bytes.length / 1e6),
    rounds,
    events_per_round: Math.round(events / (rounds + warmUp)),
    decode_mb_per_s: Math.round(decode),
    json_parse_mb_per_s: Math.round(floor),
    ratio: Number(ratio.toFixed(2)),
    target: "at least 100 MB/s, or at least half of JSON.parse per line",
    met: decode >= 100 || ratio >= 0.5
  })
)
