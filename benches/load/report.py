#!/usr/bin/env python3
"""The results of a run as Markdown: report.py FOLDER ROUNDS SECONDS CONNECTIONS HELD SHAPEGATE PLACEMENT [FILE]

With FILE, replaces what stands there between the two markers; else prints.
"""
import os
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
    "shapegate_hs256": "shapegate, HS256, rows by claim",
    "shapegate_open": "shapegate, `access: public`: the same rows, nobody asked who they are",
    "node_hs256": "the guides' route handler on Node, HS256",
    "haproxy_rs256": "HAProxy, RS256",
    "shapegate_rs256": "shapegate, RS256",
    "haproxy_es256": "HAProxy, ES256",
    "shapegate_es256": "shapegate, ES256",
}


def rows(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def read_requests():
    """By label, the CPU microseconds a request of each round."""
    measured = {}
    for _, label, count, ticks in rows("requests"):
        measured.setdefault(label, []).append(int(ticks) / HERTZ / int(count) * 1e6)
    return measured


def ratio(measured, label, other):
    """The median over the rounds, and the extremes."""
    each = [ours / theirs for ours, theirs in zip(measured[label], measured[other])]
    return f"{statistics.median(each):.2f}× ({min(each):.2f}–{max(each):.2f})"


def difference(measured):
    each = [ours - open_ for ours, open_ in zip(measured["shapegate_hs256"], measured["shapegate_open"])]
    return f"{statistics.median(each):+.1f} µs ({min(each):+.1f} to {max(each):+.1f})"


def versions():
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return (done.stdout or done.stderr).splitlines()[0]

    haproxy = first_line("haproxy", "-v").split()[2].split("-")[0]
    nginx = first_line("nginx", "-v").split("/")[-1]
    kernel = ".".join(os.uname().release.split(".")[:2])
    node = first_line("node", "--version").lstrip("v")
    ours = first_line(SHAPEGATE, "--version").split()[-1]
    return f"shapegate {ours}, HAProxy {haproxy}, nginx {nginx}, Node {node}, Linux {kernel}"


def report():
    measured = read_requests()
    lines = [
        f"Measured {date.today()} on {os.cpu_count()} cores: {versions()}. {ROUNDS} rounds of {SECONDS} s each, "
        f"{CONNECTIONS} connections; {PLACEMENT}. Medians, in brackets the extremes.",
        "",
        "| | CPU a request | of HAProxy's HS256 in the same round |",
        "|---|---|---|",
    ]
    for label, name in NAMES.items():
        cpu = statistics.median(measured[label])
        lines.append(f"| {name} | {cpu:.1f} µs | {ratio(measured, label, 'haproxy_hs256')} |")
    lines += [
        "",
        "| ratio | |",
        "|---|---|",
        f"| authorised pass-through, of HAProxy's, HS256 | {ratio(measured, 'shapegate_hs256', 'haproxy_hs256')} |",
        f"| the same, RS256 | {ratio(measured, 'shapegate_rs256', 'haproxy_rs256')} |",
        f"| the same, ES256 | {ratio(measured, 'shapegate_es256', 'haproxy_es256')} |",
        f"| authorised pass-through, of the route handler's | {ratio(measured, 'shapegate_hs256', 'node_hs256')} |",
        f"| authorisation adds, same process with it and without | {difference(measured)} |",
        f"| the same, as a ratio | {ratio(measured, 'shapegate_hs256', 'shapegate_open')} |",
        "",
        f"| {HELD} held long polls, each on a URL of its own | KiB a poll | after closing and reopening all |",
        "|---|---|---|",
    ]
    for label, first, again in rows("held"):
        lines.append(f"| {NAMES[label].split(',')[0]} | {first} | {again} |")
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
