// The gateway's binary in front of the stand-in's, with a configuration of the test's own.

import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startOrigin, ELECTRIC_SECRET } from "./origin.js"
import { comesUp, freePort, start } from "./program.js"
import { AUDIENCE, ISSUER, JWT_SECRET } from "./token.js"

/** What a newcomer writes first: rows by organisation, all for an admin. */
export const USERS = `
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: has(user.roles) && "admin" in user.roles
        rows: all
      - when: has(user.org_id)
        rows: { where: '"org_id" = $1', params: [user.org_id] }
`

const withClient = (allowances) => USERS.replace("    rules:", `    client: ${allowances}\n    rules:`)

/** The same, with subset queries of up to two rows. */
export const SUBSETS = withClient("{ subset: { limit_max: 2 } }")

/** The same, with a filter of the client's own. */
export const NARROWED = withClient("{ where: narrow }")

/** Everything but the shapes. */
const head = (listen, admin, electric) => `
server: { listen: "${listen}" }
admin: { listen: "${admin}" }
electric: { url: "${electric}", secret: { env: ELECTRIC_SECRET } }
identity:
  - jwt: { issuer: "${ISSUER}", audience: ${AUDIENCE}, keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ] }
`

/** Starts a stand-in and a gateway that serves `shapes`; both end with the test. */
export async function startGateway(t, { shapes = USERS, more = "" } = {}) {
  const origin = await startOrigin(t)
  const text = (listen, admin) => `${head(listen, admin, origin.url)}${more}\nshapes:${shapes}`
  return { origin, ...(await serve(t, text, { ELECTRIC_SECRET })) }
}

/** Starts a gateway on what `text(listen, admin)` says. */
export async function serve(t, text, env) {
  const [listen, admin] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  const folder = await mkdtemp(join(tmpdir(), "shapegate-"))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const config = join(folder, "shapegate.yaml")
  await writeFile(config, text(listen, admin))
  const program = start(t, "shapegate", ["serve", "-c", config], { JWT_SECRET, ...env })
  await comesUp(program, async () => (await fetch(`http://${admin}/readyz`)).ok)
  const url = `http://${listen}`
  /** The number that the gateway shows under a name with its labels. */
  const metric = async (name) => {
    const text = await (await fetch(`http://${admin}/metrics`)).text()
    const line = text.split("\n").find((line) => line.startsWith(`${name} `))
    return Number(line?.slice(name.length) ?? 0)
  }
  return { url, users: `${url}/api/shapes/users`, program, metric }
}
