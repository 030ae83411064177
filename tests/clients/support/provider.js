// npm's oidc-provider, a certified OpenID Connect provider, on this machine.

import { generateKeyPair } from "node:crypto"
import { createServer } from "node:http"
import { promisify } from "node:util"
import Provider from "oidc-provider"
import { AUDIENCE } from "./token.js"

/** The programs that get tokens, and their organisations. */
const CLIENTS = { ann: 1, cem: 2 }
const SECRET = "what these programs prove themselves with"
const RESOURCE = "urn:"

/** A private key as a member of a key set. */
export async function signingKey(kid, alg = "RS256") {
  const kinds = { RS256: ["rsa", { modulusLength: 2048 }], ES256: ["ec", { namedCurve: "P-256" }] }
  const { privateKey } = await promisify(generateKeyPair)(...kinds[alg])
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" }
}

const settings = (keys) => ({
  jwks: { keys },
  clients: Object.keys(CLIENTS).map((client_id) => ({
    client_id,
    client_secret: SECRET,
    grant_types: ["client_credentials"],
    id_token_signed_response_alg: keys[0].alg,
    redirect_uris: [],
    response_types: [],
  })),
  scopes: ["read"],
  ttl: { ClientCredentials: 3600 },
  extraTokenClaims: (ctx) => ({ org_id: CLIENTS[ctx.oidc.client.clientId] }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: "read",
        audience: resource.slice(RESOURCE.length),
        accessTokenFormat: "jwt",
        accessTokenTTL: 3600,
        jwt: { sign: { alg: keys[0].alg } },
      }),
    },
  },
})

/** Starts a provider with these keys; it ends with the test. */
export async function startProvider(t, keys) {
  const provider = new RunningProvider()
  await provider.listen(0)
  provider.publish(keys)
  t.after(() => provider.stop())
  return provider
}

class RunningProvider {
  /** How often the key set was fetched. */
  fetches = 0
  #server
  #port
  #handle

  get issuer() {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Publishes these keys from now on, and signs with the first. */
  publish(keys) {
    this.#handle = new Provider(this.issuer, settings(keys)).callback()
  }

  async listen(port) {
    this.#server = createServer((request, response) => {
      if (request.url === "/jwks") this.fetches++
      this.#handle(request, response)
    })
    await new Promise((done, fail) => this.#server.once("error", fail).listen(port, "127.0.0.1", done))
    this.#port = this.#server.address().port
  }

  /** Goes away, and every connection with it. */
  async stop() {
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }

  /** Comes back where it was. */
  resume() {
    return this.listen(this.#port)
  }

  /** An access token of that client: a JWT for that audience, or opaque for none. */
  async token(client, audience = AUDIENCE) {
    const body = new URLSearchParams({ grant_type: "client_credentials", scope: "read" })
    if (audience) body.set("resource", RESOURCE + audience)
    const authorization = `Basic ${Buffer.from(`${client}:${encodeURIComponent(SECRET)}`).toString("base64")}`
    const answer = await fetch(`${this.issuer}/token`, { method: "POST", headers: { authorization }, body })
    const said = await answer.json()
    if (!answer.ok) throw new Error(JSON.stringify(said))
    return said.access_token
  }
}
