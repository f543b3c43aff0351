/**
 * How the providers of language models are reached: directly, or through the proxy
 * that the environment names. Node's own `fetch` knows no proxies.
 */
import type { HttpClient } from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Environment } from "./Environment.js"

export interface Proxy {
  /** The variable that names it. */
  readonly variable: string
  /** May carry a user and a password. */
  readonly address: Redacted.Redacted<string>
  /** As NO_PROXY has it. */
  readonly except: string
}

/** The proxy cannot be used as its variable names it. */
export class ProxyError extends Schema.TaggedError<ProxyError>()("ProxyError", { variable: Schema.String }) {
  override get message() {
    return `${this.variable} is no address of an HTTP proxy, such as http://proxy.example.org:3128: mend it, or name the provider's host in NO_PROXY`
  }
}

/** For the scheme of this URL. As curl does, names in lower case come first. */
export const proxyOf = (environment: Environment, url: string): Option.Option<Proxy> => {
  const name = /^http:/i.test(url) ? "http_proxy" : "https_proxy"
  const variable = [name, name.toUpperCase()].find((it) => (environment[it] ?? "").trim() !== "")
  return Option.map(Option.fromNullable(variable), (variable) => ({
    variable,
    address: Redacted.make((environment[variable] ?? "").trim()),
    except: environment["no_proxy"] ?? environment["NO_PROXY"] ?? ""
  }))
}

export const layer = (proxy: Option.Option<Proxy>): Layer.Layer<HttpClient, ProxyError> =>
  Option.match(proxy, {
    onNone: () =>
      Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("@effect/platform/FetchHttpClient")),
          (it) => it.layer
        )
      ),
    onSome: proxied
  })

const proxied = ({ address, except, variable }: Proxy): Layer.Layer<HttpClient, ProxyError> =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const [http, undici] = yield* Effect.promise(() =>
        Promise.all([import("@effect/platform-node/NodeHttpClient"), import("@effect/platform-node/Undici")])
      )
      const given = Redacted.value(address)
      const url = given.includes("://") ? given : `http://${given}`
      if (!/^https?:/i.test(url)) return yield* new ProxyError({ variable })
      const dispatcher = yield* Effect.acquireRelease(
        Effect.try({
          try: () => new undici.EnvHttpProxyAgent({ httpProxy: url, httpsProxy: url, noProxy: except }),
          catch: () => new ProxyError({ variable })
        }),
        (it) => Effect.promise(() => it.destroy())
      )
      return http.layerUndiciWithoutDispatcher.pipe(Layer.provide(Layer.succeed(http.Dispatcher, dispatcher)))
    })
  )
