"""Every directive: which field of a server block it fills, and how it is read.

One module holds the directives of one kind, with a table of them. Each has a table of options; a function
`name(statement, context)` reads one directive as written and returns its options.
"""

from collections.abc import Mapping

from nodecache.corefile.options import CHAIN
from nodecache.corefile.reading import Directive

from . import answering, caching, forwarding, listening, observing, own, rewriting

_TABLES = (answering, caching, forwarding, listening, observing, own, rewriting)
_ROWS: Mapping[str, Directive] = {
    name: row for module in _TABLES for name, row in module.DIRECTIVES.items()
}
DIRECTIVES: Mapping[str, Directive] = {name: _ROWS[name] for name in CHAIN}
"""By name, in the order of the chain."""

# fmt: off
ELSEWHERE = frozenset((
    "auto", "autopath", "azure", "cancel", "chaos", "clouddns", "dnssec", "erratic", "etcd",
    "file", "geoip", "grpc", "grpc_server", "header", "https", "https3", "k8s_external",
    "kubernetes", "local", "multisocket", "nomad", "nsid", "on", "proxyproto", "quic", "root",
    "route53", "secondary", "shed", "sign", "tls", "transfer", "tsig", "view",
))
"""Directives of CoreDNS that neither node-cache nor nodecache has."""
# fmt: on
