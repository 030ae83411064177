// What Electric does to a shape reaches its clients through the gateway.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { NARROWED, startGateway, USERS } from "./support/gateway.js"
import { sync } from "./support/sync.js"
import { bearer, ORG_1 } from "./support/token.js"

const refetches = async (t, options, shapes) => {
  const { users, origin } = await startGateway(t, { shapes })
  const synced = sync(t, { url: users, headers: bearer(ORG_1), ...options })
  await synced.untilHeld("ann", "ben")
  await synced.until(() => synced.waits(), "waits for news")
  const before = synced.stream.shapeHandle
  await origin.rotate("users")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await synced.untilHeld("ann", "ben", "dora")
  assert.notEqual(synced.stream.shapeHandle, before)
  assert.ok(synced.messages.some(({ headers }) => headers.control === "must-refetch"), String(synced))
  assert.equal(synced.statuses().filter((status) => status === 409).length, 1, String(synced))
}

test("a rotated shape is fetched anew", (t) => refetches(t, {}, USERS))

test("a rotated shape is fetched anew where handles carry a tag", (t) =>
  refetches(t, { params: { where: `"name" <> 'Nobody'` } }, NARROWED))
