"""What an entry's age means for the one who asks: fresh, due for a refresh, stale.

RFC 8767 for stale answers, RFC 9520 for questions that keep failing, CoreDNS plugin/cache for
prefetch.
"""

from dataclasses import dataclass
from math import ceil

from nodecache.wire import Ede, ExtendedErrors, Kind

from .entry import Entry

_RECHECK_SECONDS = 1.0  # RFC 9520 §3.2: a failure is remembered for at least 1 s …
MOST_RECHECK_SECONDS = 30.0  # … with back-off; RFC 8767 §5 suggests 30 s between tries
_MOST_DOUBLINGS = 10  # beyond, numbers grow and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefetch:
    """Fetch again before expiry what was hit `amount` times, no pause longer than `seconds`.

    From when `percentage` of the TTL is left.
    """

    amount: int
    seconds: float = 60.0
    percentage: int = 10


def note_hits(entry: Entry, hits: int, prefetch: Prefetch, now: float) -> None:
    """Count hits for prefetch; the count starts anew after a pause."""
    if now - entry.counted_at > prefetch.seconds:
        entry.hits = 0
    entry.hits += hits
    entry.counted_at = now


def is_due_for_prefetch(entry: Entry, prefetch: Prefetch, now: float) -> bool:
    """Whether a fresh entry is asked for enough, and near enough to its end, to fetch it again."""
    return (
        entry.hits >= prefetch.amount
        and not entry.is_refreshing
        and now >= entry.refresh_at
        and entry.remaining_ttl(now) <= ceil(entry.ttl * prefetch.percentage / 100)
    )


def stale_errors(entry: Entry) -> ExtendedErrors:
    """What a stale reply says of itself: RFC 8914 §4.4 and §4.20."""
    code = Ede.STALE_NXDOMAIN if entry.kind is Kind.NXDOMAIN else Ede.STALE_ANSWER
    return ((code, b""),)


def recheck_seconds(failures: int) -> float:
    """How long a question that failed `failures` times in a row is left alone."""
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    return min(_RECHECK_SECONDS * (1 << doublings), MOST_RECHECK_SECONDS)


def note_failed_refresh(entry: Entry, now: float, seconds: float | None = None) -> None:
    """A refresh did not bring a better answer: keep this one, and wait before the next try.

    For `seconds`, or with back-off where that is None.
    """
    entry.failures += 1
    entry.is_refreshing = False
    entry.refresh_at = now + (recheck_seconds(entry.failures) if seconds is None else seconds)


def note_unkept_refresh(entry: Entry, now: float) -> None:
    """An answer came that may not be kept: what was fetched ahead of time is left for a while."""
    if entry.remaining_ttl(now) > 0:
        note_failed_refresh(entry, now)
    else:
        entry.is_refreshing = False
