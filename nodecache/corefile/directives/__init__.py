"""Every directive: which field of a server block it fills, and how it is read.

One module holds the directives of one kind. Each has a table of options; a function `name(statement,
context)` reads one directive as written and returns its options.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from nodecache.corefile.reading import Context, Statement

from . import answering, caching, forwarding, listening, observing, own, rewriting


class Repeat(Enum):
    """What a second directive of the same name in a block means, as CoreDNS has it."""

    NEVER = "can be used only once in a server block"
    FIRST = "the first stands"
    LAST = "the last stands"
    EACH = "all stand, in order"


@dataclass(frozen=True, slots=True)
class Directive:
    """One row of the table."""

    field: str
    read: Callable[[Statement, Context], Any]
    repeat: Repeat = Repeat.NEVER


DIRECTIVES: Mapping[str, Directive] = {
    "nodecache": Directive("nodecache", own.nodecache),
    "metadata": Directive("metadata", observing.metadata),
    "timeouts": Directive("timeouts", listening.timeouts),
    "reload": Directive("reload", listening.reload, Repeat.FIRST),
    "bufsize": Directive("bufsize", listening.bufsize, Repeat.FIRST),
    "bind": Directive("bind", listening.bind, Repeat.EACH),
    "debug": Directive("debug", listening.bare, Repeat.FIRST),
    "trace": Directive("trace", observing.trace, Repeat.LAST),
    "ready": Directive("ready", observing.ready),
    "health": Directive("health", observing.health, Repeat.LAST),
    "pprof": Directive("pprof", observing.pprof),
    "prometheus": Directive("prometheus", observing.prometheus),
    "errors": Directive("errors", observing.errors),
    "log": Directive("logs", observing.log, Repeat.EACH),
    "dnstap": Directive("dnstaps", observing.dnstap, Repeat.EACH),
    "acl": Directive("acls", answering.acl, Repeat.EACH),
    "any": Directive("any", listening.bare, Repeat.FIRST),
    "dns64": Directive("dns64", answering.dns64, Repeat.LAST),
    "loadbalance": Directive("loadbalance", answering.loadbalance, Repeat.LAST),
    "minimal": Directive("minimal", listening.bare, Repeat.FIRST),
    "cache": Directive("cache", caching.cache),
    "rewrite": Directive("rewrites", rewriting.rewrite, Repeat.EACH),
    "template": Directive("templates", answering.template, Repeat.EACH),
    "hosts": Directive("hosts", answering.hosts),
    "loop": Directive("loop", listening.loop),
    "forward": Directive("forwards", forwarding.forward, Repeat.EACH),
    "whoami": Directive("whoami", listening.bare, Repeat.FIRST),
}
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
