// Kept answers in content codings, as Electric's own client and Node's own decoders read them.

import assert from "node:assert/strict"
import http from "node:http"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { test } from "./support/test.js"
import { startGateway } from "./support/gateway.js"
import { sync } from "./support/sync.js"
import { bearer, ORG_1 } from "./support/token.js"

const ids = Array.from({ length: 120 }, (_, number) => `user-${number}`)

/** A gateway with many rows, so that they are worth encoding. */
async function crowded(t) {
  const gateway = await startGateway(t)
  for (const id of ids) await gateway.origin.put("users", { id, org_id: 1, name: `the name of ${id} is long` })
  return gateway
}

const coded = ({ requests }) => requests.filter(({ answered }) => answered?.has("content-encoding"))

test("clients sync a log that was encoded once for all of them", async (t) => {
  const { users, origin, metric } = await crowded(t)
  const everybody = []
  do {
    const synced = await sync(t, { url: users, headers: bearer(ORG_1) }).untilHeld("ann", "ben", ...ids)
    assert.equal(synced.row("user-7").name, "the name of user-7 is long")
    everybody.push(synced)
    assert.ok(everybody.length < 50, "somebody gets it encoded")
  } while (everybody.filter((synced) => coded(synced).length).length < 5)
  const last = coded(everybody.at(-1))
  assert.equal(last[0].answered.get("content-encoding"), "gzip", "Node takes gzip without TLS")
  assert.match(last[0].answered.get("etag"), /^W\//)
  assert.equal(await metric('shapegate_hub_encodings_total{coding="gzip"}'), 1)
  assert.equal(await metric('shapegate_hub_encodings_total{coding="br"}'), 0)

  await everybody.at(-1).until((synced) => synced.waits(), "waits for news")
  await origin.put("users", { id: "dora", org_id: 1, name: "Dora" })
  await Promise.all(everybody.map((synced) => synced.untilHeld("ann", "ben", "dora", ...ids)))
})

/** The bytes of an answer as they are on the wire. */
function raw(url, headers) {
  return new Promise((done, fail) => {
    const asked = http.get(url, { headers }, (answer) => {
      const pieces = []
      answer.on("data", (piece) => pieces.push(piece))
      answer.on("end", () => done({ headers: answer.headers, body: Buffer.concat(pieces) }))
      answer.on("error", fail)
    })
    asked.on("error", fail)
  })
}

test("Node's own decoders read what is encoded", async (t) => {
  const { users } = await crowded(t)
  const url = `${users}?offset=-1`
  const plain = await raw(url, bearer(ORG_1))
  for (const [coding, decode] of Object.entries({ br: brotliDecompressSync, gzip: gunzipSync })) {
    let answer
    do answer = await raw(url, { ...bearer(ORG_1), "accept-encoding": coding })
    while (!answer.headers["content-encoding"])
    assert.equal(answer.headers["content-encoding"], coding)
    assert.equal(Number(answer.headers["content-length"]), answer.body.length)
    assert.ok(answer.body.length < plain.body.length / 2)
    assert.deepEqual(decode(answer.body), plain.body)
  }
})
