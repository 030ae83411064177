// Starts the real programs, and ends exactly those.

import { spawn } from "node:child_process"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { resolve } from "node:path"

const PROGRAMS = process.env.SHAPEGATE_PROGRAMS ?? fileURLToPath(new URL("../../../target/debug", import.meta.url))
const START_MS = 30_000
const STOP_MS = 5_000

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer()
  await new Promise((done, fail) => server.once("error", fail).listen(0, "127.0.0.1", done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}

/** Starts a program, ours by its name or another by its path; it ends with the test `t`. */
export function start(t, name, args, env = {}) {
  const child = spawn(resolve(PROGRAMS, name), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  const program = { name, output: "", ended: false }
  const collect = (chunk) => (program.output += chunk)
  child.stdout.setEncoding("utf8").on("data", collect)
  child.stderr.setEncoding("utf8").on("data", collect)
  const exit = new Promise((done) => {
    child.once("error", (error) => done(collect(String(error))))
    child.once("exit", done)
  }).then(() => (program.ended = true))
  t.after(async () => {
    child.kill("SIGTERM")
    const force = setTimeout(() => child.kill("SIGKILL"), STOP_MS)
    await exit
    clearTimeout(force)
  })
  return program
}

/** Repeats `attempt` until it gives something; fails at once when the program has ended. */
export async function comesUp(program, attempt) {
  const deadline = Date.now() + START_MS
  while (Date.now() < deadline && !program.ended) {
    const found = await attempt().catch(() => undefined)
    if (found) return found
    await new Promise((done) => setTimeout(done, 20))
  }
  throw new Error(`${program.name} did not come up. It said:\n${program.output}`)
}
