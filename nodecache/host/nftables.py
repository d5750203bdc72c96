"""The rules as one nftables table of our own, replaced whole in one transaction.

`nft -f -` applies its input completely or not at all and takes no xtables lock. Addresses and
ports are named sets, so the rules are few whatever the number of addresses. Accepting is not done
here: an accept in our table would not overrule a drop in another one (see foreign.py).
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .commands import Command, Job
from .options import HostOptions, of_version
from .rules import Rule, all_rules

log = logging.getLogger(__name__)

TABLE = "inet nodecache"
NFT = "nft"
_LIST = Command((NFT, "-j", "list", "table", *TABLE.split()))
_HOOKS = {"PREROUTING": "prerouting", "OUTPUT": "output"}
# The original's rules stand in the raw table; a DNAT has to come before kube-proxy's (-100).
_PRIORITIES = {"raw": ("filter", "raw"), "nat": ("nat", "-105")}


class RulesError(Exception):
    """The packet rules could not be brought to the wanted state; tried again later.

    `errortype` is the label under which it is counted: "iptables" or "iptables_lock".
    """

    def __init__(self, text: str, errortype: str = "iptables") -> None:
        super().__init__(text)
        self.errortype = errortype


def table_script(
    options: HostOptions, packets: dict[str, int] | None = None, *, is_for_replies: bool = False
) -> str:
    """What `nft -f -` reads to replace our table; counters go on from `packets`.

    `is_for_replies`: only with the rules for what we still answer.
    """
    rules = [
        rule
        for rule in all_rules(options)
        if rule.table in _PRIORITIES and not (is_for_replies and rule.is_to)
    ]
    lines = [f"add table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"]
    for version in (4, 6):
        addresses = of_version(options.addresses, version)
        lines += _set(f"addresses{version}", f"ipv{version}_addr", addresses)
    lines += _set("dns_ports", "inet_service", (options.dns_port,))
    lines += _set("health_ports", "inet_service", (options.health_port,))
    for name in dict.fromkeys(rule.counter for rule in rules):
        lines.append(f"\tcounter {name} {{ packets {(packets or {}).get(name, 0)} bytes 0 }}")
    for table, chain in dict.fromkeys((rule.table, rule.chain) for rule in rules):
        lines += _chain(table, chain, [r for r in rules if (r.table, r.chain) == (table, chain)])
    return "\n".join([*lines, "}", ""])


def remove_script() -> str:
    """What `nft -f -` reads to be rid of our table, there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


@dataclass(frozen=True, slots=True)
class Listing:
    """Our table as `nft -j list table` tells it. `shape` is all but counts and handles."""

    shape: str
    packets: dict[str, int]


def read_listing(text: str) -> Listing | None:
    """What nft listed; None for no table, or for words that are no listing."""
    try:
        entries = [entry for entry in json.loads(text)["nftables"] if "metainfo" not in entry]
        counters = [entry["counter"] for entry in entries if "counter" in entry]
        packets = {counter["name"]: int(counter["packets"]) for counter in counters}
    except (ValueError, KeyError, TypeError):
        return None
    return Listing(json.dumps([_shape(entry) for entry in entries]), packets)


def _shape(entry: Any) -> Any:
    if isinstance(entry, dict):
        changing = ("handle", "packets", "bytes")
        return {key: _shape(value) for key, value in entry.items() if key not in changing}
    return [_shape(one) for one in entry] if isinstance(entry, list) else entry


class NftTable:
    """Our table. Its jobs raise RulesError."""

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self._shape = ""  # our table as nft told it right after we had put it there
        self.packets: dict[str, int] = {}
        self.repairs = 0

    def ensure(self) -> Job:
        """Put the table there if it is not, or not as we left it; read its counters."""
        listing = read_listing((yield _LIST).stdout)
        if listing is not None and listing.shape == self._shape:
            self.packets.update(listing.packets)
            return
        if self._shape:
            self.repairs += 1
            log.info("putting back table %s: it was changed or removed", TABLE)
        script = table_script(self._options, self.packets)
        applied = yield Command((NFT, "-f", "-"), stdin=script)
        if not applied.is_ok:
            raise RulesError(f"nft: {applied.reason}; -rules iptables or none does without it")
        listing = read_listing((yield _LIST).stdout)
        self._shape = listing.shape if listing is not None else ""

    def turn_away(self) -> Job:
        """Draw no more queries; replies go their way untouched."""
        self._shape = ""
        script = table_script(self._options, self.packets, is_for_replies=True)
        applied = yield Command((NFT, "-f", "-"), stdin=script)
        if not applied.is_ok:
            raise RulesError(f"nft: {applied.reason}")

    def remove(self) -> Job:
        """Delete the table; one that is gone is fine."""
        self._shape = ""
        removed = yield Command((NFT, "-f", "-"), stdin=remove_script())
        if not removed.is_ok:
            raise RulesError(f"nft: {removed.reason}")


def _set(name: str, kind: str, elements: Iterable[object]) -> list[str]:
    texts = ", ".join(str(element) for element in elements)
    inside = f" elements = {{ {texts} }};" if texts else ""
    return [f"\tset {name} {{ type {kind};{inside} }}"]


def _chain(table: str, chain: str, rules: list[Rule]) -> list[str]:
    kind, priority = _PRIORITIES[table]
    hook = _HOOKS[chain]
    lines = [f"\t\ttype {kind} hook {hook} priority {priority}; policy accept;"]
    lines += dict.fromkeys(_rule(rule) for rule in rules)
    return [f"\tchain {table}_{hook} {{", *lines, "\t}"]


def _rule(rule: Rule) -> str:
    """One line; equal for rules that differ in their address alone, which is in a set."""
    version = rule.address.version
    family = "ip" if version == 4 else "ip6"
    address, port = ("daddr", "dport") if rule.is_to else ("saddr", "sport")
    count = f'counter name "{rule.counter}"'
    comment = f'comment "{rule.comment}"'
    match = f"{rule.protocol} {port} @{rule.service}_ports fib {address} type"
    if rule.to_address is not None:  # by address: a set of ours may hold others as well
        to_address = f"[{rule.to_address}]" if version == 6 else str(rule.to_address)
        verdict = f"dnat {family} to {to_address}:{rule.port}"
        return f"\t\t{family} {address} {rule.address} {match} != local {count} {verdict} {comment}"
    return f"\t\t{family} {address} @addresses{version} {match} local {count} notrack {comment}"
