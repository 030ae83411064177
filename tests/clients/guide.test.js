// The route handler of Electric's auth guide, as configuration: rows by org_id
// unless admin, and encoding headers that do not tell the truth are dropped.

import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { test } from "node:test"
import { serve } from "./support/gateway.js"
import { startOrigin, ELECTRIC_SECRET } from "./support/origin.js"
import { sync } from "./support/sync.js"
import { ADMIN, AUDIENCE, bearer, ISSUER, ORG_1, ORG_2 } from "./support/token.js"

const GUIDE = new URL("../../conf/guide-proxy-auth.yaml", import.meta.url)

const started = async (t) => {
  const origin = await startOrigin(t)
  const text = await readFile(GUIDE, "utf8")
  const listeners = (listen, admin) => `server: { listen: "${listen}" }\nadmin: { listen: "${admin}" }\n${text}`
  const env = { ELECTRIC_URL: origin.url, ELECTRIC_SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE }
  return { origin, ...(await serve(t, listeners, env)) }
}

test("the guide's handler: rows by org_id unless admin", async (t) => {
  const { users } = await started(t)
  await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben")
  await sync(t, { url: users, headers: bearer(ORG_2) }).untilHeld("cem")
  await sync(t, { url: users, headers: bearer(ADMIN) }).untilHeld("ann", "ben", "cem")
})

test("the guide's handler: an encoding header that lies is dropped, and the client reads on", async (t) => {
  const { users, origin } = await started(t)
  await origin.misbehave("false_gzip")
  const synced = await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben")
  assert.equal(synced.requests[0].answered.get("content-encoding"), null)
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
})
