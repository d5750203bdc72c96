"""`acl`: who may ask what."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address

from nodecache.wire import Ede, ExtendedErrors, Query, Rcode

from .chain import Client, Result, Silence
from .dns_name import ZoneNames
from .records import reply_of

# Clients whose networks are remembered; a node has some hundred pods.
_MOST_CLIENTS = 4096

_FILTERED: ExtendedErrors = ((17, b""),)  # RFC 8914 §4.18
_BLOCKED: ExtendedErrors = ((Ede.BLOCKED, b""),)


class Action(Enum):
    """What becomes of a query that a policy matches."""

    ALLOW = "allow"
    BLOCK = "block"
    FILTER = "filter"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Policy:
    """One line: queries of `qtypes` (empty: of every type) from `networks` (empty: from anywhere)."""

    action: Action
    qtypes: frozenset[int] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def covers(self, host: str) -> bool:
        """Whether the client at `host` is in one of the networks."""
        if not self.networks:
            return True
        address = ip_address(host.partition("%")[0])
        return any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Rule:
    """One `acl` of a block: its policies, in order, for names in its zones."""

    zones: ZoneNames
    policies: tuple[Policy, ...]


class Acl:
    """Lets a query pass, or answers it with REFUSED, with nothing, or not at all."""

    name = "acl"

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.counts: dict[tuple[str, str, Action], int] = {}
        """Queries by server label, zone (empty for allowed ones) and what became of them."""
        self._rules = rules
        self._policies = [policy for rule in rules for policy in rule.policies]
        self._networks: dict[str, frozenset[int]] = {}

    def visit(self, query: Query, client: Client) -> Result | None:
        """What the first matching policy says; the first rule that decides ends it."""
        action, zone = self._decide(query, client)
        key = (client.server, zone, action)
        self.counts[key] = self.counts.get(key, 0) + 1
        if action is Action.ALLOW:
            return None
        if action is Action.DROP:
            return Silence.DROPPED
        is_blocked = action is Action.BLOCK
        return reply_of(
            query,
            rcode=Rcode.REFUSED if is_blocked else Rcode.NOERROR,
            flags=0,
            ede=_BLOCKED if is_blocked else _FILTERED,
            written_by=self.name,
        )

    def _decide(self, query: Query, client: Client) -> tuple[Action, str]:
        """What to do, and the zone of the rule that says so."""
        covering = self._covering(client.host)
        index = 0
        for rule in self._rules:
            zone = rule.zones.match(query.qname)
            for policy in rule.policies:
                is_asked = not policy.qtypes or query.qtype in policy.qtypes
                if zone is not None and is_asked and index in covering:
                    return policy.action, zone if policy.action is not Action.ALLOW else ""
                index += 1
        return Action.ALLOW, ""

    def _covering(self, host: str) -> frozenset[int]:
        """The policies whose networks hold `host`, by index; worked out once a client."""
        covering = self._networks.get(host)
        if covering is None:
            if len(self._networks) >= _MOST_CLIENTS:
                self._networks.clear()
            covering = frozenset(
                index for index, policy in enumerate(self._policies) if policy.covers(host)
            )
            self._networks[host] = covering
        return covering
