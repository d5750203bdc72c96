import ctypes
import mmap
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.process.protocol import JOURNAL_OCTETS
from nodecache.server.journal import Journal

TIME_PLACE = 118


@pytest.fixture
def memory():
    with mmap.mmap(-1, JOURNAL_OCTETS) as shared:
        yield shared


def note(journal, packet=b"packet", now=100.0):
    return journal.note(now, b"127.0.0.1:53", "10.244.0.7", 40001, packet)


def test_what_was_noted_is_found_by_the_next_worker(memory):
    note(Journal(memory))
    (found,) = Journal(memory).take_over(101.0)
    assert (found.label, found.host, found.port) == ("127.0.0.1:53", "10.244.0.7", 40001)
    assert found.packet == b"packet"
    assert found.at == 100.0


def test_what_was_answered_is_not_found(memory):
    journal = Journal(memory)
    journal.free(note(journal))
    assert list(Journal(memory).take_over(101.0)) == []


def test_what_is_taken_over_is_taken_once(memory):
    note(Journal(memory))
    assert len(list(Journal(memory).take_over(101.0))) == 1
    assert list(Journal(memory).take_over(101.0)) == []


def test_a_query_whose_client_has_given_up_is_dropped(memory):
    note(Journal(memory), now=100.0)
    assert list(Journal(memory).take_over(105.0)) == []


@given(slots=st.lists(st.binary(min_size=512, max_size=512), min_size=1, max_size=4))
def test_what_a_taken_over_worker_wrote_ends_nobody(slots):
    with mmap.mmap(-1, JOURNAL_OCTETS) as memory:
        for index, octets in enumerate(slots):
            memory[index * 512 : (index + 1) * 512] = octets
        journal = Journal(memory)
        list(journal.take_over(struct.unpack_from("=d", slots[0], TIME_PLACE)[0] + 1))


@pytest.mark.parametrize(
    ("label", "host"),
    [(b"\xff" * 12, "10.244.0.7"), (b"127.0.0.1:53", "nobody"), (b"127.0.0.1:53", "")],
    ids=["no text", "no address", "nothing"],
)
def test_a_slot_that_is_not_of_the_form_is_passed_over(memory, label, host):
    journal = Journal(memory)
    journal.note(100.0, label, host, 40001, b"packet")
    note(journal)
    assert [noted.packet for noted in Journal(memory).take_over(101.0)] == [b"packet"]
    assert list(Journal(memory).take_over(101.0)) == []


def test_memory_is_touched_only_where_queries_waited(memory):
    """2 MiB, of which a quiet node needs a page."""
    journal = Journal(memory)
    for _ in range(100):
        journal.free(note(journal))
    assert list(Journal(memory).take_over(101.0)) == []
    resident = re.search(r"/dev/zero.*?Rss: +(\d+) kB", mappings(memory), re.DOTALL)
    assert int(resident[1]) <= 8


def mappings(memory):
    """This process's mappings from the one of `memory` on."""
    text = Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace")
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return text[text.index(f"{start:x}-") :]


def test_a_query_of_the_future_is_dropped(memory):
    note(Journal(memory), now=103.0)
    assert list(Journal(memory).take_over(101.0)) == []


def test_a_query_too_long_for_a_slot_is_not_noted(memory):
    assert note(Journal(memory), b"x" * 500) == -1


def test_more_queries_than_slots_are_served_all_the_same(memory):
    journal = Journal(memory)
    slots = [note(journal) for _ in range(5000)]
    assert slots.count(-1) == 5000 - 4095  # the first tells how many were used
    journal.free(slots[0])
    assert note(journal) == slots[0]
