"""Finds the zone for a name: the longest suffix that one of the blocks serves."""

from collections.abc import Iterable, Iterator
from typing import Final

from nodecache.wire import Query, Rdtype

from .replies import ZoneBinding
from .shapes import Shape, Shapes

_ROOT: Final = b"\0"
_DS: Final = int(Rdtype.DS)


class Zones:
    """The zones served at one listen address, by name as on the wire, in lower case."""

    def __init__(self, zones: Iterable[tuple[bytes, ZoneBinding]]) -> None:
        self._zones = dict(zones)
        self._root = self._zones.get(_ROOT)
        self.shapes = Shapes()

    def __iter__(self) -> Iterator[ZoneBinding]:
        return iter(self._zones.values())

    def match(self, query: Query) -> ZoneBinding | None:
        """The zone for `query`; None where no block serves the name."""
        name = query.qname
        if query.qtype == _DS:
            return self._match_parent(name)
        binding = self._zones.get(name)
        while binding is None and len(name) > 1:
            name = name[name[0] + 1 :]
            binding = self._zones.get(name)
        return binding

    def shape_of(self, query: Query) -> Shape | None:
        """A new shape made from a query that was read; None where no block serves it."""
        name = query.qname
        if name != _ROOT and name in self._zones:
            binding = self.match(query)  # it differs from its neighbours
            return None if binding is None else Shape(query, binding, frozenset())
        shape = self.shapes.of_query(query)
        if shape is None:
            binding = self.match(query)
            if binding is None:
                return None
            shape = Shape(query, binding, self._own_zones(name))
            self.shapes.learn(query, shape)
        else:
            self.shapes.learn_octets(query, shape)
        return shape

    def _own_zones(self, name: bytes) -> frozenset[bytes]:
        """The first labels of zones right below the parent of `name`."""
        parent = name[name[0] + 1 :]
        return frozenset(
            [zone[: zone[0] + 1] for zone in self._zones if zone[zone[0] + 1 :] == parent]
        )

    def _match_parent(self, name: bytes) -> ZoneBinding | None:
        """The zone for a DS record, which belongs to the parent side of a cut: CoreDNS takes the topmost zone."""
        topmost = None
        while len(name) > 1:
            topmost = self._zones.get(name) or topmost
            name = name[name[0] + 1 :]
        return topmost or self._root
