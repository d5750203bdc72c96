"""What the keeper tells the worker for the metrics page, and how a process is measured.

The page is served by the worker, so whatever only the keeper knows (the host's side, its own CPU and
memory, workers that died) travels to it over their channel. Facts of a process come from /proc, see
proc(5).
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from .messages import Check, by_name, flag, number, shaped, text, whole

# The original's five kinds, in its spelling; alerts need each of them at 0 from the start.
SETUP_ERRORS = ("iptables", "iptables_lock", "interface_add", "interface_check", "configmap")

_PAGE_OCTETS = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True, kw_only=True)
class Process:
    """One process as /proc shows it."""

    cpu_seconds: float = 0.0
    """User and system time, of dead children too once they are waited for."""
    resident_octets: int = 0
    private_octets: int = 0
    """The part of resident memory that no other process maps; 0 unless asked for."""
    virtual_octets: int = 0
    open_files: int = 0
    started_at: float = 0.0
    """Seconds since 1970."""


@dataclass(slots=True, kw_only=True)
class KeeperVitals:
    """The keeper's counts since it started, and how the host stands now."""

    process: Process = field(default_factory=Process)
    setup_errors: dict[str, int] = field(default_factory=dict)
    workers_replaced: dict[str, int] = field(default_factory=dict)
    """By what ended the worker: `exited`, `killed`, `hung`, `protocol`."""
    keeper_faults: int = 0
    """What failed in the keeper itself, which lived on: exceptions, forks."""
    repairs: dict[str, int] = field(default_factory=dict)
    """What had to be put back: `link`, `address`, `rules`."""
    rule_packets: dict[str, int] = field(default_factory=dict)
    """Packets that our rules matched, by the way they went: `prerouting_udp_to_dns` and the like."""
    rules_backend: str = ""
    """`nftables`, `iptables`, `none`; empty where the host is not ours to set up."""
    rules_fail_open: str = ""
    """`socket` or `lease`; empty while that is not known, and where there are no rules."""
    lease: dict[str, float] = field(default_factory=dict)
    """`seconds`, `is_held`, `withdrawals`, `renewals`."""
    is_config_current: bool = True
    """Whether what the ConfigMaps say now is what is served, or can be."""
    probes: dict[str, int] = field(default_factory=dict)
    """The keeper's own queries to the worker: `answered`, `unanswered`."""

    def to_fields(self) -> dict[str, Any]:
        """What JSON can carry; the host's part is what `Host.state()` gives."""
        return dataclasses.asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "KeeperVitals":
        """Read what `to_fields` wrote, or a part of it."""
        return cls(**{**fields, "process": Process(**fields.get("process", {}))})


_CHECKS: dict[object, Check] = {
    bool: flag,
    int: whole,
    float: number,
    str: text(100),
    dict[str, int]: by_name(whole),
    dict[str, float]: by_name(number),
}
_CHECKS[Process] = shaped({name: _CHECKS[of] for name, of in get_type_hints(Process).items()})
check_vitals = shaped({name: _CHECKS[of] for name, of in get_type_hints(KeeperVitals).items()})
"""That an object is what `KeeperVitals.to_fields` gives, member by member."""


def measure(pid: int | str = "self", *, is_private_wanted: bool = False) -> Process:
    """Measure a process. What /proc does not show, as to another user, stays 0.

    Private memory costs a walk over the page tables: a fraction of a millisecond for the keeper,
    many for a worker with a full cache, which therefore is never asked.
    """
    folder = Path("/proc") / str(pid)
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    user, system, dead_user, dead_system = map(int, fields[11:15])
    return Process(
        cpu_seconds=(user + system + dead_user + dead_system) / _TICKS,
        resident_octets=int(fields[21]) * _PAGE_OCTETS,
        private_octets=_private_octets(folder) if is_private_wanted else 0,
        virtual_octets=int(fields[20]),
        open_files=_open_files(folder),
        started_at=_booted_at() + int(fields[19]) / _TICKS,
    )


def _private_octets(folder: Path) -> int:
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _open_files(folder: Path) -> int:
    try:
        return sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return 0


@functools.cache
def _booted_at() -> int:
    """When the machine booted, seconds since 1970: read once, as a start time must not change.

    The difference of two clocks that are read one after the other is never twice the same.
    """
    lines = Path("/proc/stat").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("btime ")).split()[1])


def network_octets() -> tuple[int, int]:
    """Octets received and sent on every interface of the network namespace."""
    return count_network(Path("/proc/self/net/dev").read_text().splitlines()[2:])


def count_network(lines: Iterable[str]) -> tuple[int, int]:
    """Sum the receive and transmit columns of /proc/net/dev."""
    received = sent = 0
    for line in lines:
        numbers = line.partition(":")[2].split()
        received += int(numbers[0])
        sent += int(numbers[8])
    return received, sent
