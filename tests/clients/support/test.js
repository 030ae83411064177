// node:test with a deadline for every test, so that what hangs is named.

import { test as plain } from "node:test"

const DEADLINE_MS = 60_000

/** A test of at most a minute. */
export const test = (name, run) => plain(name, { timeout: DEADLINE_MS }, run)
