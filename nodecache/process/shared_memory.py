"""Memory that the keeper shares with every worker: what is written there outlives the writer."""

import mmap

JOURNAL_OCTETS = 2 << 20  # 4,096 slots of 512 octets: queries that wait for upstreams


def shared_memory() -> mmap.mmap:
    """Memory for a journal (`server/journal.py`), shared with every process forked from this one."""
    return mmap.mmap(-1, JOURNAL_OCTETS)
