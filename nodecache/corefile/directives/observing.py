"""Directives that tell of what happens: errors, log, prometheus, health, ready, and the like."""

import operator
from typing import Any, get_args
from urllib.parse import urlsplit

from nodecache.corefile import values
from nodecache.corefile.destinations import TlsOptions
from nodecache.corefile.names import zone_name
from nodecache.corefile.observing import (
    AnswerClass,
    Consolidation,
    DnstapOptions,
    ErrorsOptions,
    HealthOptions,
    LogOptions,
    MetadataOptions,
    PprofOptions,
    PrometheusOptions,
    ReadyOptions,
    TraceOptions,
)
from nodecache.corefile.reading import (
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
    no_block,
    no_effect,
    once,
    read_options,
    single,
    zones,
)

_MAX_PORT = 65535
_COMMON_FORMAT = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
_COMBINED_FORMAT = _COMMON_FORMAT + ' "{>opcode}"'


def errors(statement: Statement, context: Context) -> ErrorsOptions:
    """`errors [stdout] { stacktrace; consolidate … }`."""
    arguments = statement.arguments
    arguments.take_or("destination", values.one_of("stdout"), "stdout")
    arguments.end()
    return ErrorsOptions(**read_options(statement, _ERRORS, context))


def _consolidate(arguments: Arguments) -> Fields:
    """`consolidate DURATION REGEXP [LEVEL] [show_first]`."""
    fields: dict[str, Any] = {
        "seconds": arguments.take("duration", values.go_duration),
        "pattern": arguments.take("pattern", values.pattern),
    }
    if len(arguments) and arguments.following != "show_first":
        levels = values.one_of("warning", "error", "info", "debug")
        fields["level"] = arguments.take("level", levels)
    if len(arguments):
        arguments.take("last word", values.one_of("show_first"))
        fields["show_first"] = True
    return {"consolidations": (Consolidation(**fields),)}


_ERRORS = {
    "stacktrace": no_effect(),
    "consolidate": Option(_consolidate, operator.add),
}


def log(statement: Statement, context: Context) -> LogOptions:
    """`log [NAMES…] [FORMAT] { class CLASSES… }`: a format is a last word of several with a `{`."""
    arguments = statement.arguments
    form = _COMMON_FORMAT
    if len(arguments) > 1 and "{" in arguments.last:
        written = arguments.take_last("format", str)
        form = written.replace("{common}", _COMMON_FORMAT).replace("{combined}", _COMBINED_FORMAT)
    names = arguments.rest("name", zone_name) or (".",)
    return LogOptions(names=names, format=form, **read_options(statement, _LOG, context))


_LOG = {"class": a_set("classes", values.one_of(*get_args(AnswerClass)))}


def health(statement: Statement, context: Context) -> HealthOptions:
    """`health [ADDRESS] { lameduck DURATION }`."""
    return HealthOptions(
        **_address(statement, context), **read_options(statement, _HEALTH, context)
    )


_HEALTH = {"lameduck": single("lameduck_seconds", values.duration(0))}


def _address(statement: Statement, context: Context) -> Fields:
    """The one word of directives that serve HTTP; no field where there is none.

    A page that cannot be served at its port is no reason to serve no names.
    """
    arguments = statement.arguments
    fields = {"address": arguments.take("address", values.host_port)} if len(arguments) else {}
    arguments.end()
    for address in fields.values():
        port = values.split_host_port(address)[1]
        if not (port.isascii() and port.isdecimal() and int(port) <= _MAX_PORT):
            reason = f"address must have a port from 0 to {_MAX_PORT}, not {address!r}"
            context.leave_out(statement.words[0], reason)
    return fields


def prometheus(statement: Statement, context: Context) -> PrometheusOptions:
    """`prometheus [ADDRESS] { runtime_metrics; tls FILE }`."""
    return PrometheusOptions(
        **_address(statement, context), **read_options(statement, _PROMETHEUS, context)
    )


_PROMETHEUS = {
    "runtime_metrics": no_effect(),
    "tls": once(single("tls_config_file", str)),
}


def ready(statement: Statement, context: Context) -> ReadyOptions:
    """`ready [ADDRESS] { monitor until-ready|continuously }`."""
    return ReadyOptions(**_address(statement, context), **read_options(statement, _READY, context))


_READY = {"monitor": single("monitor", values.one_of("until-ready", "continuously"))}


def pprof(statement: Statement, context: Context) -> PprofOptions:
    """`pprof [ADDRESS] { block [RATE] }`."""
    return PprofOptions(**_address(statement, context), **read_options(statement, _PPROF, context))


_PPROF = {"block": no_effect(values.integer)}


def metadata(statement: Statement, _: Context) -> MetadataOptions:
    """`metadata [ZONES…]`."""
    no_block(statement)
    return MetadataOptions(zones=zones(statement.arguments))


_ENDPOINTS = {"zipkin": "localhost:9411", "datadog": "localhost:8126"}


def trace(statement: Statement, context: Context) -> TraceOptions:
    """`trace [[zipkin|datadog] ENDPOINT] { … }`."""
    arguments = statement.arguments
    kind = "zipkin"
    if len(arguments) > 1:
        kind = arguments.take("kind", values.one_of(*_ENDPOINTS))
    endpoint = arguments.take_or("endpoint", str, "") or _ENDPOINTS[kind]
    arguments.end()
    if kind == "zipkin":
        endpoint = _collector(statement, endpoint)
    else:
        context.warn(statement.name, "no spans are sent: only zipkin is spoken here, not datadog")
    fields = read_options(statement, _TRACE, context)
    return TraceOptions(endpoint_type=kind, endpoint=endpoint, **fields)  # type: ignore[arg-type]


def _collector(statement: Statement, endpoint: str) -> str:
    """The address that spans are posted to, made whole as CoreDNS does."""
    url = endpoint if "http" in endpoint else f"http://{endpoint}/api/v2/spans"
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        reason = f"endpoint must be HOST:PORT or an address of HTTP, not {endpoint!r}"
        raise Fault(statement.words[-1], reason)
    return url


def _rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"must be a number from 0 to 1, not {word!r}")
    return rate


_TRACE = {
    "every": single("every", values.whole(0)),
    "service": single("service", str),
    "client_server": no_effect(values.boolean),
    "datadog_analytics_rate": no_effect(_rate),
    "zipkin_max_backlog_size": single("zipkin_max_backlog_size", values.whole(0)),
    "zipkin_max_batch_size": single("zipkin_max_batch_size", values.whole(0)),
    "zipkin_max_batch_interval": single("zipkin_max_batch_seconds", values.duration(0)),
}

_MAX_WRITE_BUFFER_MIB = 1024
_MAX_QUEUES = 4096
_MESSAGES_PER_QUEUE = 10_000


def dnstap(statement: Statement, context: Context) -> DnstapOptions:
    """`dnstap [listen] ENDPOINT [full] [WRITEBUFFER] [QUEUE] { … }`."""
    arguments = statement.arguments
    is_listener = arguments.following == "listen"
    if is_listener:
        arguments.take("word", str)
    fields: dict[str, Any] = arguments.take("endpoint", _endpoint)
    fields["is_full"] = arguments.take_or("word after the endpoint", str, "") == "full"
    buffer = values.whole(1, _MAX_WRITE_BUFFER_MIB)
    fields["write_buffer_mib"] = arguments.take_or("write buffer (MiB)", buffer, 1)
    queues = arguments.take_or("queue (10,000 messages)", values.whole(1, _MAX_QUEUES), 1)
    fields["queue_messages"] = queues * _MESSAGES_PER_QUEUE
    arguments.end()
    fields |= read_options(statement, _DNSTAP, context)
    options = DnstapOptions(is_listener=is_listener, **fields)
    if options.tls is not None and not is_listener:
        raise Fault(statement.name, "tls is for listeners only")
    return options


def _endpoint(word: str) -> Fields:
    """`tcp://HOST:PORT`, `tls://HOST:PORT`, `unix://PATH` or a path."""
    scheme, separator, rest = word.partition("://")
    if not separator:
        return {"transport": "unix", "address": word}
    if scheme not in ("unix", "tcp", "tls") or not rest:
        raise ValueError(f"must be a path, unix://, tcp:// or tls://, not {word!r}")
    address = rest if scheme == "unix" else values.host_port(rest.partition("/")[0])
    return {"transport": scheme, "address": address}


def _dnstap_tls(arguments: Arguments) -> Fields:
    return {
        "tls": TlsOptions(
            certificate_file=arguments.take("certificate", str),
            key_file=arguments.take("key", str),
            authority_file=arguments.take_or("authority", str, ""),
        )
    }


_DNSTAP = {
    "identity": single("identity", str),
    "version": single("version", str),
    "extra": single("extra", str),
    "skipverify": flag("skip_verify"),
    "tls": Option(_dnstap_tls),
}

DIRECTIVES = {
    "metadata": Directive("metadata", metadata),
    "trace": Directive("trace", trace, Repeat.LAST),
    "ready": Directive("ready", ready),
    "health": Directive("health", health, Repeat.LAST),
    "pprof": Directive("pprof", pprof),
    "prometheus": Directive("prometheus", prometheus),
    "errors": Directive("errors", errors),
    "log": Directive("logs", log, Repeat.EACH),
    "dnstap": Directive("dnstaps", dnstap, Repeat.EACH),
}
