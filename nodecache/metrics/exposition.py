"""Metric families, and the text that Prometheus reads (format 0.0.4), written by prometheus_client.

The library takes 13 µs for each sample and writes a whole page while queries wait. But only the
number of a series changes: the text that the library wrote before it is kept from one page to the next,
and new series are given to it a few at a time. It is imported with this module, before the worker
becomes nobody, who may not be able to read the interpreter's folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from nodecache.forward.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
"""What CoreDNS' own exporter answers."""

Kind = Literal["counter", "gauge", "histogram", "untyped"]
Labels = tuple[str, ...]
Sample = tuple[str, dict[str, str]]
"""A series' name and its labels."""

# A piece of a page is made without a pause, in some 0.3 ms: lines whose text is kept take 1 µs,
# those that the library has to write as long as these many others.
PIECE_LINES = 240
_LINES_IN_TIME_OF_A_NEW_ONE = 12

_EXPONENT_FROM = 1_000_000  # below it a whole number is its digits


class Texts:
    """The library's text of families and series, without the numbers; bounded by the series of one page."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        """HELP and TYPE by the family's name."""
        self.series: dict[str, dict[Labels, tuple[str, ...]]] = {}
        """By the family's name and label values: each line up to its number."""


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
        """Add `value` to the number of `labels`."""
        self.values[labels] = self.values.get(labels, 0) + value

    def by_label(self, values: Mapping[str, float]) -> "Family":
        """Add numbers by the value of the only label."""
        for label, value in values.items():
            self.add((label,), value)
        return self

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """For each set of labels, the numbers of its lines."""
        for labels, value in self.values.items():
            yield labels, (value,)

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """The lines of one set of labels, in the order of its numbers."""
        yield self.name, self.named(labels)

    def named(self, labels: Labels) -> dict[str, str]:
        """Label values under their names."""
        return dict(zip(self.label_names, labels, strict=True))

    def pieces(self, texts: Texts) -> Iterator[str]:
        """The family's text, in pieces that are quick to make; nothing where it has no values."""
        kept = texts.series.setdefault(self.name, {})
        piece: list[str] = []
        is_first, weight = True, 0
        for labels, numbers in self.numbers():
            lines = kept.get(labels)
            if lines is None:
                lines = kept[labels] = self._write(labels, texts)
                weight += _LINES_IN_TIME_OF_A_NEW_ONE * len(lines)
            if is_first:
                piece.append(texts.headers[self.name])
                is_first = False
            for line, number in zip(lines, numbers, strict=True):
                piece.append(f"{line}{number_text(number)}\n")
            weight += len(lines)
            if weight >= PIECE_LINES:
                yield "".join(piece)
                piece, weight = [], 0
        if piece:
            yield "".join(piece)
        if len(kept) > len(self):
            texts.series[self.name] = {labels: kept[labels] for labels, _ in self.numbers()}

    def _write(self, labels: Labels, texts: Texts) -> tuple[str, ...]:
        """Have the library write the lines of one set of labels; the texts before the numbers."""
        name = self.name.removesuffix("_total") if self.kind == "counter" else self.name
        metric = Metric(name, self.help, self.kind)
        for series, named in self.samples(labels):
            metric.add_sample(series, named, 0)
        written = generate_latest(_OneMetric(metric)).decode()
        about, kind, *lines = written.removesuffix("\n").split("\n")
        texts.headers[self.name] = f"{about}\n{kind}\n"
        return tuple(line.removesuffix("0.0") for line in lines)


class HistogramFamily(Family):
    """Histograms of one name, all with the same bounds."""

    __slots__ = ("bounds", "histograms")

    def __init__(self, name: str, text: str, label_names: Labels = ()) -> None:
        super().__init__(name, "histogram", text, label_names)
        self.bounds: tuple[float, ...] = ()
        self.histograms: dict[Labels, tuple[list[int], float]] = {}

    def observe_all(self, labels: Labels, counted: Histogram) -> None:
        """Add a histogram to that of `labels`."""
        self.bounds = counted.bounds
        self.merge(labels, counted.buckets, counted.sum)

    def merge(self, labels: Labels, buckets: list[int], total: float) -> None:
        """Add buckets and a sum to those of `labels`."""
        known = self.histograms.get(labels)
        if known:
            buckets = [one + other for one, other in zip(known[0], buckets, strict=True)]
            total += known[1]
        self.histograms[labels] = (list(buckets), total)

    def __len__(self) -> int:
        return len(self.histograms)

    def numbers(self) -> Iterator[tuple[Labels, Sequence[float]]]:
        """For each set of labels: cumulative buckets, sum and count."""
        for labels, (buckets, total) in self.histograms.items():
            counts = list(accumulate(buckets))
            yield labels, [*counts, total, counts[-1]]

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """The lines of one set of labels, in the order of its numbers."""
        named = self.named(labels)
        for bound in (*map(number_text, self.bounds), "+Inf"):
            yield f"{self.name}_bucket", {**named, "le": bound}
        yield f"{self.name}_sum", named
        yield f"{self.name}_count", named


class _OneMetric(Collector):
    """A collector of one metric, for the library."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        yield self._metric


def number_text(value: float) -> str:
    """A number as the library writes it, but whole ones as in Go: `3`, not `3.0`."""
    if value.__class__ is int and 0 <= value < _EXPONENT_FROM:
        return str(value)
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text.removesuffix(".0")


def counter(name: str, text: str, *label_names: str) -> Family:
    """Open a family of counters; `name` ends in `_total`."""
    return Family(name, "counter", text, label_names)


def gauge(name: str, text: str, *label_names: str) -> Family:
    """Open a family of gauges."""
    return Family(name, "gauge", text, label_names)


def singles(*rows: tuple[str, str, float]) -> Iterator[Family]:
    """A family without labels for each row of name, help text and value; a counter by `_total`."""
    for name, text, value in rows:
        family = (counter if name.endswith("_total") else gauge)(name, text)
        family.add((), value)
        yield family


def histogram(name: str, text: str, *label_names: str) -> HistogramFamily:
    """Open a family of histograms."""
    return HistogramFamily(name, text, label_names)
