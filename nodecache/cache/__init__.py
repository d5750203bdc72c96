"""The cache: answers kept by question.

The law of this package: no socket and no clock; `now` (monotonic seconds) comes in as an argument.
Entries hold octets as upstream wrote them; nothing here parses a message.
"""

from .entry import MAX_FREQUENCY, OFFSET_OCTETS, Entry, is_denial
from .failures import FailedQuestion, Failures
from .freshness import (
    Prefetch,
    is_due_for_prefetch,
    note_failed_refresh,
    note_hits,
    recheck_seconds,
    reply_changes_at,
    stale_errors,
)
from .keep import Bounds, is_validly_signed, refreshed_ttl, reply_ttl, seconds_to_keep
from .segment import Budget
from .snapshot import (
    FORM,
    MalformedCache,
    SnapshotEntry,
    end,
    packed,
    unpacked,
    zone_head,
)
from .store import Cache
