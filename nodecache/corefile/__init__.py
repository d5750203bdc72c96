"""The Corefile: text → frozen options.

The law of this package: it imports nothing else of nodecache, touches no socket, no clock and no
disk. The environment, files to import and lists of them come in as arguments, so all of it can be
tested with strings. Text either becomes a Corefile or CorefileError tells every mistake in it.

    kubedns     the ConfigMap kube-dns → stub domains, upstream name servers
    render      base Corefile and those → text
    lexer       text → words
    stream      words as they are read: imports, snippets, variables
    structure   words → server blocks, directives, options
    directives  one module a kind: words of a directive → its options
    parser      all of it together
    conflicts   errors and warnings about two blocks together
    options     what comes out; those of some groups in answering, observing, rewriting
"""

from .answering import (
    AclOptions,
    AclPolicy,
    Dns64Options,
    ExtendedErrorOptions,
    HostsOptions,
    LoadbalanceOptions,
    TemplateOptions,
)
from .destinations import Destination, TlsOptions, nameservers
from .errors import CorefileError
from .kubedns import KEYS, NO_KUBE_DNS, KubeDns, read_kubedns
from .observing import (
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
from .options import (
    BindLine,
    BindOptions,
    CacheOptions,
    Corefile,
    ForwardOptions,
    OwnOptions,
    PrefetchOptions,
    ReloadOptions,
    ServerBlock,
    StaleOptions,
    TimeoutsOptions,
    ZoneKey,
)
from .parser import own_options, parse
from .render import PillarValues, line_needing_cluster_dns, render
from .rewriting import RewriteOptions
