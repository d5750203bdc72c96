"""Explains a query: which block serves it, what its cache holds, which upstream would be asked.

Nothing is counted and nothing is changed. What cannot be known without asking (a template's or an
upstream's answer) is left open.
"""

import struct
from typing import Any

from nodecache.cache import Entry, stale_errors
from nodecache.server import StalePolicy, Zone, ZoneBinding
from nodecache.server.directive import Client
from nodecache.server.directives.hosts import Hosts
from nodecache.server.directives.no_aaaa import NoAaaa
from nodecache.server.mnemonics import type_text
from nodecache.wire import CLASS_IN, Ede, Query, Rdtype, rcode_text, read_query, text_of, wire_of

from .assembly import BuiltZone
from .control_request import MalformedRequest
from .explain_upstreams import destination
from .listener import Listener
from .serving import Serving

_RD_AND_ONE_QUESTION = struct.Struct("!6H").pack(0, 0x0100, 1, 0, 0, 1)
_OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"  # 1,232 octets; errors are told in it (RFC 8914)
_TRANSFERS = (int(Rdtype.AXFR), int(Rdtype.IXFR))
_MAY_ANSWER = ("acl", "any", "dns64")  # those above the cache that answer by themselves
Explanation = dict[str, Any]


def query_for(name: str, rdtype: int) -> Query:
    """The query of a client that asks for a name: with RD and EDNS, and no more than that."""
    try:
        question = wire_of(name) + rdtype.to_bytes(2, "big") + CLASS_IN.to_bytes(2, "big")
        return read_query(_RD_AND_ONE_QUESTION + question + _OPT)
    except ValueError as error:
        raise MalformedRequest(str(error)) from None


def explain(serving: Serving, query: Query, now: float) -> Explanation:
    """What would happen to `query` at the first address that has a block for its name."""
    told: Explanation = {"name": text_of(query.qname), "type": type_text(query.qtype)}
    found = route_of(serving, query)
    if found is None:
        told |= {"block": None, "outcome": "refused"}
        told["because"] = "no server block is for this name"
        return told
    _, binding, made = found
    told |= {
        "server": binding.counts.server,
        "zone": binding.counts.zone,
        "block": {
            "zones": [str(zone) for zone in made.block.zones],
            "file": made.block.file,
            "line": made.block.line,
        },
        "directives": list(made.block.directives),
    }
    told |= _outcome(made, query, now)
    return told


def route_of(serving: Serving, query: Query) -> tuple[Listener, ZoneBinding, BuiltZone] | None:
    """The first listener with a zone for the query, that zone, and its block; None without one."""
    for listener in serving.listeners.values():
        binding = listener.handler.zones.match(query)
        for made in serving.built if binding is not None else ():
            if binding is not None and made.zone is binding.zone:
                return listener, binding, made
    return None


def _outcome(made: BuiltZone, query: Query, now: float) -> Explanation:
    """The outcome by the cache, or else by what is below it."""
    zone = made.zone
    told: Explanation = {}
    above = [each.name for each in made.directives.above if each.name in _MAY_ANSWER]
    if above:
        told["answered_before_cache_by"] = above
    entry = _kept(zone, query, now)
    if entry is not None:
        told["cache"] = _entry(zone, entry, now)
        if entry.remaining_ttl(now) > 0:
            told["outcome"] = "hit"
            told["because"] = _because_of_hit(told["cache"])
            return told
    if query.qtype in _TRANSFERS:
        return told | {"outcome": "refused", "because": "zone transfers are not served"}
    failed, is_under_way = zone.situation(query.key, now)
    below = _below(made, query, now)
    if entry is not None:
        told |= below | {"outcome": "stale", "because": _because_of_stale(entry, zone, now)}
    elif failed is not None:
        told |= {"outcome": "failure"}
        told["failure"] = {
            "rcode": rcode_text(failed.rcode),
            "errors": errors(failed.ede),
            "times": failed.count,
            "seconds_left": round(failed.until - now, 1),
        }
        told["because"] = (
            f"it failed {failed.count} times in a row: not asked again for {failed.until - now:.1f} s"
        )
    else:
        told |= below
    if is_under_way:
        told["is_under_way"] = True
        if entry is None and failed is None and zone.options.joins_misses:
            told["because"] = "the same question is under way: this one waits for its answer"
    return told


def _kept(zone: Zone, query: Query, now: float) -> Entry | None:
    """The entry that would answer; found without counting a use."""
    if not zone.options.caches(query.qname):
        return None
    entry = zone.cache.find(query.key)
    if entry is None or now >= entry.stored_at + entry.ttl + zone.cache.stale_seconds:
        return None
    return entry if zone.options.stale is not None or entry.remaining_ttl(now) > 0 else None


def _entry(zone: Zone, entry: Entry, now: float) -> Explanation:
    told: Explanation = {
        "kind": entry.kind.name.lower(),
        "rcode": rcode_text(entry.rcode),
        "errors": errors(entry.ede),
        "kept_seconds": int(now - entry.stored_at),
        "ttl": entry.ttl,
        "seconds_left": entry.remaining_ttl(now),
        "stale_seconds_left": int(entry.stored_at + entry.ttl + zone.cache.stale_seconds - now),
        "is_refreshing": entry.is_refreshing,
    }
    if entry.failures:
        told["failed_refreshes"] = entry.failures
        told["refreshed_again_in_seconds"] = max(round(entry.refresh_at - now, 1), 0)
    if (prefetch := zone.prefetch) is not None:
        told["prefetch"] = {
            "hits": entry.hits,
            "of": prefetch.amount,
            "due_in_seconds": max(round(prefetch.due_at(entry) - now, 1), 0),
            "is_due": zone.wants_prefetch(entry, now),
        }
    return told


def _because_of_hit(cache: Explanation) -> str:
    text = f"kept for {cache['seconds_left']} more of {cache['ttl']} s"
    if cache["is_refreshing"]:
        return f"{text}; it is being fetched again"
    if cache.get("prefetch", {}).get("is_due"):
        return f"{text}; the next query has it fetched again"
    return text


def _because_of_stale(entry: Entry, zone: Zone, now: float) -> str:
    policy: StalePolicy | None = zone.options.stale
    over = f"its TTL ended {-entry.remaining_ttl(now)} s ago"
    code = Ede(stale_errors(entry)[0][0]).name
    if now < entry.refresh_at and not entry.is_refreshing:
        return f"{over} and upstream failed: the stale answer ({code}) without asking"
    if policy is None or policy.client_timeout_seconds is None:
        return f"{over}: asked again, the stale answer ({code}) if that fails"
    if policy.client_timeout_seconds == 0:
        return f"{over}: the stale answer ({code}) at once, and it is fetched again"
    seconds = policy.client_timeout_seconds
    return (
        f"{over}: asked again, the stale answer ({code}) if that fails or takes over {seconds:g} s"
    )


def _below(made: BuiltZone, query: Query, now: float) -> Explanation:
    """What answers a miss: directives of the block, or an upstream."""
    client = Client(address=("127.0.0.1", 0), local=("127.0.0.1", 0), transport="udp")
    unsure = [each for each in made.block.directives if each in ("rewrite", "template")]
    told: Explanation = {"may_be_changed_by": unsure} if unsure else {}
    for directive in made.directives.below:
        if isinstance(directive, Hosts | NoAaaa) and directive.serve(query, client) is not None:
            return told | {
                "outcome": "directive",
                "directive": directive.name,
                "because": f"{directive.name} answers it",
            }
    forwarder = next((each for each in made.forwarders if each.covers(query)), None)
    if forwarder is None:
        if made.block.whoami:
            return told | {"outcome": "directive", "because": "whoami answers it"}
        return told | {"outcome": "failure", "because": "no directive answers for this name"}
    found = destination(forwarder, now)
    return told | {"outcome": "upstream", "upstream": found, "because": found["because"]}


def errors(found: Any) -> list[Explanation]:
    """Extended DNS Errors (RFC 8914) for people."""
    return [{"code": code, "text": text.decode("utf-8", "replace")} for code, text in found]
