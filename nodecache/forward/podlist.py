"""The pods behind kube-dns, as kube-dns itself tells them: the list of a headless Service.

SRV records tell each pod's ports; where there are none, addresses alone are taken, at the port of
DNS. The list is asked for again before its TTL ends, and at once when a pod stops answering. No
answer leaves the last list; an answer that names nobody empties it, and everything goes to the
Service address, if that one answers.
"""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nodecache.wire import Answer, Flag, Rcode, Rdtype, read_query, wire_of

from .failure import Failure
from .names import plain_query
from .pods import Pod
from .records import ServiceRecords, read_services
from .runtime import DNS_PORT, Endpoint, Timer

if TYPE_CHECKING:
    from .forwarder import Forwarder

log = logging.getLogger("plugin/forward")

SERVICE = "kube-dns-pods.kube-system.svc"
_UDP, _TCP = "_dns._udp.", "_dns-tcp._tcp."

MAX_PODS = 64

_DEADLINE_SECONDS = 5.0
# A list is believed for its TTL, but no longer than this, and asked for again when this part of it has
# passed. An answer from kube-dns' own cache may have a second of its TTL left; one that says that it is
# not to be kept at all is kept nonetheless, or every node would ask for ever.
_LONGEST_SECONDS = 60.0
_UNKEPT_SECONDS = 5.0
_PART = 0.9
# No answer: asked again after the first, doubling up to the last. An answer that names nobody (a
# manifest without the Service) the same way, up to much longer.
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0
_FIRST_EMPTY_SECONDS = 5.0
_LAST_EMPTY_SECONDS = 300.0
_MAX_DOUBLINGS = 10
# A pod that stopped answering may be told by many queries; the list is asked for once.
_MIN_PAUSE_SECONDS = 1.0


class PodList:
    """The pods of kube-dns in the domain `domain`; `changed` hears them, and whenever others are there.

    `forwarder` asks the Service address `address`, or else the pods themselves, and is closed with this.
    """

    def __init__(
        self,
        forwarder: "Forwarder",
        address: Endpoint,
        domain: str,
        changed: Callable[[Sequence[Pod]], None],
    ) -> None:
        self.service = f"{SERVICE}.{domain}"
        self._address = address
        self.pods: tuple[Pod, ...] | None = None  # before the first answer
        self._forwarder = forwarder
        self._changed = changed
        self._round: _Round | None = None
        self._asked_at = 0.0
        self._is_doubted = False  # a pod fell silent since then
        self._failures = 0
        self._empty_answers = 0
        self._timer: Timer | None = None
        self._is_closed = False

    @property
    def origin(self) -> str:
        """Where it is from, for people."""
        return f"the DNS records of {self.service}"

    def begin(self) -> None:
        """Ask, now and from now on."""
        self._stop_timer()
        if self._is_closed or self._round is not None:
            return
        self._asked_at = self._forwarder.runtime.clock()
        self._is_doubted = False
        self._round = _Round(self._forwarder, self.service, self._resolved)
        self._round.begin()

    def pod_fell_silent(self, now: float) -> None:
        """One of the pods does not answer: perhaps it is gone."""
        self._is_doubted = True
        if self._round is None and not self._is_closed:
            self._resolve_after(self._asked_at + _MIN_PAUSE_SECONDS - now)

    def close(self) -> None:
        """Ask no more."""
        self._is_closed = True
        self._stop_timer()
        self._forwarder.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _resolved(self, pods: Sequence[Pod] | None, ttl: float) -> None:
        """All answers of a round are there. None: at least one is missing."""
        self._round = None
        if self._is_closed:
            return
        if not pods and self._forwarder.is_silent(self._address):
            pods = None  # pods that are not ready may answer; whom else would be asked?
        if pods is not None and tuple(pods) != self.pods:
            self.pods = tuple(pods)
            self._changed(self.pods)
        seconds = self._pause(pods, ttl)
        self._resolve_after(min(seconds, _MIN_PAUSE_SECONDS) if self._is_doubted else seconds)

    def _resolve_after(self, seconds: float) -> None:
        self._stop_timer()
        if seconds > 0:
            self._timer = self._forwarder.runtime.call_later(seconds, self.begin)
        else:
            self.begin()

    def _pause(self, pods: Sequence[Pod] | None, ttl: float) -> float:
        """Seconds until the list is asked for again."""
        if pods is None:
            self._failures += 1
            return _doubled(_FIRST_RETRY_SECONDS, self._failures, _LAST_RETRY_SECONDS)
        self._failures = 0
        if not pods:
            self._empty_answers += 1
            return _doubled(_FIRST_EMPTY_SECONDS, self._empty_answers, _LAST_EMPTY_SECONDS)
        self._empty_answers = 0
        return _PART * min(ttl or _UNKEPT_SECONDS, _LONGEST_SECONDS)


class _Round:
    """The questions of one look at the Service. `done` hears of the pods and their TTL once."""

    def __init__(
        self,
        forwarder: "Forwarder",
        service: str,
        done: Callable[[Sequence[Pod] | None, float], None],
    ) -> None:
        self._forwarder = forwarder
        self._service = service
        self._done = done
        self._awaited = 0
        self._has_failed = False
        self._ttl = _LONGEST_SECONDS
        self._udp: dict[bytes, int] = {}
        self._tcp: dict[bytes, int] = {}
        self._addresses: dict[bytes, dict[str, None]] = {}
        self._next = self._ask_for_addresses

    def begin(self) -> None:
        """Ask for the ports; then for the addresses that did not come along."""
        self._ask(wire_of(_UDP + self._service), Rdtype.SRV, self._udp)
        self._ask(wire_of(_TCP + self._service), Rdtype.SRV, self._tcp)

    def _ask_for_addresses(self) -> None:
        self._next = self._end
        targets = self._udp | self._tcp or {wire_of(self._service): DNS_PORT}
        missing = [target for target in targets if target not in self._addresses]
        for target in missing[:MAX_PODS]:
            self._ask(target, Rdtype.A)
            self._ask(target, Rdtype.AAAA)
        if not missing:
            self._end()

    def _ask(self, qname: bytes, rdtype: Rdtype, ports: dict[bytes, int] | None = None) -> None:
        self._awaited += 1
        forwarder = self._forwarder
        now = forwarder.runtime.clock()
        query = read_query(plain_query(0, qname, rdtype, Flag.RD))
        forwarder.ask(query, now + _DEADLINE_SECONDS, partial(self._answered, ports), now)

    def _answered(self, ports: dict[bytes, int] | None, outcome: Answer | Failure) -> None:
        self._awaited -= 1
        if isinstance(outcome, Failure) or outcome.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            self._has_failed = True
        elif outcome.rcode == Rcode.NOERROR:
            self._note(read_services(outcome), outcome, ports)
        if not self._awaited:
            self._end() if self._has_failed else self._next()

    def _note(self, found: ServiceRecords, answer: Answer, ports: dict[bytes, int] | None) -> None:
        if ports is not None:
            ports.update(found.ports)
        for name, addresses in found.addresses.items():
            self._addresses.setdefault(name, {}).update(dict.fromkeys(addresses))
        if answer.has_answers and answer.lowest_ttl is not None:
            self._ttl = min(self._ttl, answer.lowest_ttl)

    def _end(self) -> None:
        self._done(None if self._has_failed else self._pods(), self._ttl)

    def _pods(self) -> Sequence[Pod]:
        """Every address of every target; a port that is told for one protocol only is both's."""
        targets = self._udp | self._tcp or {wire_of(self._service): DNS_PORT}
        pods = {
            Pod(address, self._udp.get(target, port), self._tcp.get(target, port))
            for target, port in targets.items()
            for address in self._addresses.get(target, ())
        }
        return sorted(pods)[:MAX_PODS]


def _doubled(first: float, times: int, last: float) -> float:
    """`first`, doubled from the second time on, up to `last`."""
    return min(math.ldexp(first, min(times - 1, _MAX_DOUBLINGS)), last)
