"""Lines of a hosts file, as maps from names to addresses and back.

A file may have 100,000 lines and more. It is read in a thread, once for all blocks that use it with the
same options; a reload reads it again only if it changed.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from weakref import WeakValueDictionary

from nodecache.server.zone_names import ZoneNames
from nodecache.wire import wire_of

from .reverse_name import IPV4_MAPPED, address_text

_WILDCARD = b"\x01*"
_USED_SECONDS = 0.1  # a query looks into a map for far less


@dataclass(slots=True)
class HostsMap:
    """The names and addresses of hosts lines. Names are in lower case, as on the wire; addresses as in records."""

    ipv4: defaultdict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    ipv6: defaultdict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    names: defaultdict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Names by address."""
    count: int = 0

    def __len__(self) -> int:
        """Addresses of all names and names of all addresses, as CoreDNS counts them."""
        return self.count

    def clear(self) -> None:
        """Empty it in steps, so that other threads run in between."""
        for entries in (self.ipv4, self.ipv6, self.names):
            while entries:
                entries.popitem()

    def addresses(self, qname: bytes, *, is_ipv6: bool) -> list[bytes]:
        """The addresses of `qname`: its own, else those of `*` in the place of its first label."""
        entries = self.ipv6 if is_ipv6 else self.ipv4
        if qname in entries:
            return entries[qname]
        if len(qname) == 1 or qname.startswith(_WILDCARD):
            return []
        return entries.get(_WILDCARD + qname[qname[0] + 1 :], [])


def parse_hosts(lines: Iterable[str], zones: ZoneNames, *, has_reverse: bool) -> HostsMap:
    """Read hosts lines; what is no address, no name or outside `zones` is skipped."""
    hosts = HostsMap()
    for line in lines:
        fields = line.partition("#")[0].split() if "#" in line else line.split()
        address = _address(fields[0]) if len(fields) > 1 else None
        if address is not None:
            for text in fields[1:]:
                name = _name_within(text, zones)
                if name is not None:
                    _add(hosts, name, address, has_reverse=has_reverse)
    return hosts


def _add(hosts: HostsMap, name: bytes, address: bytes, *, has_reverse: bool) -> None:
    entries = hosts.ipv4 if len(address) == 4 else hosts.ipv6
    entries[name].append(address)
    hosts.count += 1
    if has_reverse and not name.startswith(_WILDCARD):
        hosts.names[address].append(name)
        hosts.count += 1


def _address(text: str) -> bytes | None:
    """The octets of an address, without its zone; an IPv4-mapped IPv6 address is IPv4; None if it is none."""
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text.partition("%")[0])
        packed = inet_pton(AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return packed.removeprefix(IPV4_MAPPED) if len(packed) == 16 else packed


def _name_within(text: str, zones: ZoneNames) -> bytes | None:
    try:
        name = wire_of(text.lower())
    except ValueError:
        return None
    return name if zones.match(name) is not None else None


def reversed_address(qname: bytes) -> bytes | None:
    """The address whose reverse name `qname` is, as in records."""
    return _address(address_text(qname))


class HostsFile:
    """A hosts file on disk, read again when its size or time of change says so."""

    def __init__(self, path: str, zones: Iterable[str], *, has_reverse: bool) -> None:
        self.path = path
        self.hosts = HostsMap()
        self.changed_at = 0.0
        """Seconds since 1970, 0 before it was read."""
        self._zones = ZoneNames(zones)
        self._has_reverse = has_reverse
        self._is_read = False  # by a thread, at the moment
        self._seen: tuple[int, int] | None = None

    def refresh(self) -> bool:
        """Read the file if it changed; False where it did not, or is gone (the old one is kept).

        Raises OSError where it is there but cannot be read.

        Reads and parses in whatever thread it is called in, unless another one does so already; what
        queries see changes at the end, in one step.
        """
        if self._is_read:
            return False
        self._is_read = True
        try:
            return self._read()
        finally:
            self._is_read = False

    def _read(self) -> bool:
        try:
            with Path(self.path).open(encoding="utf-8", errors="replace") as file:
                state = os.fstat(file.fileno())
                seen = (state.st_mtime_ns, state.st_size)
                if seen == self._seen:
                    return False
                hosts = parse_hosts(file, self._zones, has_reverse=self._has_reverse)
        except FileNotFoundError:
            return False
        before, self.hosts = self.hosts, hosts
        self.changed_at, self._seen = state.st_mtime, seen
        if before:
            time.sleep(_USED_SECONDS)
            before.clear()
        return True


_shared: WeakValueDictionary[tuple[str, tuple[str, ...], bool], HostsFile] = WeakValueDictionary()


def hosts_file(path: str, zones: Iterable[str], *, has_reverse: bool) -> HostsFile:
    """The file as it is in use already for the same zones, else one that is still to be read."""
    key = (path, tuple(zones), has_reverse)
    known = _shared.get(key)
    if known is None:
        known = _shared[key] = HostsFile(path, key[1], has_reverse=has_reverse)
    return known
