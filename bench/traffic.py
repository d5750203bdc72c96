"""The names that are asked, one a line as dnsperf reads them.

The last label tells the upstream what to answer (c/answer.h).
"""

import random
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

SEED = 2308
HIT_NAMES = 1_000
ZIPF_NAMES = 100_000
ZIPF_EXPONENT = 1.0


def service_name(number: int) -> str:
    """A name as pods ask for them."""
    return f"svc-{number}.team-{number % 37}.svc.cluster.local"


def hit_names(count: int = HIT_NAMES) -> list[str]:
    return [service_name(number) for number in range(count)]


def missing_names(count: int = HIT_NAMES) -> list[str]:
    return [f"{service_name(number)}.nx" for number in range(count)]


def new_names(count: int, kind: str = "new", zone: str = "cluster.local") -> list[str]:
    """Names that no other list holds."""
    return [f"host-{number}.{kind}.{zone}" for number in range(count)]


def case_names(count: int) -> list[str]:
    """The names of the hits, each time in another random case (0x20)."""
    draw = random.Random(SEED)
    return [_random_case(service_name(draw.randrange(HIT_NAMES)), draw) for _ in range(count)]


def _random_case(name: str, draw: random.Random) -> str:
    bits = draw.getrandbits(len(name))
    return "".join(letter.upper() if bits >> at & 1 else letter for at, letter in enumerate(name))


def zipf_ranks(count: int, names: int = ZIPF_NAMES) -> list[int]:
    """`count` draws out of `names`, the k-th name asked for in proportion to 1/k."""
    draw = random.Random(SEED)
    weights = list(accumulate(1 / rank**ZIPF_EXPONENT for rank in range(1, names + 1)))
    return draw.choices(range(names), cum_weights=weights, k=count)


def zipf_names(count: int, zone: str = "t30") -> list[str]:
    return [f"{service_name(rank)}.{zone}" for rank in zipf_ranks(count)]


def write_names(path: Path, names: Iterable[str], qtype: str = "A") -> Path:
    path.write_text("".join(f"{name} {qtype}\n" for name in names))
    return path
