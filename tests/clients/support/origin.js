// The stand-in for Electric, and the interface by which tests write to it, break it and question it.

import { comesUp, start } from "./program.js"

export const ELECTRIC_SECRET = "the secret that only the gateway knows"

/** Starts a stand-in with the demo's tables; it ends with the test. */
export async function startOrigin(t, flags = [], { secret } = { secret: ELECTRIC_SECRET }) {
  const guard = secret ? ["--secret", secret] : []
  const program = start(t, "shapegate-origin", ["--listen", "127.0.0.1:0", ...guard, ...flags])
  const address = await comesUp(program, async () => /127\.0\.0\.1:\d+/.exec(program.output)?.[0])
  return new Origin(`http://${address}`)
}

class Origin {
  secret = ELECTRIC_SECRET

  constructor(url) {
    this.url = url
  }

  /** Inserts a row, or gives the row with its key these values. */
  put(table, row) {
    return this.#call("POST", `tables/${table}/rows`, row)
  }

  /** Deletes the row with this id. */
  remove(table, id) {
    return this.#call("DELETE", `tables/${table}/rows`, { id })
  }

  /** Gives every shape of the table a new handle. */
  rotate(table) {
    return this.#call("POST", "rotate", { table })
  }

  /** Breaks the answers to come: `fault` and its settings as the stand-in names them. */
  misbehave(fault, settings = {}) {
    return this.#call("POST", "faults", { fault, ...settings })
  }

  /** How many live requests wait. */
  waiting() {
    return this.#call("GET", "waiting")
  }

  /** What was asked, in order: method, path, query (a list of pairs), headers (a list of pairs), body. */
  async received() {
    const received = await this.#call("GET", "received")
    return received.map(({ target, ...rest }) => {
      const { pathname, searchParams } = new URL(target, this.url)
      return { ...rest, path: pathname, query: [...searchParams] }
    })
  }

  async #call(method, path, body) {
    const headers = { "content-type": "application/json" }
    const answer = await fetch(`${this.url}/_origin/${path}`, { method, headers, body: body && JSON.stringify(body) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text ? JSON.parse(text) : undefined
  }
}
