"""Options of the directives that make or change answers, as frozen data."""

from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Literal

from .values import IpNetwork

_WELL_KNOWN_PREFIX = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsOptions:
    """`hosts`. Empty `zones` are the block's own; no `fallthrough_zones`, no falling through."""

    file: str = "/etc/hosts"
    zones: tuple[str, ...] = ()
    inline: tuple[str, ...] = ()
    """Lines as they would stand in a hosts file."""
    ttl: int = 3600
    has_reverse: bool = True
    reload_seconds: float = 5.0
    fallthrough_zones: tuple[str, ...] = ()
    fallthrough_unsupported: bool = False


@dataclass(frozen=True, slots=True)
class ExtendedErrorOptions:
    """An Extended DNS Error to send along (RFC 8914)."""

    code: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOptions:
    """`template CLASS TYPE`. Empty `zones` are the block's own; 255 is ANY for class and type."""

    rdclass: int
    rdtype: int
    zones: tuple[str, ...] = ()
    patterns: tuple[str, ...] = (".*",)
    answers: tuple[str, ...] = ()
    additionals: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    rcode: int = 0
    ede: ExtendedErrorOptions | None = None
    fallthrough_zones: tuple[str, ...] = ()
    file: str = field(default="Corefile", compare=False)
    line: int = field(default=0, compare=False)
    """Where it stands: whether its templates are sound is seen only when they are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns64Options:
    """`dns64`."""

    prefix: IPv6Network = _WELL_KNOWN_PREFIX
    translate_all: bool = False
    allow_ipv4: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadbalanceOptions:
    """`loadbalance`."""

    policy: Literal["round_robin", "weighted"] = "round_robin"
    weight_file: str = ""
    reload_seconds: float = 30.0
    prefer: tuple[IpNetwork, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AclPolicy:
    """What happens to a query of one of `rdtypes` from one of `networks`; empty is all."""

    action: Literal["allow", "block", "filter", "drop"]
    rdtypes: frozenset[int] = frozenset()
    networks: tuple[IpNetwork, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AclOptions:
    """One `acl`: the first policy that matches decides. Empty `zones` are the block's own."""

    zones: tuple[str, ...] = ()
    policies: tuple[AclPolicy, ...] = ()
