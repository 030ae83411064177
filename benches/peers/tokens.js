// Makes the keys and tokens of a run: tokens.js FOLDER SECRET writes rs256.pem and es256.pem (public keys) and
// hs256.token, rs256.token and es256.token, which say the same and hold for a day; one.tokens and many.tokens,
// with HS256 tokens of one user and of 10,000, one a line; and, of an issuer that publishes its keys, rs256.jwks,
// known.tokens (rs256.token) and made-up.tokens, 10,000 of which each names another key that there is not.
const { createHmac, generateKeyPairSync, randomBytes, sign } = require("node:crypto")
const { readFileSync, writeFileSync } = require("node:fs")
const { join } = require("node:path")

const [folder, secret] = process.argv.slice(2)
const now = Math.floor(Date.now() / 1000)
const claims = {
  iss: "bench",
  aud: "bench",
  sub: "user_2abcdefghijklmnopqrstuvwx",
  iat: now,
  exp: now + 86400,
  email: "alice@example.com",
  roles: ["member"],
  org_id: "org_1",
  shape: { table: "users" },
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url")

function token(alg, says, signer, kid = alg.toLowerCase()) {
  const signed = `${encode({ alg, typ: "JWT", kid })}.${encode(says)}`
  return `${signed}.${signer(Buffer.from(signed)).toString("base64url")}`
}

function write(alg, signer) {
  writeFileSync(join(folder, `${alg.toLowerCase()}.token`), token(alg, claims, signer), { mode: 0o600 })
}

function writeMany(name, count, of = (n) => token("HS256", { ...claims, sub: `user_${n}` }, hs256)) {
  writeFileSync(join(folder, `${name}.tokens`), Array.from({ length: count }, (_, n) => of(n) + "\n").join(""), { mode: 0o600 })
}

function writeMadeUp() {
  const signature = () => randomBytes(256)
  writeMany("made-up", 10000, () => token("RS256", claims, signature, randomBytes(12).toString("hex")))
}

function pair(alg, type, options, padding) {
  const { publicKey, privateKey } = generateKeyPairSync(type, options)
  const name = alg.toLowerCase()
  writeFileSync(join(folder, `${name}.pem`), publicKey.export({ type: "spki", format: "pem" }))
  const jwk = { ...publicKey.export({ format: "jwk" }), alg, kid: name, use: "sig" }
  writeFileSync(join(folder, `${name}.jwks`), JSON.stringify({ keys: [jwk] }))
  write(alg, (bytes) => sign("sha256", bytes, { key: privateKey, ...padding }))
}

const hs256 = (bytes) => createHmac("sha256", secret).update(bytes).digest()
write("HS256", hs256)
writeMany("one", 1)
writeMany("many", 10000)
pair("RS256", "rsa", { modulusLength: 2048 }, {})
pair("ES256", "ec", { namedCurve: "P-256" }, { dsaEncoding: "ieee-p1363" })
writeMany("known", 1, () => readFileSync(join(folder, "rs256.token"), "utf8"))
writeMadeUp()
