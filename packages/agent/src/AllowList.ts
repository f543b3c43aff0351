/**
 * Which hosts a confined program may speak to, and how its proxy reads what it asks for. Pure.
 *
 * A host is allowed by its name: exactly, or below a suffix. The proxy resolves the name itself and connects to what
 * it found, so that a name which leads inside (to loopback, a private network, the metadata service of a cloud) is
 * refused, unless that very address is listed.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** `example.org`, `*.example.org`, either with `:port`; `127.0.0.1:8080`, `[::1]:8080`. */
export const AllowedHost = Schema.String.pipe(
  Schema.filter((text) => Option.isSome(parseEntry(text)), {
    message: () => "expected a host: example.org, *.example.org, or with a port example.org:8080"
  }),
  Schema.annotations({ identifier: "AllowedHost", examples: ["registry.example.org", "*.example.org"] })
)
export type AllowedHost = typeof AllowedHost.Type

/** Where somebody wants to go. The host in lower case, an IPv6 address without brackets. */
export interface Destination {
  readonly host: string
  readonly port: number
}

interface Entry {
  /** Without the `*.`. */
  readonly host: string
  readonly below: boolean
  readonly ports: ReadonlyArray<number>
}

const name = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/

export const parseEntry = (text: string): Option.Option<Entry> => {
  const lower = text.trim().toLowerCase()
  const below = lower.startsWith("*.")
  return Option.filterMap(splitAuthority(below ? lower.slice(2) : lower), ({ host, port }) => {
    if (below && (isAddress(host) || !host.includes("."))) return Option.none()
    return Option.some({ host, below, ports: port === undefined ? [443, 80] : [port] })
  })
}

/** `host`, `host:port`, `[v6]:port`. */
const splitAuthority = (text: string): Option.Option<{ readonly host: string; readonly port: number | undefined }> => {
  const [, six, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  // One dot at the end only says that the name is complete.
  const host = six ?? plain?.replace(/\.$/, "")
  const port = digits === undefined ? undefined : Number(digits)
  if (host === undefined || (port !== undefined && (port < 1 || port > 65_535))) return Option.none()
  if (six !== undefined ? bytesOf(host) === undefined : !name.test(host)) return Option.none()
  return Option.some({ host, port })
}

/** Whether one of the entries names it, host and port. */
export const isAllowed = (entries: ReadonlyArray<string>, { host, port }: Destination): boolean =>
  entries.some((text) =>
    Option.exists(
      parseEntry(text),
      (entry) => entry.ports.includes(port) && (entry.below ? host.endsWith(`.${entry.host}`) : host === entry.host)
    )
  )

/** Whether an address that a listed name led to may be connected to. */
export const mayConnect = (entries: ReadonlyArray<string>, address: string, { host }: Destination): boolean =>
  isPublicAddress(address) || (isAddress(host) && host === address.toLowerCase()) || isListedLocally(entries, host)

/** `localhost` by name is a wish to reach this machine, as a listed address is. */
const isListedLocally = (entries: ReadonlyArray<string>, host: string): boolean =>
  host === "localhost" && entries.some((text) => Option.exists(parseEntry(text), (entry) => entry.host === host))

const isAddress = (host: string): boolean => bytesOf(host) !== undefined

/** The 4 or 16 bytes of an address; undefined when it is none. */
const bytesOf = (address: string): ReadonlyArray<number> | undefined => {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) {
    const bytes = address.split(".").map(Number)
    return bytes.every((byte) => byte <= 255) ? bytes : undefined
  }
  if (!address.includes(":") || !/^[0-9a-f:.]+$/.test(address)) return undefined
  const [, front = "", last = ""] = /^(.*:)([^:]*)$/.exec(address) ?? []
  const four = last.includes(".") ? bytesOf(last) : undefined
  if (last.includes(".") && four === undefined) return undefined
  const written = four === undefined ? address : `${front}${hex(four[0], four[1])}:${hex(four[2], four[3])}`
  const halves = written.split("::")
  if (halves.length > 2) return undefined
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")))
  const [before = [], after = []] = groups
  const missing = 8 - before.length - after.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...before, ...Array.from({ length: halves.length === 2 ? missing : 0 }, () => "0"), ...after]
  if (!all.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined
  return all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff])
}

const hex = (high = 0, low = 0): string => ((high << 8) | low).toString(16)

/** Whether it leads out into the internet: not to this machine, its networks, or a group of machines. */
export const isPublicAddress = (address: string): boolean => {
  const bytes = bytesOf(address.toLowerCase().replace(/%.*$/, ""))
  if (bytes === undefined) return false
  if (bytes.length === 4) return isPublicFour(bytes)
  const [a = 0, b = 0] = bytes
  const embedded = embeddedFour(bytes)
  if (embedded !== undefined) return isPublicFour(embedded)
  // Only what is given out: not loopback, link-local, unique local, multicast, documentation, or the old tunnels.
  const isDocumentation = a === 0x20 && b === 0x01 && bytes[2] === 0x0d && bytes[3] === 0xb8
  const isTunnel = (a === 0x20 && b === 0x02) || (a === 0x20 && b === 0x01 && bytes[2] === 0 && bytes[3] === 0)
  return (a & 0xe0) === 0x20 && !isDocumentation && !isTunnel
}

/** The IPv4 address in `::ffff:1.2.3.4`, `::1.2.3.4` and `64:ff9b::1.2.3.4`. */
const embeddedFour = (bytes: ReadonlyArray<number>): ReadonlyArray<number> | undefined => {
  const head = bytes.slice(0, 12)
  const isMapped = head.slice(0, 10).every((it) => it === 0) && head[10] === 0xff && head[11] === 0xff
  const isTranslated =
    head[1] === 0x64 && head[2] === 0xff && head[3] === 0x9b && [0, ...head.slice(4)].every((it) => it === 0)
  return isMapped || isTranslated || head.every((it) => it === 0) ? bytes.slice(12) : undefined
}

const isPublicFour = ([a = 0, b = 0, c = 0]: ReadonlyArray<number>): boolean =>
  !(
    a === 0 ||
    a === 10 ||
    a === 127 ||
    (a === 100 && b >= 64 && b < 128) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 0 && (c === 0 || c === 2)) ||
    (a === 192 && b === 88 && c === 99) ||
    (a === 192 && b === 168) ||
    (a === 198 && (b === 18 || b === 19)) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113) ||
    a >= 224
  )

/** What the head of a request to the proxy wants. */
export type ProxyRequest =
  | { readonly _tag: "Tunnel"; readonly to: Destination }
  /** Plain HTTP: the request goes on with this head, and the connection serves this one request. */
  | { readonly _tag: "Forward"; readonly to: Destination; readonly head: string }
  | { readonly _tag: "Unreadable" }

/** `head` without the empty line that ends it. */
export const readRequest = (head: string): ProxyRequest => {
  const unreadable = { _tag: "Unreadable" } as const
  const [first = "", ...fields] = head.split("\r\n")
  const [, method = "", target = "", protocol = ""] = /^([A-Z]{1,20}) (\S+) (HTTP\/1\.[01])$/.exec(first) ?? []
  if (method === "") return unreadable
  if (method === "CONNECT") {
    return Option.match(splitAuthority(target.toLowerCase()), {
      onNone: () => unreadable,
      onSome: ({ host, port }) => (port === undefined ? unreadable : { _tag: "Tunnel" as const, to: { host, port } })
    })
  }
  const [, authority, path] = /^http:\/\/([^/?#@\s]+)([/?][^#\s]*)?$/i.exec(target) ?? []
  if (authority === undefined || fields.some((field) => !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*$/.test(field))) {
    return unreadable
  }
  return Option.match(splitAuthority(authority.toLowerCase()), {
    onNone: () => unreadable,
    onSome: ({ host, port = 80 }) => {
      // `Host` says what the list allowed, whatever the program wrote there.
      const kept = fields.filter((field) => !/^(host|connection|proxy-[a-z-]+|keep-alive|upgrade|te):/i.test(field))
      const line = `${method} ${path === undefined ? "/" : path.startsWith("?") ? `/${path}` : path} ${protocol}`
      return {
        _tag: "Forward" as const,
        to: { host, port },
        head: [line, `Host: ${authority}`, ...kept, "Connection: close"].join("\r\n")
      }
    }
  })
}
