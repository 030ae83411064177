// Programs for Deno, run by the real one.

import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { comesUp, freePort, start } from "./program.js"

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const SERVICE = here("./edge.ts")
// npm's starter puts the program beside itself and would not hand a signal on to it.
const STARTER = here("../node_modules/deno/bin.cjs")
const DENO = here("../node_modules/deno/deno")

/** Starts the validator before the Electric at `electric`; it ends with the test `t`. */
export async function startEdge(t, { electric, secret }) {
  execFileSync(process.execPath, [STARTER, "--version"], { stdio: "ignore" })
  const port = await freePort()
  const env = { PORT: String(port), ELECTRIC_URL: electric, AUTH_SECRET: secret, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" }
  const program = start(t, DENO, ["run", "--no-remote", "--no-prompt", "--allow-net=127.0.0.1", "--allow-env", SERVICE], env)
  const url = `http://127.0.0.1:${port}`
  await comesUp(program, async () => (await fetch(url)).status === 404)
  return { url: `${url}/v1/shape`, program }
}
