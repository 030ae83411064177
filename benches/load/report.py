#!/usr/bin/env python3
"""The results of a run as Markdown: report.py FOLDER ROUNDS SECONDS CONNECTIONS HELD SHAPEGATE PLACEMENT [FILE]

With FILE, replaces what stands there between the two markers; else prints. A part that was not measured is left out.
"""
import os
import re
import statistics
import subprocess
import sys
from datetime import date

FOLDER, ROUNDS, SECONDS, CONNECTIONS, HELD, SHAPEGATE, PLACEMENT = sys.argv[1:8]
BEGIN, END = "<!-- results: written by benches/run -->", "<!-- end of results -->"
HERTZ = os.sysconf("SC_CLK_TCK")

NAMES = {
    "upstream": "the nginx upstream itself, static answer",
    "haproxy_hs256": "HAProxy, `jwt_verify` HS256 + exp + table claim",
    "shapegate_hs256": "shapegate, HS256, rows by claim, `hub: off`",
    "shapegate_open": "shapegate, the same rows to anybody: `access: public`, `hub: off`",
    "shapegate_hit": "shapegate, HS256, rows by claim, answered by the hub",
    "shapegate_miss": "shapegate, HS256, rows by claim, through the hub, nothing asked twice",
    "node_hs256": "the guides' route handler on Node, HS256",
    "haproxy_rs256": "HAProxy, RS256",
    "shapegate_rs256": "shapegate, RS256, `hub: off`",
    "haproxy_es256": "HAProxy, ES256",
    "shapegate_es256": "shapegate, ES256, `hub: off`",
}
SCALE = [
    ("10,000 users' tokens instead of one", "tokens_many", "tokens_1"),
    ("63 rules before the one that applies instead of one", "remembered_63", "remembered_1"),
    ("the same where rules read a request header, so that each request is decided anew", "anew_63", "anew_1"),
]
TROUBLES = [
    ("alone", "nobody"),
    ("known", "good tokens that are remembered"),
    ("made_up_well", "made-up key names; the provider answers"),
    ("made_up_slow", "the same; it does not answer"),
    ("made_up_down", "the same; it is down"),
]
PEERS = {"haproxy": "HAProxy", "node": "the guides' route handler on Node", "varnish": "Varnish", "nginx": "nginx",
         "shapegate": "shapegate", "haproxy_h2": "HAProxy, HTTP/2 over TLS",
         "shapegate_h2": "shapegate, HTTP/2 over TLS"}


def rows(name):
    path = os.path.join(FOLDER, name)
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


class Requests:
    """CPU microseconds a request, by label and round."""

    def __init__(self):
        self.measured = {}
        for _, label, count, ticks in rows("requests"):
            self.measured.setdefault(label, []).append(int(ticks) / HERTZ / int(count) * 1e6)

    def cpu(self, label):
        return f"{statistics.median(self.measured[label]):.1f} µs"

    def pairs(self, label, other):
        return list(zip(self.measured[label], self.measured[other]))

    def ratio(self, label, other):
        return statistics.median(ours / theirs for ours, theirs in self.pairs(label, other))

    def ratio_text(self, label, other):
        each = [ours / theirs for ours, theirs in self.pairs(label, other)]
        return f"{statistics.median(each):.2f}× ({min(each):.2f}–{max(each):.2f})"

    def difference(self, label, other):
        return statistics.median(ours - theirs for ours, theirs in self.pairs(label, other))


class Provider:
    """What was measured of one who is known while others ask, by case and round."""

    def __init__(self):
        self.measured = {}
        for _, case, *figures in rows("provider"):
            self.measured.setdefault(case, []).append([int(figure) for figure in figures])

    def median(self, case, place):
        return statistics.median(round[place] for round in self.measured[case])

    def ratio(self, case, other):
        """Of the 99th percentiles within a round."""
        pairs = zip(self.measured[case], self.measured[other])
        return statistics.median(one[3] / two[3] for one, two in pairs)


def micro():
    """By name, the median time in nanoseconds of each micro benchmark."""
    units, medians, above = {"ns": 1, "µs": 1e3, "ms": 1e6}, {}, ""
    for (line,) in (row[:1] for row in rows("micro")):
        name = re.match(r"[│├╰─ ]*(\w+)", line)
        if not name or not re.match(r"[│ ]*[├╰]─", line):
            continue
        nested = line.startswith(("│", " "))
        if not nested:
            above = name[1]
        columns = [column.strip() for column in line[name.end():].split("│")]
        if len(columns) < 5:
            continue
        median = re.fullmatch(r"([\d.]+) (ns|µs|ms)", columns[2])
        if median:
            key = f"{above} {name[1]}" if nested else name[1]
            medians[key] = float(median[1]) * units[median[2]]
    return medians


class Targets:
    """What is wanted, what was measured, and whether that is enough."""

    def __init__(self):
        self.lines = []

    def add(self, what, wanted, measured, unit, most):
        verdict = "met" if measured <= most else "**not met**"
        self.lines.append(f"| {what} | {wanted} | {measured:.2f}{unit} | {verdict} |")

    def of_requests(self, requests):
        if not requests.measured:
            return
        ratio = requests.ratio
        passed, hit = ratio("shapegate_hs256", "haproxy_hs256"), ratio("shapegate_hit", "haproxy_hs256")
        self.add("authorised pass-through, HS256, of HAProxy's CPU", "≤ 1.3×", passed, "×", 1.3)
        self.add("the same, later", "≤ 0.9×", passed, "×", 0.9)
        for alg in ["RS256", "ES256"]:
            each = ratio(f"shapegate_{alg.lower()}", f"haproxy_{alg.lower()}")
            self.add(f"the same, {alg}", "≤ 0.5×", each, "×", 0.5)
        self.add("answered by the hub, of HAProxy's pass-through", "≤ 0.5×", hit, "×", 0.5)
        added = requests.difference("shapegate_hs256", "shapegate_open")
        self.add("authorisation, same process with it and without", "≤ 2 µs", added, " µs", 2)
        share = ratio("shapegate_hs256", "shapegate_open") - 1
        self.add("the same, as a share", "≤ 5 %", 100 * share, " %", 5)

    def of_fans(self, fans):
        ours = next((row for row in fans if row[:2] == ["shapegate", "4000"]), None)
        peers = [row for row in fans if row[0] != "shapegate" and row[1] == "4000"]
        if not ours or not peers:
            return
        self.add("4,000 wait for one change: requests to Electric", "1", float(ours[2]), "", 1)
        last = float(ours[5]) / min(float(row[5]) for row in peers)
        self.add("the same, time to the last, of the better peer's", "≤ 0.5×", last, "×", 0.5)
        self.add("the same, CPU a client", "≤ 40 µs", float(ours[6]), " µs", 40)

    def of_held(self, held):
        ours = next((row for row in held if row[0] == "shapegate"), None)
        if not ours:
            return
        kib = max(float(ours[1]), float(ours[2]))
        self.add("a held long poll on a URL of its own, also after reopening all", "≤ 26 KiB", kib, " KiB", 26)
        self.add("the same, later", "≤ 8 KiB", kib, " KiB", 8)
        streams = next((row for row in held if row[0] == "shapegate_h2"), None)
        if streams:
            kib = max(float(streams[1]), float(streams[2]))
            self.add("the same over HTTP/2, 100 on a connection", "≤ 26 KiB", kib, " KiB", 26)

    def of_tenants(self, tenants):
        if len(tenants) < 2:
            return
        few, many = tenants[0], tenants[-1]
        name = f"{int(many[0]):,} tenants"
        cost = 100 * (float(many[3]) / float(few[3]) - 1)
        self.add(f"{name}: CPU a request, more than with {few[0]}", "≤ 10 %", cost, " %", 10)
        self.add(f"{name}: a change of one is served after", "≤ 100 ms", float(many[4]), " ms", 100)
        slower = float(many[6]) - float(many[5])
        self.add(f"{name}: another's slowest request meanwhile, more than before", "≤ 5 ms", slower, " ms", 5)

    def of_provider(self, provider):
        if not provider.measured:
            return
        troubled = ["made_up_well", "made_up_slow", "made_up_down"]
        fetches = max(max(figures[1] for figures in provider.measured[case]) for case in troubled)
        self.add("made-up key names: fetches of keys a minute", "≤ 10", float(fetches), "", 10)
        for case, what in zip(troubled, ["answers", "does not answer", "is down"]):
            ratio = provider.ratio(case, "known")
            self.add(f"the same, provider {what}: 99 % of a known user's answers, of those beside as many good tokens",
                     "≤ 1.1×", ratio, "×", 1.1)

    def of_micro(self, times):
        if not times:
            return
        minting = times["minting_es256"] / times["bare_signature_es256"]
        self.add("minting with ES256, of the bare signature", "≤ 2×", minting, "×", 2)
        # Comparing what is asked with what was signed is part of it, and no part of the user's.
        shape = (times["remembered_shape_token"] - times["remembered_user_token"]) / 1e3
        self.add("a remembered shape token, more than a remembered user's", "≤ 0.5 µs", shape, " µs", 0.5)


def versions():
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return (done.stdout + done.stderr).splitlines()[0]

    haproxy = first_line("haproxy", "-v").split()[2].split("-")[0]
    nginx = first_line("nginx", "-v").split("/")[-1]
    varnish = re.search(r"varnish-([\d.]+)", first_line("varnishd", "-V"))[1]
    kernel = ".".join(os.uname().release.split(".")[:2])
    node = first_line("node", "--version").lstrip("v")
    ours = first_line(SHAPEGATE, "--version").split()[-1]
    return f"shapegate {ours}, HAProxy {haproxy}, nginx {nginx}, Varnish {varnish}, Node {node}, Linux {kernel}"


def table(title, heads, lines):
    heads = f"| {' | '.join(heads)} |"
    return ["", f"### {title}", "", heads, "|---" * (heads.count("|") - 1) + "|", *lines] if lines else []


def requests_table(requests):
    lines = [
        f"| {name} | {requests.cpu(label)} | {requests.ratio_text(label, 'haproxy_hs256')} |"
        for label, name in NAMES.items()
        if label in requests.measured
    ]
    return table("Requests", ["", "CPU a request", "of HAProxy's HS256 in the same round"], lines)


def scale_table(requests):
    lines = [
        f"| {name} | {requests.cpu(one)} → {requests.cpu(many)} | {requests.ratio_text(many, one)} |"
        for name, many, one in SCALE
        if many in requests.measured
    ]
    return table("Many users, many rules", ["answered by the hub", "CPU a request", "ratio"], lines)


def fan_table(fans):
    lines = []
    for label, clients, asked, median, p99, last, cpu, kib in fans:
        name, count = PEERS[label], f"{int(clients):,}"
        lines.append(f"| {count} | {name} | {asked} | {median} ms | {p99} ms | {last} ms | {cpu} µs | {kib} KiB |")
    heads = ["clients", "", "requests to Electric", "half have it after", "99 %", "all", "CPU a client", "held, a client"]
    return table("One change for many who wait", heads, lines)


def held_table(held):
    lines = [f"| {PEERS[label]} | {first} KiB | {again} KiB |" for label, first, again in held]
    heads = [f"{HELD} held long polls, each on a URL of its own", "a poll", "after closing and reopening all"]
    return table("Memory", heads, lines)


def tenants_table(tenants):
    lines = [
        f"| {int(count):,} | {start} s | {resident} MiB | {cpu} µs | {change} ms | {before} ms | {during} ms |"
        for count, start, resident, cpu, change, before, during in tenants
    ]
    heads = ["tenants of 20 shapes each", "from start to serving", "resident then", "CPU a request", "a change is served after",
             "another's slowest request before", "and meanwhile"]
    return table("Tenants", heads, lines)


def provider_table(provider):
    lines = [
        f"| {name} | {provider.median(case, 0):,.0f} | {provider.median(case, 1):.0f} | "
        f"{provider.median(case, 2):.0f} µs | {provider.median(case, 3):.0f} µs |"
        for case, name in TROUBLES
        if case in provider.measured
    ]
    heads = ["what others send", "of them answered a second", "fetches of keys", "half of a known user's answers", "99 %"]
    return table("An identity provider in trouble", heads, lines)


def micro_table(times):
    lines = [
        f"| `{name}` | {time / 1e3:.2f} µs |"
        for name, time in sorted(times.items())
    ]
    return table("By itself, in one thread", ["micro benchmark", "median"], lines)


def report():
    requests, fans, held, tenants, times = Requests(), rows("fan"), rows("held"), rows("tenants"), micro()
    provider = Provider()
    targets = Targets()
    targets.of_requests(requests)
    targets.of_fans(fans)
    targets.of_held(held)
    targets.of_tenants(tenants)
    targets.of_provider(provider)
    targets.of_micro(times)
    lines = [
        f"Measured {date.today()} on {os.cpu_count()} cores: {versions()}. Requests: {ROUNDS} rounds of {SECONDS} s "
        f"each, {CONNECTIONS} connections; {PLACEMENT}. Medians, in brackets the extremes.",
        *table("Targets", ["what", "wanted", "measured", ""], targets.lines),
        *requests_table(requests),
        *scale_table(requests),
        *fan_table(fans),
        *held_table(held),
        *tenants_table(tenants),
        *provider_table(provider),
        *micro_table(times),
    ]
    return "\n".join(lines) + "\n"


def replace(path):
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{report()}{END}{after}")


if len(sys.argv) > 8:
    replace(sys.argv[8])
else:
    print(report(), end="")
