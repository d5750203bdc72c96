"""Which zone answers for a name: the longest suffix that one of the blocks serves."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nodecache.wire import Query, Rdtype

from .family import Family, family_of

if TYPE_CHECKING:
    from .replies import Served

_ROOT = b"\0"
_DS = int(Rdtype.DS)
_MOST_PARENTS = 1000  # at about 150 octets each
_MOST_FAMILIES = 2048  # at about 1 KiB each


def name_to_wire(zone_name: str) -> bytes:
    """An absolute name of plain labels, `cluster.local.`, in lower case as on the wire."""
    labels = [label for label in zone_name.lower().rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + _ROOT


class Zones:
    """The zones served at one listen address, by name as on the wire, in lower case."""

    def __init__(self, zones: "Iterable[tuple[bytes, Served]]") -> None:
        self._zones = dict(zones)
        self._root = self._zones.get(_ROOT)
        # By what their members have in common: all octets but the id and the first label.
        self.families: dict[bytes, Family] = {}
        self._have_zones = {name[name[0] + 1 :] for name in self._zones if name != _ROOT}
        self._by_parent: dict[bytes, Served | None] = {}

    def __iter__(self) -> "Iterator[Served]":
        return iter(self._zones.values())

    def match(self, query: Query) -> "Served | None":
        """The zone for `query`, None where nobody serves the name."""
        name = query.key[:-5]
        if query.qtype == _DS:
            return self._match_parent(name)
        served = self._zones.get(name)
        if served is not None or len(name) == 1:
            return served
        # Names have parents in common, such as their namespace: what is found for one child is
        # remembered for the others.
        parent = name[name[0] + 1 :]
        try:
            return self._by_parent[parent]
        except KeyError:
            return self._match_children(parent)

    def adopt(self, members: bytes, query: Query, served: "Served") -> None:
        """Make `query`'s family known, where it has one and `served` answers for all of it.

        `members` is what they have in common.
        """
        name = query.qname
        if members in self.families or name[name[0] + 1 :] in self._have_zones:
            return
        family = family_of(query, served)
        if family is not None:
            if len(self.families) >= _MOST_FAMILIES:
                self.families.clear()
            self.families[members] = family

    def _match_children(self, parent: bytes) -> "Served | None":
        """The zone for names right below `parent`."""
        served, name = self._zones.get(parent), parent
        while served is None and len(name) > 1:
            name = name[name[0] + 1 :]
            served = self._zones.get(name)
        if len(self._by_parent) >= _MOST_PARENTS:
            self._by_parent.clear()
        self._by_parent[parent] = served
        return served

    def _match_parent(self, name: bytes) -> "Served | None":
        """The zone for a DS record, which lives above the cut: CoreDNS takes the topmost."""
        topmost = None
        while len(name) > 1:
            topmost = self._zones.get(name) or topmost
            name = name[name[0] + 1 :]
        return topmost or self._root
