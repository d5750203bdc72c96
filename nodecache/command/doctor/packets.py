"""What the host's rules do to a packet, found out without sending one.

A rule may match on what is not known here (the client's address, a mark, a set's elements): then it fits
perhaps. Certain and possible drops are kept apart.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from nodecache.host.options import Address

_MAX_DEPTH = 16  # of jumps, as in the kernel (NFT_JUMP_STACK_SIZE)
_MAX_RULES = 10_000  # looked at for one packet: then no more is said of it


@dataclass(frozen=True, slots=True)
class Packet:
    """A query to (`is_to`) or a reply from an address of the agent's; the client is anybody."""

    protocol: str
    address: Address
    port: int
    is_to: bool

    @property
    def states(self) -> frozenset[str]:
        """The states that connection tracking may give it, if our rules do not keep it out."""
        return frozenset(("untracked", "new" if self.is_to else "established"))


@dataclass(frozen=True, slots=True)
class Condition:
    """One match of a rule. A key that is not known here fits perhaps."""

    key: str
    values: tuple[str, ...] = ()
    is_negated: bool = False

    def fits(self, packet: Packet) -> bool | None:
        """None for perhaps."""
        met = self._is_met(packet)
        return met if met is None else met is not self.is_negated

    def _is_met(self, packet: Packet) -> bool | None:
        met: bool | None = None
        match self.key:
            case "protocol":
                met = packet.protocol in self.values
            case "family":
                met = f"ipv{packet.address.version}" in self.values
            case "daddr" | "saddr" if (self.key == "daddr") is packet.is_to:
                met = _is_in_any(packet.address, self.values)
            case "dport" | "sport" if (self.key == "dport") is packet.is_to:
                met = any(_is_in_range(packet.port, each) for each in self.values)
            case "interface" if self.values == ("lo",):
                met = False  # it goes to a pod, or comes from one
            case "status":
                met = False  # of an entry that it has not
            case "state":
                met = _share(packet.states, self.values)
        return met

    def is_about(self, packet: Packet) -> bool:
        """Whether it matches DNS or the agent's address in particular."""
        is_port = self.key in ("dport", "sport")
        is_host = self.key in ("daddr", "saddr") and str(packet.address) in self.values
        return (is_port or is_host) and not self.is_negated and self.fits(packet) is True


def _is_in_any(address: Address, networks: tuple[str, ...]) -> bool | None:
    try:
        return any(address in ip_network(each, strict=False) for each in networks)
    except ValueError:  # a name, a range, a set
        return None


def _is_in_range(port: int, text: str) -> bool:
    low, _, high = text.partition("-")
    return low.isdecimal() and int(low) <= port <= int(high if high.isdecimal() else low)


def _share(states: frozenset[str], wanted: tuple[str, ...]) -> bool | None:
    found = states.intersection(wanted)
    return None if found and found != states else bool(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`does` is accept, drop, return, jump, goto, notrack, or "" for what changes no packet's way."""

    chain: str
    conditions: tuple[Condition, ...]
    does: str
    target: str = ""
    text: str
    """As `iptables -S` lists it, or where nft has it."""
    handle: int = 0
    """nft's number of it."""

    def fits(self, packet: Packet) -> bool | None:
        """None for perhaps."""
        fitting = [condition.fits(packet) for condition in self.conditions]
        if False in fitting:
            return False
        return None if None in fitting else True

    def is_about(self, packet: Packet) -> bool:
        """Whether it matches DNS or the agent's address in particular."""
        return any(condition.is_about(packet) for condition in self.conditions)

    def addresses(self, key: str) -> Iterator[Address]:
        """The single addresses that it names."""
        for condition in self.conditions:
            if condition.key == key and not condition.is_negated:
                for each in condition.values:
                    try:
                        yield ip_address(each)
                    except ValueError:
                        continue


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """`hook` is "" for one that is jumped to."""

    rules: tuple[Rule, ...]
    hook: str = ""
    policy: str = "accept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`program` lists and changes it: nft, or one of iptables' names."""

    program: str
    family: str
    name: str
    chains: Mapping[str, Chain]

    @property
    def versions(self) -> tuple[int, ...]:
        """Of the packets that pass it."""
        return {"ip": (4,), "ip6": (6,)}.get(self.family, (4, 6))


@dataclass(frozen=True, slots=True)
class Drop:
    """A rule that drops a packet, certainly or perhaps."""

    rule: Rule
    is_sure: bool


def drops(table: Table, base: str, packet: Packet) -> list[Drop]:
    """The rules that drop `packet` in a base chain and the chains it jumps to; empty if none is known."""
    traversal = _Traversal(table, packet)
    verdict = traversal.follow(base, is_sure=True)
    chain = table.chains[base]
    if not verdict and chain.policy == "drop" and traversal.left:
        policy = Rule(chain=base, conditions=(), does="drop", text="policy drop")
        traversal.dropped_by = policy
    if traversal.dropped_by is not None:
        return [Drop(traversal.dropped_by, not traversal.may_be_accepted)]
    return [Drop(rule, is_sure=False) for rule in dict.fromkeys(traversal.suspects)]


class _Traversal:
    """Follows a packet through chains. `follow` returns accept or drop if that is certain."""

    def __init__(self, table: Table, packet: Packet) -> None:
        self._table = table
        self._packet = packet
        self.left = _MAX_RULES
        self.may_be_accepted = False
        self.suspects: list[Rule] = []
        self.dropped_by: Rule | None = None

    def follow(self, name: str, *, is_sure: bool, depth: int = 0) -> str:
        chain = self._table.chains.get(name)
        for rule in chain.rules if chain is not None and depth < _MAX_DEPTH else ():
            if not self.left:
                return "accept"
            self.left -= 1
            fits = rule.fits(self._packet)
            if fits is False:
                continue
            is_met = is_sure and fits is True
            if verdict := self._verdict(rule, is_met=is_met, depth=depth):
                return verdict
            if rule.does in ("return", "goto"):
                if is_met:
                    return ""
                is_sure = False
        return ""

    def _verdict(self, rule: Rule, *, is_met: bool, depth: int) -> str:
        if rule.does in ("jump", "goto"):
            return self.follow(rule.target, is_sure=is_met, depth=depth + 1)
        if rule.does == "accept" and not is_met:
            self.may_be_accepted = True
        elif rule.does == "drop" and is_met:
            self.dropped_by = rule
        elif rule.does == "drop" and rule.is_about(self._packet):
            self.suspects.append(rule)
        return rule.does if is_met and rule.does in ("accept", "drop") else ""
