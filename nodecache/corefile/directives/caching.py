"""The `cache` directive."""

from dataclasses import replace
from typing import Any

from nodecache.corefile import values
from nodecache.corefile.names import zone_name, zone_names
from nodecache.corefile.options import MIN_CAPACITY, CacheOptions, PrefetchOptions, StaleOptions
from nodecache.corefile.reading import (
    Arguments,
    Context,
    Directive,
    Fields,
    Option,
    Statement,
    flag,
    once,
    read_options,
    single,
)

_SERVFAIL_MAX_SECONDS = 300.0  # RFC 2308 §7.1
_RECHECK_MAX_SECONDS = 300.0
_MAX_UINT32 = 2**32 - 1
_MAX_TTL = 2**31 - 1  # RFC 2181 §8


def cache(statement: Statement, context: Context) -> CacheOptions:
    """`cache [TTL] [ZONES…] { … }`: a first word that is a number is the TTL of all answers."""
    arguments = statement.arguments
    fields: dict[str, Any] = {}
    if values.fits(values.integer, arguments.following):
        ttl = arguments.take("TTL", _ttl(1))
        fields |= {"success_ttl": ttl, "denial_ttl": ttl, "has_denial": True}
    zones = arguments.rest("zone", _zones_of_cache)
    fields |= {"zones": sum(zones, ())}
    fields |= read_options(statement, _CACHE, context)
    _apply_stale_policy(statement, fields)
    _tell_of_none(statement, context)
    return CacheOptions(**fields)


def _ttl(lowest: int) -> values.Reader[int]:
    """Seconds, `lowest` or more; more than a TTL can be are as many as it can."""
    read = values.whole(lowest)
    return lambda word: min(read(word), _MAX_TTL)


def _zones_of_cache(word: str) -> tuple[str, ...]:
    """The zones of one word; `{}` is one word and no zone, whatever CoreDNS makes of it."""
    return () if word == "{}" else zone_names(word)


def _capacity(kind: str) -> Option:
    """`success CAPACITY [TTL] [MINTTL]`, and `denial` alike."""

    def read(arguments: Arguments) -> Fields:
        fields: Fields = {f"{kind}_capacity": arguments.take("capacity", values.integer)}
        if len(arguments):
            fields[f"{kind}_ttl"] = arguments.take("TTL", _ttl(1))
            fields |= {"has_denial": True} if kind == "denial" else {}
        if len(arguments):
            fields[f"{kind}_min_ttl"] = arguments.take("least TTL", _ttl(0))
        return fields

    return Option(read, is_lax=True)


def _prefetch(arguments: Arguments) -> Fields:
    """`prefetch AMOUNT [DURATION] [PERCENTAGE%]`."""
    return {
        "prefetch": PrefetchOptions(
            amount=arguments.take("amount", values.whole(0)),
            seconds=arguments.take_or("duration", values.go_duration, 60.0),
            percentage=arguments.take_or("percentage", _percentage, 10),
        )
    }


def _percentage(word: str) -> int:
    if not word.endswith("%"):
        raise ValueError(f"must end in %, not {word!r}")
    return values.whole(10, 90)(word[:-1])


def _serve_stale(arguments: Arguments) -> Fields:
    """`serve_stale [DURATION] [immediate|verify [TIMEOUT]] [TTL] [RECHECK]`."""
    fields: Fields = {"seconds": arguments.take_or("duration", values.duration(0), 3600.0)}
    fields["mode"] = arguments.take_or("mode", values.one_of("immediate", "verify"), "immediate")
    if fields["mode"] == "verify":
        fields["verify_timeout_seconds"] = arguments.take_or("timeout", values.duration(0), 0.0)
    fields["response_ttl"] = arguments.take_or("TTL", _ttl_duration, 0)
    fields["failure_recheck_seconds"] = arguments.take_or(
        "recheck", values.duration(0, _RECHECK_MAX_SECONDS), 0.0
    )
    return {"serve_stale": StaleOptions(**fields)}


def _ttl_duration(word: str) -> int:
    seconds = values.duration(0, _MAX_UINT32)(word)
    if seconds % 1:
        raise ValueError(f"must be whole seconds, not {word!r}")
    return int(seconds)


def _tell_of_none(statement: Statement, context: Context) -> None:
    """CoreDNS keeps some entries of each kind, whatever capacity it is given; so do we."""
    for kind, *words in statement.lines:
        is_capacity = (
            kind.text in ("success", "denial")
            and words
            and values.fits(values.integer, words[0].text)
        )
        if is_capacity and values.integer(words[0].text) <= 0:
            reason = f"{kind.text} {words[0].text} keeps {MIN_CAPACITY} entries, as in CoreDNS"
            context.warn(kind, f"{reason}; 'disable {kind.text}' keeps none")


def _apply_stale_policy(statement: Statement, fields: Fields) -> None:
    """`serve_stale_policy prefer_positive` says something about `serve_stale`, so it needs it."""
    if fields.pop("stale_policy", None) is None:
        return
    stale = fields.get("serve_stale")
    if stale is None:
        raise statement.arguments.fault("serve_stale_policy needs serve_stale")
    fields["serve_stale"] = replace(stale, prefers_positive=True)


def _disable(arguments: Arguments) -> Fields:
    """`disable success|denial [ZONES…]`, everywhere without zones."""
    kind = arguments.take("kind", values.one_of("success", "denial"))
    return {f"disable_{kind}": arguments.rest("zone", zone_name) or (".",)}


_CACHE = {
    "success": _capacity("success"),
    "denial": _capacity("denial"),
    "prefetch": Option(_prefetch),
    "serve_stale": Option(_serve_stale),
    "serve_stale_policy": once(single("stale_policy", values.one_of("prefer_positive"))),
    "servfail": single("servfail_seconds", values.duration(0, _SERVFAIL_MAX_SECONDS)),
    "disable": Option(_disable),
    "keepttl": flag("keepttl"),
}

DIRECTIVES = {
    "cache": Directive("cache", cache),
}
