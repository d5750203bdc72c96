"""The text that Prometheus reads, held against prometheus_client's parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from nodecache.histogram import Histogram
from nodecache.metrics.exposition import Family, counter, gauge, histogram


def text(family: Family) -> str:
    return "".join(family.pieces())


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
    for each in range(100):
        family.add((str(each),), each)
    pieces = list(family.pieces())
    assert len(pieces) > 1
    assert text(family).count("# TYPE seen_total counter") == 1
    assert len(parse(family)) == 100
