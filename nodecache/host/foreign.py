"""Accept rules in the host's own filter chains, where those may drop our packets.

An accept ends the evaluation of one base chain; a drop in any other still wins, so accepting in a table of
our own is not enough. Where a chain of the host at the input or output hook has the policy
drop, or a rule that may lead to a drop, our accept rules are inserted at its head. Chains of the host that
cannot drop, and kube-proxy's own, are not changed.
"""

import logging
from dataclasses import dataclass
from typing import Any

from .commands import NOT_FOUND, Command, Job, Result
from .iptables import VARIANTS, Iptables, binary, problem, read_listing
from .legacy import legacy_tables
from .nftables import NFT, NOT_THE_HOSTS, RulesError, nft_entries
from .options import HostOptions
from .rules import ALLOW_TRAFFIC, FailOpen, Rule, all_rules, own_client_rules

log = logging.getLogger(__name__)

_HOOKS = {"input": "INPUT", "output": "OUTPUT"}
_FAMILIES = {"ip": (4,), "ip6": (6,), "inet": (4, 6)}
_IPTABLES_TABLES = {"filter", "nat", "mangle", "raw", "security"}
_HARMLESS_TARGETS = {"ACCEPT", "RETURN", "LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", ""}
_MAY_DROP = {"drop", "reject", "jump", "goto", "queue"}


@dataclass(frozen=True, slots=True)
class Chain:
    """A base chain of the host at the input or output hook."""

    family: str
    table: str
    name: str
    hook: str
    policy: str

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.name}"


def chain_may_drop(listing: str) -> bool:
    """Whether what `iptables -S CHAIN` prints can drop a packet, our own rules aside."""
    for line in listing.splitlines():
        words = line.split()
        if words[:1] == ["-P"] and words[2] != "ACCEPT":
            return True
        if (
            words[:1] == ["-A"]
            and ALLOW_TRAFFIC not in line
            and _target(words) not in _HARMLESS_TARGETS
        ):
            return True
    return False


def _target(words: list[str]) -> str:
    """The target of a listed rule; RETURN for kube-proxy's chains, which drop tracked packets only."""
    for option in ("-j", "-g"):
        if option in words:
            target = words[words.index(option) + 1]
            return "RETURN" if target.startswith("KUBE-") else target
    return ""


def host_chains(text: str) -> list[Chain]:
    """The host's own filter chains at input and output, in the output of `nft -j list chains`."""
    chains = []
    for chain in nft_entries(text, "chain"):
        is_filter = chain.get("type") == "filter" and chain.get("hook") in _HOOKS
        family, table = chain.get("family", ""), chain.get("table", "")
        is_iptables = family != "inet" and table in _IPTABLES_TABLES and chain["name"].isupper()
        is_the_hosts = f"{family} {table}" not in NOT_THE_HOSTS and family in _FAMILIES
        if is_filter and is_the_hosts and not is_iptables:
            policy = chain.get("policy", "accept")
            chains.append(Chain(family, table, chain["name"], chain["hook"], policy))
    return chains


def ours_listed(text: str) -> tuple[dict[str, list[int]], bool]:
    """Our rules in the output of `nft -j -a list chain …` (comment → handles); whether others may drop."""
    ours: dict[str, list[int]] = {}
    may_drop = False
    for rule in nft_entries(text, "rule"):
        comment = str(rule.get("comment", ""))
        if comment.startswith(ALLOW_TRAFFIC):
            ours.setdefault(comment, []).append(rule["handle"])
        else:
            may_drop = may_drop or _names(rule.get("expr")) & _MAY_DROP != set()
    return ours, may_drop


def _names(expression: Any) -> set[str]:
    """Every key in a nested expression: a verdict may be deep in a map."""
    if isinstance(expression, dict):
        return set(expression).union(*(_names(value) for value in expression.values()))
    if isinstance(expression, list):
        return set().union(*(_names(value) for value in expression))
    return set()


def accept_rule(rule: Rule) -> tuple[str, str]:
    """One accept rule in nft's syntax, and the comment that identifies it."""
    family = "ip" if rule.address.version == 4 else "ip6"
    address, port = ("daddr", "dport") if rule.is_to else ("saddr", "sport")
    side = "to" if rule.is_to else "from"
    comment = f"{ALLOW_TRAFFIC} ({rule.protocol} {side} {rule.address})"
    match = f"{family} {address} {rule.address} {rule.protocol} {port} {rule.port}"
    return f'{match} fib {address} type local accept comment "{comment}"', comment


class ForeignFilters:
    """Our accept rules in the host's filter chains. Jobs raise RulesError."""

    def __init__(self, options: HostOptions, *, has_nft: bool) -> None:
        listed = tuple(
            rule for rule in all_rules(options, FailOpen.LEASE) if rule.table == "filter"
        )
        clients = (own_client_rules(ip, options.dns_port) for ip in options.addresses)
        self._own_clients = tuple(rule for rules in clients for rule in rules)
        self.rules = (*listed, *self._own_clients)
        self._has_nft = has_nft
        self._own_variant = ""  # where the iptables backend has `listed` in any case
        self._sets: dict[tuple[str, int, str], Iptables] = {}
        self._placed: set[str] = set()  # the chains that hold our rules
        self.watched = {("filter", "INPUT"), ("filter", "OUTPUT")}  # (table, chain) of interest
        self.repairs = 0

    def use_iptables(self, variant: str, rules: tuple[Rule, ...], *, has_nft: bool) -> None:
        """The iptables backend keeps `rules` in `variant`: leave them to it, and watch their chains."""
        self._own_variant = variant
        self._has_nft = has_nft
        self.watched |= {(rule.table, rule.chain) for rule in rules}

    def ensure(self) -> Job:
        """Have our accept rules where something may drop, and nowhere else."""
        yield from self._visit(self.rules)

    def remove(self) -> Job:
        """Remove them everywhere."""
        yield from self._visit(())

    def _visit(self, rules: tuple[Rule, ...]) -> Job:
        chains = ""
        if self._has_nft:
            listed = yield Command((NFT, "-j", "list", "chains"))
            if listed.code is None:
                raise RulesError(f"nft: chains: {listed.reason}")
            chains = listed.stdout
        found = host_chains(chains)
        self.watched |= {(chain.table, chain.name) for chain in found}
        for chain in found:
            yield from self._visit_chain(chain, rules)
        for variant in VARIANTS:  # legacy last: its lock may be taken
            for version in (4, 6):
                if self._is_in_use(variant, version, chains):
                    yield from self._visit_iptables(variant, version, is_wanted=bool(rules))

    def _is_in_use(self, variant: str, version: int, chains: str) -> bool:
        if variant == "legacy":
            return "filter" in legacy_tables(version)
        if not self._has_nft:
            return True
        family = "ip" if version == 4 else "ip6"
        found = nft_entries(chains, "chain")
        return any((c.get("family"), c.get("table")) == (family, "filter") for c in found)

    def _visit_iptables(self, variant: str, version: int, *, is_wanted: bool) -> Job:
        is_own = variant == self._own_variant
        rules = self._own_clients if is_own else self.rules
        kept = tuple(rule for rule in self.rules if rule not in rules)
        for chain in _HOOKS.values():
            fitting = tuple(r for r in rules if r.chain == chain and r.address.version == version)
            if not fitting:
                continue
            listing = (binary(variant, version), "-w", "5", "-S", chain, "-t", "filter")
            listed = yield Command(listing)
            if listed.code in (1, NOT_FOUND):
                continue  # nft's own chain of that name, or no such program in this image
            if not listed.is_ok:
                raise problem(listed, f"filter {chain}")
            key = (variant, version, chain)
            if is_wanted and chain_may_drop(listed.stdout):
                accepts = self._sets.setdefault(key, Iptables(variant, fitting))
                before = accepts.repairs
                yield from accepts.ensure()
                self.repairs += accepts.repairs - before
                self._place(f"filter {chain} ({binary(variant, version)})")
            elif read_listing("filter", listed.stdout):
                self._sets.pop(key, None)
                self._placed.clear()
                addresses = tuple(dict.fromkeys(rule.address for rule in fitting))
                yield from Iptables(variant, fitting).remove(
                    addresses, keep=kept, chains=(("filter", chain),)
                )

    def _visit_chain(self, chain: Chain, rules: tuple[Rule, ...]) -> Job:
        listed = yield Command((NFT, "-j", "-a", "list", "chain", *str(chain).split()))
        if listed.code is None:  # a chain that is gone is fine
            raise RulesError(f"nft: {chain}: {listed.reason}")
        ours, may_drop = ours_listed(listed.stdout)
        wanted: dict[str, str] = {}
        if may_drop or chain.policy == "drop":
            wanted = {comment: text for text, comment in map(accept_rule, _fitting(chain, rules))}
        script = [f"insert rule {chain} {text}" for c, text in wanted.items() if c not in ours]
        if script:
            self.repairs += str(chain) in self._placed
            self._place(str(chain))
        for comment, handles in ours.items():
            doomed = handles[1:] if comment in wanted else handles
            script += [f"delete rule {chain} handle {handle}" for handle in doomed]
        if script:
            yield from _apply(script)

    def _place(self, chain: str) -> None:
        if chain not in self._placed:
            self._placed.add(chain)
            log.info("%s may drop: accepting the listen addresses' traffic there", chain)


def _fitting(chain: Chain, rules: tuple[Rule, ...]) -> list[Rule]:
    return [
        rule
        for rule in rules
        if rule.chain == _HOOKS[chain.hook] and rule.address.version in _FAMILIES[chain.family]
    ]


def _apply(script: list[str]) -> Job:
    applied: Result = yield Command((NFT, "-f", "-"), stdin="\n".join([*script, ""]))
    if not applied.is_ok:
        raise RulesError(f"nft: {applied.reason}")
