"""Which zone answers for a name: the longest suffix that one of the blocks serves."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nodecache.wire import Query, Rdtype

if TYPE_CHECKING:
    from .replies import Served

_ROOT = b"\0"


def name_to_wire(zone_name: str) -> bytes:
    """An absolute name of plain labels, `cluster.local.`, in lower case as on the wire."""
    labels = [label for label in zone_name.lower().rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + _ROOT


class Zones:
    """The zones served at one listen address, by name as on the wire, in lower case."""

    def __init__(self, zones: "Iterable[tuple[bytes, Served]]") -> None:
        self._zones = dict(zones)
        self._root = self._zones.get(_ROOT)

    def __iter__(self) -> "Iterator[Served]":
        return iter(self._zones.values())

    def match(self, query: Query) -> "Served | None":
        """The zone for `query`, None where nobody serves the name."""
        name = query.key[:-5]
        if query.qtype == Rdtype.DS:
            return self._match_parent(name)
        zones = self._zones
        while len(name) > 1:
            served = zones.get(name)
            if served is not None:
                return served
            name = name[name[0] + 1 :]
        return self._root

    def _match_parent(self, name: bytes) -> "Served | None":
        """The zone for a DS record, which lives above the cut: CoreDNS takes the topmost."""
        topmost = None
        while len(name) > 1:
            topmost = self._zones.get(name) or topmost
            name = name[name[0] + 1 :]
        return topmost or self._root
