// Proxy auth with Electric's own client: who sees which rows, from the first to the live ones.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { startGateway } from "./support/gateway.js"
import { sync } from "./support/sync.js"
import { ADMIN, bearer, NO_ORG, ORG_1, ORG_2, token } from "./support/token.js"

test("a user syncs their own organisation's rows, in the columns of the rule", async (t) => {
  const { users } = await startGateway(t)
  const synced = await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben")
  assert.deepEqual(synced.row("ann"), { id: "ann", name: "Ann", org_id: 1 })
})

test("two users and an admin on one URL each see their own rows", async (t) => {
  const { users, origin } = await startGateway(t)
  const one = sync(t, { url: users, headers: bearer(ORG_1) })
  const two = sync(t, { url: users, headers: bearer(ORG_2) })
  const admin = sync(t, { url: users, headers: bearer(ADMIN) })
  await Promise.all([one.untilHeld("ann", "ben"), two.untilHeld("cem"), admin.untilHeld("ann", "ben", "cem")])

  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await origin.put("users", { id: "emil", org_id: 2, name: "Emil" })
  await Promise.all([one.untilHeld("ann", "ben", "dora"), two.untilHeld("cem", "emil"), admin.untilHeld("ann", "ben", "cem", "dora", "emil")])

  const ids = ({ messages }) => new Set(messages.filter(({ value }) => value).map(({ value }) => value.id))
  assert.deepEqual(ids(one), new Set(["ann", "ben", "dora"]), "no other row ever reached org 1's client")
  assert.deepEqual(ids(two), new Set(["cem", "emil"]), "no other row ever reached org 2's client")
})

test("upstream is asked for the server's shape alone, with the server's secret", async (t) => {
  const { users, origin } = await startGateway(t)
  await sync(t, { url: users, headers: { ...bearer(ORG_1), "x-anything": "at all" } }).untilHeld("ann", "ben")
  const [first] = await origin.received()
  const asked = Object.fromEntries(first.query)
  assert.equal(asked.table, '"public"."users"')
  assert.equal(asked["params[1]"], "1")
  assert.match(asked.where, /"org_id"/)
  assert.equal(asked.queryable_columns, asked.columns)
  assert.equal(asked.secret, origin.secret)
  assert.ok(!first.headers.some(([name]) => ["authorization", "cookie", "x-anything"].includes(name)))
})

test("inserts, updates and deletes arrive while the client waits", async (t) => {
  const { users, origin } = await startGateway(t)
  const synced = await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben")
  await synced.until(() => synced.waits(), "waits for news")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dorothea" })
  await synced.until(() => synced.row("dora")?.name === "Dorothea", "Dora is renamed")
  await origin.remove("users", "dora")
  await synced.untilHeld("ann", "ben")
})

test("a row that changes its organisation leaves one user's shape and enters the other's", async (t) => {
  const { users, origin } = await startGateway(t)
  const one = await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben")
  const two = await sync(t, { url: users, headers: bearer(ORG_2) }).untilHeld("cem")
  await origin.put("users", { id: "ben", org_id: 2, name: "Ben" })
  await Promise.all([one.untilHeld("ann"), two.untilHeld("ben", "cem")])
  assert.deepEqual(two.row("ben"), { id: "ben", name: "Ben", org_id: 2 })
})

test("a client that was away catches up from its handle and offset", async (t) => {
  const { users, origin } = await startGateway(t)
  const before = await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben")
  const { shapeHandle: handle, lastOffset: offset } = before.stream
  before.stop()
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await origin.put("users", { id: "emil", org_id: 2, name: "Emil" })
  const after = await sync(t, { url: users, headers: bearer(ORG_1), handle, offset }).untilHeld("dora")
  assert.equal(after.messages.filter(({ value }) => value).length, 1, "nothing is sent twice")
})

test("a known user without an organisation is told 403 and stops", async (t) => {
  const { users, origin } = await startGateway(t)
  const errors = []
  const synced = sync(t, { url: users, headers: bearer(NO_ORG), onError: (error) => void errors.push(error) })
  await synced.until(() => errors.length === 1, "an error is reported")
  assert.equal(errors[0].status, 403)
  assert.equal(errors[0].json.code, "forbidden")
  assert.deepEqual(synced.statuses(), [403])
  assert.deepEqual(await origin.received(), [], "nothing reaches upstream")
})

test("no token, a forged one and another issuer's are told 401, with what is wrong", async (t) => {
  const { users, origin } = await startGateway(t)
  const forged = token(ORG_1, { secret: "not the key that the gateway knows of" })
  for (const [headers, code] of [
    [{}, "token_missing"],
    [{ authorization: `Bearer ${forged}` }, "token_invalid"],
    [bearer({ ...ORG_1, iss: "https://elsewhere.example" }), "token_invalid"],
    [bearer(ORG_1, { expiresIn: -3600 }), "token_expired"],
  ]) {
    const errors = []
    await sync(t, { url: users, headers, onError: (error) => void errors.push(error) }).until(() => errors.length === 1)
    assert.equal(errors[0].status, 401)
    assert.equal(errors[0].json.code, code)
    assert.match(errors[0].headers["www-authenticate"], /^Bearer/)
  }
  assert.deepEqual(await origin.received(), [], "nothing reaches upstream")
})
