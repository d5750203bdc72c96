"""What an entry's age means: fresh, due for prefetch, stale.

RFC 8767 for stale answers, RFC 9520 for questions that keep failing, CoreDNS plugin/cache for
prefetch.
"""

from dataclasses import dataclass
from typing import Final

from nodecache.wire import Ede, ExtendedErrors, Kind

from .entry import Entry

MIN_RECHECK_SECONDS: Final = 1.0  # RFC 9520 §3.2: a failure is remembered for at least 1 s …
# … with back-off. CoreDNS keeps a SERVFAIL for 5 s: a name that upstream can answer again is back
# as soon here. RFC 8767 §5 and RFC 9520 allow for more, for the sake of authoritative servers.
MAX_RECHECK_SECONDS: Final = 5.0
_MAX_DOUBLINGS: Final = 10  # beyond, numbers grow and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefetch:
    """Fetch an entry again that was hit `amount` times with no pause longer than `seconds`.

    When `percentage` of the TTL is left. Not rounded up to a second as in CoreDNS: an entry with a TTL of
    one second would always be due.
    """

    amount: int
    seconds: float = 60.0
    percentage: int = 10

    def due_at(self, entry: Entry) -> float:
        """From when on `entry` may be fetched again; monotonic seconds."""
        return entry.stored_at + entry.ttl * (100 - self.percentage) / 100


def note_hits(entry: Entry, hits: int, prefetch: Prefetch, now: float) -> None:
    """Count hits for prefetch; the count starts at 0 again after a pause."""
    if now - entry.counted_at > prefetch.seconds:
        entry.hits = 0
    entry.hits += hits
    entry.counted_at = now


def is_due_for_prefetch(entry: Entry, prefetch: Prefetch, now: float) -> bool:
    """Whether a fresh entry was hit often enough, and is near enough to its end, to fetch it again."""
    return (
        entry.hits >= prefetch.amount
        and not entry.is_refreshing
        and now >= entry.refresh_at
        and now >= prefetch.due_at(entry)
    )


def reply_changes_at(entry: Entry, prefetch: Prefetch | None, now: float) -> float:
    """Until when a finished reply made of `entry` may be sent; monotonic seconds.

    Until its TTL is lower by one, or it is due for prefetch.
    """
    changes_at = entry.changes_at(now)
    if prefetch is None:
        return changes_at
    due_at = prefetch.due_at(entry)
    return due_at if now < due_at < changes_at else changes_at


def stale_errors(entry: Entry) -> ExtendedErrors:
    """The Extended DNS Error of a stale reply: RFC 8914 §4.4 and §4.20."""
    code = Ede.STALE_NXDOMAIN if entry.kind is Kind.NXDOMAIN else Ede.STALE_ANSWER
    return ((code, b""),)


def recheck_seconds(failures: int, at_most: float = MAX_RECHECK_SECONDS) -> float:
    """How long a question that failed `failures` times in a row is not sent again."""
    doublings = min(max(failures - 1, 0), _MAX_DOUBLINGS)
    return min(MIN_RECHECK_SECONDS * (1 << doublings), at_most)


def note_failed_refresh(entry: Entry, now: float, seconds: float | None = None) -> None:
    """Note that a refresh brought no better answer, and set the time of the next one.

    In `seconds`, but not sooner than RFC 9520 §3.2 allows; None is the back-off of `recheck_seconds`.
    """
    entry.failures += 1
    entry.is_refreshing = False
    if seconds is None:
        seconds = recheck_seconds(entry.failures)
    entry.refresh_at = now + max(seconds, MIN_RECHECK_SECONDS)
