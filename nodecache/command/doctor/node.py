"""Checks of the node's kernel: link, addresses, packet rules, connection tracking."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from nodecache.host import netlink
from nodecache.host.nft_script import TABLE
from nodecache.host.nftables import nft_entries
from nodecache.host.rules import SKIP_CONNTRACK

from .findings import Finding, broken, look, ok
from .others import RULES, host_tables
from .subject import Subject

INTERFACE = "interface"
CONNTRACK = "conntrack"
KERNEL = "kernel"
_LIST = ("nft", "-j", "list")
_MUCH = 0.9
_FLOW_SECONDS = 180.0  # nf_conntrack_udp_timeout_stream is 120, and a query may come at its start
_PIDFD_SINCE = (5, 3)
_RESTART = "kubectl -n kube-system rollout restart ds/node-local-dns"


def check_interface(subject: Subject) -> Iterator[Finding]:
    """The link and the addresses on it."""
    flags = subject.flags
    if not flags.setup_interface or subject.metrics is None:
        return
    try:
        held = netlink.addresses_on(flags.interface_name)
    except OSError:
        return
    if held is None:
        yield broken(
            INTERFACE,
            f"there is no interface {flags.interface_name}",
            "nobody answers at the agent's addresses",
            f"{_RESTART}; where the kernel has no dummy links, -interfacekind bridge",
        )
        return
    there = {each.address for each in held}
    missing = [str(address) for address in flags.local_ips if address not in there]
    if missing:
        yield broken(
            INTERFACE,
            f"{flags.interface_name} lacks {' '.join(missing)}",
            "what they ask there goes to kube-dns, or to nobody",
            "it is put back within -syncinterval while the worker answers: see the agent's log",
        )
    else:
        yield ok(INTERFACE, f"{flags.interface_name} has {' '.join(map(str, flags.local_ips))}")


def check_kernel(subject: Subject) -> Iterator[Finding]:
    """The kernel's features that the agent uses, and those it does without."""
    release = subject.read("/proc/sys/kernel/osrelease")
    if release is None or subject.metrics is None:
        return
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    by_socket = subject.metrics.total("nodecache_rules_info", fail_open="socket")
    features = {
        "nftables": subject.run((*_LIST, "tables")) is not None,
        "packet rules that match on sockets": bool(by_socket) or subject.flags.rules == "none",
        "pidfd": version >= _PIDFD_SINCE,
    }
    lacking = [name for name, is_there in features.items() if not is_there]
    does = f"does without {', '.join(lacking)}" if lacking else "has all that the agent uses"
    yield ok(KERNEL, f"{release.strip()} {does}")


def check_rules(subject: Subject) -> Iterator[Finding]:
    """Our rules, and what they fail open by."""
    metrics = subject.metrics
    if metrics is None or subject.flags.rules == "none":
        return
    backend, fails_by = next(
        (
            (labels.get("backend", ""), labels.get("fail_open", ""))
            for labels, value in metrics.each("nodecache_rules_info")
            if value
        ),
        ("", ""),
    )
    if not backend or backend == "none":
        yield broken(
            RULES,
            "the agent has put no packet rules there",
            "DNS goes through connection tracking, or past the agent",
            "NET_ADMIN for the container, nftables or iptables in the kernel; see the agent's log",
        )
        return
    listing = subject.run((*_LIST, "tables")) if backend == "nftables" else None
    if listing is not None and TABLE not in _names(listing):
        yield broken(
            RULES,
            f"table {TABLE} is gone",
            "DNS goes through connection tracking, or past the agent",
            "it is put back within -syncinterval; find who flushes: nft monitor",
        )
        return
    named = _addresses_with_rules(subject, backend)
    own = [str(address) for address in subject.flags.local_ips]
    if named is not None and (missing := [each for each in own if each not in named]):
        yield broken(
            RULES,
            f"{backend}, and no rule for {' '.join(missing)}",
            "what they ask there goes through connection tracking, or past the agent",
            f"it is put back within -syncinterval; find who changes them: nft monitor; else {_RESTART}",
        )
        return
    if fails_by == "lease":
        yield look(
            RULES,
            f"{backend}, and the kernel cannot match on sockets",
            "when everything of the agent dies they wait for the end of the lease",
            f"modprobe {'nft_socket' if backend == 'nftables' else 'xt_socket'}",
        )
    else:
        yield ok(RULES, f"{backend}, fail open by the {fails_by}")


def _names(listing: str) -> set[str]:
    """The tables in a list of them, as `inet nodecache`."""
    return {f"{each['family']} {each['name']}" for each in nft_entries(listing, "table")}


def _addresses_with_rules(subject: Subject, backend: str) -> set[str] | None:
    """Every address that a rule of ours names; None where rules cannot be listed."""
    if backend == "nftables":
        listing = subject.run((*_LIST, "table", *TABLE.split()))
        sets = nft_entries(listing, "set")
        return (
            None if listing is None else {str(e) for found in sets for e in found.get("elem", ())}
        )
    tables = host_tables(subject)
    rules = (rule for table in tables for chain in table.chains.values() for rule in chain.rules)
    ours = (rule for rule in rules if SKIP_CONNTRACK in rule.text)
    return (
        {str(address) for rule in ours for address in rule.addresses("daddr")} if tables else None
    )


def check_conntrack(subject: Subject) -> Iterator[Finding]:
    """Room in the table, and entries of DNS that the rules should prevent."""
    count = _number(subject.read("/proc/sys/net/netfilter/nf_conntrack_count"))
    limit = _number(subject.read("/proc/sys/net/netfilter/nf_conntrack_max"))
    if not limit:
        return
    if count > _MUCH * limit:
        yield look(
            CONNTRACK,
            f"its table is nearly full: {count} of {limit}",
            "new connections through this node are dropped, also to kube-dns",
            "sysctl -w net.netfilter.nf_conntrack_max=…, and look for who holds the entries",
        )
    if failed := _insert_failures(subject.read("/proc/net/stat/nf_conntrack") or ""):
        yield look(
            CONNTRACK,
            f"{failed} entries could not be inserted since the node started",
            "a DNS answer was lost each time, for those who ask past the agent",
            "nothing, if it does not grow; else see that pods' queries reach the agent (rules above)",
        )
    tracked = _tracked(subject.read("/proc/net/nf_conntrack") or "", subject)
    if subject.metrics is not None and subject.metrics.age_seconds() < _FLOW_SECONDS:
        tracked = 0  # begun before the agent was there
    if tracked:
        yield look(
            CONNTRACK,
            f"{tracked} flows to the agent's addresses are tracked",
            "they were sent to kube-dns while the agent was away, or go past it",
            "nothing, if they end within two minutes; else check the rules above",
        )
    if count <= _MUCH * limit and not failed and not tracked:
        yield ok(CONNTRACK, f"{count} of {limit} entries, none of DNS to the agent")


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else 0


def _insert_failures(text: str) -> int:
    """The sum over all processors of the column `insert_failed`, which is in hex."""
    lines = [line.split() for line in text.splitlines()]
    if not lines or "insert_failed" not in lines[0]:
        return 0
    column = lines[0].index("insert_failed")
    return sum(int(line[column], 16) for line in lines[1:] if len(line) > column)


def _tracked(text: str, subject: Subject) -> int:
    """Lines of /proc/net/nf_conntrack whose first tuple is DNS to an address of ours, not from the agent itself."""
    own = {str(address) for address in subject.flags.local_ips}
    count = 0
    for line in text.splitlines():
        first: dict[str, str] = {}
        for word in line.split():
            key, _, value = word.partition("=")
            first.setdefault(key, value)
        to, origin = _address(first.get("dst", "")), _address(first.get("src", ""))
        count += (
            to in own and origin not in own and first.get("dport") == str(subject.flags.dns_port)
        )
    return count


def _address(text: str) -> str:
    """An address in its usual form: the kernel writes IPv6 addresses in full."""
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
