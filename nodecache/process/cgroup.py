"""How much memory the container may use, and what share of it the caches get."""

from pathlib import Path

_FILES = (
    Path("/sys/fs/cgroup/memory.max"),  # cgroup v2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # v1
)
_SHARE = 4
_UNLIMITED_OCTETS = 64 * 1024 * 1024
_NO_LIMIT = 1 << 50  # v1 writes a number near 2**63 for none


def default_budget() -> int:
    """Octets for all caches: a quarter of the container's limit, 64 MiB where there is none."""
    limit = memory_limit()
    return _UNLIMITED_OCTETS if limit is None else limit // _SHARE


def memory_limit() -> int | None:
    """The cgroup's limit in octets; None where there is none, or none to read."""
    for file in _FILES:
        try:
            text = file.read_text(encoding="ascii").strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None
    return None
