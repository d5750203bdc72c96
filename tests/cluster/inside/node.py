"""Runs on the node (host network, privileged): what of the agent is there.

    node.py state ADDRESS...     links and addresses of the agent, and its rules; not what a clean
                                 stop leaves, which expires
    node.py conntrack ADDRESS    tracked flows to port 53 of that address
    node.py signal NAME WHOM     sends a signal to the agent's keeper, its worker, or all of it
    node.py signal-kube-dns NAME ADDRESS   sends a signal to the pod of kube-dns that has the address
    node.py make NAME            makes a bridge of that name, once
    node.py hold NAME            keeps a bridge of that name there (for the original, on kernels
                                 without dummy links), until `node.py release`

Prints one JSON object.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pyroute2 import IPRoute, NFCTSocket

DNS_PORT = 53
RELEASE = Path("/tmp/release")
HOLD_PAUSE_SECONDS = 0.02
PROGRAMS = (b"nodecache", b"node-cache")
OURS = ("nodelocaldns", "NodeLocal DNS Cache")
LEFT = "NodeLocal DNS Cache: fall back"
LISTINGS = (
    ("iptables-save",),
    ("ip6tables-save",),
    ("iptables-legacy-save",),
    ("nft", "list", "ruleset"),
)


def links_and_addresses(wanted: list[str]) -> dict[str, list[str]]:
    with IPRoute() as route:
        links = [link.get_attr("IFLA_IFNAME") for link in route.get_links()]
        addresses = [address.get_attr("IFA_ADDRESS") for address in route.get_addr()]
    return {
        "links": [link for link in links if link == "nodelocaldns"],
        "addresses": [address for address in addresses if address in wanted],
    }


def rule_lines(wanted: list[str]) -> list[str]:
    """Every line of every listing that names the agent or, without tracking, its addresses."""
    lines = []
    for argv in LISTINGS:
        if shutil.which(argv[0]):
            text = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            lines += [line.strip() for line in text.splitlines() if is_ours(line, wanted)]
    return lines


def is_ours(line: str, wanted: list[str]) -> bool:
    if any(mark in line for mark in OURS):
        return LEFT not in line
    return "notrack" in line.lower() and any(address in line for address in wanted)


def conntrack(address: str) -> list[str]:
    """The flows to port 53 of `address` that the kernel tracks, as "protocol client port"."""
    found = []
    with NFCTSocket() as netfilter:
        for entry in netfilter.dump():
            flow = entry.get_attr("CTA_TUPLE_ORIG")
            ends, ports = flow.get_attr("CTA_TUPLE_IP"), flow.get_attr("CTA_TUPLE_PROTO")
            if ends.get_attr("CTA_IP_V4_DST") != address:
                continue
            if ports.get_attr("CTA_PROTO_DST_PORT") == DNS_PORT:
                client, port = ends.get_attr("CTA_IP_V4_SRC"), ports.get_attr("CTA_PROTO_SRC_PORT")
                found.append(f"{ports.get_attr('CTA_PROTO_NUM')} {client} {port}")
    return found


def processes() -> list[dict[str, object]]:
    """Every process of the agent on the node, in its container: its id and its parent's.

    Whoever works on the machine itself may run agents too, beside this pod: they are not ours to
    kill. Theirs is the process namespace of this pod, which is the machine's.
    """
    found = []
    machine = Path("/proc/self/ns/pid").readlink()
    for folder in Path("/proc").iterdir():
        try:
            if (folder / "ns/pid").readlink() == machine:
                continue
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if any(word.rpartition(b"/")[2] in PROGRAMS for word in words[:3]):
            found.append({"pid": int(folder.name), "parent": parent})
    return found


def signal_agent(name: str, whom: str) -> list[int]:
    """Send a signal to the keeper, to the worker, or to all of the agent's processes."""
    every = processes()
    pids = {one["pid"] for one in every}
    keepers = [one["pid"] for one in every if one["parent"] not in pids]
    workers = [one["pid"] for one in every if one["parent"] in keepers]
    chosen = {"keeper": keepers, "worker": workers, "all": sorted(pids)}[whom]
    for pid in chosen:
        with contextlib.suppress(ProcessLookupError):  # a worker ends with its keeper
            os.kill(pid, signal.Signals[name])
    return chosen


def signal_kube_dns(name: str, address: str) -> list[int]:
    """Send a signal to every process but the sandbox's whose network has `address`."""
    chosen = []
    for folder in Path("/proc").iterdir():
        try:
            is_there = f" {address}\n" in (folder / "net/fib_trie").read_text()
            program = (folder / "comm").read_text().strip()
        except OSError:
            continue
        if folder.name.isdigit() and is_there and program == "coredns":
            os.kill(int(folder.name), signal.Signals[name])
            chosen.append(int(folder.name))
    return chosen


def make_bridge(name: str) -> None:
    with IPRoute() as route:
        if not route.link_lookup(ifname=name):
            route.link("add", ifname=name, kind="bridge")


def hold_bridge(name: str) -> None:
    """Keep a bridge of that name there until somebody releases it: the original takes it away."""
    RELEASE.unlink(missing_ok=True)
    while not RELEASE.exists():
        make_bridge(name)
        time.sleep(HOLD_PAUSE_SECONDS)
    with IPRoute() as route:
        for index in route.link_lookup(ifname=name):
            route.link("del", index=index)


def main() -> None:
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "state":
        print(json.dumps({**links_and_addresses(arguments), "rules": rule_lines(arguments)}))
    elif what == "conntrack":
        print(json.dumps({"flows": conntrack(arguments[0])}))
    elif what == "signal":
        print(json.dumps({"pids": signal_agent(*arguments)}))
    elif what == "signal-kube-dns":
        print(json.dumps({"pids": signal_kube_dns(*arguments)}))
    elif what == "make":
        make_bridge(arguments[0])
        print("{}")
    elif what == "hold":
        hold_bridge(arguments[0])
        print("{}")
    elif what == "release":
        RELEASE.touch()
        print("{}")


main()
