// A validator that works as the edge function of Electric's gatekeeper example is described: it takes a token whose
// signature holds, compares the texts of the signed shape with the first parameters of each name, and passes the
// request on as it came. It knows neither `params` nor `replica`, and that is the point: ours must hold behind it.

const setting = (name: string): string => {
  const value = Deno.env.get(name)
  if (!value) throw new Error(`${name} is not set`)
  return value
}

const upstream = setting("ELECTRIC_URL")
const key = await crypto.subtle.importKey(
  "raw",
  new TextEncoder().encode(setting("AUTH_SECRET")),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["verify"],
)

const bytes = (part: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0))
const json = (part: string) => JSON.parse(new TextDecoder().decode(bytes(part)))

type Shape = { table: string; namespace?: string | null; where?: string | null; columns?: string | null }

/** The claims of a token that holds now. */
async function verified(authorization: string | null): Promise<{ shape?: Shape } | undefined> {
  const parts = authorization?.replace(/^Bearer /, "").split(".") ?? []
  if (parts.length !== 3) return undefined
  const [header, payload, signature] = parts
  if (json(header).alg !== "HS256") return undefined
  const signed = new TextEncoder().encode(`${header}.${payload}`)
  if (!(await crypto.subtle.verify("HMAC", key, bytes(signature), signed))) return undefined
  const claims = json(payload)
  return claims.exp > Date.now() / 1000 ? claims : undefined
}

/** Whether the signed texts are those of the request. */
function isSigned(shape: Shape | undefined, asked: URLSearchParams): boolean {
  if (!shape?.table) return false
  const table = shape.namespace ? `${shape.namespace}.${shape.table}` : shape.table
  return (
    table === asked.get("table") &&
    (shape.where ?? null) === asked.get("where") &&
    (shape.columns ?? null) === asked.get("columns")
  )
}

Deno.serve({ hostname: "127.0.0.1", port: Number(setting("PORT")) }, async (request) => {
  const { pathname, search, searchParams } = new URL(request.url)
  if (request.method !== "GET" || !pathname.endsWith("/v1/shape")) return new Response("Not found", { status: 404 })
  const claims = await verified(request.headers.get("authorization")).catch(() => undefined)
  if (!claims) return new Response("Unauthorized", { status: 401 })
  if (!isSigned(claims.shape, searchParams)) return new Response("Forbidden", { status: 403 })
  return fetch(`${upstream}/v1/shape${search}`, { headers: request.headers })
})
