"""Our nftables table as the text that `nft -f -` reads: pure.

Addresses and ports are named sets, so the rules are few whatever the number of addresses. Sets
whose elements have a timeout are filled by packets, or renewed by us: what nobody renews is gone
by itself. Rules that fail open (FailOpen.SOCKET) are made of four of these:

- prerouting takes a query out of conntrack only while a socket of ours is bound for it;
- `elsewhere` are the TCP connections that began while there was none: their packets stay tracked
  when we are back, so that conntrack goes on sending them where they began;
- `answering` are the addresses at which the worker answered this node within the last seconds.
  Its replies over lo put them there, and the kernel's own refusal (ICMP port unreachable, RST) takes
  them out. The output hook cannot look for a listening socket, so the node's own queries stay
  tracked unless their address is in it;
- `dns_pods` are the numbered kube-dns pods to which queries go that nobody else would take.

At a clean stop no query is drawn any more: the keeper takes the mark from its sockets, and `answering` is empty
and stays so. Connections under way still meet a marked socket. At last the fallbacks and `elsewhere`
are left alone, for addresses that expire: after LIST_SECONDS the table matches nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .options import HostOptions, of_version
from .pods import LIST_SECONDS, SLOTS
from .probe import PROBE_PRIORITY
from .rules import FailOpen, Rule, all_rules, rules_left

TABLE = "inet nodecache"
ELSEWHERE_SECONDS = 120  # kube-dns closes idle connections after ten; each packet renews it
MAX_ELSEWHERE = 16384  # connections; more than these break when we are back
ANSWERING_SECONDS = 3  # the worker is probed every second
MAX_ANSWERING = 256  # addresses

_HOOKS = {"PREROUTING": "prerouting", "OUTPUT": "output"}
# The original's rules stand in the raw table. Fallbacks come after kube-proxy's DNAT (-100), whose
# knowledge of pods is fresher than ours: a packet that it has translated meets them no more.
_PRIORITIES = {"raw": ("filter", "raw"), "nat": ("nat", "-95")}
_MASQUERADE = "nat hook postrouting priority 99"  # before kube-proxy's, which marks what it masks
_FAMILIES = {4: "ip", 6: "ip6"}
_PODS = "dns_pods"
_UNREACHABLE = {
    4: "icmp type destination-unreachable icmp code port-unreachable",
    6: "icmpv6 type destination-unreachable icmpv6 code port-unreachable",
}
_SYN = "tcp flags & (fin | syn | rst | ack) == syn"


@dataclass(slots=True)
class Contents:
    """The contents of the table that outlive a replacement of its rules.

    `packets` by counter; `elements` by the name of a set or map with timeouts, in nft's words.
    """

    packets: dict[str, int] = field(default_factory=dict)
    elements: dict[str, list[str]] = field(default_factory=dict)


def table_script(
    options: HostOptions,
    fail_open: FailOpen,
    contents: Contents | None = None,
    *,
    is_draining: bool = False,
) -> str:
    """The text that replaces our table, in one transaction; counters and sets begin as `contents`.

    `is_draining`: replies keep their rules, and no query matches once the sockets have lost their mark.
    """
    contents = contents or Contents()
    is_by_socket = fail_open is FailOpen.SOCKET
    draws = not is_draining or is_by_socket
    rules = [
        rule
        for rule in all_rules(options, fail_open)
        if rule.table in _PRIORITIES and (draws or rule.table != "raw" or not rule.is_to)
    ]
    lines = _head(options)
    for version in (4, 6):
        addresses = of_version(options.addresses, version)
        lines += _set(f"addresses{version}", f"ipv{version}_addr", addresses)
    lines += _named(rules, contents, is_by_socket=is_by_socket)
    versions = _versions(rules)
    for table, chain in dict.fromkeys((rule.table, rule.chain) for rule in rules):
        inside = [_rule(rule) for rule in rules if (rule.table, rule.chain) == (table, chain)]
        if table == "raw" and is_by_socket:
            before = [text for v in versions for text in _before(chain, v, is_draining=is_draining)]
            after = [_begun(chain, v) for v in versions if chain == "PREROUTING"]
            inside = [*before, *inside, *after]
        lines += _hooked(table, chain, inside)
    if any(rule.table == "nat" for rule in rules):
        lines += _chain("nat_postrouting", _MASQUERADE, [_masquerade(v) for v in versions])
    return "\n".join([*lines, "}", ""])


def left_script(options: HostOptions, fail_open: FailOpen, contents: Contents) -> str:
    """The text that replaces our table by the fallbacks that a clean stop leaves.

    It removes the table if there is nothing to fall back to.
    """
    rules = rules_left(options, fail_open)
    has_pods = any(kept for name, kept in contents.elements.items() if name.startswith(_PODS))
    if not rules or not (has_pods or any(rule.to_address for rule in rules)):
        return remove_script()
    is_by_socket = fail_open is FailOpen.SOCKET
    lines = _head(options)
    versions = _versions(rules)
    for version in versions:
        addresses = of_version(dict.fromkeys(rule.address for rule in rules), version)
        texts = [f"{address} timeout {LIST_SECONDS:.0f}s" for address in addresses]
        lines += _set(f"addresses{version}", f"ipv{version}_addr; flags timeout", texts)
    lines += _named(rules, contents, is_by_socket=is_by_socket)
    if is_by_socket:
        for chain in _HOOKS:
            lines += _hooked("raw", chain, [_begun(chain, v) for v in versions])
    for chain in _HOOKS:
        inside = [_rule(rule, do_addresses_expire=True) for rule in rules if rule.chain == chain]
        lines += _hooked("nat", chain, inside)
    lines += _chain("nat_postrouting", _MASQUERADE, [_masquerade(v) for v in versions])
    return "\n".join([*lines, "}", ""])


def remove_script() -> str:
    """The text that removes our table, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def pods_script(elements: Mapping[str, list[str]]) -> str:
    """The text that gives the maps of kube-dns pods new contents, all at once."""
    lines = []
    for name, texts in elements.items():
        lines.append(f"flush map {TABLE} {name}")
        lines.append(f"add element {TABLE} {name} {{ {', '.join(texts)} }}")
    return "\n".join([*lines, ""])


def _head(options: HostOptions) -> list[str]:
    return [
        *(f"add table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{"),
        *_set("dns_ports", "inet_service", (options.dns_port,)),
        *_set("health_ports", "inet_service", (options.health_port,)),
    ]


def _named(rules: Sequence[Rule], contents: Contents, *, is_by_socket: bool) -> list[str]:
    """Counters, and sets and maps with timeouts."""
    lines = [
        f"\tcounter {name} {{ packets {contents.packets.get(name, 0)} bytes 0 }}"
        for name in dict.fromkeys(rule.counter for rule in rules)
    ]
    has_fallback = any(rule.table == "nat" for rule in rules)
    for version in _versions(rules):
        timed = _timed_sets(version) if is_by_socket else {}
        timed |= _pods_map(version) if has_fallback else {}
        for name, definition in timed.items():
            elements = _elements(contents.elements.get(name, ()))
            lines.append(f"\t{definition}{elements} }}")
    return lines


def _versions(rules: Iterable[Rule]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(rule.address.version for rule in rules))


def _set(name: str, kind: str, elements: Iterable[object]) -> list[str]:
    return [f"\tset {name} {{ type {kind};{_elements(elements)} }}"]


def _elements(elements: Iterable[object]) -> str:
    texts = ", ".join(str(element) for element in elements)
    return f" elements = {{ {texts} }};" if texts else ""


def _timed_sets(version: int) -> dict[str, str]:
    """Sets that packets fill, by name; each without its elements and its closing brace."""
    address = f"ipv{version}_addr"
    flags = "flags dynamic,timeout"
    connection = f"{address} . inet_service . {address}"
    return {
        f"elsewhere{version}": f"set elsewhere{version} {{ type {connection};"
        f" size {MAX_ELSEWHERE}; {flags}; timeout {ELSEWHERE_SECONDS}s;",
        f"answering{version}": f"set answering{version} {{ type {address};"
        f" size {MAX_ANSWERING}; {flags}; timeout {ANSWERING_SECONDS}s;",
    }


def _pods_map(version: int) -> dict[str, str]:
    """The map that we fill and renew, in the same form."""
    kind = f"numgen random mod {SLOTS} : {_FAMILIES[version]} daddr . th dport"
    name = f"{_PODS}{version}"
    return {name: f"map {name} {{ typeof {kind}; flags timeout;"}


def _hooked(table: str, chain: str, lines: Iterable[str]) -> list[str]:
    kind, priority = _PRIORITIES[table]
    hook = _HOOKS[chain]
    return _chain(f"{table}_{hook}", f"{kind} hook {hook} priority {priority}", lines)


def _chain(name: str, hook: str, lines: Iterable[str]) -> list[str]:
    head = f"\t\ttype {hook}; policy accept;"
    return [f"\tchain {name} {{", head, *dict.fromkeys(lines), "\t}"]


def _connection(version: int) -> str:
    family = _FAMILIES[version]
    return f"{family} saddr . tcp sport . {family} daddr"


def _before(chain: str, version: int, *, is_draining: bool) -> list[str]:
    """The rules that leave a query tracked, which come before those that take it out of conntrack."""
    family, connection = _FAMILIES[version], _connection(version)
    known = f"@elsewhere{version}"
    query = f"{family} daddr @addresses{version}"
    lines = [
        f"\t\t{query} tcp dport @dns_ports {connection} {known} update {known} {{ {connection} }} accept"
    ]
    if chain == "OUTPUT":
        answering = f"@answering{version}"
        silent = f"{family} daddr != {answering} meta priority != {_PRIORITY}"
        to_node = f'oif "lo" {family} saddr @addresses{version}'
        change = f"{answering} {{ {family} saddr }}"
        begun = f"{query} tcp dport @dns_ports {silent} {_SYN}"
        if not is_draining:
            lines += [
                f"\t\t{to_node} udp sport @dns_ports update {change}",
                f"\t\t{to_node} {_UNREACHABLE[version]} delete {change}",
                f"\t\t{to_node} tcp sport @dns_ports tcp flags & rst == rst delete {change}",
            ]
        lines += [
            f"\t\t{query} udp dport @dns_ports {silent} accept",
            f"\t\t{begun} add {known} {{ {connection} }} accept",
        ]
    return lines


def _begun(chain: str, version: int) -> str:
    """The rules that note a connection that begins while no socket of ours is bound: it goes elsewhere.

    The node's own, over lo, was judged on its way out: a probe's is answered all the same.
    """
    query = f"{_FAMILIES[version]} daddr @addresses{version} tcp dport @dns_ports {_SYN}"
    arriving = "iif != lo " if chain == "PREROUTING" else ""
    return f"\t\t{arriving}{query} add @elsewhere{version} {{ {_connection(version)} }}"


def _rule(rule: Rule, *, do_addresses_expire: bool = False) -> str:
    """One line; equal for rules that differ in their address alone, which is in a set.

    `do_addresses_expire`: the set holds the addresses of these rules, and no others.
    """
    version = rule.address.version
    family = _FAMILIES[version]
    side, port = ("daddr", "dport") if rule.is_to else ("saddr", "sport")
    # these by address: the set holds others as well
    is_alone = rule.to_address is not None or (rule.is_away_only and not do_addresses_expire)
    match = f"{family} {side} {rule.address} " if is_alone else ""
    if do_addresses_expire or not is_alone:
        match += f"{family} {side} @addresses{version} "
    match += f"{rule.protocol} {port} @{rule.service}_ports"
    match += f" fib {side} type local" if rule.is_local_only else ""
    match += f" fib {side} type != local" if rule.is_away_only else ""
    match += " socket transparent 1" if rule.is_bound_only else ""
    verdict = {"NOTRACK": "notrack", "DNAT": f"dnat {family} to {_target(rule)}"}[rule.target]
    if rule.is_bound_only:
        verdict += " accept"
    return f'\t\t{match} counter name "{rule.counter}" {verdict} comment "{rule.comment}"'


def _target(rule: Rule) -> str:
    """The target of a fallback: the Service that it names, or else one of the kube-dns pods."""
    version = rule.address.version
    if rule.to_address is None:
        return f"numgen random mod {SLOTS} map @dns_pods{version}"
    host = f"[{rule.to_address}]" if version == 6 else str(rule.to_address)
    return f"{host}:{rule.port}"


def _masquerade(version: int) -> str:
    """The rule for the node's own queries, whose source is the listen address: nobody could reply to that."""
    return f"\t\t{_FAMILIES[version]} saddr @addresses{version} ct status dnat masquerade"


_PRIORITY = f"{PROBE_PRIORITY >> 16:x}:{PROBE_PRIORITY & 0xFFFF:x}"
