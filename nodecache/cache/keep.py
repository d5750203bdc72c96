"""For how long an answer is kept, in whole seconds.

RFC 2308 §5 for negative answers, the `cache` directive's bounds (CoreDNS plugin/cache) for all.
"""

from dataclasses import dataclass

from nodecache.wire import Answer, Kind

EMPTY_TTL = 5  # a positive answer without any record, and a referral: CoreDNS's minimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Least and most seconds for positive and negative answers; what may be kept at all."""

    success_min_ttl: int = 5
    success_ttl: int = 3600
    denial_min_ttl: int = 5
    denial_ttl: int = 1800


def reply_ttl(answer: Answer, bounds: Bounds) -> int:
    """The one TTL that every record of the reply gets, kept or not."""
    lowest = EMPTY_TTL if answer.lowest_ttl is None else answer.lowest_ttl
    match answer.kind:
        case Kind.NODATA | Kind.NXDOMAIN:
            if answer.soa_ttl is not None:
                lowest = min(lowest, answer.soa_ttl)
            return min(max(lowest, bounds.denial_min_ttl), bounds.denial_ttl)
        case Kind.REFERRAL:
            lowest = EMPTY_TTL
        case Kind.OTHER | Kind.SERVFAIL:
            return bounds.success_min_ttl
        case Kind.POSITIVE:
            pass
    return min(max(lowest, bounds.success_min_ttl), bounds.success_ttl)


def may_be_kept(answer: Answer, wall_clock: float) -> bool:
    """Whether `answer` is of a kind to keep, and its signatures hold at `wall_clock` (1970)."""
    if answer.kind in (Kind.OTHER, Kind.SERVFAIL):
        return False
    if answer.signed_until is None or answer.signed_from is None:
        return True
    return answer.signed_from <= wall_clock <= answer.signed_until
