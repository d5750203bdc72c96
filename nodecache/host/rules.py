"""Which packets are not tracked and which are accepted: pure data, no command is run here.

The twelve rules for an address are the original's, table by table and in its order (contract
test: tests/contract/test_rules.py). One match is added: the address must be local *now*. So
when the kernel drops a leased address, the rules stop matching by themselves, and whatever the
cluster does with that address (kube-proxy's DNAT) applies again, with nobody left to clean up.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from .options import Address, HostOptions

SKIP_CONNTRACK = "NodeLocal DNS Cache: skip conntrack"
ALLOW_TRAFFIC = "NodeLocal DNS Cache: allow DNS traffic"
FALL_BACK = "NodeLocal DNS Cache: fall back to the Service"


@dataclass(frozen=True, slots=True)
class Rule:
    """One packet rule: traffic to (`is_to`) or from `address` at `port`.

    `is_local_only` is the match on the address being local; the original's own rules, which we
    take over when a node migrates, have none. `to_address` is set for target DNAT alone, and
    then the match is the opposite: only while the address is *not* local.
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
    to_address: Address | None = None
    service: str = "dns"  # or "health": what listens at the port

    def __str__(self) -> str:
        side = "to" if self.is_to else "from"
        where = f"{self.table} {self.chain}"
        return f"{where} {self.protocol} {side} {self.address} port {self.port} {self.target}"

    @property
    def counter(self) -> str:
        """The count its packets belong to, the same for all addresses: `prerouting_udp_to_dns`."""
        prefix = "fallback_" if self.to_address is not None else ""
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
    """What clients in the host's own network need besides, where the host's filter may drop.

    Their packets pass OUTPUT and INPUT both ways, untracked, so that no "established" rule lets
    the reply in. The keeper's probe is such a client. The original has no such rules.
    """
    return tuple(
        Rule("filter", chain_name, protocol, is_to, address, dns_port, "ACCEPT", ALLOW_TRAFFIC)
        for chain_name, is_to in (("OUTPUT", True), ("INPUT", False))
        for protocol in ("tcp", "udp")
    )


def fallback_rules(address: Address, to_address: Address, dns_port: int) -> tuple[Rule, ...]:
    """Send a link-local address's queries to the Service while nobody holds the address.

    For IPVS mode only: there the Service address is local (kube-ipvs0), so no DNAT of
    kube-proxy's has to follow ours.
    """
    return tuple(
        Rule(
            "nat", chain_name, protocol, True, address, dns_port, "DNAT", FALL_BACK,
            to_address=to_address,
        )
        for chain_name in ("PREROUTING", "OUTPUT")
        for protocol in ("tcp", "udp")
    )  # fmt: skip


def all_rules(options: HostOptions) -> tuple[Rule, ...]:
    """The whole list for all listen addresses: all rules of the first, then of the second."""
    ours = (rules_for(ip, options.dns_port, options.health_port) for ip in options.addresses)
    fallbacks = (
        fallback_rules(ip, to_address, options.dns_port)
        for ip in options.addresses
        if (to_address := options.fallback_of(ip)) is not None
    )
    return (*chain.from_iterable(ours), *chain.from_iterable(fallbacks))


def as_the_original(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same rules as the original writes them: without the match on the address being local."""
    return tuple(replace(rule, is_local_only=False) for rule in rules if rule.target != "DNAT")
