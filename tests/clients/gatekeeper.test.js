// Gatekeeper auth with the real things: the published example's tokens, a validator of its kind under Deno, and
// Electric's own client in the guide's loop.

import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { readFile } from "node:fs/promises"
import { FetchError } from "@electric-sql/client"
import { startEdge } from "./support/deno.js"
import { serve } from "./support/gateway.js"
import { startOrigin, ELECTRIC_SECRET } from "./support/origin.js"
import { sync } from "./support/sync.js"
import { test } from "./support/test.js"
import { AUDIENCE, bearer, ISSUER, ORG_1, ORG_2, SKEW_S } from "./support/token.js"

const AUTH_SECRET = "a secret for shape tokens, longer than 32 bytes"
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url")
const decode = (part) => JSON.parse(Buffer.from(part, "base64url"))
const signed = (header, claims) => {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${createHmac("sha256", AUTH_SECRET).update(text).digest("base64url")}`
}

/** A gateway whose `gatekeeper` signs with a secret that the test knows, too. */
const startGatekeeper = async (t, { mint = "", rows, url = "http://nowhere.example/proxy/v1/shape", origin } = {}) => {
  origin ??= await startOrigin(t)
  const rule = rows ?? '{ where: org_id = $1, params: [user.org_id] }'
  const text = (listen, admin) => `
server: { listen: "${listen}" }
admin: { listen: "${admin}" }
electric: { url: "${origin.url}", secret: { env: ELECTRIC_SECRET } }
identity:
  - jwt: { issuer: "${ISSUER}", audience: ${AUDIENCE}, keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ] }
shapes:
  items:
    table: items
    columns: all
    client: { where: narrow, columns: subset }
    rules: [ { when: has(user.org_id), rows: ${rule} } ]
gatekeeper:
  mint: { url: "${url}", keys: [ { alg: HS256, secret: { env: AUTH_SECRET } } ] ${mint} }
  verify: { paths: [/proxy/v1/shape, /v1/shape] }
  shapes: [items]
`
  const gateway = await serve(t, text, { ELECTRIC_SECRET, AUTH_SECRET })
  const ask = (user, body) =>
    fetch(`${gateway.url}/gatekeeper/items`, {
      method: "POST",
      headers: { ...bearer(user), "content-type": "application/json" },
      body: JSON.stringify(body ?? {}),
    })
  const config = async (user, body) => {
    const answer = await ask(user, body)
    assert.equal(answer.status, 200, await answer.clone().text())
    return { ...(await answer.json()), url: `${gateway.url}/proxy/v1/shape` }
  }
  return { origin, ask, config, ...gateway }
}

test("tokens of the published example API are taken", async (t) => {
  const origin = await startOrigin(t)
  const text = await readFile(new URL("../../conf/gatekeeper-published.yaml", import.meta.url), "utf8")
  const listeners = (listen, admin) => `server: { listen: "${listen}" }\nadmin: { listen: "${admin}" }\n${text}`
  const { url } = await serve(t, listeners, { ELECTRIC_URL: origin.url, ELECTRIC_SECRET, AUTH_SECRET })
  const now = Math.floor(Date.now() / 1000)
  // As Joken signs them (docs of the example, "Gatekeeper endpoint").
  const claims = (shape) => ({ aud: "Joken", exp: now + 7200, iat: now, iss: "Joken", jti: "303o3blt3s3vhv2usbk0002k2", nbf: now, shape })
  const token = (shape) => signed({ alg: "HS256", typ: "JWT" }, claims(shape))
  const all = { namespace: null, table: "items", where: null, columns: null }
  const authorized = (shape) => ({ Authorization: `Bearer ${token(shape)}` })

  for (const path of ["/proxy/v1/shape", "/v1/shape"]) {
    const options = { url: `${url}${path}`, params: { table: "items" }, headers: authorized(all) }
    await sync(t, options).untilHeld(1, 2, 3, 4)
  }
  const narrowed = { namespace: null, table: "items", where: "org_id = 1", columns: ["id", "org_id"] }
  const params = { table: "items", where: "org_id = 1", columns: ["id", "org_id"] }
  const synced = await sync(t, { url: `${url}/v1/shape`, params, headers: authorized(narrowed) }).untilHeld(1, 2)
  assert.deepEqual(synced.row(1), { id: 1, org_id: 1 })

  const status = async (query, shape) => (await fetch(`${url}/v1/shape?offset=-1&${query}`, { headers: authorized(shape) })).status
  assert.equal(await status("table=items&where=true", all), 403)
  assert.equal(await status("table=items&table=users", all), 400)
  assert.equal(await status("table=items&where=org_id = 2&columns=id,org_id", narrowed), 403)
})

test("the guide's loop: the token expires, onError asks again, and nothing is lost or doubled", async (t) => {
  const { origin, config } = await startGatekeeper(t)
  let asked = 0
  /** What the gatekeeper gives; the first time, with a token that it made end in about two seconds. */
  const fetchConfig = async () => {
    const fresh = await config(ORG_1)
    if (asked++ > 0) return fresh
    const [header, payload] = fresh.headers.Authorization.slice("Bearer ".length).split(".")
    const claims = { ...decode(payload), exp: Math.floor(Date.now() / 1000) + 2 - SKEW_S }
    return { ...fresh, headers: { Authorization: `Bearer ${signed(decode(header), claims)}` } }
  }
  const refused = []
  const synced = sync(t, {
    ...(await fetchConfig()),
    onError: async (error) => {
      if (error instanceof FetchError && (error.status === 401 || error.status === 403)) {
        refused.push(error.json.code)
        return fetchConfig()
      }
      throw error
    },
  })
  await synced.untilHeld(1, 2)
  await origin.put("items", { id: 5, org_id: 1, title: "Before", done: false })
  await synced.untilHeld(1, 2, 5)
  await synced.until(() => asked === 2, "the token expires")
  await synced.until(() => synced.waits(), "and the next one waits")
  await origin.put("items", { id: 6, org_id: 1, title: "After", done: false })
  await synced.untilHeld(1, 2, 5, 6)

  assert.deepEqual(refused, ["token_expired"])
  const inserted = synced.messages.filter(({ headers }) => headers.operation === "insert").map(({ value }) => value.id)
  assert.deepEqual(inserted.sort(), [1, 2, 5, 6], "each row came once")
  const offsets = synced.requests.map(({ url }) => url.searchParams.get("offset"))
  assert.equal(offsets.filter((offset) => offset === "-1").length, 1, "nothing was fetched anew")
  const at = synced.statuses().indexOf(401)
  assert.equal(offsets[at + 1], offsets[at], "it goes on where it stood")
  assert.ok(!synced.statuses().includes(409))
})

test("the config spreads into the client's options, narrowed or not", async (t) => {
  const { config } = await startGatekeeper(t)
  await sync(t, await config(ORG_2)).untilHeld(3, 4)
  const narrowed = await config(ORG_1, { where: "id = $1", params: ["2"], columns: ["id", "title"] })
  const synced = await sync(t, narrowed).untilHeld(2)
  assert.deepEqual(Object.keys(synced.row(2)).sort(), ["id", "title"])
})

test("our tokens verify in a validator of the published kind, under Deno", async (t) => {
  const origin = await startOrigin(t, [], { secret: undefined })
  const rows = "{ where: org_id = 1 }"
  const { config, ask } = await startGatekeeper(t, { mint: ", audience: external", rows })
  const edge = await startEdge(t, { electric: origin.url, secret: AUTH_SECRET })
  const ours = { ...(await config(ORG_1, { columns: ["title", "id"] })), url: edge.url }
  assert.equal(ours.params.where, '("org_id" = 1)')
  const synced = await sync(t, ours).untilHeld(1, 2)
  assert.deepEqual(Object.keys(synced.row(1)).sort(), ["id", "title"])
  await origin.put("items", { id: 5, org_id: 1, title: "News", done: false })
  await synced.untilHeld(1, 2, 5)

  const query = new URLSearchParams({ offset: "-1", ...ours.params })
  const status = async (query, headers = ours.headers) => (await fetch(`${edge.url}?${query}`, { headers })).status
  assert.equal(await status(query), 200)
  assert.equal(await status(query, {}), 401)
  assert.equal(await status("offset=-1&table=items"), 403)
  assert.equal(await status("offset=-1&table=users"), 403)

  const lifted = await ask(ORG_1, { where: "id = $1", params: ["2"] })
  assert.equal(lifted.status, 403)
  assert.match((await lifted.json()).message, /parameters/)
})

test("such a validator in front of us lets nothing through that we refuse", async (t) => {
  const gatekeeper = await startGatekeeper(t)
  const edge = await startEdge(t, { electric: gatekeeper.url, secret: AUTH_SECRET })
  const ours = { ...(await gatekeeper.config(ORG_1)), url: edge.url }
  await sync(t, ours).untilHeld(1, 2)
  const { table, where } = ours.params
  const base = new URLSearchParams({ offset: "-1", table, where })
  const status = async (more) => (await fetch(`${edge.url}?${base}&${more}`, { headers: ours.headers })).status
  assert.equal(await status("params[1]=1"), 200)
  assert.equal(await status("params[1]=2"), 403, "values that were not signed")
  assert.equal(await status(""), 403, "no values")
  assert.equal(await status("params[1]=1&replica=full"), 403)
  assert.equal(await status("params[1]=1&table=users"), 400, "a second table")
  assert.equal(await status("params[1]=1&columns[]=id"), 400)
})
