"""The Corefile: text → frozen options.

The law of this package: it imports nothing else of nodecache, touches no socket, no clock and no
disk. The environment, files to import and lists of them come in as arguments, so all of it can be
tested with strings. Text either becomes a Corefile or CorefileError tells every mistake in it.

    render      base Corefile and kube-dns ConfigMap → text
    lexer       text → words
    structure   words → server blocks, directives, options; imports, snippets, variables
    directives  one module a kind: words of a directive → its options
    parser      all of it together, and what blocks may not be to each other
    options     what comes out
"""

from .destinations import Destination, nameservers
from .errors import CorefileError
from .options import (
    AclOptions,
    AclPolicy,
    BindLine,
    BindOptions,
    CacheOptions,
    Consolidation,
    Corefile,
    Dns64Options,
    DnstapOptions,
    ErrorsOptions,
    ExtendedErrorOptions,
    ForwardOptions,
    HealthOptions,
    HostsOptions,
    LoadbalanceOptions,
    LogOptions,
    MetadataOptions,
    OwnOptions,
    PprofOptions,
    PrefetchOptions,
    PrometheusOptions,
    ReadyOptions,
    ReloadOptions,
    ServerBlock,
    StaleOptions,
    TemplateOptions,
    TimeoutsOptions,
    TlsOptions,
    TraceOptions,
    ZoneKey,
)
from .parser import own_options, parse
from .rewriting import RewriteOptions

__all__ = [
    "AclOptions",
    "AclPolicy",
    "BindLine",
    "BindOptions",
    "CacheOptions",
    "Consolidation",
    "Corefile",
    "CorefileError",
    "Destination",
    "Dns64Options",
    "DnstapOptions",
    "ErrorsOptions",
    "ExtendedErrorOptions",
    "ForwardOptions",
    "HealthOptions",
    "HostsOptions",
    "LoadbalanceOptions",
    "LogOptions",
    "MetadataOptions",
    "OwnOptions",
    "PprofOptions",
    "PrefetchOptions",
    "PrometheusOptions",
    "ReadyOptions",
    "ReloadOptions",
    "RewriteOptions",
    "ServerBlock",
    "StaleOptions",
    "TemplateOptions",
    "TimeoutsOptions",
    "TlsOptions",
    "TraceOptions",
    "ZoneKey",
    "nameservers",
    "own_options",
    "parse",
]
