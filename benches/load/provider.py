#!/usr/bin/env python3
"""What an identity provider's troubles cost those who are known:
provider.py SHAPEGATE FOLDER PORT ADMIN_PORT ELECTRIC_PORT SECONDS CORE LOAD_CORES RATE TOKENS_FOLDER

Plays an issuer that publishes its keys, and starts the gateway on CORE anew for each case. A user whose token has been
verified asks PACE times a second for what the hub has; beside that RATE requests a second come from others. Prints for each case: its name,
requests of others a second that were answered, fetches of keys, and the known user's median and 99th percentile in
microseconds. TOKENS_FOLDER has rs256.token, rs256.jwks and made-up.tokens. Needs an Electric on ELECTRIC_PORT,
BENCH_SECRET in its environment, and wrk.
"""
import http.client
import http.server
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

SHAPEGATE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
PORT, ADMIN, ELECTRIC, SECONDS, CORE = map(int, sys.argv[3:8])
LOAD_CORES, RATE, TOKENS = sys.argv[8], int(sys.argv[9]), pathlib.Path(sys.argv[10])
TARGET = f"http://127.0.0.1:{PORT}/api/shapes/users?offset=-1&log=full"
START_SECONDS_MAX = 30
# The known user: so many requests a second, over few connections.
PACE, KNOWN_CONNECTIONS = 1000, 4
# Others: more connections than requests that the gateway lets wait for keys, so that the rest goes on coming.
OTHER_CONNECTIONS = 2000

# What others send, and what the provider does meanwhile.
CASES = [
    ("alone", None, "well"),
    ("known", "known.tokens", "well"),
    ("made_up_well", "made-up.tokens", "well"),
    ("made_up_slow", "made-up.tokens", "slow"),
    ("made_up_down", "made-up.tokens", "down"),
]


class Provider:
    """An issuer's keys over HTTP: given at once (well), after the question's time is over (slow), or not at all (down)."""

    def __init__(self):
        self.fetches, self.over = 0, threading.Event()
        self.mode = "well"
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.fetches += 1
                if provider.mode == "slow":
                    provider.over.wait()
                    return
                body = (TOKENS / "rs256.jwks").read_bytes()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def becomes(self, mode):
        self.mode, self.fetches = mode, 0
        if mode == "down":
            self.close()

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


def configure(provider):
    (FOLDER / "shapegate.yaml").write_text(f"""
server: {{ listen: 127.0.0.1:{PORT} }}
admin: {{ listen: 127.0.0.1:{ADMIN} }}
limits: {{ connections_per_address_max: 20000, per_subject: {{ held_polls: none, new_shapes_per_minute: none }} }}
electric: {{ url: http://127.0.0.1:{ELECTRIC}, secret: {{ env: BENCH_SECRET }} }}
identity:
  - jwt:
      issuer: bench
      audience: bench
      jwks_url: http://127.0.0.1:{provider.port}/jwks
      insecure_allow_http: true
      insecure_allow_private_addresses: true
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules: [ {{ when: has(user.org_id), rows: {{ where: '"org_id" = $1', params: [user.org_id] }} }} ]
""", encoding="ascii")


def status():
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        token = (TOKENS / "rs256.token").read_text(encoding="ascii")
        connection.request("GET", "/api/shapes/users?offset=-1&log=full", headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def wait_until_served():
    began = time.monotonic()
    while status() != 200:
        if time.monotonic() - began > START_SECONDS_MAX:
            sys.exit("provider: the gateway does not serve")
        time.sleep(0.01)


def wrk(tokens, connections, rate, seconds):
    environment = {**os.environ, "TOKENS": str(TOKENS / tokens), "DELAY": str(1000 * connections // rate)}
    command = ["taskset", "-c", LOAD_CORES, "wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}", "-s",
               "benches/load/paced.lua", "--timeout", "20", TARGET]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def said(process):
    text = process.communicate()[0]
    if process.returncode != 0 or "Socket errors" in text:
        sys.exit(f"provider: {text}")
    return text


def percentile(text, name):
    number, unit = re.search(rf"^ +{name}% +([\d.]+)(us|ms|s)$", text, re.MULTILINE).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def a_second(text):
    count, seconds, unit = re.search(r"(\d+) requests in ([\d.]+)(s|m)", text).groups()
    return int(count) / float(seconds) / {"s": 1, "m": 60}[unit]


def measure(others, mode, provider):
    # Nothing but the first verification and the first fetch lies before the measurement.
    said(wrk("known.tokens", KNOWN_CONNECTIONS, PACE, 1))
    provider.becomes(mode)
    flood = others and wrk(others, OTHER_CONNECTIONS, RATE, SECONDS + 2)
    time.sleep(1)
    known = said(wrk("known.tokens", KNOWN_CONNECTIONS, PACE, SECONDS))
    if "Non-2xx" in known:
        sys.exit(f"provider: somebody who is known was refused: {known}")
    rate = a_second(said(flood)) if flood else 0
    return rate, percentile(known, 50), percentile(known, 99)


def case(name, others, mode):
    provider = Provider()
    configure(provider)
    command = ["taskset", "-c", str(CORE), SHAPEGATE, "serve", "-c", str(FOLDER / "shapegate.yaml")]
    with open(FOLDER / "log", "w", encoding="ascii") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_served()
        rate, median, last = measure(others, mode, provider)
        print(name, f"{rate:.0f}", provider.fetches, f"{median:.0f}", f"{last:.0f}", sep="\t", flush=True)
    finally:
        process.terminate()
        process.wait(timeout=60)
        if provider.mode != "down":
            provider.close()


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, others, mode in CASES:
        case(name, others, mode)


main()
