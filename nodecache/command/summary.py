"""What a server block will do, in one line for people."""

from collections.abc import Iterator

from nodecache.corefile import CacheOptions, ForwardOptions, ServerBlock
from nodecache.corefile.values import show_seconds

# Directives that answer by themselves, in the order in which they are asked.
_ANSWERING = ("rewrite", "template", "hosts", "whoami")
# Those that change or refuse what others answer, and those that tell of it.
_BETWEEN = ("acl", "any", "dns64", "loadbalance", "minimal", "bufsize", "timeouts")
_SECURE = {"tls": "TLS", "https": "HTTPS"}
_TELLING = ("errors", "log", "dnstap", "debug", "metadata", "trace")


def summary(block: ServerBlock) -> str:
    """`cluster.local.:53 on 169.254.20.10: keeps answers up to 30s …; asks 10.96.0.10 over TCP`."""
    does = [
        *_named(block, "applies", _BETWEEN),
        *_cached(block),
        *_named(block, "answers by", _ANSWERING),
        *_forwarded(block),
        *_served(block),
        *_named(block, "tells by", _TELLING),
    ]
    return f"{_place(block)}: {'; '.join(does) or 'refuses every query'}"


def _place(block: ServerBlock) -> str:
    keys = " ".join(str(zone).removeprefix("dns://") for zone in block.zones)
    if block.bind is None:
        return f"{keys} on every address"
    return f"{keys} on {' '.join(_addresses(block))}"


def _addresses(block: ServerBlock) -> Iterator[str]:
    for line in block.bind.lines if block.bind is not None else ():
        yield from line.addresses
        if line.except_addresses:
            yield f"(but {' '.join(line.except_addresses)})"


def _named(block: ServerBlock, verb: str, names: tuple[str, ...]) -> Iterator[str]:
    """`answers by template, hosts`, where there are such directives."""
    present = [name for name in names if name in block.directives]
    if present:
        yield f"{verb} {', '.join(present)}"


def _cached(block: ServerBlock) -> Iterator[str]:
    if block.cache is not None:
        yield f"keeps {', '.join(_kept(block.cache))}"


def _kept(cache: CacheOptions) -> Iterator[str]:
    whose = f" of {' '.join(cache.zones)}" if cache.zones else ""
    if "." not in cache.disable_success:
        yield f"answers{whose} up to {show_seconds(cache.success_ttl)}"
    if "." not in cache.disable_denial:
        yield f"denials{whose} up to {show_seconds(cache.denial_ttl)}"
    stale = cache.serve_stale
    if stale is not None and stale.seconds:
        yield f"gives stale ones for {show_seconds(stale.seconds)} ({stale.mode})"
    if cache.prefetch is not None and cache.prefetch.amount:
        yield f"fetches again what is asked {cache.prefetch.amount} times"


def _forwarded(block: ServerBlock) -> Iterator[str]:
    for forward in block.forwards:
        whose = f" for {forward.from_zone}" if forward.from_zone != "." else ""
        but = f" but {' '.join(forward.except_zones)}" if forward.except_zones else ""
        yield f"asks {' '.join(forward.to) or 'nobody'}{whose}{but} over {_transport(forward)}"


def _transport(forward: ForwardOptions) -> str:
    schemes = {there.scheme for there in forward.destinations}
    if schemes and "dns" not in schemes:
        return " and ".join(sorted(_SECURE[scheme] for scheme in schemes))
    if forward.force_tcp:
        return "TCP"
    return "UDP" if forward.prefer_udp else "the client's transport"


def _served(block: ServerBlock) -> Iterator[str]:
    for name, options in (
        ("metrics", block.prometheus),
        ("health", block.health),
        ("readiness", block.ready),
    ):
        if options is not None:
            yield f"{name} on {options.address}"
