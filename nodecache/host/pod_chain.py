"""The chain of iptables' nat table that sends queries to kube-dns pods, until a date.

iptables has no sets whose elements time out, but a match on the date: a rule with a `--datestop`
expires by itself, with nobody left to delete it. `iptables-restore -n` replaces a chain at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from .commands import Command, Job, Steps
from .iptables import LOCK_WAIT, POD_CHAIN, binary
from .nftables import RulesError
from .options import Address
from .pods import LIST_SECONDS, Endpoint, PodList

_PROTOCOLS = ("udp", "tcp")
_COMMENT = ("-m", "comment", "--comment", "NodeLocal-DNS-Cache")


class PodChain:
    """The chain in each family that the listen addresses have. Jobs raise RulesError.

    `services` (family → Service address and port) come after the pods, and do
    not expire while we live.
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
        """Have the chain there; one that an earlier agent left keeps its pods until they expire."""
        for version in self._services:
            made = yield Command(self._argv(version, "-N", POD_CHAIN))
            if made.is_ok or pods.of_version(version) or self._services[version] is not None:
                yield from self._write(version, pods, now)

    def set_pods(self, pods: PodList, now: float) -> Job:
        """Send to these pods from now on."""
        for version in self._services:
            if pods.of_version(version):
                yield from self._write(version, pods, now)

    def leave_until_expiry(self, pods: PodList, now: float) -> Steps[bool]:
        """Have everything in the chain expire; whether there is anything."""
        is_anything = False
        for version, service in self._services.items():
            if pods.of_version(version) or service is not None:
                yield from self._write(version, pods, now, service_seconds=LIST_SECONDS)
                is_anything = True
            else:  # pods that an earlier agent found
                listed = yield Command(self._argv(version, "-S", POD_CHAIN))
                is_anything |= "-j DNAT" in listed.stdout
        return is_anything

    def remove(self) -> Job:
        """Delete the chain, to which nothing jumps any more; one that is not there is ignored."""
        for version in self._services:
            for operation in ("-F", "-X"):
                yield Command(self._argv(version, operation, POD_CHAIN))

    def _write(
        self, version: int, pods: PodList, now: float, *, service_seconds: float | None = None
    ) -> Job:
        restore = (f"{binary(self._variant, version)}-restore", *LOCK_WAIT, "-n")
        until = self._until(pods.seconds_left(now))
        rules = [*_to_pods(pods.of_version(version), until)]
        if (service := self._services[version]) is not None:
            until = () if service_seconds is None else self._until(service_seconds)
            rules += [_dnat(protocol, service, *until) for protocol in _PROTOCOLS]
        text = "\n".join(("*nat", f":{POD_CHAIN} - [0:0]", *rules, "COMMIT", ""))
        written = yield Command(restore, stdin=text)
        if not written.is_ok:
            raise RulesError(f"iptables: {POD_CHAIN}: {written.reason}")

    def _until(self, seconds: float) -> tuple[str, ...]:
        stop = datetime.fromtimestamp(self._utc() + seconds, UTC)
        return "-m", "time", "--datestop", f"{stop:%Y-%m-%dT%H:%M:%S}"

    def _argv(self, version: int, *words: str) -> tuple[str, ...]:
        return (binary(self._variant, version), *LOCK_WAIT, "-t", "nat", *words)


def _to_pods(pods: tuple[Endpoint, ...], until: tuple[str, ...]) -> Iterator[str]:
    """Each pod gets an equal share of the queries."""
    for protocol in _PROTOCOLS:
        for left, pod in zip(range(len(pods), 0, -1), pods, strict=True):
            share = ("-m", "statistic", "--mode", "random", "--probability", f"{1 / left:.6f}")
            yield _dnat(protocol, pod, *until, *(share if left > 1 else ()))


def _dnat(protocol: str, to: Endpoint, *matches: str) -> str:
    host: Address | str = to.address if to.address.version == 4 else f"[{to.address}]"
    words = ("-p", protocol, *matches, *_COMMENT, "-j", "DNAT", "--to-destination")
    return " ".join(("-A", POD_CHAIN, *words, f"{host}:{to.port}"))
