#!/usr/bin/env python3
"""What tenants cost: tenants.py SHAPEGATE FOLDER PORT ADMIN_PORT ELECTRIC_PORT COUNT SHAPES SECONDS CORE TOKEN_FILE

Starts the gateway on CORE with COUNT tenants of SHAPES shapes each, one file a tenant, and prints: seconds until it
serves, resident MiB, microseconds of CPU a request of one tenant that the hub answers, milliseconds until a change of
one tenant's file is served, and the slowest request of another tenant in milliseconds before and during that change.
Needs BENCH_SECRET in its environment, an Electric on ELECTRIC_PORT, and wrk.
"""
import http.client
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

SHAPEGATE, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
PORT, ADMIN, ELECTRIC, COUNT, SHAPES, SECONDS, CORE = map(int, sys.argv[3:10])
TOKEN = pathlib.Path(sys.argv[10]).read_text(encoding="ascii")
START_SECONDS_MAX = 300
CHANGE_SECONDS_MAX = 30
CHANGES = 5

PROCESS = f"""
server: {{ listen: 127.0.0.1:{PORT} }}
admin: {{ listen: 127.0.0.1:{ADMIN} }}
limits: {{ per_subject: {{ new_shapes_per_minute: none }} }}
templates: {{ folder: templates }}
tenants: {{ folder: tenants }}
"""
TEMPLATE = f"""
electric: {{ url: http://127.0.0.1:{ELECTRIC}, secret: {{ env: BENCH_SECRET }} }}
identity:
  - jwt: {{ issuer: bench, audience: bench, keys: [ {{ alg: HS256, kid: hs256, secret: {{ env: BENCH_SECRET }} }} ] }}
member: user.org_id == "org_1" && tenant.id != ""
shapes:
"""
SHAPE = """  {name}:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: has(user.roles) && "admin" in user.roles
        rows: all
      - when: has(user.org_id)
        rows: {{ where: '"org_id" = $1', params: [user.org_id] }}
"""


def tenant(number):
    return f"extends: base\nhosts: {host(number)}\n"


def host(number):
    return f"t{number}.sync.test"


def write():
    for name in ["templates", "tenants"]:
        (FOLDER / name).mkdir(parents=True)
    (FOLDER / "shapegate.yaml").write_text(PROCESS, encoding="ascii")
    shapes = "".join(SHAPE.format(name=f"users_{at}") for at in range(SHAPES))
    (FOLDER / "templates" / "base.yaml").write_text(TEMPLATE + shapes, encoding="ascii")
    for number in range(COUNT):
        (FOLDER / "tenants" / f"t{number}.yaml").write_text(tenant(number), encoding="ascii")


class Client:
    """A connection that asks for one tenant's shapes."""

    def __init__(self, number):
        self.host = host(number)
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)

    def ask(self, shape):
        headers = {"host": self.host, "authorization": f"Bearer {TOKEN}"}
        self.connection.request("GET", f"/api/shapes/{shape}?offset=-1&log=full", headers=headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def serves():
    try:
        return Client(0).ask("users_0") == 200
    except OSError:
        return False


def wait_until(holds, seconds_max, what):
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds_max:
            sys.exit(f"tenants: {what} did not come within {seconds_max} s")
        time.sleep(0.0005)
    return time.monotonic() - began


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return sum(map(int, stat.read().split()[13:15]))


def cpu_a_request(pid):
    target = f"http://127.0.0.1:{PORT}/api/shapes/users_0?offset=-1&log=full"
    headers = ["-H", f"Host: {host(COUNT // 2)}", "-H", f"authorization: Bearer {TOKEN}"]
    command = ["taskset", "-c", str(CORE), "wrk", "-t1", "-c32", *headers]
    subprocess.run([*command, "-d1", target], check=True, capture_output=True)
    before = ticks(pid)
    said = subprocess.run([*command, f"-d{SECONDS}", target], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"tenants: {said}")
    count = int(re.search(r"(\d+) requests in", said)[1])
    return (ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / count * 1e6


class Prober(threading.Thread):
    """Asks for another tenant's shape, one request after the other, and notes how long each took."""

    def __init__(self):
        super().__init__(daemon=True)
        self.took, self.over = [], False
        self.client = Client(0)

    def run(self):
        while not self.over:
            began = time.monotonic()
            if self.client.ask("users_0") != 200:
                sys.exit("tenants: another tenant's request failed")
            self.took.append((time.monotonic() - began) * 1e3)
            time.sleep(0.001)

    def slowest_since(self, start):
        return max(self.took[start:])


def change(number, name):
    """Adds a shape to a tenant, and waits until it is served."""
    path = FOLDER / "tenants" / f"t{number}.yaml"
    aside = path.with_name(f".{number}")
    aside.write_text(tenant(number) + "shapes:\n" + SHAPE.format(name=name), encoding="ascii")
    client = Client(number)
    aside.rename(path)
    return 1e3 * wait_until(lambda: client.ask(name) == 200, CHANGE_SECONDS_MAX, "the change")


def main():
    write()
    command = ["taskset", "-c", str(CORE), SHAPEGATE, "serve", "-c", str(FOLDER / "shapegate.yaml")]
    with open(FOLDER / "log", "w", encoding="ascii") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        start = wait_until(serves, START_SECONDS_MAX, "the start")
        resident = resident_mib(process.pid)
        cpu = cpu_a_request(process.pid)
        prober = Prober()
        prober.start()
        time.sleep(1)
        before, since = max(prober.took[10:]), len(prober.took)
        changes = [change(COUNT // 2, f"added_{at}") for at in range(CHANGES)]
        during = prober.slowest_since(since)
        prober.over = True
        print(COUNT, f"{start:.2f}", f"{resident:.0f}", f"{cpu:.1f}", f"{statistics.median(changes):.0f}",
              f"{before:.1f}", f"{during:.1f}", sep="\t")
    finally:
        process.terminate()
        process.wait(timeout=60)


main()
