"""The options of a zone: what a server block asks of it, beyond what directives do themselves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nodecache.cache import Bounds, Entry, Prefetch, is_denial, is_validly_signed
from nodecache.forward import Failure
from nodecache.wire import FORWARD, Answer, Kind, Rcode, is_within

_ROOT: Final = frozenset((b"\0",))
_ANSWERS: Final = (Rcode.NOERROR, Rcode.NXDOMAIN)
# These tell something of the name; YXDOMAIN, that a DNAME makes it too long: RFC 6672 §2.2.
_OF_THE_NAME: Final = (*_ANSWERS, Rcode.YXDOMAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class StalePolicy:
    """What an expired answer is good for (RFC 8767, CoreDNS `serve_stale`).

    `client_timeout_seconds` is how long upstream may take before the client gets the stale answer: 0
    hands it out at once, None waits for the outcome. `ttl` is what the stale reply says.
    """

    seconds: float = 3600.0
    client_timeout_seconds: float | None = 1.0
    ttl: int = 30
    recheck_seconds: float | None = None
    """How long upstream is left alone after a failed refresh; None is with back-off."""
    prefers_positive: bool = False
    """Whether only a positive answer replaces a positive one that may still be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneOptions:
    """A server block's behaviour, complete. Zone names are as on the wire, in lower case."""

    bounds: Bounds = field(default_factory=Bounds)
    stale: StalePolicy | None = field(default_factory=StalePolicy)
    prefetch: Prefetch | None = None
    keeps_ttl: bool = False
    uses_cache: bool = True
    joins_misses: bool = True
    """Off where what is below the cache answers each client on its own, and nothing is kept."""
    deadline_seconds: float = 4.8
    """When upstream has had its time: just before the resolvers' 5 s, so that they hear why."""
    cached_zones: frozenset[bytes] = _ROOT
    success_disabled: frozenset[bytes] = frozenset()
    denial_disabled: frozenset[bytes] = frozenset()
    bufsize: int = 0
    """The most octets a client may claim to take over UDP; 0 is what it says."""

    @property
    def caches_all(self) -> bool:
        """Whether the cache is used for every name."""
        return self.cached_zones == _ROOT

    def caches(self, qname: bytes) -> bool:
        """Whether the cache is used for a name (lower case, wire format)."""
        return self.uses_cache and is_within(qname, self.cached_zones)

    def keeps(self, qname: bytes, kind: Kind) -> bool:
        """Whether an answer of this kind is kept, where the cache has to do with the name."""
        disabled = self.denial_disabled if is_denial(kind) else self.success_disabled
        return not disabled or not is_within(qname, disabled)


def may_replace(
    answer: Answer, entry: Entry, policy: StalePolicy | None, wall_clock: Callable[[], float]
) -> bool:
    """Whether an answer may take an entry's place: RFC 8767 §4, and what the operator wants.

    As CoreDNS, not one that is cut short or signed for another time.
    """
    if answer.rcode not in _ANSWERS or answer.is_truncated:
        return False
    if not is_validly_signed(answer, wall_clock):
        return False
    if policy is None or not policy.prefers_positive or entry.kind is not Kind.POSITIVE:
        return True
    return answer.kind is Kind.POSITIVE and answer.has_answers


def is_failure(answer: Answer) -> bool:
    """Whether an answer tells nothing of the name that was asked for: RFC 9520 §2.

    The errors that directives make count as CoreDNS has it: SERVFAIL and NOTIMP.
    """
    if answer.kind is Kind.SERVFAIL:
        return True
    return answer.rcode not in _OF_THE_NAME and answer.written_by == FORWARD


def is_remembered(outcome: Answer | Failure) -> bool:
    """Whether the question is not asked again for a while: RFC 9520 §3.2."""
    return not outcome.is_decided if isinstance(outcome, Failure) else is_failure(outcome)
