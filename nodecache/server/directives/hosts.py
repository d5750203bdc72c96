"""`hosts`: answers from a hosts file and from lines of the Corefile."""

import contextlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from nodecache.corefile import HostsOptions, ServerBlock
from nodecache.server.directive import Client, Result, refusal
from nodecache.server.records import Record, Sections, reply_of
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import CLASS_IN, Query, Rcode, Rdtype

from .hosts_file import HostsFile, HostsMap, hosts_file, parse_hosts, reversed_address

log = logging.getLogger("plugin/hosts")

_TYPES = {Rdtype.A: False, Rdtype.AAAA: True}


def read_hosts_files(blocks: Iterable[ServerBlock]) -> list[HostsFile]:
    """Read the files of these blocks' `hosts`, in any thread, for the zones that are built next.

    The result must be kept until then. Mistakes in a file are logged when its zone is built.
    """
    files = []
    for block in blocks:
        if (options := block.hosts) is not None:
            zones = options.zones or block.zone_names
            file = hosts_file(options.file, zones, has_reverse=options.has_reverse)
            files.append(file)
            with contextlib.suppress(OSError):
                file.refresh()
    return files


class Hosts:
    """Answers A, AAAA and PTR from hosts lines, and denies other types of the names in them.

    A name in the directive's zones without a line goes to the next directive if it may fall through, else it is
    SERVFAIL: a hosts file has no SOA for a negative answer. `begin` is to be called when serving begins,
    `refresh` every `refresh_seconds` (0: never again), in any thread.
    """

    name = "hosts"

    def __init__(self, options: HostsOptions, block_zones: Sequence[str]) -> None:
        self.refresh_seconds = options.reload_seconds
        zones = options.zones or block_zones
        self._zones = ZoneNames(zones)
        self._ttl = options.ttl
        self._fall = ZoneNames(options.fallthrough_zones)
        self._passes_other_types = options.fallthrough_unsupported
        self._inline = parse_hosts(options.inline, self._zones, has_reverse=options.has_reverse)
        self.file = hosts_file(options.file, zones, has_reverse=options.has_reverse)

    def __len__(self) -> int:
        """Entries, for `coredns_hosts_entries`."""
        return sum(len(hosts) for hosts in self._maps())

    def refresh(self) -> None:
        """Read the file if it changed; if it cannot be read, log that and keep the old contents."""
        try:
            self.file.refresh()
        except OSError as error:
            log.warning("Unable to access hosts file %r: %s", self.file.path, error.strerror)

    def begin(self) -> None:
        """Read the file unless that was done ahead; log if there is none."""
        if not self.file.changed_at:
            self.refresh()
        path = Path(self.file.path)
        if not path.exists():
            log.warning("File does not exist: %s", path)
        elif path.is_dir():
            log.warning("Hosts file %r is a directory", str(path))

    def serve(self, query: Query, client: Client) -> Result | None:  # noqa: ARG002 (anyone's)
        """The answer from the hosts lines; None for the next directive."""
        if query.qtype == Rdtype.PTR:
            return self._reverse(query)
        if self._zones.match(query.qname) is None:
            return None
        is_ipv6 = _TYPES.get(query.qtype)  # type: ignore[call-overload]
        if is_ipv6 is None:
            return self._other_type(query)
        addresses = self._addresses(query.qname, is_ipv6=is_ipv6)
        if addresses or self._is_known(query.qname):
            return self._answer(query, addresses)
        return self._unknown(query)

    def _reverse(self, query: Query) -> Result | None:
        address = reversed_address(query.qname)
        names = [name for hosts in self._maps() for name in hosts.names.get(address or b"", ())]
        return self._answer(query, names) if names else None

    def _other_type(self, query: Query) -> Result | None:
        if self._passes_other_types and self._fall.match(query.qname) is not None:
            return None
        return self._answer(query, []) if self._is_known(query.qname) else self._unknown(query)

    def _unknown(self, query: Query) -> Result | None:
        if self._fall.match(query.qname) is not None:
            return None
        return refusal(Rcode.SERVFAIL, "the name is not in the hosts file")

    def _answer(self, query: Query, data: Iterable[bytes]) -> Result:
        qname = query.question[:-4]
        records = [Record(qname, query.qtype, CLASS_IN, self._ttl, rdata) for rdata in data]
        return reply_of(query, Sections(records), written_by=self.name)

    def _addresses(self, qname: bytes, *, is_ipv6: bool) -> list[bytes]:
        """The file's addresses, then those of the Corefile's lines."""
        return [
            address for hosts in self._maps() for address in hosts.addresses(qname, is_ipv6=is_ipv6)
        ]

    def _is_known(self, qname: bytes) -> bool:
        return any(
            hosts.addresses(qname, is_ipv6=is_ipv6)
            for hosts in self._maps()
            for is_ipv6 in (False, True)
        )

    def _maps(self) -> tuple[HostsMap, HostsMap]:
        return self.file.hosts, self._inline
