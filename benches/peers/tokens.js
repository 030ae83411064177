// Makes the keys and tokens of a run: tokens.js FOLDER SECRET writes rs256.pem and es256.pem (public keys) and
// hs256.token, rs256.token and es256.token, which say the same and hold for a day; and one.tokens and many.tokens,
// with HS256 tokens of one user and of 10,000, one a line.
const { createHmac, generateKeyPairSync, sign } = require("node:crypto")
const { writeFileSync } = require("node:fs")
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

function token(alg, says, signer) {
  const signed = `${encode({ alg, typ: "JWT", kid: alg.toLowerCase() })}.${encode(says)}`
  return `${signed}.${signer(Buffer.from(signed)).toString("base64url")}`
}

function write(alg, signer) {
  writeFileSync(join(folder, `${alg.toLowerCase()}.token`), token(alg, claims, signer), { mode: 0o600 })
}

function writeMany(name, count) {
  const of = (n) => token("HS256", { ...claims, sub: `user_${n}` }, hs256)
  writeFileSync(join(folder, `${name}.tokens`), Array.from({ length: count }, (_, n) => of(n) + "\n").join(""), { mode: 0o600 })
}

function pair(alg, type, options, padding) {
  const { publicKey, privateKey } = generateKeyPairSync(type, options)
  writeFileSync(join(folder, `${alg.toLowerCase()}.pem`), publicKey.export({ type: "spki", format: "pem" }))
  write(alg, (bytes) => sign("sha256", bytes, { key: privateKey, ...padding }))
}

const hs256 = (bytes) => createHmac("sha256", secret).update(bytes).digest()
write("HS256", hs256)
writeMany("one", 1)
writeMany("many", 10000)
pair("RS256", "rsa", { modulusLength: 2048 }, {})
pair("ES256", "ec", { namedCurve: "P-256" }, { dsaEncoding: "ieee-p1363" })
