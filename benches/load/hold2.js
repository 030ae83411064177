// Memory a held long poll over HTTP/2: hold2.js PORT ELECTRIC_PORT N PID TARGET TOKEN_FILE
//
// As hold.py, with a hundred polls on each connection: opens N long polls through PORT, each on a URL of its own, and
// is the upstream on ELECTRIC_PORT that holds them. Closes all, opens all again, and prints the resident KiB of process
// PID a poll: the first time and the second.
const { readFileSync } = require("node:fs")
const http2 = require("node:http2")
const net = require("node:net")
const { setTimeout: sleep } = require("node:timers/promises")

const [port, electric, count, pid] = process.argv.slice(2, 6).map(Number)
const [target, tokenFile] = process.argv.slice(6)
const token = readFileSync(tokenFile, "ascii")
const streamsEach = 100
const deadlineSeconds = 120

const body = '[{"headers":{"control":"up-to-date","global_last_seen_lsn":"0"}}]'
const answer =
  "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n" +
  // Nothing is kept of these: what is measured is what waiting takes.
  "cache-control: no-store\r\nelectric-handle: 123-456\r\n" +
  "electric-offset: 0_0\r\nelectric-cursor: 20\r\nelectric-up-to-date: \r\n" +
  `content-length: ${body.length}\r\n\r\n${body}`

/** Connections on which a request waits. */
const held = new Set()

function hold(socket) {
  let come = ""
  socket.on("data", (bytes) => {
    come += bytes.toString("latin1")
    if (!come.endsWith("\r\n\r\n")) return
    come = ""
    held.add(socket)
  })
  socket.on("error", () => {})
}

function answerAll() {
  for (const socket of held) socket.write(answer)
  held.clear()
}

function residentKib() {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "ascii"))[1])
}

function ask(session, number) {
  const path = `${target}&offset=${number}_0`
  const stream = session.request({ ":path": path, authorization: `Bearer ${token}` })
  return new Promise((resolve, reject) => {
    let status
    stream.on("response", (headers) => (status = headers[":status"]))
    stream.on("error", reject)
    stream.on("end", () => resolve(status))
    stream.resume()
  })
}

/** Opens a connection with a hundred polls once those of the one before are held. */
async function open(from) {
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, servername: "localhost" })
  await new Promise((resolve, reject) => session.once("remoteSettings", resolve).once("error", reject))
  const upTo = Math.min(count, from + streamsEach)
  const answers = Array.from({ length: upTo - from }, (_, at) => ask(session, from + at))
  while (held.size < upTo) await sleep(20)
  return { session, answers }
}

async function holdAll() {
  const before = residentKib()
  const opened = []
  for (let from = 0; from < count; from += streamsEach) opened.push(await open(from))
  await sleep(2000)
  const after = residentKib()
  answerAll()
  const statuses = await Promise.all(opened.flatMap(({ answers }) => answers))
  const other = statuses.find((status) => status !== 200)
  if (other !== undefined) throw new Error(`not every poll was answered with 200: ${other}`)
  for (const { session } of opened) session.close()
  await sleep(2000)
  return { before, after }
}

async function main() {
  await new Promise((resolve) => net.createServer(hold).listen({ port: electric, host: "127.0.0.1", backlog: 8192 }, resolve))
  const first = await holdAll()
  const second = await holdAll()
  const each = (kib) => ((kib - first.before) / count).toFixed(1)
  process.stdout.write(`${each(first.after)}\t${each(second.after)}\n`)
  process.exit(0)
}

setTimeout(() => {
  console.error(`${count} polls were not held within ${deadlineSeconds} s`)
  process.exit(1)
}, deadlineSeconds * 1000)
main().catch((error) => {
  console.error(error)
  process.exit(1)
})
