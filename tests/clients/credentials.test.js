// Tokens that run out, and users who may not.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { startGateway } from "./support/gateway.js"
import { sync } from "./support/sync.js"
import { bearer, NO_ORG, ORG_1, ORG_2, SKEW_S } from "./support/token.js"

const expired = { expiresIn: -SKEW_S - 60 }
/** The gateway ends what this token permits in about two seconds. */
const nearlyOver = { expiresIn: 2 - SKEW_S }

test("onError refreshes a token after 401, and the sync goes on", async (t) => {
  const { users } = await startGateway(t)
  const refused = []
  const onError = async (error) => {
    refused.push(error.status)
    return { headers: bearer(ORG_1) }
  }
  const synced = await sync(t, { url: users, headers: bearer(ORG_1, expired), onError }).untilHeld("ann", "ben")
  assert.deepEqual(refused, [401])
  assert.deepEqual(synced.statuses().slice(0, 2), [401, 200])
})

test("a client whose headers are a function never sees a 401, though each token expires in mid-poll", async (t) => {
  const { users, origin } = await startGateway(t)
  let signed = 0
  const authorization = async () => (signed++, bearer(ORG_1, nearlyOver).authorization)
  const synced = await sync(t, { url: users, headers: { authorization } }).untilHeld("ann", "ben")
  const first = signed
  await synced.until(() => signed >= first + 3, "three polls end with their tokens")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
  assert.deepEqual(new Set(synced.statuses().filter(Boolean)), new Set([200]), String(synced))
})

test("a token that is not renewed ends in 401 once its poll is over", async (t) => {
  const { users } = await startGateway(t)
  const errors = []
  const synced = sync(t, { url: users, headers: bearer(ORG_1, nearlyOver), onError: (error) => void errors.push(error) })
  await synced.untilHeld("ann", "ben")
  await synced.until(() => errors.length === 1, "the client stops")
  assert.equal(errors[0].status, 401)
  assert.equal(errors[0].json.code, "token_expired")
  assert.equal(synced.statuses().at(-2), 200, "the poll itself ends as any poll does")
})

test("a client that may not any more stops on 403", async (t) => {
  const { users } = await startGateway(t)
  let who = ORG_1
  const errors = []
  const synced = sync(t, {
    url: users,
    headers: { authorization: () => bearer(who, nearlyOver).authorization },
    onError: (error) => void errors.push(error),
  })
  await synced.untilHeld("ann", "ben")
  who = NO_ORG
  await synced.until(() => errors.length === 1, "the client stops")
  assert.equal(errors[0].status, 403)
})

test("a user who changes organisation gets the other rows, and none of the old ones", async (t) => {
  const { users } = await startGateway(t)
  let who = ORG_1
  const synced = sync(t, { url: users, headers: { authorization: () => bearer(who, nearlyOver).authorization } })
  await synced.untilHeld("ann", "ben")
  who = ORG_2
  await synced.untilHeld("cem")
  assert.ok(synced.statuses().includes(409), "by a refetch")
})
