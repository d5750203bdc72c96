"""Lines of a hosts file, as maps from names to addresses and back."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from .dns_name import ZoneNames, wire_of

_WILDCARD = b"\x01*"
_IN_ADDR = b"\x07in-addr\x04arpa\x00"
_IP6 = b"\x03ip6\x04arpa\x00"
_IPV4_LABELS = 4
_IPV6_LABELS = 32


@dataclass(slots=True)
class HostsMap:
    """What some hosts lines say. Names are in lower case, on the wire; addresses as in records."""

    ipv4: defaultdict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    ipv6: defaultdict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    names: defaultdict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Names by address."""

    def __len__(self) -> int:
        """Addresses of all names and names of all addresses, as CoreDNS counts them."""
        maps = (self.ipv4, self.ipv6, self.names)
        return sum(len(values) for entries in maps for values in entries.values())

    def addresses(self, qname: bytes, *, is_ipv6: bool) -> list[bytes]:
        """The addresses of `qname`: its own, else those of `*` in the place of its first label."""
        entries = self.ipv6 if is_ipv6 else self.ipv4
        if qname in entries:
            return entries[qname]
        if len(qname) == 1 or qname.startswith(_WILDCARD):
            return []
        return entries.get(_WILDCARD + qname[qname[0] + 1 :], [])


def parse_hosts(lines: Iterable[str], zones: ZoneNames, *, has_reverse: bool) -> HostsMap:
    """Read hosts lines; what is no address, no name or outside `zones` is passed over."""
    hosts = HostsMap()
    for line in lines:
        fields = line.partition("#")[0].split()
        address = _address(fields[0]) if len(fields) > 1 else None
        if address is not None:
            for text in fields[1:]:
                name = _name_within(text, zones)
                if name is not None:
                    _add(hosts, name, address, has_reverse=has_reverse)
    return hosts


def _add(
    hosts: HostsMap, name: bytes, address: IPv4Address | IPv6Address, *, has_reverse: bool
) -> None:
    entries = hosts.ipv4 if address.version == 4 else hosts.ipv6
    entries[name].append(address.packed)
    if has_reverse and not name.startswith(_WILDCARD):
        hosts.names[address.packed].append(name)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address written as `text`, without its zone; an IPv4 one in IPv6's clothes is IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _name_within(text: str, zones: ZoneNames) -> bytes | None:
    try:
        name = wire_of(text.lower())
    except ValueError:
        return None
    return name if zones.match(name) is not None else None


def reversed_address(qname: bytes) -> bytes | None:
    """The address whose reverse name `qname` is (RFC 1035 §3.5, RFC 3596 §2.5), as in records."""
    if qname.endswith(_IN_ADDR):
        labels = _labels(qname[: -len(_IN_ADDR)])
        text = ".".join(reversed(labels)) if len(labels) == _IPV4_LABELS else ""
    elif qname.endswith(_IP6):
        labels = _labels(qname[: -len(_IP6)])
        digits = "".join(reversed(labels)) if len(labels) == _IPV6_LABELS else ""
        text = ":".join(digits[start : start + 4] for start in range(0, len(digits), 4))
    else:
        return None
    address = _address(text)
    return None if address is None else address.packed


def _labels(octets: bytes) -> list[str]:
    labels, offset = [], 0
    while offset < len(octets):
        end = offset + 1 + octets[offset]
        labels.append(octets[offset + 1 : end].decode("latin-1"))
        offset = end
    return labels


class HostsFile:
    """A hosts file on disk, read again when its size or time of change says so."""

    def __init__(self, path: str, parse: Callable[[Iterable[str]], HostsMap]) -> None:
        self.path = path
        self.hosts = HostsMap()
        self.changed_at = 0.0
        """Seconds since 1970, 0 before it was read."""
        self._parse = parse
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> bool:
        """Read the file if it changed; False where it did not, or is gone (the old one is kept).

        Raises OSError where it is there but cannot be read.

        Reads and parses in whatever thread it is called in; what queries see changes at the end,
        in one step.
        """
        try:
            with Path(self.path).open(encoding="utf-8", errors="replace") as file:
                state = os.fstat(file.fileno())
                seen = (state.st_mtime_ns, state.st_size)
                if seen == self._seen:
                    return False
                hosts = self._parse(file)
        except FileNotFoundError:
            return False
        self.hosts, self.changed_at, self._seen = hosts, state.st_mtime, seen
        return True
