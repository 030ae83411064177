// Live updates as server-sent events.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { startGateway } from "./support/gateway.js"
import { sync } from "./support/sync.js"
import { bearer, ORG_1, ORG_2, SKEW_S } from "./support/token.js"

const streams = ({ requests }) => requests.filter(({ answered }) => answered?.get("content-type") === "text/event-stream")

test("several changes arrive on one event stream", async (t) => {
  const { users, origin } = await startGateway(t)
  const synced = sync(t, { url: users, headers: bearer(ORG_1), liveSse: true })
  await synced.until(() => streams(synced).length === 1, "an event stream is open")
  for (const id of ["dora", "emil", "fay"]) {
    await origin.put("users", { id, org_id: 1, name: id })
    await synced.until(() => synced.row(id), `${id} arrives`)
  }
  await origin.remove("users", "dora")
  await synced.untilHeld("ann", "ben", "emil", "fay")
  assert.equal(streams(synced).length, 1, `one stream carries them all\n${synced}`)
})

test("event streams of two users on one URL carry each their own rows", async (t) => {
  const { users, origin } = await startGateway(t)
  const one = sync(t, { url: users, headers: bearer(ORG_1), liveSse: true })
  const two = sync(t, { url: users, headers: bearer(ORG_2), liveSse: true })
  await Promise.all([one, two].map((synced) => synced.until(() => streams(synced).length === 1)))
  await origin.put("users", { id: "ben", org_id: 2, name: "Ben" })
  await Promise.all([one.untilHeld("ann"), two.untilHeld("ben", "cem")])
})

test("an event stream ends with its token, and goes on with the next one", async (t) => {
  const { users, origin } = await startGateway(t)
  let signed = 0
  const headers = { authorization: () => bearer(ORG_1, { expiresIn: signed++ ? 600 : 3 - SKEW_S }).authorization }
  const synced = sync(t, { url: users, headers, liveSse: true })
  await synced.untilHeld("ann", "ben")
  await synced.until(() => signed >= 3, "the client comes back by itself")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
  assert.ok(!synced.statuses().includes(401), String(synced))
})
