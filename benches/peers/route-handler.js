// What teams write today: the route handler of Electric's guides for proxy auth, with fetch, on Node's own server.
// It verifies an HS256 token, sets table and rows, and passes the answer on.
// route-handler.js PORT ELECTRIC_PORT SECRET
const { createServer } = require("node:http")
const { createHmac, timingSafeEqual } = require("node:crypto")
const { Readable } = require("node:stream")

const [port, electric, secret] = process.argv.slice(2)
const PROTOCOL = ["offset", "handle", "live", "live_sse", "cursor", "expired_handle", "log"]

function user(authorization) {
  const [head, claims, signature] = (authorization ?? "").replace(/^Bearer /, "").split(".")
  if (!signature) return null
  if (JSON.parse(Buffer.from(head, "base64url")).alg !== "HS256") return null
  const expected = createHmac("sha256", secret).update(`${head}.${claims}`).digest()
  const given = Buffer.from(signature, "base64url")
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null
  const read = JSON.parse(Buffer.from(claims, "base64url"))
  return read.exp > Date.now() / 1000 ? read : null
}

createServer(async (request, response) => {
  try {
    const who = user(request.headers.authorization)
    if (!who) return response.writeHead(401).end("Unauthorized")
    const upstream = new URL(`http://127.0.0.1:${electric}/v1/shape`)
    for (const [name, value] of new URL(request.url, "http://localhost").searchParams) {
      if (PROTOCOL.includes(name)) upstream.searchParams.set(name, value)
    }
    upstream.searchParams.set("table", "users")
    upstream.searchParams.set("columns", "id,name,org_id")
    if (!who.roles?.includes("admin")) {
      upstream.searchParams.set("where", `"org_id" = $1`)
      upstream.searchParams.set("params[1]", who.org_id)
    }
    const answer = await fetch(upstream)
    const headers = new Headers(answer.headers)
    headers.delete("content-encoding")
    headers.delete("content-length")
    headers.set("vary", "authorization")
    response.writeHead(answer.status, Object.fromEntries(headers))
    Readable.fromWeb(answer.body).pipe(response)
  } catch (error) {
    response.writeHead(502).end(String(error))
  }
}).listen(Number(port), "127.0.0.1")
