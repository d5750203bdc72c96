"""The `forward` directive."""

import operator
from collections.abc import Iterable
from contextlib import suppress

from nodecache.corefile import values
from nodecache.corefile.destinations import (
    Destination,
    NobodyThere,
    TlsOptions,
    destination,
    server_name,
)
from nodecache.corefile.lexer import Token
from nodecache.corefile.mnemonics import rcode
from nodecache.corefile.names import zone_name, zone_names
from nodecache.corefile.options import ForwardOptions
from nodecache.corefile.reading import (
    ITSELF,
    Arguments,
    Context,
    Directive,
    Fault,
    Fields,
    Option,
    Repeat,
    Statement,
    a_set,
    flag,
    read_options,
    single,
    zones,
)

_MAX_DESTINATIONS = 15
_MAX_UINT32 = 2**32 - 1


def forward(statement: Statement, context: Context) -> ForwardOptions:
    """`forward FROM TO… { … }`."""
    arguments = statement.arguments
    from_zones = arguments.take("FROM", zone_names)
    asked = _destinations(statement, arguments, context)
    if len(asked) > _MAX_DESTINATIONS:
        raise arguments.fault(f"at most {_MAX_DESTINATIONS} TOs, not {len(asked)}")
    if len(from_zones) > 1:
        written = statement.words[0]
        context.warn(
            written, f"{written.text!r} is several zones; only {from_zones[0]} is forwarded"
        )
    options = ForwardOptions(
        from_zone=from_zones[0],
        to=tuple(word.text for word, _ in asked),
        destinations=tuple(there for _, there in asked),
        **read_options(statement, _FORWARD, context),
    )
    _check(statement, options, asked)
    return options


def _destinations(
    statement: Statement, arguments: Arguments, context: Context
) -> list[tuple[Token, Destination]]:
    """Each TO with its word; without those where no server can be."""
    asked = []
    found = arguments.rest("TO", _destination, at_least=1)
    for word, there in zip(statement.words[1:], found, strict=True):
        if isinstance(there, Destination):
            asked.append((word, there))
        else:
            context.leave_out(word, f"TO {there}")
    return asked


def _destination(word: str) -> Destination | NobodyThere:
    try:
        return destination(word)
    except NobodyThere as error:
        return error


def _check(
    statement: Statement, options: ForwardOptions, asked: Iterable[tuple[Token, Destination]]
) -> None:
    """What no option can be told by itself."""
    max_age = options.max_age_seconds
    if max_age and max_age < options.expire_seconds:
        shown = f"{values.show_seconds(max_age)} < {values.show_seconds(options.expire_seconds)}"
        raise Fault(statement.name, f"max_age must not be less than expire ({shown})")
    for word, there in asked:
        if there.server_name and options.tls_servername:
            raise Fault(word, f"tls_servername is set, and {word.text!r} names a server as well")


def _health_check(arguments: Arguments) -> Fields:
    """`health_check DURATION [no_rec] [domain NAME]`."""
    fields: Fields = {"health_check_seconds": arguments.take(ITSELF, values.duration(0))}
    while len(arguments):
        match arguments.take("option", values.one_of("no_rec", "domain")):
            case "no_rec":
                fields["health_check_recursion"] = False
            case _:
                fields["health_check_domain"] = arguments.take("domain", zone_name)
    return fields


def _tls(arguments: Arguments) -> Fields:
    """`tls`, `tls CA`, `tls CERT KEY`, `tls CERT KEY CA`."""
    match [arguments.take("file", str) for _ in range(min(3, len(arguments)))]:
        case []:
            options = TlsOptions()
        case [authority]:
            options = TlsOptions(authority_file=authority)
        case [certificate, key, *authorities]:
            options = TlsOptions(
                certificate_file=certificate, key_file=key, authority_file="".join(authorities)
            )
    return {"tls": options}


def _failure_rcode(word: str) -> int:
    number = rcode(word)
    if number == 0:
        raise ValueError(f"must be the code of a failure, not {word!r}")
    return number


def _resolver(word: str) -> str:
    """`IP` or `IP:PORT`."""
    host = word
    with suppress(ValueError):
        host = values.split_host_port(word)[0]
    if not values.fits(values.ip, host):
        raise ValueError(f"must be IP or IP:PORT, not {word!r}")
    return word


_FORWARD = {
    "except": Option(lambda a: {"except_zones": zones(a, ITSELF, at_least=1)}, operator.add),
    "force_tcp": flag("force_tcp"),
    "prefer_udp": flag("prefer_udp"),
    "expire": single("expire_seconds", values.duration(0)),
    "max_age": single("max_age_seconds", values.duration(0)),
    "max_idle_conns": single("max_idle_conns", values.whole(0)),
    "max_fails": single("max_fails", values.whole(0, _MAX_UINT32)),
    "max_connect_attempts": single("max_connect_attempts", values.whole(0, _MAX_UINT32)),
    "read_timeout": single("read_timeout_seconds", values.positive_duration),
    "tls": Option(_tls),
    "tls_servername": single("tls_servername", server_name),
    "policy": single("policy", values.one_of("random", "round_robin", "sequential")),
    "health_check": Option(_health_check),
    "max_concurrent": single("max_concurrent", values.whole(0)),
    "next": a_set("next_rcodes", rcode),
    "next_on_nodata": flag("next_on_nodata"),
    "failfast_all_unhealthy_upstreams": flag("failfast"),
    "failover": a_set("failover_rcodes", _failure_rcode),
    "resolver": Option(lambda a: {"resolver": a.rest(ITSELF, _resolver, at_least=1)}),
    "source_address": single("source_address", lambda word: str(values.ip(word))),
    "doh_method": single("doh_method", lambda word: values.one_of("post", "get")(word).upper()),
}

DIRECTIVES = {
    "forward": Directive("forwards", forward, Repeat.EACH),
}
