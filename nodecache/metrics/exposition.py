"""Metric families, and the text that Prometheus reads (format 0.0.4), written by prometheus_client.

The library writes a page in one go, 16 ms for a usual node, while queries wait. So it is given one
piece of a family at a time; what it says once for each piece and should say once for each family,
HELP and TYPE, is kept from the first.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
"""What CoreDNS' own exporter answers."""

Kind = Literal["counter", "gauge", "histogram", "untyped"]
Labels = tuple[str, ...]
Sample = tuple[str, dict[str, str], float]
"""A series' name, its labels, and its value."""

PIECE_SAMPLES = 24  # at about 13 µs each, a piece takes a third of a millisecond


class Buckets(Protocol):
    """A histogram as the servers count it: plain numbers, not cumulative."""

    @property
    def bounds(self) -> tuple[float, ...]:
        """Upper bounds, inclusive, rising; the last bucket, which has none, is left out."""

    @property
    def buckets(self) -> list[int]:
        """Observations in each bucket, one more of them than bounds."""

    @property
    def sum(self) -> float:
        """Sum of everything observed."""


class Family:
    """Numbers of one name. Values given for the same labels add up."""

    __slots__ = ("help", "kind", "label_names", "name", "values")

    def __init__(self, name: str, kind: Kind, text: str, label_names: Labels = ()) -> None:
        self.name = name
        self.kind: Kind = kind
        self.help = text
        self.label_names = label_names
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, value: float) -> None:
        """Add `value` to what `labels` has."""
        self.values[labels] = self.values.get(labels, 0) + value

    def samples(self) -> Iterator[Sample]:
        """Every series of the family."""
        for labels, value in self.values.items():
            yield self.name, self.named(labels), value

    def named(self, labels: Labels) -> dict[str, str]:
        """Label values under their names."""
        return dict(zip(self.label_names, labels, strict=True))

    def pieces(self) -> Iterator[str]:
        """The family's lines, in pieces that are quick to make; nothing where it has no values."""
        piece = self._empty_metric()
        is_first = True
        for name, labels, value in self.samples():
            piece.add_sample(name, labels, value)
            if len(piece.samples) >= PIECE_SAMPLES:
                yield written(piece, with_header=is_first)
                piece, is_first = self._empty_metric(), False
        if piece.samples:
            yield written(piece, with_header=is_first)

    def _empty_metric(self) -> Metric:
        name = self.name.removesuffix("_total") if self.kind == "counter" else self.name
        return Metric(name, self.help, self.kind)


class HistogramFamily(Family):
    """Histograms of one name, all with the same bounds."""

    __slots__ = ("bounds", "histograms")

    def __init__(self, name: str, text: str, label_names: Labels = ()) -> None:
        super().__init__(name, "histogram", text, label_names)
        self.bounds: tuple[float, ...] = ()
        self.histograms: dict[Labels, tuple[list[int], float]] = {}

    def observe_all(self, labels: Labels, counted: Buckets) -> None:
        """Add a whole histogram to what `labels` has."""
        self.bounds = counted.bounds
        self.merge(labels, counted.buckets, counted.sum)

    def merge(self, labels: Labels, buckets: list[int], total: float) -> None:
        """Add buckets and a sum to what `labels` has."""
        known = self.histograms.get(labels)
        if known:
            buckets = [one + other for one, other in zip(known[0], buckets, strict=True)]
            total += known[1]
        self.histograms[labels] = (list(buckets), total)

    def samples(self) -> Iterator[Sample]:
        """Every series: cumulative buckets, sum and count of each histogram."""
        bounds = [*map(bound_text, self.bounds), "+Inf"]
        for labels, (buckets, total) in self.histograms.items():
            named = self.named(labels)
            count = 0
            for bound, observed in zip(bounds, buckets, strict=True):
                count += observed
                yield f"{self.name}_bucket", {**named, "le": bound}, count
            yield f"{self.name}_sum", named, total
            yield f"{self.name}_count", named, count


class _Piece(Collector):
    """What the library can collect: one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        yield self._metric


def written(metric: Metric, *, with_header: bool) -> str:
    """The metric's lines as the library writes them, whole numbers as Go does: `3`, not `3.0`."""
    text = generate_latest(_Piece(metric)).decode().replace(".0\n", "\n")
    return text if with_header else text.split("\n", 2)[2]


def counter(name: str, text: str, *label_names: str) -> Family:
    """Open a family of counters; `name` ends in `_total`."""
    return Family(name, "counter", text, label_names)


def gauge(name: str, text: str, *label_names: str) -> Family:
    """Open a family of gauges."""
    return Family(name, "gauge", text, label_names)


def histogram(name: str, text: str, *label_names: str) -> HistogramFamily:
    """Open a family of histograms."""
    return HistogramFamily(name, text, label_names)


def bound_text(value: float) -> str:
    """A bound as Go writes it in `le`: `64000` and `0.25`, never `64000.0`."""
    return repr(value).removesuffix(".0")
