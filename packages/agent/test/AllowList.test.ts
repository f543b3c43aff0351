import { AllowedHost, isAllowed, isPublicAddress, mayConnect, parseEntry, readRequest } from "@driver/agent/AllowList"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Option, Schema } from "effect"

const crlf = (...lines: ReadonlyArray<string>) => lines.join("\r\n")

describe("AllowList", () => {
  const hosts = ["example.org", "*.suffix.net", "other.org:8443", "127.0.0.1:9000", "[::1]:9000"]

  for (const [host, port, allowed] of [
    ["example.org", 443, true],
    ["example.org", 80, true],
    ["example.org", 22, false],
    ["sub.example.org", 443, false],
    ["example.org.evil.com", 443, false],
    ["evilexample.org", 443, false],
    ["a.suffix.net", 443, true],
    ["a.b.suffix.net", 443, true],
    ["suffix.net", 443, false],
    ["evilsuffix.net", 443, false],
    ["other.org", 8443, true],
    ["other.org", 443, false],
    ["127.0.0.1", 9000, true],
    ["127.0.0.1", 9001, false],
    ["::1", 9000, true]
  ] as const) {
    it(`${allowed ? "allows" : "refuses"} ${host} port ${port}`, () => {
      assert.strictEqual(isAllowed(hosts, { host, port }), allowed)
    })
  }

  it("takes entries that name a host, and nothing else", () => {
    for (const entry of [
      "example.org",
      "EXAMPLE.org.",
      "*.example.org",
      "localhost:3000",
      "10.0.0.1",
      "[fe80::1]:80"
    ]) {
      assert.isTrue(Schema.is(AllowedHost)(entry), entry)
    }
    for (const entry of [
      "",
      "*",
      "*.org",
      "a*.org",
      "https://example.org",
      "example.org/path",
      "example.org:0",
      "example.org:99999",
      "user@example.org",
      "exa mple.org",
      "*.10.0.0.1",
      "[::1",
      "a..b",
      "-a.org"
    ]) {
      assert.isFalse(Schema.is(AllowedHost)(entry), entry)
    }
  })

  it("knows what lies in the internet and what does not", () => {
    for (const address of ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"]) {
      assert.isTrue(isPublicAddress(address), address)
    }
    for (const address of [
      "0.0.0.0",
      "10.1.2.3",
      "100.64.0.1",
      "127.0.0.1",
      "127.255.0.1",
      "169.254.169.254",
      "172.16.0.1",
      "172.31.255.255",
      "192.0.2.1",
      "192.168.1.1",
      "198.18.0.1",
      "224.0.0.1",
      "255.255.255.255",
      "::",
      "::1",
      "fe80::1",
      "fe80::1%eth0",
      "fc00::1",
      "fd12::1",
      "ff02::1",
      "2001:db8::1",
      "2002:7f00:1::",
      "::ffff:127.0.0.1",
      "::ffff:7f00:1",
      "::127.0.0.1",
      "64:ff9b::127.0.0.1",
      "64:ff9b::a00:1",
      "nonsense",
      "",
      "1.2.3",
      "1.2.3.256",
      "1:2:3",
      "::1::"
    ]) {
      assert.isFalse(isPublicAddress(address), address)
    }
  })

  it("connects to an address that is not public only when that very address is listed", () => {
    const to = (host: string) => ({ host, port: 443 })
    assert.isTrue(mayConnect(hosts, "1.1.1.1", to("example.org")))
    assert.isFalse(mayConnect(hosts, "127.0.0.1", to("example.org")))
    assert.isFalse(mayConnect(hosts, "169.254.169.254", to("a.suffix.net")))
    assert.isTrue(mayConnect(hosts, "127.0.0.1", to("127.0.0.1")))
    assert.isFalse(mayConnect(hosts, "127.0.0.2", to("127.0.0.1")))
    assert.isFalse(mayConnect(hosts, "127.0.0.1", to("localhost")))
    assert.isTrue(mayConnect([...hosts, "localhost:3000"], "127.0.0.1", to("localhost")))
  })

  it("reads what a request wants", () => {
    assert.deepStrictEqual(readRequest(crlf("CONNECT Example.ORG:443 HTTP/1.1", "Host: x")), {
      _tag: "Tunnel",
      to: { host: "example.org", port: 443 }
    })
    assert.deepStrictEqual(readRequest("CONNECT [::1]:443 HTTP/1.1"), {
      _tag: "Tunnel",
      to: { host: "::1", port: 443 }
    })
    assert.deepStrictEqual(
      readRequest(
        crlf(
          "GET http://example.org/a?b HTTP/1.1",
          "Host: inside.local",
          "Proxy-Authorization: x",
          "Connection: keep-alive",
          "X-Own: 1"
        )
      ),
      {
        _tag: "Forward",
        to: { host: "example.org", port: 80 },
        head: crlf("GET /a?b HTTP/1.1", "Host: example.org", "X-Own: 1", "Connection: close")
      }
    )
    for (const head of [
      "",
      "GET / HTTP/1.1",
      "GET https://example.org/ HTTP/1.1",
      "GET ftp://example.org/ HTTP/1.1",
      "GET http://user@example.org/ HTTP/1.1",
      "CONNECT example.org HTTP/1.1",
      "CONNECT example.org:443:80 HTTP/1.1",
      "CONNECT user@example.org:443 HTTP/1.1",
      "CONNECT example.org:443 HTTP/2",
      crlf("GET http://example.org/ HTTP/1.1", " folded: x"),
      crlf("GET http://example.org/ HTTP/1.1", "no colon"),
      "GET http://example.org/a\nHost:x HTTP/1.1"
    ]) {
      assert.deepStrictEqual(readRequest(head), { _tag: "Unreadable" }, head)
    }
  })

  it("whatever is asked for: what is read is what the list is asked about, and never more", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary", maxLength: 60 }), (text) => {
        const request = readRequest(text)
        const tunnel = readRequest(`CONNECT ${text} HTTP/1.1`)
        assert.strictEqual(request._tag === "Unreadable" || text.includes("HTTP/1."), true)
        if (tunnel._tag === "Tunnel") assert.isTrue(Option.isSome(parseEntry(text)), text)
      }),
      { numRuns: 500 }
    )
  })
})
