// The stand-in for Electric, held to its word by Electric's own client: what
// the other tests show of the gateway would mean little otherwise.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { ELECTRIC_SECRET, startOrigin } from "./support/origin.js"
import { sync } from "./support/sync.js"

const ORG_1_USERS = { table: "users", where: `"org_id" = $1`, params: { 1: "1" }, secret: ELECTRIC_SECRET }
const shape = (origin) => `${origin.url}/v1/shape`

test("the client syncs from the stand-in, and stays up to date", async (t) => {
  const origin = await startOrigin(t)
  const synced = await sync(t, { url: shape(origin), params: ORG_1_USERS }).untilHeld("ann", "ben")
  await synced.until(() => synced.waits(), "waits for news")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
  await origin.put("users", { id: "dora", org_id: 2, name: "Dora" })
  await synced.untilHeld("ann", "ben")
  await origin.remove("users", "ann")
  await synced.untilHeld("ben")
})

test("event streams of the stand-in carry several changes", async (t) => {
  const origin = await startOrigin(t)
  const synced = await sync(t, { url: shape(origin), params: ORG_1_USERS, liveSse: true }).untilHeld("ann", "ben")
  await synced.until(() => synced.requests.some(({ answered }) => answered?.get("content-type") === "text/event-stream"))
  for (const id of ["dora", "emil"]) {
    await origin.put("users", { id, org_id: 1, name: id })
    await synced.until(() => synced.row(id), `${id} arrives`)
  }
})

test("a rotated shape of the stand-in is fetched anew", async (t) => {
  const origin = await startOrigin(t)
  const synced = await sync(t, { url: shape(origin), params: ORG_1_USERS }).untilHeld("ann", "ben")
  await synced.until(() => synced.waits(), "waits for news")
  await origin.rotate("users")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
  assert.ok(synced.statuses().includes(409), String(synced))
})

for (const subsetMethod of ["GET", "POST"]) {
  test(`the stand-in answers subsets by ${subsetMethod}`, async (t) => {
    const origin = await startOrigin(t)
    const synced = sync(t, { url: shape(origin), params: ORG_1_USERS, log: "changes_only", offset: "now", subsetMethod })
    await synced.until(() => synced.stream.isUpToDate, "is up to date")
    const { data } = await synced.stream.fetchSnapshot({ orderBy: "id DESC", limit: 1 })
    assert.deepEqual(data.map(({ value }) => value.id), ["ben"])
    await synced.stream.requestSnapshot({ where: "id = $1", params: { 1: "ann" } })
    await synced.untilHeld("ann")
  })
}

test("without the secret the stand-in gives nothing", async (t) => {
  const origin = await startOrigin(t)
  const { secret, ...params } = ORG_1_USERS
  const errors = []
  await sync(t, { url: shape(origin), params, onError: (error) => void errors.push(error) }).until(() => errors.length === 1)
  assert.equal(errors[0].status, 401)
})
