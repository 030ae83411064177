// A certified OpenID provider: its discovery, its key set and its access tokens, while keys change and while it is away.

import assert from "node:assert/strict"
import { generateKeyPairSync, randomUUID, sign } from "node:crypto"
import { test } from "./support/test.js"
import { ELECTRIC_SECRET, startOrigin } from "./support/origin.js"
import { serve, USERS } from "./support/gateway.js"
import { signingKey, startProvider } from "./support/provider.js"
import { sync } from "./support/sync.js"
import { AUDIENCE } from "./support/token.js"

/** Fetches of one issuer's keys in a minute. */
const FETCHES_MAX = 10

/** A gateway that knows the provider by its issuer alone. */
async function startGateway(t, provider) {
  const origin = await startOrigin(t)
  const text = (listen, admin) => `
server: { listen: "${listen}" }
admin: { listen: "${admin}" }
electric: { url: "${origin.url}", secret: { env: ELECTRIC_SECRET } }
identity:
  - jwt:
      issuer: "${provider.issuer}"
      audience: ${AUDIENCE}
      token_type: at+jwt
      insecure_allow_http: true
      insecure_allow_private_addresses: true
shapes:${USERS}`
  return { origin, ...(await serve(t, text, { ELECTRIC_SECRET })) }
}

async function start(t) {
  const keys = [await signingKey("one")]
  const provider = await startProvider(t, keys)
  return { keys, provider, ...(await startGateway(t, provider)) }
}

const authorization = (token) => ({ authorization: `Bearer ${token}` })

/** The first read of the shape: its status, and its error's code. */
async function ask(users, token) {
  const answer = await fetch(`${users}?offset=-1`, { headers: authorization(token) })
  const body = await answer.json()
  return { status: answer.status, code: body.code, retryAfter: answer.headers.get("retry-after") }
}

/** Asks with each of `tokens()` in turn until it is stopped or the test ends; gives what was answered, by status. */
function load(t, users, tokens) {
  const statuses = new Map()
  let [asked, stopped] = [0, false]
  t.after(() => (stopped = true))
  const worker = async () => {
    while (!stopped) {
      const all = tokens()
      const { status } = await ask(users, all[asked++ % all.length])
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const workers = Promise.all(Array.from({ length: 4 }, worker))
  workers.catch(() => (stopped = true))
  const more = async (count) => {
    for (const enough = asked + count; asked < enough && !stopped; ) await new Promise((done) => setTimeout(done, 5))
  }
  const stop = async () => {
    stopped = true
    await workers
    return Object.fromEntries(statuses)
  }
  return { more, stop }
}

/** Tokens of the provider's form, by a key that it never had. */
function forger(provider) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const now = Math.floor(Date.now() / 1000)
  const claims = encode({ iss: provider.issuer, aud: AUDIENCE, sub: "ann", org_id: 1, iat: now, exp: now + 600 })
  return (header) => {
    const signed = `${encode({ alg: "RS256", typ: "at+jwt", ...header })}.${claims}`
    return `${signed}.${sign("RSA-SHA256", Buffer.from(signed), privateKey).toString("base64url")}`
  }
}

test("tokens of a certified provider decide what its clients get, found by its issuer alone", async (t) => {
  const { provider, users, origin } = await start(t)
  const headers = authorization(await provider.token("ann"))
  await sync(t, { url: users, headers }).untilHeld("ann", "ben")
  await sync(t, { url: users, headers: authorization(await provider.token("cem")) }).untilHeld("cem")
  const asked = await origin.received()
  assert.ok(asked.length > 0 && !JSON.stringify(asked).includes("eyJ"), "no token goes upstream")
})

test("tokens for another audience, opaque ones and forged ones are 401", async (t) => {
  const { provider, users, origin } = await start(t)
  const forge = forger(provider)
  const jwk = await signingKey("one")
  const tokens = [
    await provider.token("ann", "other"),
    await provider.token("ann", null),
    forge({ kid: "one" }),
    forge({ kid: "one", jku: `${provider.issuer}/jwks` }),
    forge({ kid: "one", jwk: { kty: jwk.kty, n: jwk.n, e: jwk.e } }),
  ]
  for (const token of tokens) assert.deepEqual(await ask(users, token), { status: 401, code: "token_invalid", retryAfter: null })
  assert.deepEqual(await origin.received(), [])
  assert.equal((await ask(users, await provider.token("ann"))).status, 200)
})

test("keys that rotate with overlap under load cost nobody a request", async (t) => {
  const { provider, users, keys } = await start(t)
  const tokens = [await provider.token("ann"), await provider.token("cem")]
  const running = load(t, users, () => tokens)
  await running.more(50)
  const before = provider.fetches
  for (const [rotation, alg] of ["RS256", "ES256", "RS256"].entries()) {
    keys.unshift(await signingKey(`rotated-${rotation}`, alg))
    provider.publish(keys)
    const token = await provider.token("ann")
    assert.equal((await ask(users, token)).status, 200, "the first request with the new key")
    tokens.push(token, await provider.token("cem"))
    await running.more(100)
  }
  const statuses = await running.stop()
  assert.deepEqual(Object.keys(statuses), ["200"], JSON.stringify(statuses))
  assert.ok(provider.fetches - before <= 2 * 3, `${provider.fetches - before} fetches`)
})

test("a flood of unknown key names is few fetches, and valid tokens are served meanwhile", async (t) => {
  const { provider, users, origin } = await start(t)
  const known = await provider.token("ann")
  assert.equal((await ask(users, known)).status, 200)
  const forge = forger(provider)
  const flood = load(t, users, () => [forge({ kid: randomUUID() })])
  const valid = load(t, users, () => [known])
  await flood.more(400)
  // Never seen before, and verified by a key that is known.
  const fresh = await Promise.all(Array.from({ length: 20 }, () => provider.token("cem")))
  for (const token of fresh) assert.equal((await ask(users, token)).status, 200)
  await valid.more(200)
  const [refused, served] = [await flood.stop(), await valid.stop()]
  assert.deepEqual(Object.keys(served), ["200"], JSON.stringify(served))
  assert.ok(!(200 in refused) && Object.keys(refused).every((status) => ["401", "503"].includes(status)), JSON.stringify(refused))
  assert.ok(provider.fetches <= FETCHES_MAX, `${provider.fetches} fetches`)
  const asked = (await origin.received()).filter(({ path }) => path === "/v1/shape")
  assert.ok(asked.length <= 2, "one shape each for ann and cem, kept for the others")
})

test("a provider that is away changes nothing for keys that are known, and unknown ones are 503", async (t) => {
  const { provider, users, keys } = await start(t)
  const remembered = await provider.token("ann")
  const fresh = await provider.token("cem")
  assert.equal((await ask(users, remembered)).status, 200)
  keys.unshift(await signingKey("two"))
  provider.publish(keys)
  const newer = await provider.token("ann")
  await provider.stop()
  const running = load(t, users, () => [remembered, fresh])
  const unknown = await ask(users, newer)
  assert.deepEqual([unknown.status, unknown.code], [503, "identity_unavailable"])
  assert.ok(Number(unknown.retryAfter) >= 1)
  await running.more(100)
  assert.deepEqual(Object.keys(await running.stop()), ["200"])
})
