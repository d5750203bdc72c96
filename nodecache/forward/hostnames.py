"""Addresses of upstreams that the Corefile names by host name.

They are resolved by the node's resolvers, or by those that `resolver` names, through a forwarder like
any other query, and again when they expire, or when none of them answers. Addresses are used until
newer ones are known.
"""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nodecache.wire import Answer, Flag, Query, Rcode, Rdtype, read_query

from .failure import Failure
from .probe import probe_query
from .records import FoundAddresses, addresses_in
from .runtime import Timer

if TYPE_CHECKING:
    from .forwarder import Forwarder

log = logging.getLogger("plugin/forward")

_DEADLINE_SECONDS = 5.0
# An address is believed no shorter and no longer than this, whatever its TTL; and a name that
# could not be resolved is asked for again after the first, doubling up to the last.
_SHORTEST_SECONDS = 5.0
_LONGEST_SECONDS = 300.0
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0

_TYPES = (Rdtype.A, Rdtype.AAAA)


class HostNames:
    """Host names and their addresses. `changed` is called when one of them gets others.

    `forwarder` asks the resolvers, and is closed with this. `last_found` outlives it: a reload begins with
    what was found for each name before.
    """

    def __init__(
        self,
        forwarder: "Forwarder",
        changed: Callable[[], None],
        last_found: dict[str, FoundAddresses],
    ) -> None:
        self._forwarder = forwarder
        self._changed = changed
        self._last_found = last_found
        self._names: dict[str, _Name] = {}

    def addresses(self, name: str) -> Sequence[str]:
        """The addresses known now, IPv4 first; empty until the first answer ever."""
        known = self._names.get(name)
        if known is None:
            found = dict(self._last_found.get(name, ()))
            known = self._names[name] = _Name(name, self._forwarder, self._changed, found)
            known.resolve()
        self._last_found[name] = known.found
        return known.addresses

    def refresh(self, name: str) -> None:
        """Resolve `name` now, before its addresses expire."""
        if name in self._names:
            self._names[name].refresh()

    def close(self) -> None:
        """Stop asking."""
        for name in self._names.values():
            name.close()
        self._forwarder.close()


class _Name:
    """One name: its addresses by type, and when to ask again."""

    def __init__(
        self, name: str, forwarder: "Forwarder", changed: Callable[[], None], found: FoundAddresses
    ) -> None:
        self._name = name
        self._forwarder = forwarder
        self._changed = changed
        self.found = found
        self._awaited = 0
        self._shortest_ttl = math.inf  # of the addresses that this look brought
        self._failures = 0
        self._timer: Timer | None = None
        self._is_closed = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """All known addresses, IPv4 first."""
        return tuple(address for rdtype in _TYPES for address in self.found.get(rdtype, ()))

    def resolve(self) -> None:
        """Ask for A and AAAA at once."""
        now = self._forwarder.runtime.clock()
        self._shortest_ttl = math.inf
        self._awaited = len(_TYPES)
        for rdtype in _TYPES:
            query = read_query(probe_query(0, self._name, rdtype, Flag.RD))
            done = partial(self._answered, query)
            self._forwarder.ask(query, now + _DEADLINE_SECONDS, done, now)

    def refresh(self) -> None:
        """Ask now, unless it is being asked."""
        if not self._awaited:
            self._stop_timer()
            self.resolve()

    def close(self) -> None:
        """Stop asking."""
        self._is_closed = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _answered(self, query: Query, outcome: Answer | Failure) -> None:
        if self._is_closed:
            return
        self._awaited -= 1
        before = self.addresses
        if isinstance(outcome, Answer) and outcome.rcode == Rcode.NOERROR:
            addresses = addresses_in(outcome, query.qtype)
            self.found[query.qtype] = addresses
            if addresses and outcome.lowest_ttl is not None:
                self._shortest_ttl = min(self._shortest_ttl, outcome.lowest_ttl)
        elif isinstance(outcome, Failure):
            log.warning("upstream %s: %s", self._name, outcome.reason)
        if not self.addresses and before:
            self.found[query.qtype] = before  # an empty answer is no reason to lose the last
        if self.addresses != before:
            self._changed()
        if not self._awaited:
            self._sleep()

    def _sleep(self) -> None:
        if self._shortest_ttl < math.inf:
            self._failures = 0
            seconds = min(max(self._shortest_ttl, _SHORTEST_SECONDS), _LONGEST_SECONDS)
        else:
            seconds = min(_FIRST_RETRY_SECONDS * 2**self._failures, _LAST_RETRY_SECONDS)
            self._failures = min(self._failures + 1, 10)
        self._timer = self._forwarder.runtime.call_later(seconds, self.resolve)
