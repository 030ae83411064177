// Subset snapshots: asked for by the client, confined by the server.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { startGateway, SUBSETS } from "./support/gateway.js"
import { sync } from "./support/sync.js"
import { bearer, ORG_1 } from "./support/token.js"

const LIMITED = { orderBy: "id", limit: 2 }
const ids = ({ data }) => data.map(({ value }) => value.id)

for (const subsetMethod of ["POST", "GET"]) {
  const started = async (t, options = {}) => {
    const { users, origin } = await startGateway(t, { shapes: SUBSETS })
    await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
    const synced = sync(t, { url: users, headers: bearer(ORG_1), log: "changes_only", offset: "now", subsetMethod, ...options })
    await synced.until(() => synced.stream.isUpToDate, "is up to date")
    return { synced, origin }
  }

  test(`${subsetMethod}: a subset is filtered, ordered and limited within the user's rows`, async (t) => {
    const { synced, origin } = await started(t)
    const asked = { where: "name <> $1", params: { 1: "Ann" }, orderBy: "name DESC", limit: 2 }
    assert.deepEqual(ids(await synced.stream.fetchSnapshot(asked)), ["dora", "ben"])
    const { method, body } = (await origin.received()).findLast(({ method }) => method === "POST")
    assert.equal(method, "POST", "upstream is asked by POST, whichever way the client came")
    assert.deepEqual(Object.keys(JSON.parse(body)), ["subset"])
  })

  test(`${subsetMethod}: a requested snapshot joins the live rows`, async (t) => {
    const { synced, origin } = await started(t)
    await synced.stream.requestSnapshot({ where: "id = $1", params: { 1: "ben" }, ...LIMITED })
    await synced.untilHeld("ben")
    await origin.put("users", { id: "ben", org_id: 1, name: "Benno" })
    await synced.until(() => synced.row("ben")?.name === "Benno", "the row goes on living")
  })

  test(`${subsetMethod}: a filter that is always true reaches no other organisation`, async (t) => {
    const { synced } = await started(t)
    assert.deepEqual(ids(await synced.stream.fetchSnapshot({ where: "org_id = 2 OR true", ...LIMITED })), ["ann", "ben"])
    assert.deepEqual(ids(await synced.stream.fetchSnapshot({ where: "org_id = 2", ...LIMITED })), [])
  })

  test(`${subsetMethod}: a hidden column is no oracle, a subquery and too many rows are refused`, async (t) => {
    const { synced } = await started(t)
    for (const asked of [
      { where: "password_hash LIKE 'n%'", ...LIMITED },
      { where: "id IN (SELECT user_id FROM memberships)", ...LIMITED },
      { orderBy: "password_hash", limit: 2 },
      { orderBy: "id", limit: 3 },
      { where: "true" },
    ]) {
      await assert.rejects(synced.stream.fetchSnapshot(asked), ({ status }) => status === 400 || status === 403, JSON.stringify(asked))
    }
  })
}

test("a route without subsets refuses them before upstream is asked", async (t) => {
  const { users, origin } = await startGateway(t)
  const synced = await sync(t, { url: users, headers: bearer(ORG_1), subsetMethod: "POST" }).untilHeld("ann", "ben")
  await assert.rejects(synced.stream.fetchSnapshot(LIMITED), ({ status }) => status >= 400 && status < 500)
  assert.ok((await origin.received()).every(({ method }) => method === "GET"))
})
