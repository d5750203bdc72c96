"""`python -m nodecache.demo`: the agent on 127.0.0.1:5300 before a stand-in for kube-dns."""

import argparse
import multiprocessing
import os
import socket
import sys
import tempfile
from importlib import resources
from pathlib import Path

from . import companion
from .companion import Place
from .standin import StandIn, sample_records

_HOST = "127.0.0.1"


def main(argv: list[str] | None = None) -> int:
    """Run the demo until Ctrl-C; the agent's own exit code."""
    wanted = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="nodecache-demo-") as folder:
        return _run(wanted, Path(folder))


def _run(wanted: argparse.Namespace, folder: Path) -> int:
    stand_in = StandIn(sample_records())
    place = Place(
        dns_port=wanted.port,
        metrics_port=_port_near(wanted.metrics_port),
        health_port=_port_near(wanted.health_port),
        stand_in_port=stand_in.port,
        control=str(folder / "control.sock"),
    )
    lifeline, held = os.pipe()
    beside = multiprocessing.get_context("fork").Process(
        target=_run_companion, args=(stand_in, place, lifeline, held)
    )
    beside.start()
    os.close(lifeline)
    try:
        return _run_agent(place, folder / "Corefile.base")
    finally:
        os.close(held)
        beside.join()


def _run_companion(stand_in: StandIn, place: Place, lifeline: int, held: int) -> None:
    os.close(held)  # or the pipe would never end
    companion.run(stand_in, place, lifeline)


def _run_agent(place: Place, base: Path) -> int:
    """Run the real command line, in this process."""
    from nodecache.command.main import main as agent  # noqa: PLC0415 (after the fork, which wants little)

    base.write_text(corefile_for(place))
    return agent(arguments(base, place))


def arguments(base_corefile: Path, place: Place) -> list[str]:
    """The agent's command line, as a container's arguments would be."""
    return [
        "-localip", _HOST,
        "-basecorefile", str(base_corefile),
        "-conf", str(base_corefile.with_name("Corefile")),
        "-dns.port", str(place.dns_port),
        "-health-port", str(place.health_port),
        "-metrics-listen-address", f"{_HOST}:0",
        "-control", place.control,
        "-setupinterface=false",
        "-setupiptables=false",
    ]  # fmt: skip


def corefile_for(place: Place) -> str:
    """The demo's base Corefile with its ports filled in."""
    text = resources.files(__package__).joinpath("demo.Corefile").read_text()
    for mark, port in (
        ("STAND_IN_PORT", place.stand_in_port),
        ("METRICS_PORT", place.metrics_port),
        ("HEALTH_PORT", place.health_port),
        ("DNS_PORT", place.dns_port),
    ):
        text = text.replace(mark, str(port))
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nodecache.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=5300, help="the agent's DNS port")
    parser.add_argument("--metrics-port", type=int, default=9253, help="taken: a free one is used")
    parser.add_argument("--health-port", type=int, default=8080, help="taken: a free one is used")
    return parser


def _port_near(wanted: int) -> int:
    """`wanted` if it is free on loopback, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no TCP port is free on 127.0.0.1")


if __name__ == "__main__":
    sys.exit(main())
