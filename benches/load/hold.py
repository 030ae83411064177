#!/usr/bin/env python3
"""Memory a held long poll: hold.py PORT ELECTRIC_PORT N PID TARGET TOKEN_FILE

Opens N long polls through PORT, each on a URL of its own, and is the upstream on ELECTRIC_PORT that holds them.
Closes all, opens all again, and prints the resident KiB of process PID a poll: the first time and the second.
"""
import asyncio
import os
import sys

PORT, ELECTRIC, COUNT, PID = map(int, sys.argv[1:5])
TARGET = sys.argv[5]
with open(sys.argv[6], encoding="ascii") as file:
    TOKEN = file.read()
AT_ONCE = 100
DEADLINE_SECONDS = 120

BODY = b'[{"headers":{"control":"up-to-date","global_last_seen_lsn":"0"}}]'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n"
    # Nothing is kept of these: what is measured is what waiting takes.
    b"cache-control: no-store\r\nelectric-handle: 123-456\r\n"
    b"electric-offset: 0_0\r\nelectric-cursor: 20\r\nelectric-up-to-date: \r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


class Electric:
    """Holds every request until told to answer."""

    def __init__(self):
        self.asked = 0
        self.answer = asyncio.Event()

    async def serve(self, reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                await self.answer.wait()
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def holds(self, count):
        while self.asked < count:
            await asyncio.sleep(0.05)


def resident_kib():
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


async def ask(number):
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    head = f"GET {TARGET}&offset={number}_0 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    writer.write(head.encode())
    return reader, writer


async def hold_all(electric):
    """Holds all of them, measures, answers, and closes."""
    electric.asked = 0
    electric.answer.clear()
    before, clients = resident_kib(), []
    for first in range(0, COUNT, AT_ONCE):
        numbers = range(first, min(COUNT, first + AT_ONCE))
        clients += await asyncio.gather(*map(ask, numbers))
    await electric.holds(COUNT)
    await asyncio.sleep(2)
    held = resident_kib()
    electric.answer.set()
    heads = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in clients))
    if not all(head.startswith(b"HTTP/1.1 200 ") for head in heads):
        sys.exit(f"not every poll was answered with 200: {heads[0]!r}")
    for _, writer in clients:
        writer.close()
    await asyncio.sleep(2)
    return before, held


async def main():
    electric = Electric()
    await asyncio.start_server(electric.serve, "127.0.0.1", ELECTRIC, backlog=8192)
    idle, first = await hold_all(electric)
    _, second = await hold_all(electric)
    print(f"{(first - idle) / COUNT:.1f}\t{(second - idle) / COUNT:.1f}", flush=True)
    # Thousands of tasks still wait for their clients; cancelling each would be reported.
    os._exit(0)


asyncio.run(asyncio.wait_for(main(), DEADLINE_SECONDS))
