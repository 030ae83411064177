#!/usr/bin/env python3
"""One change for many: fan.py PORT ELECTRIC_PORT N PID[,PID] TARGET TOKEN_FILE

Opens N long polls of one URL through PORT, and is the upstream on ELECTRIC_PORT that holds them. Answers, and prints
upstream requests, milliseconds from the upstream's answer until half, 99 % and all of the clients have theirs,
CPU microseconds a client of processes PID for delivering, and resident KiB a client that waits.
"""
import os
import select
import socket
import sys
import time

PORT, ELECTRIC, COUNT = map(int, sys.argv[1:4])
PIDS = sys.argv[4].split(",")
with open(sys.argv[6], encoding="ascii") as file:
    TOKEN = file.read()
REQUEST = f"GET {sys.argv[5]} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()
AT_ONCE = 50
SETTLE_SECONDS = 2
DEADLINE_SECONDS = 60
HERTZ = os.sysconf("SC_CLK_TCK")

ROW = b'{"key":"1","value":{"id":"1","name":"x"},"headers":{"operation":"update"}},'
MARK = b'{"headers":{"control":"up-to-date","global_last_seen_lsn":"0"}}]'
BODY = b"[" + ROW * 12 + MARK
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n"
    b"cache-control: public, max-age=5, stale-while-revalidate=5\r\nelectric-handle: 123-456\r\n"
    b"electric-offset: 0_1\r\nelectric-cursor: 20\r\nelectric-up-to-date: \r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


def cpu_microseconds():
    ticks = 0
    for pid in PIDS:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            ticks += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / HERTZ * 1e6


def resident_kib():
    kib = 0
    for pid in PIDS:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            kib += next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return kib


class Fan:
    """Clients and upstream, in one loop."""

    def __init__(self):
        self.poll = select.epoll()
        self.listener = socket.create_server(("127.0.0.1", ELECTRIC), backlog=8192)
        self.listener.setblocking(False)
        self.poll.register(self.listener, select.EPOLLIN)
        self.upstream, self.clients, self.came = {}, {}, {}
        self.asked, self.holds, self.waiting, self.done = 0, True, [], []
        self.deadline = time.monotonic() + DEADLINE_SECONDS

    def turn(self, timeout):
        """Serves what is ready."""
        for number, _ in self.poll.poll(timeout, 1024):
            if number in self.clients:
                self.read_client(number)
            elif number in self.upstream:
                self.read_upstream(number)
            else:
                connection, _ = self.listener.accept()
                self.upstream[connection.fileno()] = [connection, b""]
                self.poll.register(connection, select.EPOLLIN)
        if time.monotonic() > self.deadline:
            sys.exit(f"only {len(self.done)} of {COUNT} were answered in {DEADLINE_SECONDS} s")

    def read_upstream(self, number):
        entry = self.upstream[number]
        connection, came = entry
        piece = connection.recv(65536)
        if not piece:
            self.poll.unregister(connection)
            del self.upstream[number]
            connection.close()
            return
        came += piece
        heads = came.count(b"\r\n\r\n")
        entry[1] = came.rpartition(b"\r\n\r\n")[2]
        self.asked += heads
        for _ in range(heads):
            if self.holds:
                self.waiting.append(connection)
            else:
                connection.sendall(ANSWER)

    def read_client(self, number):
        piece = self.clients[number].recv(65536)
        now = time.monotonic()
        came = self.came.pop(number, b"") + piece
        if not piece or not came.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"a client was not answered with 200: {came[:200]!r}")
        if MARK in came:
            self.done.append(now)
        else:
            self.came[number] = came

    def open(self, count):
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", PORT))
            client.sendall(REQUEST)
            client.setblocking(False)
            self.clients[client.fileno()] = client
            self.poll.register(client, select.EPOLLIN)

    def hold_all(self):
        while len(self.clients) < COUNT:
            self.open(min(AT_ONCE, COUNT - len(self.clients)))
            self.turn(0.001)
        settled = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < settled or not self.waiting:
            self.turn(0.05)
        if self.done:
            sys.exit("a client was answered before the upstream did")

    def answer(self):
        self.holds = False
        at = time.monotonic()
        for connection in self.waiting:
            connection.sendall(ANSWER)
        while len(self.done) < COUNT:
            self.turn(1)
        return [1e3 * (each - at) for each in self.done]


def main():
    fan = Fan()
    idle = resident_kib()
    fan.hold_all()
    held, before = resident_kib(), cpu_microseconds()
    after = fan.answer()
    cpu = (cpu_microseconds() - before) / COUNT
    print(
        f"{COUNT}\t{fan.asked}\t{after[COUNT // 2]:.0f}\t{after[COUNT * 99 // 100 - 1]:.0f}\t{after[-1]:.0f}"
        f"\t{cpu:.1f}\t{(held - idle) / COUNT:.1f}"
    )


main()
