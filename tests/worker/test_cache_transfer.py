"""A cache that goes from one agent to the next: what comes over, and what is not believed."""

import asyncio
import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.cache import (
    FORM,
    Bounds,
    Budget,
    Cache,
    Entry,
    MalformedCache,
    end,
    packed,
    reply_ttl,
    unpacked,
    zone_head,
)
from nodecache.wire import read_answer, read_query
from nodecache.worker import cache_transfer
from tests.helpers.corefiles import block
from tests.wire.messages import query, response

NOW = 1000.0
STOCK = "cache 30\nforward . 10.0.0.1 10.0.0.2 {\n force_tcp\n}\nrewrite name a.b. c.d."


class BuiltZone:
    """A block and its cache, as far as an inheritance goes."""

    def __init__(self, body: str = STOCK, capacity: int = 9984) -> None:
        self.block = block(body)
        self.zone = SimpleNamespace(
            cache=Cache(Budget(), capacity, capacity, stale_seconds=100),
            options=SimpleNamespace(bounds=Bounds()),
        )

    def keep(self, records: str, at: float = NOW, qname: str = "a.example. A", asked: int = 0):
        answer = read_answer(response(qname, records))
        key = read_query(query(qname)).key
        entry = self.zone.cache.put(key, answer, reply_ttl(answer, Bounds()), at)
        entry.note_uses(asked)
        return entry

    def get(self, qname: str = "a.example. A", now: float = NOW) -> Entry | None:
        return self.zone.cache.get(read_query(query(qname)).key, now)


def carry(old: BuiltZone, new: BuiltZone, monkeypatch, now: float = NOW, max_octets: int = 1 << 20):
    """Write and read, at `now`."""
    monkeypatch.setattr(cache_transfer, "monotonic", lambda: now)

    async def both():
        return await cache_transfer.read(await cache_transfer.write([old], max_octets, now), [new])

    return asyncio.run(both())


A = "a.example. 300 IN A 192.0.2.1"


def test_an_answer_comes_over_with_its_age_and_rank(monkeypatch):
    old, new = BuiltZone(), BuiltZone()
    kept = old.keep(A, at=NOW - 100, asked=2)
    assert carry(old, new, monkeypatch) == 1
    had = new.get()
    assert (had.wire, had.ttl, had.flags, had.ttl_offsets) == (
        *(kept.wire, kept.ttl, kept.flags, kept.ttl_offsets),
    )
    assert had.remaining_ttl(NOW) == 200
    assert had.frequency == 3  # two, and this look


def test_what_is_past_its_ttl_comes_over_for_as_long_as_it_may_help_out(monkeypatch):
    old, new = BuiltZone(), BuiltZone()
    old.keep(A, at=NOW - 350)
    old.keep("b.example. 30 IN A 192.0.2.1", at=NOW - 350, qname="b.example. A")
    assert carry(old, new, monkeypatch) == 1
    assert new.get().remaining_ttl(NOW) == -50


def test_what_the_new_agent_has_asked_for_itself_is_newer(monkeypatch):
    old, new = BuiltZone(), BuiltZone()
    old.keep(A, at=NOW - 10)
    own = new.keep("a.example. 300 IN A 192.0.2.99", at=NOW - 1)
    assert carry(old, new, monkeypatch) == 0
    assert new.get() is own


@pytest.mark.parametrize(
    "body",
    [
        STOCK.replace("10.0.0.2", "10.0.0.3"),
        STOCK.replace("c.d.", "e.f."),
        STOCK.replace("cache 30", "cache 40"),
        STOCK.replace("cache 30", "cache 30 {\n disable denial\n}"),
        STOCK.replace("cache 30", ""),
        STOCK + "\nnodecache {\n aaaa suppress\n}",
    ],
)
def test_a_block_that_would_get_or_keep_other_answers_takes_none(monkeypatch, body):
    old, new = BuiltZone(), BuiltZone(body)
    old.keep(A)
    assert carry(old, new, monkeypatch) == 0


def test_a_smaller_cache_keeps_what_is_asked_for(monkeypatch):
    old, new = BuiltZone(), BuiltZone(capacity=20)
    for number in range(100):
        name = f"n{number}.example."
        wanted = 3 if number % 10 == 0 else 0
        old.keep(f"{name} 300 IN A 192.0.2.1", qname=f"{name} A", asked=wanted)
    carry(old, new, monkeypatch)
    assert len(new.zone.cache) == 20
    assert all(new.get(f"n{number}.example. A") for number in range(0, 100, 10))


def test_no_more_is_written_than_asked_for(monkeypatch):
    old, new = BuiltZone(), BuiltZone()
    for number in range(100):
        name = f"n{number}.example."
        old.keep(f"{name} 300 IN A 192.0.2.1", qname=f"{name} A")
    assert 5 < carry(old, new, monkeypatch, max_octets=1000) < 15


def test_an_answer_with_an_extended_error_stays_behind():
    told = read_answer(response("a.example. A", A))
    assert packed(made(told))
    told.ede = ((3, b"stale"),)
    assert packed(made(told)) == b""


def made(answer) -> Entry:
    key = read_query(query()).key
    return Entry(key, answer, 0, 30, NOW)


def test_the_digest_is_the_same_in_another_process():
    """Whatever the seed of its hashes is."""
    program = (
        "from nodecache.worker.cache_transfer import digest; from tests.helpers.corefiles import block;"
        f"print(digest(block({STOCK!r})).hex())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def written(*entries: Entry) -> bytes:
    return FORM + zone_head(b"d" * 32) + b"".join(map(packed, entries)) + end()


SOUND = made(read_answer(response("a.example. A", A)))


def test_what_is_written_is_read():
    (carried,) = unpacked(io.BytesIO(written(SOUND)).read)
    assert (carried.key, carried.answer.wire, carried.stored_at) == (SOUND.key, SOUND.wire, NOW)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(SOUND.wire[:-1], id="cut off"),
        pytest.param(query(), id="a query"),
        pytest.param(response("b.example. A", "b.example. 3 IN A 1.1.1.1"), id="another"),
        pytest.param(response("a.example. A", A) + b"x", id="something behind it"),
    ],
)
def test_a_message_that_is_no_answer_to_its_key_is_passed_over(wire):
    bent = made(read_answer(response("a.example. A", A)))
    bent.wire = wire
    assert [each and each.key for each in unpacked(io.BytesIO(written(bent, SOUND)).read)] == [
        *(None, SOUND.key),
    ]


@pytest.mark.parametrize(
    "stored_at", [float("nan"), float("inf"), NOW + 1, -float("inf"), NOW - 10_000]
)
def test_a_time_that_cannot_be_is_not_believed(monkeypatch, stored_at):
    entry = made(read_answer(response("a.example. A", A)))
    entry.stored_at = stored_at
    (carried,) = unpacked(io.BytesIO(written(entry)).read)
    assert not cache_transfer.take(carried, BuiltZone(), NOW)


@pytest.mark.parametrize("size", [0, 1, len(FORM), len(FORM) + 10, len(written(SOUND)) - 1])
def test_what_is_cut_off_is_told_and_what_came_before_stands(size):
    with pytest.raises(MalformedCache):
        list(unpacked(io.BytesIO(written(SOUND)[:size]).read))


def test_another_version_of_the_form_is_refused():
    with pytest.raises(MalformedCache, match="version"):
        list(unpacked(io.BytesIO(written(SOUND).replace(b"cache 1", b"cache 2")).read))


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 40))
def test_octets_of_a_stranger_are_read_or_refused_and_nothing_else(octets, place, size):
    sound = written(SOUND, SOUND)
    for bent in (octets, FORM + octets, sound[:place] + octets + sound[place + size :]):
        built = BuiltZone()
        try:
            for carried in unpacked(io.BytesIO(bent).read):
                if carried is not None and cache_transfer.take(carried, built, NOW):
                    assert carried.answer.question.lower() == carried.key[:-1]
        except MalformedCache:
            pass
