"""The shape of a metrics page: each family's type, labels and buckets, without its numbers.

`python -m tests.contract.metrics_shape http://ORIGINAL:9253/metrics http://OURS:9253/metrics` tells
where two pages differ; an address may be a file too. Each difference is explained in
docs/differences.md.
"""

import json
import sys
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Shape:
    """What dashboards rely on of one family. Several label sets mean that its series differ."""

    type: str
    labels: tuple[tuple[str, ...], ...]
    buckets: tuple[str, ...] = ()


def shapes_of(page: str) -> dict[str, Shape]:
    """Each family's shape by the name that the page gives it."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: Shape(
            family.type,
            tuple(sorted({tuple(sorted(set(s.labels) - {"le"})) for s in family.samples})),
            tuple(dict.fromkeys(s.labels["le"] for s in family.samples if "le" in s.labels)),
        )
        for family in text_string_to_metric_families(page)
        if family.samples
    }


def differences(original: dict[str, Shape], ours: dict[str, Shape]) -> list[str]:
    """What the original has and we lack or shape otherwise, a line each."""
    lines = [f"{name}: missing" for name in original if name not in ours]
    for name in original.keys() & ours.keys():
        one, other = asdict(original[name]), asdict(ours[name])
        lines += [
            f"{name}: {key} {one[key]} → {other[key]}" for key in one if one[key] != other[key]
        ]
    return sorted(lines)


def load_shapes(file: Path) -> dict[str, Shape]:
    """Read shapes written down as JSON."""
    return {
        name: Shape(
            shape["type"], tuple(map(tuple, shape["labels"])), tuple(shape.get("buckets", ()))
        )
        for name, shape in json.loads(file.read_text(encoding="utf-8")).items()
    }


def _read(address: str) -> str:
    if not address.startswith("http://"):
        return Path(address).read_text(encoding="utf-8")
    with urllib.request.urlopen(address, timeout=10) as response:
        return str(response.read().decode())


if __name__ == "__main__":
    original, ours = (shapes_of(_read(address)) for address in sys.argv[1:3])
    for line in differences(original, ours):
        print(line)
    print(f"more than the original has: {', '.join(sorted(ours.keys() - original.keys()))}")
