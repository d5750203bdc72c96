"""Messages bent out of shape: seeds that are right, and ways to make them wrong."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

import dns.edns
import dns.message
import dns.opcode

_POINTERS = (b"\xc0\x0c", b"\xc0\x00", b"\xff\xff", b"\xc0\xff", b"\x40\x00")
_NUMBERS = (b"\x00\x00", b"\x00\x01", b"\x00\x02", b"\x7f\xff", b"\x80\x00", b"\xff\xff")
_MAX_OCTETS = 4096

Mutation = Callable[[bytearray, Random, Sequence[bytes]], bytearray]


def queries() -> list[bytes]:
    """Right queries of many kinds."""
    make = dns.message.make_query
    options = [dns.edns.GenericOption(10, b"12345678"), dns.edns.ECSOption("10.0.0.0", 8)]
    notify = make("example.org.", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    messages = [
        make("www.example.org.", "A"),
        make("WwW.eXample.oRg.", "AAAA", use_edns=0, payload=1232),
        make("www.example.org.", "A", use_edns=0, payload=4096, want_dnssec=True, options=options),
        make("alias.example.org.", "ANY"),
        make("7.tmpl.", "A"),
        make("a.short.", "TXT", "CH"),
        make("1.0.0.10.in-addr.arpa.", "PTR"),
        make(".", "NS"),
        make(".".join(["x" * 63] * 3) + ".", "HTTPS"),
        make("example.org.", "AXFR"),
        notify,
    ]
    return [message.to_wire() for message in messages]


def mutated(seeds: Sequence[bytes], random: Random, count: int) -> Iterator[bytes]:
    """`count` messages, each some mutations away from a seed."""
    for _ in range(count):
        octets = bytearray(random.choice(seeds))
        for _ in range(random.choice((0, 1, 1, 2, 3, 8))):
            octets = random.choice(_MUTATIONS)(octets, random, seeds)
        yield bytes(octets[:_MAX_OCTETS])


def _place(octets: bytearray, random: Random) -> int:
    return random.randrange(len(octets) + 1)


def _flip(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    if octets:
        octets[random.randrange(len(octets))] ^= 1 << random.randrange(8)
    return octets


def _replace(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    if octets:
        octets[random.randrange(len(octets))] = random.randrange(256)
    return octets


def _cut(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    return octets[: _place(octets, random)]


def _extend(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    return octets + random.randbytes(random.choice((1, 4, 11, 60, 1500)))


def _drop(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    start = _place(octets, random)
    return octets[:start] + octets[start + random.randrange(1, 12) :]


def _repeat(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    start = _place(octets, random)
    return octets[:start] + octets[start : start + 40] * random.choice((2, 3, 20)) + octets[start:]


def _splice(octets: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    other = random.choice(seeds)
    return octets[: _place(octets, random)] + other[random.randrange(len(other)) :]


def _point(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    start = _place(octets, random)
    return octets[:start] + random.choice(_POINTERS) + octets[start + 2 :]


def _count(octets: bytearray, random: Random, _: Sequence[bytes]) -> bytearray:
    """Another number of questions or records, or other flags."""
    start = random.choice((2, 4, 6, 8, 10))
    return octets[:start] + random.choice(_NUMBERS) + octets[start + 2 :]


_MUTATIONS: Sequence[Mutation] = (
    _flip, _replace, _cut, _extend, _drop, _repeat, _splice, _point, _count,
)  # fmt: skip
