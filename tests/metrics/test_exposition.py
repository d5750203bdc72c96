"""The text that Prometheus reads, held against prometheus_client's parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from nodecache.forward.histogram import Histogram
from nodecache.metrics.exposition import Family, Texts, counter, gauge, histogram, number_text


def text(family: Family, texts: Texts | None = None) -> str:
    return "".join(family.pieces(texts or Texts()))


def parse(family: Family) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(text(family))
    samples = [sample for parsed in families for sample in parsed.samples]
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}


def test_counter_is_written_with_help_type_and_labels():
    family = counter("seen_total", "Things seen.", "colour")
    family.add(("blue",), 3)
    assert text(family) == (
        '# HELP seen_total Things seen.\n# TYPE seen_total counter\nseen_total{colour="blue"} 3\n'
    )


def test_family_without_values_leaves_no_trace():
    assert text(counter("seen_total", "Things seen.", "colour")) == ""
    assert text(histogram("wait_seconds", "Waits.")) == ""


def test_equal_labels_add_up():
    family = gauge("entries", "Entries.", "zone")
    family.add((".",), 2)
    family.add((".",), 3)
    assert parse(family) == {("entries", (("zone", "."),)): 5}


def test_buckets_are_cumulative_and_their_bounds_are_written_as_go_writes_them():
    counted = Histogram((0, 0.25, 100, 16e3))
    for value in (0.0, 0.2, 0.2, 50.0, 1e6):
        counted.observe(value)
    family = histogram("sizes_bytes", "Sizes.")
    family.observe_all((), counted)
    bounds = {labels[0][1]: count for (name, labels), count in parse(family).items() if labels}
    assert bounds == {"0": 1, "0.25": 3, "100": 4, "16000": 4, "+Inf": 5}
    assert parse(family)["sizes_bytes_count", ()] == 5
    assert parse(family)["sizes_bytes_sum", ()] == pytest.approx(1_000_050.4)


def test_histograms_with_equal_labels_are_merged_and_the_counted_one_is_left_alone():
    counted = Histogram((1.0,))
    counted.observe(0.5)
    family = histogram("wait_seconds", "Waits.")
    family.observe_all((), counted)
    family.observe_all((), counted)
    assert parse(family)["wait_seconds_count", ()] == 2
    assert counted.buckets == [1, 0]


@given(st.text())
def test_any_label_value_comes_back_as_it_was(value: str):
    family = gauge("x", "Help with \\ and\nnewline.", "label")
    family.add((value,), 1)
    written = text(family)
    # The oracle splits lines as str.splitlines does, which knows more line ends than the format.
    if len(written.splitlines()) == written.count("\n"):
        assert parse(family) == {("x", (("label", value),)): 1}


def test_a_long_family_comes_in_pieces_and_says_once_what_it_is():
    family = counter("seen_total", "Things seen.", "number")
    for each in range(300):
        family.add((str(each),), each)
    pieces = list(family.pieces(Texts()))
    assert len(pieces) > 3
    assert text(family).count("# TYPE seen_total counter") == 1
    assert len(parse(family)) == 300


class Told:
    """What the library can collect: one metric."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def collect(self):
        return [self.metric]


def written_by_library(metric: Metric) -> str:
    """The metric written in one go, whole numbers as Go does: `3`, not `3.0`."""
    lines = generate_latest(Told(metric)).decode().split("\n")
    return "\n".join(line if line.startswith("#") else line.removesuffix(".0") for line in lines)


@given(st.one_of(st.floats(), st.integers(0, 2**64)))
def test_whole_numbers_are_written_without_a_point(value):
    assert number_text(value) == floatToGoString(value).removesuffix(".0")


names = st.lists(st.text("abcd", min_size=1, max_size=3), unique=True, max_size=4)


@given(st.data(), names, st.sampled_from(["counter", "gauge", "untyped"]), st.text())
def test_page_after_page_is_what_the_library_writes(data, label_names, kind, about):
    texts = Texts()
    values = st.tuples(*(st.text() for _ in label_names))
    numbers = st.dictionaries(values, st.floats(0), min_size=1, max_size=5)
    for page in data.draw(st.lists(numbers, max_size=3)):
        family = Family("seen_total", kind, about, tuple(label_names))
        oracle = Metric("seen" if kind == "counter" else "seen_total", about, kind)
        for labels, number in page.items():
            family.add(labels, number)
            oracle.add_sample("seen_total", dict(zip(label_names, labels, strict=True)), number)
        assert text(family, texts) == written_by_library(oracle)


def test_histograms_are_what_the_library_writes_page_after_page():
    texts, counted = Texts(), Histogram((0.25, 1.0, 3e6))
    for value in (0.1, 0.2, 5.0, 1e7):
        counted.observe(value)
        family = histogram("wait_seconds", "Waits.", "by", "at")
        family.observe_all(("me", 'ho"me'), counted)
        oracle = Metric("wait_seconds", "Waits.", "histogram")
        labels = {"by": "me", "at": 'ho"me'}
        below = 0
        for bound, count in zip(("0.25", "1", "3e+06", "+Inf"), counted.buckets, strict=True):
            below += count
            oracle.add_sample("wait_seconds_bucket", {**labels, "le": bound}, below)
        oracle.add_sample("wait_seconds_sum", labels, counted.sum)
        oracle.add_sample("wait_seconds_count", labels, counted.count)
        assert text(family, texts) == written_by_library(oracle)


def test_texts_that_are_kept_are_written_once():
    texts, written = Texts(), []
    for colours in (["blue"], ["blue", "red"], ["red"]):
        family = counter("seen_total", "Things seen.", "colour")
        for colour in colours:
            family.add((colour,), 1)
        text(family, texts)
        written.append(dict(texts.series["seen_total"]))
    assert written[2].keys() == {("red",)}
    assert written[0]["blue",] is written[1]["blue",]
    assert written[1]["red",] is written[2]["red",]


def test_the_texts_of_series_that_are_gone_are_not_kept():
    texts = Texts()
    for number in range(50):
        counted, waits = counter("seen_total", "Seen.", "to"), histogram("wait_seconds", "W.", "to")
        for address in (f"10.0.0.{number}:53", "10.96.0.10:53"):
            counted.add((address,), number)
            waits.observe_all((address,), Histogram((1,)))
        assert "10.96.0.10:53" in text(counted, texts)
        assert text(waits, texts)
    assert {name: len(kept) for name, kept in texts.series.items()} == {
        "seen_total": 2,
        "wait_seconds": 2,
    }
