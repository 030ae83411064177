// Electric's own client, watched: what it holds, what it was answered.

import { Shape, ShapeStream } from "@electric-sql/client"

const PATIENCE_MS = 20_000

// The client throttles its notes about shapes by a timer of a minute, which would
// keep the process of a finished test alive.
const LONG_TIMER_MS = 30_000
const plainTimeout = globalThis.setTimeout
globalThis.setTimeout = (run, ms, ...rest) => {
  const timer = plainTimeout(run, ms, ...rest)
  return ms > LONG_TIMER_MS ? timer.unref() : timer
}

/** Retries without the client's usual seconds of waiting. */
const QUICK_RETRIES = { initialDelay: 20, maxDelay: 200, multiplier: 2 }

/** Syncs one shape until the test `t` ends. `options` are the client's own. */
export function sync(t, options) {
  const aborter = new AbortController()
  t.after(() => aborter.abort())
  const requests = []
  const watchedFetch = async (url, init) => {
    const request = { url: new URL(url), method: init?.method ?? "GET", headers: new Headers(init?.headers) }
    requests.push(request)
    const answer = await fetch(url, init)
    Object.assign(request, { status: answer.status, answered: answer.headers })
    return answer
  }
  const stream = new ShapeStream({ signal: aborter.signal, fetchClient: watchedFetch, backoffOptions: QUICK_RETRIES, ...options })
  const messages = []
  stream.subscribe((batch) => messages.push(...batch), () => {})
  return new Synced(stream, requests, messages, () => aborter.abort())
}

class Synced {
  constructor(stream, requests, messages, stop) {
    this.stream = stream
    this.shape = new Shape(stream)
    this.requests = requests
    this.messages = messages
    this.stop = stop
  }

  /** The values of `column` that the client holds, sorted. */
  held(column = "id") {
    return this.shape.currentRows.map((row) => row[column]).sort()
  }

  /** The row with this id, if the client holds it. */
  row(id) {
    return this.shape.currentRows.find((row) => row.id === id)
  }

  statuses() {
    return this.requests.map(({ status }) => status)
  }

  /** Whether a request is under way that waits for news. */
  waits() {
    const last = this.requests.at(-1)
    return last?.status === undefined && last?.url.searchParams.get("live") === "true"
  }

  /** Waits until `holds` does; says what the client holds if it never does. */
  async until(holds, what = holds) {
    const deadline = Date.now() + PATIENCE_MS
    while (!holds(this)) {
      if (Date.now() > deadline) throw new Error(`not in time: ${what}\n${this}`)
      await new Promise((done) => setTimeout(done, 5))
    }
    return this
  }

  /** Waits until the client holds exactly these ids, and nothing else. */
  untilHeld(...ids) {
    const wanted = JSON.stringify(ids.sort())
    return this.until(() => this.stream.isUpToDate && JSON.stringify(this.held()) === wanted, `holds ${wanted}`)
  }

  toString() {
    const asked = this.requests.map(({ method, url, status }) => `  ${method} ${url.search} ${status ?? "…"}`)
    return [`holds ${JSON.stringify(this.held())}, error ${this.stream.error ?? this.shape.error}, asked:`, ...asked].join("\n")
  }
}
