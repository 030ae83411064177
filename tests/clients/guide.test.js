// The route handler of Electric's auth guide, as configuration: rows by org_id
// unless admin, and encoding headers that do not tell the truth are dropped.

import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { test } from "./support/test.js"
import { serve } from "./support/gateway.js"
import { startOrigin, ELECTRIC_SECRET } from "./support/origin.js"
import { sync } from "./support/sync.js"
import { ADMIN, bearer, ORG_1, ORG_2 } from "./support/token.js"

const GUIDE = new URL("../../conf/guide-proxy-auth.yaml", import.meta.url)
const signedIn = (claims) => bearer({ iss: "acme", ...claims })

const started = async (t) => {
  const origin = await startOrigin(t)
  const text = await readFile(GUIDE, "utf8")
  const listeners = (listen, admin) => `server: { listen: "${listen}" }\nadmin: { listen: "${admin}" }\n${text}`
  const { url } = await serve(t, listeners, { ELECTRIC_URL: origin.url, ELECTRIC_SECRET })
  return { origin, items: `${url}/api/shapes/items` }
}

test("the guide's handler: rows by org_id unless admin", async (t) => {
  const { items } = await started(t)
  await sync(t, { url: items, headers: signedIn(ORG_1) }).untilHeld(1, 2)
  await sync(t, { url: items, headers: signedIn(ORG_2) }).untilHeld(3, 4)
  await sync(t, { url: items, headers: signedIn(ADMIN) }).untilHeld(1, 2, 3, 4)
})

test("the guide's handler: a table and a filter of the client's own change nothing", async (t) => {
  const { items } = await started(t)
  const params = { table: "users", where: "true", columns: ["id"] }
  const synced = await sync(t, { url: items, params, headers: signedIn(ORG_1) }).untilHeld(1, 2)
  assert.deepEqual(synced.row(1), { id: 1, org_id: 1, title: "Water the plants", done: false })
})

test("the guide's handler: an encoding header that lies is dropped, and the client reads on", async (t) => {
  const { items, origin } = await started(t)
  await origin.misbehave("false_gzip")
  const synced = await sync(t, { url: items, headers: signedIn(ORG_1) }).untilHeld(1, 2)
  await synced.until(() => synced.waits(), "waits for news")
  await origin.put("items", { id: 5, org_id: 1, title: "Paint the door", done: false })
  await synced.untilHeld(1, 2, 5)
  for (const { answered } of synced.requests.filter(({ answered }) => answered))
    assert.equal(answered.get("content-encoding"), null)
})
