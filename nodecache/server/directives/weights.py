"""Orders of addresses for `loadbalance`: by weights from a file, and by preferred networks."""

import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from nodecache.server.records import Record
from nodecache.wire import wire_of

from .loadbalance import Pick

log = logging.getLogger("plugin/loadbalance")

_DEFAULT_WEIGHT = 1
_MAX_WEIGHT = 255

Weights = dict[bytes, dict[bytes, int]]
"""Owner name (lower case, on the wire) → address as in a record → weight."""


def parse_weights(text: str, file: str) -> Weights:
    """Read a weight file; ValueError says what is wrong with which line of `file`."""
    weights: Weights = {}
    of_name: dict[bytes, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        where = f"{file}:{number}"
        if len(fields) == 1:
            of_name = weights.setdefault(_name(fields[0], where), {})
        elif len(fields) > 2:
            raise ValueError(f"{where}: a line is a name, or an address and its weight: {line!r}")
        elif of_name is None:
            raise ValueError(f"{where}: an address comes after the name it belongs to: {line!r}")
        else:
            of_name[_address(fields[0], where).packed] = _weight(fields[1], where)
    return weights


def _name(field: str, where: str) -> bytes:
    try:
        ip_address(field)
    except ValueError:
        return wire_of(field.lower())
    raise ValueError(f"{where}: a name is wanted, or a weight is missing: {field!r}")


def _address(field: str, where: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(field)
    except ValueError:
        raise ValueError(f"{where}: not an IP address: {field!r}") from None


def _weight(field: str, where: str) -> int:
    if not field.isascii() or not field.isdecimal() or not 1 <= int(field) <= _MAX_WEIGHT:
        raise ValueError(f"{where}: a weight is 1 to {_MAX_WEIGHT}, not {field!r}")
    return int(field)


class Weighted:
    """Chooses the first address by weight and leaves the others where they are, but for a swap."""

    def __init__(self, pick: Pick, weights: Weights | None = None) -> None:
        self.weights: Weights = weights or {}
        self._pick = pick

    def __call__(self, addresses: Sequence[Record]) -> Sequence[Record]:
        """`addresses` with the chosen one and the first one swapped."""
        chosen = self._choose([self._weight(record) for record in addresses])
        order = list(addresses)
        order[0], order[chosen] = order[chosen], order[0]
        return order

    def _weight(self, record: Record) -> int:
        of_name = self.weights.get(record.owner.lower(), {})
        return of_name.get(record.rdata, _DEFAULT_WEIGHT)

    def _choose(self, weights: list[int]) -> int:
        mark = self._pick(sum(weights))
        for index, weight in enumerate(weights):
            mark -= weight
            if mark < 0:
                return index
        return 0


class WeightFile:
    """A weight file on disk, read again when its text changes."""

    def __init__(self, path: str, refresh_seconds: float, weighted: Weighted) -> None:
        self.refresh_seconds = refresh_seconds
        self._path = path
        self._weighted = weighted
        self._text: str | None = None

    def begin(self) -> None:
        """Read it at the start. Raises ValueError for mistakes; OSError if it is missing and not read again."""
        try:
            self._read()
        except OSError as error:
            if not self.refresh_seconds:
                raise
            log.warning("cannot read weight file %s yet: %s", self._path, error.strerror)

    def refresh(self) -> None:
        """Read it if it changed; mistakes are logged, and the old weights stay."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            log.error("%s", error)

    def _read(self) -> None:
        text = Path(self._path).read_text(encoding="utf-8")
        if text != self._text:
            self._weighted.weights = parse_weights(text, self._path)
            self._text = text


class Preferred:
    """Puts addresses of `networks` first, those of earlier networks before those of later ones."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = networks

    def __call__(self, addresses: Sequence[Record]) -> Sequence[Record]:
        """`addresses`, sorted by the first network that holds each; all else as it was."""
        return sorted(addresses, key=self._rank)

    def _rank(self, record: Record) -> int:
        address = ip_address(record.rdata)
        for rank, network in enumerate(self._networks):
            if address in network:
                return rank
        return len(self._networks)
