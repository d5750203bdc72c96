import logging

from nodecache.forward.counts import UpstreamCounts
from nodecache.forward.transport.unmatched import note_unmatched


def test_what_answers_nothing_is_counted_and_not_shown(caplog):
    caplog.set_level(logging.INFO)
    counts = UpstreamCounts("10.96.0.10:53")
    note_unmatched(counts, b"\0" * 12)
    assert (counts.unmatched, caplog.records) == (1, [])


def test_debug_shows_its_octets(caplog):
    caplog.set_level(logging.DEBUG)
    note_unmatched(UpstreamCounts("10.96.0.10:53"), b"\0\1\2")
    assert "from 10.96.0.10:53 answers no query" in caplog.text
    assert "debug: 000000 00 01 02" in caplog.text
