"""Which packets are not tracked and which are accepted: pure data, no command is run here.

The twelve rules for an address are the original's, table by table and in its order (contract
test: tests/contract/test_rules.py). Two matches are added, so that the rules stop matching by
themselves when the agent is gone, and kube-proxy's DNAT applies again without a clean-up. The address
must be local at that moment (the kernel removes a leased one), and, if the kernel can match on it, a socket
of ours must be bound for the packet.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from .options import Address, HostOptions

SKIP_CONNTRACK = "NodeLocal DNS Cache: skip conntrack"
ALLOW_TRAFFIC = "NodeLocal DNS Cache: allow DNS traffic"
FALL_BACK = "NodeLocal DNS Cache: fall back"


class FailOpen(enum.Enum):
    """What makes the rules stop matching when keeper and worker are dead."""

    SOCKET = "socket"  # no socket of ours is bound: at once
    LEASE = "lease"  # the kernel drops the address: when its lifetime ends


@dataclass(frozen=True, slots=True)
class Rule:
    """One packet rule: traffic to (`is_to`) or from `address` at `port`.

    `is_local_only` is the match on the address being local; the original's own rules, which we
    take over when a node migrates, have none. `is_away_only` is the opposite. `is_bound_only` is the
    match on a socket of ours. `to_address` is where target DNAT sends to; None means to one
    of the kube-dns pods.
    """

    table: str
    chain: str
    protocol: str
    is_to: bool
    address: Address
    port: int
    target: str
    comment: str
    is_local_only: bool = True
    is_away_only: bool = False
    is_bound_only: bool = False
    to_address: Address | None = None
    service: str = "dns"  # or "health": what listens at the port

    def __str__(self) -> str:
        side = "to" if self.is_to else "from"
        where = f"{self.table} {self.chain}"
        return f"{where} {self.protocol} {side} {self.address} port {self.port} {self.target}"

    @property
    def counter(self) -> str:
        """The count its packets belong to, the same for all addresses: `prerouting_udp_to_dns`."""
        prefix = "fallback_" if self.target == "DNAT" else ""
        side = "to" if self.is_to else "from"
        return f"{prefix}{self.chain.lower()}_{self.protocol}_{side}_{self.service}"


def rules_for(address: Address, dns_port: int, health_port: int) -> tuple[Rule, ...]:
    """Every rule one listen address needs, in the order they are ensured."""

    def both(
        table: str, chain_name: str, target: str, comment: str, *, is_to: bool
    ) -> tuple[Rule, Rule]:
        tcp = Rule(table, chain_name, "tcp", is_to, address, dns_port, target, comment)
        return tcp, replace(tcp, protocol="udp")

    def health(*, is_to: bool) -> Rule:
        rule = Rule("raw", "OUTPUT", "tcp", is_to, address, health_port, "NOTRACK", SKIP_CONNTRACK)
        return replace(rule, service="health")

    return (
        *both("raw", "PREROUTING", "NOTRACK", SKIP_CONNTRACK, is_to=True),
        *both("filter", "INPUT", "ACCEPT", ALLOW_TRAFFIC, is_to=True),
        *both("raw", "OUTPUT", "NOTRACK", SKIP_CONNTRACK, is_to=False),
        *both("filter", "OUTPUT", "ACCEPT", ALLOW_TRAFFIC, is_to=False),
        # clients in the host's own network
        *both("raw", "OUTPUT", "NOTRACK", SKIP_CONNTRACK, is_to=True),
        # the kubelet's liveness probe
        health(is_to=True),
        health(is_to=False),
    )


def own_client_rules(address: Address, dns_port: int) -> tuple[Rule, ...]:
    """The rules that clients in the host's own network need besides, where the host's filter may drop.

    Their packets pass OUTPUT and INPUT both ways, untracked, so that no "established" rule accepts
    the reply. The keeper's probe is such a client. The original has no such rules.
    """
    return tuple(
        Rule("filter", chain_name, protocol, is_to, address, dns_port, "ACCEPT", ALLOW_TRAFFIC)
        for chain_name, is_to in (("OUTPUT", True), ("INPUT", False))
        for protocol in ("tcp", "udp")
    )


def fallback_rules(
    address: Address, dns_port: int, to_address: Address | None, *, is_away_only: bool
) -> tuple[Rule, ...]:
    """Send queries that meet no socket to a kube-dns pod, or to the Service `to_address` without pods.

    Queries for which a socket of ours is bound are untracked, so DNAT does not apply to them. A Service can
    be the target in IPVS mode only: there its address is local (kube-ipvs0), so no DNAT of
    kube-proxy's has to follow ours.
    """
    targets = (None,) if to_address is None else (None, to_address)
    return tuple(
        Rule(
            "nat", chain_name, protocol, True, address, dns_port, "DNAT", FALL_BACK,
            is_local_only=False, is_away_only=is_away_only, to_address=target,
        )
        for chain_name in ("PREROUTING", "OUTPUT")
        for target in targets
        for protocol in ("tcp", "udp")
    )  # fmt: skip


def all_rules(options: HostOptions, fail_open: FailOpen) -> tuple[Rule, ...]:
    """The whole list for all listen addresses: all rules of the first, then of the second."""
    is_by_socket = fail_open is FailOpen.SOCKET
    ours = [
        replace(rule, is_bound_only=is_by_socket and rule.chain == "PREROUTING")
        for ip in options.addresses
        for rule in rules_for(ip, options.dns_port, options.health_port)
    ]
    return (*ours, *_fallbacks(options, fail_open, is_away_only=not is_by_socket))


def rules_left(options: HostOptions, fail_open: FailOpen) -> tuple[Rule, ...]:
    """What a clean stop leaves, until it expires: fallbacks that match only while the address is away.

    So they do not apply to an address that another program puts up, except where the address
    is always there, on an interface that is not ours.
    """
    is_by_lease = fail_open is FailOpen.LEASE
    is_away_only = options.setup_interface or is_by_lease
    return tuple(_fallbacks(options, fail_open, is_away_only=is_away_only))


def _fallbacks(options: HostOptions, fail_open: FailOpen, *, is_away_only: bool) -> Iterable[Rule]:
    """The fallbacks of all addresses; with FailOpen.LEASE, of those with a `-fallback` Service."""
    return chain.from_iterable(
        fallback_rules(ip, options.dns_port, options.fallback_of(ip), is_away_only=is_away_only)
        for ip in options.addresses
        if fail_open is FailOpen.SOCKET or options.fallback_of(ip) is not None
    )
