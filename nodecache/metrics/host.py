"""Series of the host, from the keeper's messages, and of both processes, from /proc."""

import gc
import resource
import sys
from collections.abc import Iterator

from nodecache.process.vitals import SETUP_ERRORS, KeeperVitals, Process

from .exposition import Family, counter, gauge, singles
from .oldnames import old_setup_errors


def host_families(keeper: KeeperVitals) -> Iterator[Family]:
    """Errors, repairs and state of the interface, its addresses and the packet rules."""
    errors = counter(
        "coredns_nodecache_setup_errors_total", "Errors of setting up the host.", "errortype"
    )
    yield errors.by_label(dict.fromkeys(SETUP_ERRORS, 0) | keeper.setup_errors)
    yield old_setup_errors(errors)
    repairs = counter(
        "nodecache_repairs_total", "What others removed from the host and was put back.", "what"
    )
    yield repairs.by_label(dict.fromkeys(("link", "address", "rules"), 0) | keeper.repairs)
    replaced = counter("nodecache_worker_replacements_total", "Workers replaced.", "reason")
    ways = dict.fromkeys(("exited", "killed", "hung", "protocol"), 0)
    yield replaced.by_label(ways | keeper.workers_replaced)
    yield from singles(
        ("nodecache_keeper_faults_total", "Faults in the keeper that did not end it: exceptions, forks.", keeper.keeper_faults),
    )  # fmt: skip
    yield from _interception_families(keeper)
    yield from _lease_families(keeper)


def _interception_families(keeper: KeeperVitals) -> Iterator[Family]:
    backend = gauge(
        "nodecache_rules_info",
        "Always 1; what makes the packet rules, and what they fail open by.",
        *("backend", "fail_open"),
    )
    if keeper.rules_backend:
        backend.add((keeper.rules_backend, keeper.rules_fail_open), 1)
    yield backend
    packets = counter(
        "nodecache_rule_packets_total", "Packets that the agent's rules matched.", "flow"
    )
    yield packets.by_label(keeper.rule_packets)
    probes = counter("nodecache_probes_total", "The keeper's own queries to the worker.", "outcome")
    yield probes.by_label(keeper.probes)


def _lease_families(keeper: KeeperVitals) -> Iterator[Family]:
    """Series of the lease; none if no address has one."""
    lease = keeper.lease
    if not lease:
        return
    yield from singles(
        ("nodecache_lease_seconds", "Seconds until the kernel removes unrenewed addresses.", lease.get("seconds", 0)),
        ("nodecache_lease_held", "Whether the leased addresses are on the node.", lease.get("is_held", 0)),
        ("nodecache_lease_renewals_total", "Times the lease was renewed.", lease.get("renewals", 0)),
        ("nodecache_lease_withdrawals_total", "Times the leased addresses were withdrawn.", lease.get("withdrawals", 0)),
    )  # fmt: skip


def process_families(
    worker: Process, keeper: Process, network: tuple[int, int]
) -> Iterator[Family]:
    """`process_*` of keeper and worker together, each page of memory and each second once.

    Memory is the worker's resident memory, shared pages included, and the keeper's private one:
    the two share what they loaded before the fork. CPU includes workers that have died. The start
    is the keeper's: what a restart of the container changes.
    """
    received, sent = network
    yield from singles(
        ("process_cpu_seconds_total", "CPU time of keeper and workers, user and system.", worker.cpu_seconds + keeper.cpu_seconds),
        ("process_resident_memory_bytes", "Memory of keeper and worker, shared pages once.", worker.resident_octets + keeper.private_octets),
        ("process_virtual_memory_bytes", "Address space of keeper and worker.", worker.virtual_octets + keeper.virtual_octets),
        ("process_virtual_memory_max_bytes", "Limit on a process' address space.", _limit(resource.RLIMIT_AS)),
        ("process_open_fds", "Open files of keeper and worker.", worker.open_files + keeper.open_files),
        ("process_max_fds", "Limit on the worker's open files.", _limit(resource.RLIMIT_NOFILE)),
        ("process_start_time_seconds", "When the keeper started.", keeper.started_at or worker.started_at),
        ("nodecache_worker_start_time_seconds", "When the worker started.", worker.started_at),
        ("process_network_receive_bytes_total", "Octets into the network namespace.", received),
        ("process_network_transmit_bytes_total", "Octets out of the network namespace.", sent),
    )  # fmt: skip


def _limit(which: int) -> float:
    """Soft limit of this process; where there is none, the largest number, as Go's client says."""
    soft, _ = resource.getrlimit(which)
    return float(2**64 - 1) if soft == resource.RLIM_INFINITY else soft


def python_families() -> Iterator[Family]:
    """The interpreter and its garbage collector, named as prometheus_client names them."""
    info = gauge(
        "python_info",
        "Always 1.",
        *("implementation", "major", "minor", "patchlevel", "version"),
    )
    major, minor, patch = map(str, sys.version_info[:3])
    version = sys.version.partition(" ")[0]
    info.add(("CPython", major, minor, patch, version), 1)
    yield info
    generations = gc.get_stats()
    for field, name, text in (
        ("collections", "python_gc_collections_total", "Runs of the collector."),
        ("collected", "python_gc_objects_collected_total", "Objects it freed."),
        ("uncollectable", "python_gc_objects_uncollectable_total", "Objects it could not free."),
    ):
        family = counter(name, text, "generation")
        for generation, stats in enumerate(generations):
            family.add((str(generation),), stats[field])
        yield family
