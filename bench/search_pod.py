"""A pod and its node in namespaces of their own: the agent, late upstreams, and a program that searches.

Run by `bench.search` and by tests in new network and mount namespaces, as root; it prints JSON.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from bench.search_upstream import LateUpstream

AGENT, KUBE_DNS, RESOLVER, STUB = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"
SEARCH = (
    "shop.svc.cluster.local",
    "svc.cluster.local",
    "cluster.local",
    "eu-west-1.compute.internal",
)
RESOLV_CONF = f"nameserver {AGENT}\nsearch {' '.join(SEARCH)}\noptions ndots:5{{options}}\n"
# The stock Corefile's blocks, as far as they matter here, with a stub domain.
COREFILE = """
cluster.local:53 {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    bind 127.0.0.1
    forward . 127.0.0.2 {{
        force_tcp
    }}
    {own}
    prometheus 127.0.0.1:9253
}}
corp.example:53 {{
    errors
    cache 30
    bind 127.0.0.1
    forward . 127.0.0.4
    {own}
}}
.:53 {{
    errors
    cache 30
    bind 127.0.0.1
    forward . 127.0.0.3
    {own}
    {more}
}}
"""
PATIENCE_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--milliseconds", type=float, help="how late answers are")
    how.add_argument(
        "--owed",
        help="hold answers until so many questions are open: 2,8;2,8 for two names with two waits each",
    )
    parser.add_argument("--off", action="store_true", help="`search_ahead off`")
    parser.add_argument("--more", default="", help="a line for the root's block")
    parser.add_argument("--options", default="", help="more options of resolv.conf")
    parser.add_argument("names", help="separated by commas")
    parser.add_argument("argv", nargs="+", help="the program that looks them up")
    arguments = parser.parse_args()
    _prepare(arguments.folder, arguments.options)
    seconds = None if arguments.owed else arguments.milliseconds / 1000
    upstreams = [
        LateUpstream(KUBE_DNS, (), seconds),
        LateUpstream(RESOLVER, ("example.com", "rewritten.example"), seconds),
        LateUpstream(STUB, ("corp.example",), seconds),
    ]
    names = arguments.names.split(",")
    times: list[int] = []
    with agent(arguments.folder, is_off=arguments.off, more=arguments.more):
        if arguments.owed:
            for name, waits in zip(names, arguments.owed.split(";"), strict=True):
                _hold(upstreams, [*arguments.argv, name], [int(each) for each in waits.split(",")])
        else:
            times = _times([*arguments.argv, *names])
        page = _settled_page()
    told = {
        "microseconds": times,
        "asked": {each.host: dict(each.asked) for each in upstreams},
        "ahead": _ahead(page),
        "queries": _counted(page, "coredns_dns_requests_total"),
    }
    print(json.dumps(told))


def _prepare(folder: Path, options: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (folder / "resolv.conf").write_text(
        RESOLV_CONF.format(options=f" {options}" if options else "")
    )
    (folder / "nsswitch.conf").write_text("hosts: dns\n")
    for name in ("resolv.conf", "nsswitch.conf"):
        target = Path("/etc") / name
        if target.exists():
            subprocess.run(["mount", "--bind", str(folder / name), str(target)], check=True)


@contextlib.contextmanager
def agent(folder: Path, *, is_off: bool, more: str) -> Iterator[None]:
    """The agent with such a Corefile, ready."""
    own = "nodecache {\n search_ahead off\n }" if is_off else ""
    (folder / "Corefile").write_text(COREFILE.format(own=own, more=more.replace("\\n", "\n")))
    log = folder / "agent.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "nodecache", "-conf", str(folder / "Corefile")),
                *("-localip", AGENT, "-setupinterface=false", "-setupiptables=false", "-control="),
                *("-basecorefile", str(folder / "none"), "-metrics-listen-address", "127.0.0.1:9353"),
            ],
            stdout=file,
            stderr=file,
        )  # fmt: skip
    try:
        until = monotonic() + 30
        while "a worker reads" not in log.read_text():
            if process.poll() is not None or monotonic() > until:
                raise SystemExit(f"the agent does not start: {log.read_text()}")
            sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _hold(upstreams: list[LateUpstream], argv: list[str], waits: list[int]) -> None:
    """Have a program look one name up; at each of its waits so many questions are open at once."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    for number, owed in enumerate(waits, 1):
        until = monotonic() + PATIENCE_SECONDS
        while len(held := [name for each in upstreams for name in each.held]) != owed:
            if process.poll() is not None or monotonic() > until:
                raise SystemExit(f"{argv}: at wait {number} of {waits} these are open: {held}")
            sleep(0.01)
        for give in [give for each in upstreams for give in each.take_owed()]:
            give()
    told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    if not told.endswith("found\n"):
        raise SystemExit(f"{argv} did not find it: {told}")


def _times(argv: list[str]) -> list[int]:
    """How long each look-up took, in µs."""
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    if not all(line.endswith("found") for line in told):
        raise SystemExit(f"{argv} did not find all: {told}")
    return [int(line.split()[0]) for line in told]


def _settled_page() -> str:
    """The metrics page, once it is known of every question asked ahead whether it was of use."""
    until = monotonic() + PATIENCE_SECONDS
    while True:
        with urllib.request.urlopen("http://127.0.0.1:9253/metrics", timeout=5) as reply:
            page = reply.read().decode()
        asked, used, unused = _ahead(page)
        if asked == used + unused or monotonic() > until:
            return page
        sleep(0.2)


def _ahead(page: str) -> list[int]:
    """Questions asked ahead, those of use, and those in vain."""
    words = ("", "_used", "_unused")
    return [_counted(page, f"nodecache_ahead_queries{word}_total") for word in words]


def _counted(page: str, name: str) -> int:
    lines = [line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


if __name__ == "__main__":
    main()
