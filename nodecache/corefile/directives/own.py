"""Our own directive, `nodecache { … }`: what CoreDNS has no words for."""

from nodecache.corefile import values
from nodecache.corefile.options import OwnOptions
from nodecache.corefile.reading import (
    ITSELF,
    Arguments,
    Context,
    Directive,
    Fields,
    Option,
    Statement,
    read_options,
    single,
)

_MIN_BUDGET_OCTETS = 1024 * 1024
_MAX_CONNECTIONS = 64
_MAX_STALE_SECONDS = 7 * 86400.0  # RFC 8767 §5 has one to three days in mind


def nodecache(statement: Statement, context: Context) -> OwnOptions:
    """`nodecache { … }`."""
    statement.arguments.end()
    return OwnOptions(**read_options(statement, _OWN, context))


def _budget(word: str) -> int:
    size = values.octets(word)
    if size < _MIN_BUDGET_OCTETS:
        raise ValueError(f"must be at least 1Mi, not {word!r}")
    return size


def _stale(word: str) -> float:
    return 0.0 if word.lower() == "off" else values.duration(0, _MAX_STALE_SECONDS)(word)


def _max_waiting(arguments: Arguments) -> Fields:
    """`max_waiting N [PER_CLIENT]`."""
    limit = arguments.take(ITSELF, values.whole(1))
    fields: Fields = {"max_waiting": limit}
    if len(arguments):
        fields["max_waiting_per_client"] = arguments.take("PER_CLIENT", values.whole(1, limit))
    return fields


_OWN = {
    "budget": single("budget_octets", _budget),
    "max_waiting": Option(_max_waiting),
    "stale": single("stale_seconds", _stale),
    "client_deadline": single("client_deadline_seconds", values.positive_duration),
    "hedge": single("hedges", values.on_or_off),
    "pool": single("pool_size", values.whole(1, _MAX_CONNECTIONS)),
    "endpoints": single("asks_pods", values.on_or_off),
    "search_ahead": single("searches_ahead", values.on_or_off),
    "aaaa": single(
        "suppresses_aaaa", lambda word: values.one_of("pass", "suppress")(word) == "suppress"
    ),
    "denial_cap": single("denial_cap_seconds", values.duration(0)),
}

DIRECTIVES = {
    "nodecache": Directive("nodecache", nodecache),
}
