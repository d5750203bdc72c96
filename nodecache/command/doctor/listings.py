"""The host's packet rules, read from what `iptables-save` and `nft -j` list.

A match that is not known here becomes a condition that fits perhaps.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from nodecache.host.nftables import nft_entries
from nodecache.host.rules import ALLOW_TRAFFIC

from .packets import Chain, Condition, Rule, Table

_UNKNOWN = Condition("")
_DOES = {"accept": "accept", "drop": "drop", "reject": "drop", "return": "return"}
_GOES_ON = {"counter", "log", "mangle", "comment"}

# iptables-save

_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')  # shlex takes seconds for 20,000 rules
_IPTABLES_KEYS = {
    "-p": "protocol", "-d": "daddr", "-s": "saddr", "-i": "interface", "-o": "interface",
    "--dport": "dport", "--sport": "sport", "--dports": "dport", "--sports": "sport",
    "--ctstate": "state", "--state": "state",
}  # fmt: skip
_SAYS_NOTHING = {"-m", "--comment"}  # and its word
_NO_CHAINS = {
    "CONNMARK", "CT", "LOG", "MARK", "NFLOG", "NFQUEUE", "NOTRACK", "QUEUE", "SECMARK", "SET", "TCPMSS",
    "TRACE",
}  # fmt: skip
_HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "OUTPUT": "output", "POSTROUTING": "postrouting"}  # fmt: skip


def iptables_tables(program: str, family: str, text: str) -> Iterator[Table]:
    """The tables in what `iptables-save` prints; `program` is the iptables that goes with it."""
    name, policies, rules = "", dict[str, str](), list[Rule]()
    for line in text.splitlines():
        if line.startswith("*"):
            name, policies, rules = line[1:].strip(), {}, []
        elif line.startswith(":"):
            chain, policy = line[1:].split()[:2]
            policies[chain] = policy.lower()
        elif line.startswith("-A "):
            rules.append(_iptables_rule(line))
        elif line == "COMMIT":
            inside = _by_chain(rules)
            chains = {
                chain: Chain(rules=inside[chain], hook=_HOOKS.get(chain, ""), policy=policy)
                for chain, policy in policies.items()
            }
            yield Table(program=program, family=family, name=name, chains=chains)


def _by_chain(rules: Iterable[Rule]) -> defaultdict[str, tuple[Rule, ...]]:
    lists = defaultdict[str, list[Rule]](list)
    for rule in rules:
        lists[rule.chain].append(rule)
    return defaultdict(tuple, {chain: tuple(each) for chain, each in lists.items()})


def _iptables_rule(line: str) -> Rule:
    words = _WORDS.findall(line)
    rule = Rule(chain=words[1], conditions=(), does="", text=line)
    conditions: list[Condition] = []
    is_negated, place = False, 2
    while place < len(words):
        word = words[place]
        value = words[place + 1] if place + 1 < len(words) else ""
        if word in ("-j", "-g"):
            does, target = _target(word, value, words)
            rule = replace(rule, does=does, target=target)
            break
        place += 1 if word == "!" else 2
        if word in _IPTABLES_KEYS:
            key = _IPTABLES_KEYS[word]
            values = (value.replace(":", "-") if "port" in key else value).split(",")
            conditions.append(_condition(key, tuple(values), is_negated=is_negated))
        elif word not in _SAYS_NOTHING and word != "!":
            conditions.append(_UNKNOWN)
            while place < len(words) and not words[place].startswith(("-", "!")):
                place += 1
        is_negated = word == "!"
    return _known_as_ours(replace(rule, conditions=tuple(conditions)), line)


def _target(option: str, target: str, words: list[str]) -> tuple[str, str]:
    """What a rule does, and the chain that it jumps to."""
    if target == "NOTRACK" or (target == "CT" and "--notrack" in words):
        return "notrack", ""
    if target.lower() in _DOES:
        return _DOES[target.lower()], ""
    if target in _NO_CHAINS:
        return "", ""
    return ("jump" if option == "-j" else "goto"), target


def _condition(key: str, values: tuple[str, ...], *, is_negated: bool) -> Condition:
    if key == "state":
        values = tuple(each.lower() for each in values)
    elif key in ("daddr", "saddr"):
        values = tuple(_bare(each) for each in values)
    return Condition(key, values, is_negated)


def _bare(network: str) -> str:
    """An address without the prefix length that says it is one."""
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        return network
    return str(found.network_address) if found.num_addresses == 1 else str(found)


def _known_as_ours(rule: Rule, told: str) -> Rule:
    """Our own accept rule counts as matching while the agent serves."""
    if ALLOW_TRAFFIC not in told:
        return rule
    return replace(rule, conditions=tuple(each for each in rule.conditions if each.key))


# nft -j


def nft_table(family: str, name: str, text: str | None) -> Table:
    """A table in what `nft -j -a list table` prints."""
    inside = _by_chain(rule for entry in nft_entries(text, "rule") for rule in _understood(entry))
    chains = {
        entry["name"]: Chain(
            rules=inside[entry["name"]],
            hook=entry.get("hook", "") if entry.get("type") == "filter" else "",
            policy=entry.get("policy", "accept"),
        )
        for entry in nft_entries(text, "chain")
    }
    return Table(program="nft", family=family, name=name, chains=chains)


def _understood(entry: dict[str, Any]) -> list[Rule]:
    """The rules in an entry; none if its form is not known."""
    try:
        return list(_nft_rules(entry))
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _nft_rules(entry: dict[str, Any]) -> Iterator[Rule]:
    """One rule, and one for each verdict in its maps."""
    where = f"{entry['family']} {entry['table']} {entry['chain']} handle {entry['handle']}"
    rule = Rule(chain=entry["chain"], conditions=(), does="", text=where, handle=entry["handle"])
    told = str(entry.get("comment", ""))
    conditions: list[Condition] = []
    for expression in entry.get("expr", ()):
        ((kind, value),) = expression.items()
        if kind == "match":
            conditions += _nft_match(value)
        elif kind == "vmap":
            for verdict, extra in _nft_verdicts(value):
                does, target = _nft_does(verdict)
                found = replace(rule, conditions=(*conditions, *extra), does=does, target=target)
                yield _known_as_ours(found, told)
        elif kind in _DOES or kind in ("jump", "goto", "notrack"):
            does, target = _nft_does(expression)
            rule = replace(rule, does=does, target=target)
        elif kind not in _GOES_ON:
            conditions.append(_UNKNOWN)
    yield _known_as_ours(replace(rule, conditions=tuple(conditions)), told)


def _nft_does(verdict: dict[str, Any]) -> tuple[str, str]:
    """What a verdict does, and the chain that it jumps to."""
    ((kind, value),) = verdict.items()
    if kind in ("jump", "goto"):
        return kind, value["target"]
    return _DOES.get(kind, kind if kind == "notrack" else ""), ""


def _nft_verdicts(value: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Condition]]]:
    data = value["data"]
    if not isinstance(data, dict):  # a map with a name
        return
    for key, verdict in data["set"]:
        yield verdict, _nft_match({"op": "==", "left": value["key"], "right": key})


def _nft_match(value: dict[str, Any]) -> list[Condition]:
    left, op = value["left"], value["op"]
    values = tuple(_nft_values(value["right"]))
    key, protocol = _nft_key(left) if isinstance(left, dict) else ("", "")
    if op not in ("==", "in", "!=") or not values or any(each.startswith("@") for each in values):
        key = ""
    implied = [Condition("protocol", (protocol,))] if protocol else []
    return [*implied, _condition(key, values, is_negated=op == "!=")]


def _nft_key(left: dict[str, Any]) -> tuple[str, str]:
    """What is compared, and the protocol that comparing it implies."""
    key, protocol = "", ""
    match left:
        case {"payload": {"field": "dport" | "sport" as key, "protocol": str(protocol)}}:
            protocol = "" if protocol == "th" else protocol
        case {"payload": {"field": "daddr" | "saddr" as key, "protocol": "ip" | "ip6"}}:
            pass
        case {"payload": {"field": "protocol" | "nexthdr"}} | {"meta": {"key": "l4proto"}}:
            key = "protocol"
        case {"meta": {"key": "nfproto"}}:
            key = "family"
        case {"meta": {"key": "iif" | "iifname" | "oif" | "oifname"}}:
            key = "interface"
        case {"ct": {"key": "state" | "status" as key}}:
            pass
    return key, protocol


def _nft_values(right: Any) -> Iterator[str]:
    match right:
        case {"set": list(inner)} | list(inner):
            yield from (text for each in inner for text in _nft_values(each))
        case {"range": [low, high]}:
            yield f"{low}-{high}"
        case {"prefix": {"addr": address, "len": length}}:
            yield f"{address}/{length}"
        case {"elem": {"val": inner}}:
            yield from _nft_values(inner)
        case str() | int():
            yield str(right)
        case _:
            yield "@"


def iptables_names(names: Iterable[str]) -> list[str]:
    """Those tables that a packet may be dropped in."""
    return [name for name in ("raw", "mangle", "filter") if name in names]
