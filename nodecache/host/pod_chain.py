"""The chain of iptables' nat table that sends queries to kube-dns pods, until a date.

iptables has no sets whose elements time out, but a match on the date: a rule with a `--datestop`
expires by itself, with nobody left to delete it. `iptables-restore -n` replaces a chain at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from .commands import Command, Job
from .iptables import LOCK_WAIT, POD_CHAIN, binary
from .nftables import RulesError
from .options import Address
from .pods import Endpoint, PodList

_COMMENT = ("-m", "comment", "--comment", "NodeLocal-DNS-Cache")


class PodChain:
    """The chain in each family that the listen addresses have. Jobs raise RulesError.

    `services` (family → Service address and port) come after the pods, and do not expire.
    """

    def __init__(
        self,
        variant: str,
        services: Mapping[int, Endpoint | None],
        utc: Callable[[], float] = time.time,
    ) -> None:
        self._variant = variant
        self._services = services
        self._utc = utc

    def ensure(self, pods: PodList, now: float) -> Job:
        """Have the chain there. One of a former life keeps what that has found until it expires."""
        for version in self._services:
            made = yield Command(self._argv(version, "-N", POD_CHAIN))
            if made.is_ok or pods.of_version(version) or self._services[version] is not None:
                yield from self._write(version, pods, now)

    def set_pods(self, pods: PodList, now: float) -> Job:
        """Send to these pods from now on."""
        for version in self._services:
            if pods.of_version(version):
                yield from self._write(version, pods, now)

    def remove(self) -> Job:
        """Delete the chain, once nothing jumps to it; one that is not there is fine."""
        for version in self._services:
            for operation in ("-F", "-X"):
                yield Command(self._argv(version, operation, POD_CHAIN))

    def _write(self, version: int, pods: PodList, now: float) -> Job:
        restore = (f"{binary(self._variant, version)}-restore", *LOCK_WAIT, "-n")
        stop = datetime.fromtimestamp(self._utc() + pods.seconds_left(now), UTC)
        rules = _rules(pods.of_version(version), stop, self._services[version])
        text = "\n".join(("*nat", f":{POD_CHAIN} - [0:0]", *rules, "COMMIT", ""))
        written = yield Command(restore, stdin=text)
        if not written.is_ok:
            raise RulesError(f"iptables: {POD_CHAIN}: {written.reason}")

    def _argv(self, version: int, *words: str) -> tuple[str, ...]:
        return (binary(self._variant, version), *LOCK_WAIT, "-t", "nat", *words)


def _rules(pods: tuple[Endpoint, ...], stop: datetime, service: Endpoint | None) -> Iterator[str]:
    """Each pod gets an equal share of the queries until `stop`; then the Service gets all."""
    for protocol in ("udp", "tcp"):
        for left, pod in zip(range(len(pods), 0, -1), pods, strict=True):
            until = ("-m", "time", "--datestop", f"{stop:%Y-%m-%dT%H:%M:%S}")
            share = ("-m", "statistic", "--mode", "random", "--probability", f"{1 / left:.6f}")
            yield _dnat(protocol, pod, *until, *(share if left > 1 else ()))
        if service is not None:
            yield _dnat(protocol, service)


def _dnat(protocol: str, to: Endpoint, *matches: str) -> str:
    host: Address | str = to.address if to.address.version == 4 else f"[{to.address}]"
    words = ("-p", protocol, *matches, *_COMMENT, "-j", "DNAT", "--to-destination")
    return " ".join(("-A", POD_CHAIN, *words, f"{host}:{to.port}"))
