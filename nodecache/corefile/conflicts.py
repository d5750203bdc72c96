"""Errors and warnings about server blocks that conflict with each other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from .errors import CorefileError
from .options import OF_THE_PROCESS, ServerBlock, ZoneKey
from .rewriting import NameRule


def conflicts(blocks: Iterable[ServerBlock]) -> Iterator[CorefileError]:
    """Every error that needs more than one block."""
    yield from _overlaps(blocks)
    yield from _contradictions(blocks)


def without_doubles(
    blocks: Sequence[ServerBlock], left_out: list[CorefileError]
) -> list[ServerBlock]:
    """The blocks without keys that another block has in other letter case, which are added to `left_out`.

    For CoreDNS they are two zones, and only one in lower case is ever asked.
    """
    kept = []
    for block in blocks:
        zones = []
        for key in block.zones:
            other = _double(key, block, blocks)
            if other is None:
                zones.append(key)
            else:
                what = f"left out: {key.written or key.zone_name} is {key} in other letters"
                left_out.append(_of(block, f"{what}, as {other.file}:{other.line} has it"))
        if zones:
            kept.append(replace(block, zones=tuple(zones)))
    return kept


def _double(key: ZoneKey, block: ServerBlock, blocks: Iterable[ServerBlock]) -> ServerBlock | None:
    """The block that serves `key` instead of `block`: in lower case, or else the first."""
    at = set(_addresses(block))
    doubles = [
        (each, other)
        for other in blocks
        for each in other.zones
        if each == key and not at.isdisjoint(_addresses(other))
    ]
    served, other = min(doubles, key=lambda double: bool(double[0].written), default=(key, block))
    return None if served.written == key.written else other


def _overlaps(blocks: Iterable[ServerBlock]) -> Iterable[CorefileError]:
    """Each zone once at each address; nor once bound to an address and once to every one.

    Interfaces are compared by name here; their addresses are found out when sockets are bound.
    """
    taken: dict[tuple[ZoneKey, str], ServerBlock] = {}
    bound: dict[ZoneKey, tuple[ServerBlock, str]] = {}
    for block in blocks:
        for key in block.zones:
            for address in _addresses(block):
                where = f" on {address}" if address else ""
                before = taken.get((key, address))
                if before is not None:
                    yield _conflict(block, f"{key}{where}", before, "already served")
                    continue
                taken[key, address] = block
                other, at = bound.setdefault(key, (block, address))
                if bool(at) != bool(address):
                    yield _conflict(
                        block, f"{key}{where}", other, "served on overlapping addresses"
                    )


def _addresses(block: ServerBlock) -> tuple[str, ...]:
    if block.bind is None:
        return ("",)
    wanted = [
        address
        for line in block.bind.lines
        for address in line.addresses
        if address not in line.except_addresses
    ]
    return tuple(dict.fromkeys(wanted))


def _conflict(block: ServerBlock, what: str, before: ServerBlock, how: str) -> CorefileError:
    return _of(block, f"cannot serve {what}: it is {how} by {before.file}:{before.line}")


def _of(block: ServerBlock, reason: str) -> CorefileError:
    return CorefileError(block.file, block.line, reason)


def _contradictions(blocks: Iterable[ServerBlock]) -> Iterable[CorefileError]:
    """Options of the whole process must have the same value in every block that gives them."""
    said: dict[str, tuple[int, ServerBlock]] = {}
    for block in blocks:
        for name in OF_THE_PROCESS:
            value = getattr(block.nodecache, name)
            if value is None:
                continue
            other, before = said.setdefault(name, (value, block))
            if other != value:
                option = name.removesuffix("_octets").removesuffix("_per_client")
                reason = (
                    f"nodecache: {option} is of the whole process, and {before.file}:{before.line}"
                )
                yield _of(block, f"{reason} has another")


def warnings(blocks: Iterable[ServerBlock]) -> Iterator[CorefileError]:
    """Warnings about what works, but not as many expect."""
    blocks = list(blocks)
    for block in blocks:
        yield from _shadows(block, blocks)
        yield from _leaves_by_rewrite(block, blocks)


def _shadows(block: ServerBlock, blocks: Iterable[ServerBlock]) -> Iterator[CorefileError]:
    """A socket bound to an address takes all that comes to it from one bound to every address.

    So it is with CoreDNS: each listen address is a server of its own.
    """
    if block.bind is not None:
        return
    ports = {key.port for key in block.zones}
    for other in blocks:
        if other.bind is not None and ports & {key.port for key in other.zones}:
            names = " ".join(block.zone_names)
            addresses = " ".join(_addresses(other))
            where = f"{other.file}:{other.line}"
            reason = f"{names} is not served on {addresses}, which {where} binds for itself"
            yield _of(block, f"{reason}: give both blocks the same bind")


def _leaves_by_rewrite(
    block: ServerBlock, blocks: Iterable[ServerBlock]
) -> Iterator[CorefileError]:
    """A rewritten name is answered by its own block, even if another block serves it."""
    ports = {key.port for key in block.zones}
    for rewrite in block.rewrites:
        if not isinstance(rewrite.rule, NameRule):
            continue
        target = rewrite.rule.to_name
        served = [
            (key.zone_name, each)
            for each in blocks
            for key in each.zones
            if key.port in ports and _is_below(target, key.zone_name)
        ]
        zone, other = max(served, key=lambda found: len(found[0]), default=("", block))
        if other is block or _asks_the_same(block, other, target):
            continue
        yield _of(
            block,
            f"rewrite: {target} is not answered by the block for it, {other.file}:{other.line}: a"
            f" rewritten name stays in its block; put a line 'forward {zone} ADDRESS' before the"
            " other forward here",
        )


def _asks_the_same(block: ServerBlock, other: ServerBlock, target: str) -> bool:
    """Whether a block's own `forward` for a name was made for it, or asks whom the other block asks."""
    own = next((each for each in block.forwards if _is_below(target, each.from_zone)), None)
    if own is None:
        return False
    return own.from_zone != "." or any(own.to == each.to for each in other.forwards)


def _is_below(name: str, zone: str) -> bool:
    """Whether a name, or the end of one, is `zone` or below it."""
    return zone == "." or f".{name}".endswith(f".{zone}")
