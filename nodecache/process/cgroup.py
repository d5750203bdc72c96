"""How much memory the container may use, and what the caches and the queries that wait get of it."""

from pathlib import Path

_ROOT = Path("/")
_FILES = (
    "sys/fs/cgroup/memory.max",  # cgroup v2
    "sys/fs/cgroup/memory/memory.limit_in_bytes",  # v1
)
_SHARE = 4
_UNLIMITED_OCTETS = 64 * 1024 * 1024
_NO_LIMIT = 1 << 50  # v1 writes a number near 2**63 for none

# What both processes take before the first answer, of programs and libraries what they work with:
# docs/operations.md says how it was measured. With less, pages are read in again and again, or we are killed.
MIN_LIMIT_OCTETS = 48 << 20
_IDLE_OCTETS = 36 << 20
_MIN_BUDGET_OCTETS = 1 << 20
_WAITING_OCTETS = 3 << 10  # of one query that waits for upstreams
_MIN_WAITING, _MAX_WAITING = 1024, 8192


def budget_within(limit: int | None) -> int:
    """Octets for all answers kept: a quarter of the limit, of a small one half of what we leave; else 64 MiB."""
    if limit is None:
        return _UNLIMITED_OCTETS
    return max(min(limit // _SHARE, (limit - _IDLE_OCTETS) // 2), _MIN_BUDGET_OCTETS)


def max_waiting_within(limit: int | None) -> int:
    """How many queries may wait for upstreams: as many as fit what the budget leaves, within bounds."""
    if limit is None:
        return _MAX_WAITING
    left = limit - _IDLE_OCTETS - budget_within(limit)
    return min(max(left // _WAITING_OCTETS, _MIN_WAITING), _MAX_WAITING)


def too_small(limit: int | None) -> str:
    """What to tell the operator of a limit with which we may not live; nothing of another."""
    if limit is None or limit >= MIN_LIMIT_OCTETS:
        return ""
    return (
        f"the container's memory limit of {limit >> 20} MiB is less than the "
        f"{MIN_LIMIT_OCTETS >> 20} MiB that nodecache needs: it is slow, or killed by the kernel"
    )


def memory_limit(root: Path = _ROOT) -> int | None:
    """The cgroup's limit in octets; None where there is none, or none to read."""
    for file in _FILES:
        try:
            text = (root / file).read_text(encoding="ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None
    return None
