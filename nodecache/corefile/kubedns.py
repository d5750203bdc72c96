"""The ConfigMap kube-dns: stub domains and upstream name servers, as files of a folder.

Keys other than these three are no concern of ours. The bounds are those of kube-dns, with one mend:
a stub domain's server may be a host name, which is resolved through the node's resolvers.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .values import ip, port, split_host_port

_MOST_UPSTREAMS = 3
# RFC 1123 names as Kubernetes has them: lower case only.
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_FEDERATION = re.compile(
    rf"\s*(?P<name>[a-z][-a-z0-9]*)\s*=\s*(?P<domain>{_LABEL}(\.{_LABEL})*)\s*"
)


class KubeDnsError(ValueError):
    """A ConfigMap that cannot be used. `all` holds every fault, each with the key it is in."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.all = tuple(faults)
        super().__init__("; ".join(f"{key}: {reason}" for key, reason in self.all))


class _Faults(ValueError):
    """What is wrong with one value."""

    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__()
        self.reasons = tuple(reasons)


@dataclass(frozen=True, slots=True)
class KubeDns:
    """What the ConfigMap says; nothing where there is none."""

    stub_domains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each domain with its servers, in the order of the domains."""
    upstream_nameservers: tuple[str, ...] = ()


def read_kubedns(files: Mapping[str, str]) -> KubeDns:
    """Read the ConfigMap from its keys and values. Raises KubeDnsError with every fault."""
    faults: list[tuple[str, str]] = []
    read = {}
    for key, reader in _READERS.items():
        try:
            read[key] = reader(files.get(key, "").strip())
        except _Faults as error:
            faults += [(key, reason) for reason in error.reasons]
        except ValueError as error:
            faults.append((key, str(error)))
    if faults:
        raise KubeDnsError(faults)
    return KubeDns(read["stubDomains"], read["upstreamNameservers"])


def _stub_domains(value: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`{"acme.local": ["1.2.3.4", "ns.acme.example"]}`."""
    faults: list[str] = []
    found: dict[str, tuple[str, ...]] = {}
    for domain, servers in _json(value, dict, "an object of domains and lists of servers").items():
        if not _SUBDOMAIN.fullmatch(domain):
            faults.append(f"must be a domain name in lower case, not {domain!r}")
        if not isinstance(servers, list) or not servers:
            faults.append(f"{domain}: must have a list of servers, not {servers!r}")
            continue
        faults += [f"{domain}: {fault}" for fault in map(_stub_server_fault, servers) if fault]
        found[domain] = tuple(map(str, servers))
    if faults:
        raise _Faults(faults)
    return tuple(sorted(found.items()))


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
    return "" if _is_ip(host) or (_SUBDOMAIN.fullmatch(host) and not _is_number(host)) else fault


def _upstream_nameservers(value: str) -> tuple[str, ...]:
    """`["1.2.3.4", "[2001:db8::1]:53"]`."""
    servers = _json(value, list, "a list of addresses")
    faults = [fault for fault in map(_upstream_fault, servers) if fault]
    if len(servers) > _MOST_UPSTREAMS:
        faults.append(f"must be at most {_MOST_UPSTREAMS}, not {len(servers)}")
    if faults:
        raise _Faults(faults)
    return tuple(servers)


def _upstream_fault(server: object) -> str:
    """What is wrong with an address, with a port or without; "" for nothing."""
    fault = f"must be an IP address, with a port or without, not {server!r}"
    if not isinstance(server, str):
        return fault
    if _is_ip(server):
        return ""
    try:
        host, number = split_host_port(server)
        port(number)
    except ValueError:
        return fault
    return "" if _is_ip(host) else fault


def _federations(value: str) -> None:
    """`name=domain,…`: checked and without effect, as in node-cache."""
    for part in value.split(",") if value else ():
        if not _FEDERATION.fullmatch(part):
            raise ValueError(f"must be NAME=DOMAIN, …, not {part!r}")


def _json(value: str, kind: type, shape: str) -> Any:
    """The value of a key; an empty one is an empty container."""
    if not value:
        return kind()
    try:
        read = json.loads(value)
    except ValueError as error:
        raise ValueError(f"must be JSON, {shape}: {error}") from None
    if read is None:
        return kind()
    if not isinstance(read, kind):
        raise ValueError(f"must be {shape}, not {value!r}")  # noqa: TRY004 - its text is told
    return read


def _is_ip(host: str) -> bool:
    try:
        ip(host)
    except ValueError:
        return False
    return True


def _is_number(host: str) -> bool:
    """Whether the last label is all digits: a broken address, not a name (RFC 1123 §2.1)."""
    return host.rpartition(".")[2].isdigit()


_READERS: Mapping[str, Any] = {
    "stubDomains": _stub_domains,
    "upstreamNameservers": _upstream_nameservers,
    "federations": _federations,
}
