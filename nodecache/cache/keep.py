"""For how long an answer is kept, in whole seconds.

RFC 2308 §5 for negative answers, the `cache` directive's bounds (CoreDNS plugin/cache) for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nodecache.wire import Answer, Kind, Rcode

from .entry import Entry, is_denial

_POSITIVE: Final = Kind.POSITIVE  # members of an enum cost a look-up each time
_NEVER_KEPT: Final = (Kind.OTHER, Kind.SERVFAIL)
EMPTY_TTL: Final = 5  # without any record, for a referral, for errors: CoreDNS's minimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Lowest and highest seconds to keep positive and negative answers."""

    success_min_ttl: int = 5
    success_ttl: int = 3600
    denial_min_ttl: int = 5
    denial_ttl: int = 1800


def reply_ttl(answer: Answer, bounds: Bounds) -> int:
    """The TTL in whole seconds that every record of the reply gets, whether it is cached or not."""
    kind = answer.kind
    lowest = EMPTY_TTL if answer.lowest_ttl is None else answer.lowest_ttl
    if kind is _POSITIVE:
        if bounds.success_min_ttl <= lowest <= bounds.success_ttl:
            return lowest
        return min(max(lowest, bounds.success_min_ttl), bounds.success_ttl)
    if is_denial(kind) and answer.soa_ttl is not None:
        lowest = min(lowest, answer.soa_ttl)
    if is_denial(kind) or _is_bare_denial(answer):
        return min(max(lowest, bounds.denial_min_ttl), bounds.denial_ttl)
    if kind is Kind.REFERRAL or answer.rcode != Rcode.NOERROR:
        lowest = EMPTY_TTL
    return min(max(lowest, bounds.success_min_ttl), bounds.success_ttl)


def refreshed_ttl(answer: Answer, ttl: int, entry: Entry) -> int:
    """How many of `ttl` seconds to keep what refreshed `entry` ahead of its end.

    A lower TTL than before is that of an answer which upstream keeps itself: no newer than the entry, and to
    be kept no longer than it says. Raised to the least of the bounds, it would outlive upstream's own, and a
    name that is asked often would be seen to change later than one that is not.
    """
    told = answer.lowest_ttl
    if told is None or told >= entry.told_ttl():
        return ttl
    return min(ttl, max(told, 1))


def _is_bare_denial(answer: Answer) -> bool:
    """Whether this is an NXDOMAIN without SOA and answers: not cached, but with a negative answer's TTL."""
    return answer.rcode == Rcode.NXDOMAIN and not answer.has_answers


def seconds_to_keep(answer: Answer, ttl: int, wall_clock: Callable[[], float]) -> int:
    """For how many of `ttl` seconds to cache `answer`: 0 where it is of no kind to cache.

    No longer than its signatures hold (`wall_clock`: seconds since 1970): a validator that got it
    after that would take it for forged, while upstream may have signed anew.
    """
    if answer.kind in _NEVER_KEPT:
        return 0
    return ttl if answer.signed_until is None else min(ttl, answer.seconds_signed(wall_clock()))


def is_validly_signed(answer: Answer, wall_clock: Callable[[], float]) -> bool:
    """Whether the signatures, if there are any, are in their time."""
    return answer.signed_until is None or answer.is_signed_at(wall_clock())
