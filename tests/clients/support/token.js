// Bearer tokens as an identity provider would sign them.

import { createHmac } from "node:crypto"

export const JWT_SECRET = "a secret of the tests, longer than 32 bytes"
export const ISSUER = "https://issuer.example"
export const AUDIENCE = "sync"

/** Seconds for which the gateway lets a token live past its `exp`. */
export const SKEW_S = 60

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** An HS256 token: `claims` over sensible ones; `expiresIn` in seconds, negative for the past. */
export function token(claims, { expiresIn = 600, secret = JWT_SECRET } = {}) {
  const now = Math.floor(Date.now() / 1000)
  const payload = { iss: ISSUER, aud: AUDIENCE, sub: "somebody", iat: now - 120, exp: now + expiresIn, ...claims }
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(payload)}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

/** The header that carries such a token. */
export const bearer = (claims, options) => ({ authorization: `Bearer ${token(claims, options)}` })

export const ORG_1 = { sub: "ann", org_id: 1 }
export const ORG_2 = { sub: "cem", org_id: 2 }
export const ADMIN = { sub: "root", roles: ["admin"] }
export const NO_ORG = { sub: "stranger" }
