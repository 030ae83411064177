// What a browser asks before and after a cross-origin request.

import assert from "node:assert/strict"
import { test } from "./support/test.js"
import { startGateway, SUBSETS } from "./support/gateway.js"
import { bearer, NO_ORG, ORG_1 } from "./support/token.js"

const ORIGIN = "https://app.example.com"
const list = (value) => (value ?? "").split(",").map((name) => name.trim().toLowerCase())

/** `fetch` may not send these headers where it plays the browser; here it is only a client. */
const preflight = (url, method, headers) =>
  fetch(url, {
    method: "OPTIONS",
    headers: { origin: ORIGIN, "access-control-request-method": method, "access-control-request-headers": headers },
  })

test("a preflight is answered without a token and without upstream", async (t) => {
  const { users, origin } = await startGateway(t, { shapes: SUBSETS })
  for (const [method, headers] of [
    ["GET", "authorization"],
    ["GET", "authorization,traceparent,x-any-name"],
    ["POST", "authorization,content-type"],
  ]) {
    const answer = await preflight(users, method, headers)
    assert.ok(answer.ok, `${answer.status}`)
    assert.ok(["*", ORIGIN].includes(answer.headers.get("access-control-allow-origin")))
    assert.ok(list(answer.headers.get("access-control-allow-methods")).includes(method.toLowerCase()))
    const granted = list(answer.headers.get("access-control-allow-headers"))
    for (const name of list(headers)) assert.ok(granted.includes(name), `${name} is granted`)
  }
  assert.deepEqual(await origin.received(), [], "nothing reaches upstream")
})

test("a page may read what the client needs, on answers and on refusals", async (t) => {
  const { users } = await startGateway(t)
  for (const [headers, status] of [[bearer(ORG_1), 200], [bearer(NO_ORG), 403], [{}, 401]]) {
    const answer = await fetch(`${users}?offset=-1`, { headers: { origin: ORIGIN, ...headers } })
    assert.equal(answer.status, status)
    assert.ok(["*", ORIGIN].includes(answer.headers.get("access-control-allow-origin")), `CORS on ${status}`)
    const exposed = list(answer.headers.get("access-control-expose-headers"))
    for (const name of ["electric-handle", "electric-offset", "electric-schema", "electric-cursor", "electric-up-to-date", "retry-after", "x-request-id"])
      assert.ok(exposed.includes(name), `${name} is exposed on ${status}`)
    await answer.arrayBuffer()
  }
})

test("with a list of origins, others are granted nothing", async (t) => {
  const { users } = await startGateway(t, { more: `cors: { origins: ["https://app.example.com", "https://*.preview.example"], credentials: true }` })
  const granted = async (origin) => {
    const answer = await fetch(`${users}?offset=-1`, { headers: { origin, ...bearer(ORG_1) } })
    await answer.arrayBuffer()
    assert.ok(list(answer.headers.get("vary")).includes("origin"))
    return answer.headers.get("access-control-allow-origin")
  }
  assert.equal(await granted(ORIGIN), ORIGIN)
  assert.equal(await granted("https://pr-7.preview.example"), "https://pr-7.preview.example")
  for (const other of ["https://evil.example", "https://app.example.com.evil.example", "https://a.b.preview.example", "http://app.example.com", "null"])
    assert.equal(await granted(other), null, other)
})
