"""The ConfigMap kube-dns: stub domains and upstream name servers, as files of a folder.

Keys other than these three are no concern of ours. The bounds are those of kube-dns, with two mends:
a stub domain's server may be a host name, which is resolved through the node's resolvers, and names
may be in any case and have their last dot.

The ConfigMap is optional, and what is wrong in it costs no more than itself: the rest is served.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .destinations import is_like_ipv4
from .values import fits, ip, port, split_host_port

KEYS = ("stubDomains", "upstreamNameservers", "federations")
_MAX_UPSTREAMS = 3
# RFC 1123 names as Kubernetes has them: lower case only.
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_MAX_SERVERS = 15  # a `forward` takes no more
_FEDERATION = re.compile(
    rf"\s*(?P<name>[a-z][-a-z0-9]*)\s*=\s*(?P<domain>{_LABEL}(\.{_LABEL})*)\s*"
)


@dataclass(frozen=True, slots=True)
class KubeDns:
    """What the ConfigMap says; nothing where there is none."""

    stub_domains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each domain with its servers, in the order of the domains."""
    upstream_nameservers: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """What is wrong with it and left out: each fault with the key it is in."""

    def where_faulty(self, before: "KubeDns | None") -> "KubeDns":
        """The same, but with the value in `before` for each key with a mistake, if it had one."""
        if before is None:
            return self
        faulty = {key for key, _ in self.faults}
        return replace(
            self,
            **{
                name: getattr(before, name)
                for key, name in _FIELDS.items()
                if key in faulty and getattr(before, name)
            },
        )


NO_KUBE_DNS = KubeDns()


def read_kubedns(files: Mapping[str, str]) -> KubeDns:
    """Read the ConfigMap from its keys and values; mistakes are in `faults`."""
    faults: dict[str, list[str]] = {key: [] for key in KEYS}
    stub_domains = _stub_domains(files.get("stubDomains", "").strip(), faults["stubDomains"])
    upstreams = _upstream_nameservers(
        files.get("upstreamNameservers", "").strip(), faults["upstreamNameservers"]
    )
    _check_federations(files.get("federations", "").strip(), faults["federations"])
    told = tuple((key, reason) for key, reasons in faults.items() for reason in reasons)
    return KubeDns(stub_domains, upstreams, told)


def _stub_domains(value: str, faults: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`{"acme.local": ["1.2.3.4", "ns.acme.example"]}`."""
    found: dict[str, tuple[str, ...]] = {}
    written = _json(value, dict, "an object of domains and lists of servers", faults)
    for domain, servers in written.items():
        name = _plain(domain)
        sound = _stub_servers(domain, servers, faults)
        if not _SUBDOMAIN.fullmatch(name):
            faults.append(f"must be a domain name, not {domain!r}")
        elif name in found:
            faults.append(f"{domain}: is there twice")
        elif sound:
            found[name] = sound
    return tuple(sorted(found.items()))


def _stub_servers(domain: str, servers: object, faults: list[str]) -> tuple[str, ...]:
    if not isinstance(servers, list) or not servers:
        faults.append(f"{domain}: must have a list of servers, not {servers!r}")
        return ()
    found: list[str] = []
    sound = _sound(servers, _stub_server_fault, _MAX_SERVERS, found)
    faults += [f"{domain}: {fault}" for fault in found]
    return sound


def _sound(
    servers: Sequence[Any], fault_of: Callable[[object], str], max_count: int, faults: list[str]
) -> tuple[str, ...]:
    """The servers without mistakes, at most `max_count`."""
    faults += [fault for fault in map(fault_of, servers) if fault]
    if len(servers) > max_count:
        faults.append(f"must be at most {max_count}, not {len(servers)}")
    return tuple([server for server in servers if not fault_of(server)][:max_count])


def _plain(name: str) -> str:
    """A name as Kubernetes writes names: in lower case, without its last dot."""
    return name.lower().removesuffix(".")


def _stub_server_fault(server: object) -> str:
    """What is wrong with an address or a name, with a port or without; "" for nothing."""
    fault = f"must be an IP address or a host name, with a port or without, not {server!r}"
    if not isinstance(server, str):
        return fault
    try:
        host, number = split_host_port(server)
        port(number)
    except ValueError:
        host = server
    if fits(ip, host):
        return ""
    name = _plain(host)
    return "" if _SUBDOMAIN.fullmatch(name) and not is_like_ipv4(name) else fault


def _upstream_nameservers(value: str, faults: list[str]) -> tuple[str, ...]:
    """`["1.2.3.4", "[2001:db8::1]:53"]`."""
    servers = _json(value, list, "a list of addresses", faults)
    return _sound(servers, _upstream_fault, _MAX_UPSTREAMS, faults)


def _upstream_fault(server: object) -> str:
    """What is wrong with an address, with a port or without; "" for nothing."""
    fault = f"must be an IP address, with a port or without, not {server!r}"
    if not isinstance(server, str):
        return fault
    if fits(ip, server):
        return ""
    try:
        host, number = split_host_port(server)
        port(number)
    except ValueError:
        return fault
    return "" if fits(ip, host) else fault


def _check_federations(value: str, faults: list[str]) -> None:
    """`name=domain,…`: checked and without effect, as in node-cache."""
    parts = value.split(",") if value else ()
    faults += [
        f"must be NAME=DOMAIN, …, not {part!r}" for part in parts if not _FEDERATION.fullmatch(part)
    ]


def _json(value: str, kind: type, shape: str, faults: list[str]) -> Any:
    """The value of a key; an empty or a broken one is an empty container."""
    if not value:
        return kind()
    try:
        read = json.loads(value)
    except (ValueError, RecursionError) as error:
        faults.append(f"must be JSON, {shape}: {error}")
        return kind()
    if read is None:
        return kind()
    if not isinstance(read, kind):
        faults.append(f"must be {shape}, not {value!r}")
        return kind()
    return read


_FIELDS = {"stubDomains": "stub_domains", "upstreamNameservers": "upstream_nameservers"}
