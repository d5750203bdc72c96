"""Makes forwarders from a block's `forward` directives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from nodecache.config.cluster_dns import is_asked_by
from nodecache.corefile import (
    Destination,
    ForwardOptions,
    OwnOptions,
    ServerBlock,
    TlsOptions,
    nameservers,
)
from nodecache.corefile.destinations import destination
from nodecache.forward import (
    BALANCED,
    DEFAULT_FAILOVER,
    DEFAULT_MAX_AGE_SECONDS,
    DEFAULT_POOL_SIZE,
    Destinations,
    Endpoint,
    Forwarder,
    HostName,
    HostNames,
    NameserverFile,
    PodDestinations,
    PodSource,
    Settings,
    TlsSettings,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.web.secured import stamp_of

_NODE_RESOLVERS = "/etc/resolv.conf"


@dataclass(frozen=True, slots=True)
class DnsService:
    """The cluster DNS address, and the source of the pods behind it."""

    address: str
    source: PodSource
    salt: bytes


def open_forwarders(
    block: ServerBlock,
    upstreams: UpstreamRegistry,
    dns_service: DnsService | None = None,
    *,
    waits: bool = False,
) -> list[Forwarder]:
    """One forwarder for each `forward` of a block, in order; `next` leads from one to the following.

    `dns_service` is None where no pods are to be asked.
    Raises OSError if a file of theirs cannot be read, ValueError for what is not supported. If
    it `waits` for files, the names are SERVFAIL until they are there.
    """
    opened: list[Forwarder] = []
    try:
        opened.extend(
            _open_forwarder(options, block.nodecache, upstreams, dns_service, waits=waits)
            for options in block.forwards
        )
    except Exception:
        for forwarder in opened:
            forwarder.close()
        raise
    for forwarder, following in pairwise(opened):
        forwarder.following = following
    return opened


def _open_forwarder(
    options: ForwardOptions,
    own: OwnOptions,
    upstreams: UpstreamRegistry,
    dns_service: DnsService | None,
    *,
    waits: bool,
) -> Forwarder:
    settings = settings_of(options, own)
    if dns_service is not None and own.asks_pods and is_asked_by(options, dns_service.address):
        pods = _pod_destinations(options, dns_service)
        return Forwarder(replace(settings, policy=BALANCED), upstreams, pods)
    destinations = Destinations(
        [
            _destination(each, options.tls_servername, options.doh_method)
            for each in options.destinations
        ],
        lambda changed: HostNames(
            _resolver_forwarder(options.resolver, upstreams), changed, upstreams.last_found
        ),
        waits=waits,
    )
    return Forwarder(settings, upstreams, destinations)


def _pod_destinations(options: ForwardOptions, dns_service: DnsService) -> PodDestinations:
    (there,) = options.destinations
    service = _destination(there, options.tls_servername, options.doh_method)
    assert isinstance(service, Endpoint)
    return PodDestinations(
        service, dns_service.source, is_by_tcp=options.force_tcp, salt=dns_service.salt
    )


def _resolver_forwarder(resolver: Sequence[str], upstreams: UpstreamRegistry) -> Forwarder:
    """Who resolves the names of upstreams: `resolver IP[:PORT]…`, or the node's resolvers."""
    named = [_destination(destination(word), "") for word in resolver]
    return Forwarder(Settings(), upstreams, Destinations(named or [ResolvConf(_NODE_RESOLVERS)]))


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """A file in the form of resolv.conf(5)."""

    path: str

    def stamp(self) -> object:
        """What the path leads to, and when that was written."""
        return stamp_of([self.path])

    def read(self) -> list[Endpoint]:
        """Its nameservers. OSError where it cannot be read."""
        text = Path(self.path).read_text(encoding="utf-8", errors="replace")
        return [Endpoint(each.host, each.port) for each in nameservers(text)]


def _destination(
    read: Destination, server_name: str, doh_method: str = "POST"
) -> Endpoint | HostName | NameserverFile:
    if read.kind == "file":
        return ResolvConf(read.host)
    name = "" if read.scheme == "dns" else read.server_name or server_name
    method = doh_method if read.scheme == "https" else ""
    endpoint = Endpoint(read.host, read.port, read.scheme, name, method)
    return HostName(endpoint) if read.kind == "name" else endpoint


def settings_of(options: ForwardOptions, own: OwnOptions) -> Settings:
    """The directive and `nodecache { hedge, pool }` in the forwarder's terms, our defaults where it leaves them open."""
    return Settings(
        from_zone=options.from_zone,
        except_zones=options.except_zones,
        prefer_udp=options.prefer_udp,
        policy=options.policy,
        max_concurrent=options.max_concurrent,
        max_connect_attempts=options.max_connect_attempts,
        fails_fast=options.failfast,
        failover_rcodes=(
            DEFAULT_FAILOVER if options.failover_rcodes is None else options.failover_rcodes
        ),
        next_rcodes=options.next_rcodes,
        next_on_nodata=options.next_on_nodata,
        hedges=own.hedges,
        upstream=UpstreamSettings(
            force_tcp=options.force_tcp,
            max_connections=own.pool_size or DEFAULT_POOL_SIZE,
            may_exceed_pool=own.pool_size is None,
            expire_seconds=options.expire_seconds,
            max_age_seconds=(
                max(DEFAULT_MAX_AGE_SECONDS, options.expire_seconds)
                if options.max_age_seconds is None
                else options.max_age_seconds
            ),
            max_idle_connections=options.max_idle_conns,
            max_fails=options.max_fails,
            read_timeout_seconds=options.read_timeout_seconds,
            probe_seconds=options.health_check_seconds,
            probe_recursion=options.health_check_recursion,
            probe_name=options.health_check_domain,
            tls=_tls_settings(options.tls),
            source_address=options.source_address,
        ),
    )


def _tls_settings(options: TlsOptions | None) -> TlsSettings:
    if options is None:
        return TlsSettings()
    files = (options.certificate_file, options.key_file, options.authority_file)
    return TlsSettings(
        certificate_file=options.certificate_file,
        key_file=options.key_file,
        authority_file=options.authority_file,
        stamp=stamp_of(filter(None, files)),
    )
