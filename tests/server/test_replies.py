from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodecache.cache import Budget, Cache, Prefetch
from nodecache.server.counts import Outcome, ServerCounts
from nodecache.server.replies import CachedReply, ReplyBudget, ReplyTable, ZoneBinding
from nodecache.wire import Answer, Flag, Kind, read_answer, read_query, reply_to
from tests.server.zone_harness import ZoneHarness
from tests.wire.messages import parsed, query, response

START = 1000.0
TALLY = ("udp", "1", 1, 0, 40, 120, False, "cache", Outcome.HIT_SUCCESS)
RECORDS = ("a.example. 30 IN A 192.0.2.1", "a.example. 30 IN A 192.0.2.2")


class FakeZone:
    """A zone as the reply table knows it."""

    keeps_ttl = False
    prefetch: Prefetch | None = None
    is_due = False

    def wants_prefetch(self, entry, now: float) -> bool:
        return self.is_due


class Table:
    """A reply table with a cache behind it."""

    def __init__(self, max_young: int = 100) -> None:
        self.replies = ReplyTable(ReplyBudget(Budget()), max_young)
        self.cache = Cache(Budget(), 100, 100)
        self.zone = FakeZone()
        self.counts = ServerCounts("dns://:53", ".")
        self.served = ZoneBinding(self.zone, self.counts)

    def put(self, qname: str = "a.example.", now: float = START, **edns: object) -> bytes:
        """Have a finished reply in the table; the octets it is found by."""
        packet = query(f"{qname} A", **edns)
        asked = read_query(packet)
        records = [record.replace("a.example.", qname) for record in RECORDS]
        entry = self.cache.get(asked.key, now)
        if entry is None:
            entry = self.cache.put(
                asked.key, read_answer(response(f"{qname} A", *records)), 30, now
            )
        octets = reply_to(asked, entry, entry.flags, entry.remaining_ttl(now), 1232)
        finished = CachedReply(
            bytes(octets[2:]), entry.changes_at(now), entry, self.served, TALLY, entry.ttl_offsets
        )
        self.replies.put(packet[2:], finished, now)
        return packet[2:]

    def ttl(self, tail: bytes, now: float) -> int | None:
        """The TTL of the reply that the table has at `now`, as the UDP listener looks for it."""
        finished = self.replies.young.get(tail)
        if finished is None or finished.good_until <= now:
            finished = self.replies.recover(tail, now)
        if finished is None:
            return None
        finished.hits += 1
        message = parsed(b"\0\0" + finished.tail)
        assert len(message.answer[0]) == 2
        return message.answer[0].ttl

    def flush(self) -> None:
        for _ in self.replies.flush_in_slices(START):
            pass

    def hits(self) -> int:
        self.counts.flush()
        return self.counts.outcomes[Outcome.HIT_SUCCESS]


def test_a_reply_ages_with_its_entry():
    table = Table()
    tail = table.put()
    assert [table.ttl(tail, START + age) for age in (0, 0.9, 1, 1.5, 29.9)] == [30, 30, 29, 29, 1]
    assert table.ttl(tail, START + 30) is None


def test_an_opt_is_not_aged():
    table = Table()
    tail = table.put(want_dnssec=True)
    assert table.ttl(tail, START + 7) == 23
    assert parsed(b"\0\0" + table.replies.young[tail].tail).ednsflags == 0x8000


def test_a_reply_is_gone_with_its_entry():
    table = Table()
    tail = table.put()
    table.cache.drop(read_query(query()).key)
    assert table.ttl(tail, START + 0.5) == 30  # good for the second it was made in
    assert table.ttl(tail, START + 1) is None
    assert len(table.replies) == 0


def test_a_reply_is_gone_when_its_entry_holds_another_answer():
    table = Table()
    tail = table.put()
    table.cache.put(
        read_query(query()).key, read_answer(response("a.example. A", *RECORDS)), 30, START + 5
    )
    assert table.ttl(tail, START + 6) is None


def test_a_reply_makes_way_for_a_fetch_ahead_of_time():
    table = Table()
    tail = table.put()
    table.zone.is_due = True
    assert table.ttl(tail, START + 1) is None


def test_a_reply_of_a_zone_that_keeps_ttls_does_not_age_and_ends_all_the_same():
    table = Table()
    table.zone.keeps_ttl = True
    tail = table.put()
    assert table.ttl(tail, START + 29) == 30
    assert table.ttl(tail, START + 30) is None


def test_a_reply_ages_where_its_ttls_stand_though_its_entry_was_compressed_since():
    table = Table()
    tail = table.put()
    entry = table.replies.young[tail].entry
    entry.wire, entry.ttl_offsets = b"shorter", (3,)
    assert table.ttl(tail, START + 4) == 26


@given(
    pods=st.integers(1, 12),
    nameservers=st.integers(0, 5),
    payload=st.sampled_from([0, 512, 600, 1232]),
    seconds=st.integers(1, 29),
)
@example(pods=9, nameservers=0, payload=0, seconds=7)
@example(pods=9, nameservers=0, payload=512, seconds=7)
def test_a_reply_in_the_table_ages_to_what_would_be_made_anew(pods, nameservers, payload, seconds):
    """Also where records did not fit, as a headless Service's addresses beside its SRV records."""
    question, service = "_http._tcp.peers.example. SRV", "peers.example."
    records = [f"_http._tcp.{service} 30 IN SRV 0 0 80 web-{n}.{service}" for n in range(pods)]
    zone = ZoneHarness()
    zone.keep(
        *records,
        question=question,
        authority=[f"example. 30 IN NS ns{n}.example." for n in range(nameservers)],
        additional=[f"web-{n}.{service} 30 IN A 10.0.0.1" for n in range(pods)],
    )
    edns = {"use_edns": 0, "payload": payload} if payload else {}
    zone.ask(question, **edns)
    finished = zone.ask(question, **edns).finished
    assert finished is not None or zone.ask(question, **edns).reply.flags & Flag.TC
    zone.pass_time(seconds)
    made_anew = zone.ask(question, **edns)
    assert made_anew.ttl == 30 - seconds
    if finished is not None:
        assert finished.age(zone.loop.now)
        assert finished.tail == made_anew.replies[0][2:]


# Counting


def test_hits_reach_the_counts_and_the_entry():
    table = Table()
    table.zone.prefetch = Prefetch(amount=3)
    tail = table.put()
    for _ in range(5):
        table.ttl(tail, START)
    assert table.hits() == 0
    table.flush()
    assert table.hits() == 5
    entry = table.replies.young[tail].entry
    assert (entry.hits, entry.frequency) == (5, 3)
    assert table.counts.duration.buckets[0] == 5


def test_no_hit_is_counted_twice_or_lost():
    table = Table(max_young=2)
    tails = [table.put(f"{letter}.example.") for letter in "ab"]
    for tail in tails * 3:
        table.ttl(tail, START)
    table.put("c.example.")
    table.put("d.example.")
    table.put("e.example.")
    table.replies.drop()
    table.flush()
    assert table.hits() == 6


def test_hits_of_many_are_counted_in_steps():
    table = Table(max_young=500)
    tails = [table.put(f"{number}.example.") for number in range(500)]
    for tail in tails:
        table.ttl(tail, START)
    counted = [table.hits() for _ in table.replies.flush_in_slices(START)]
    assert len(counted) > 2
    assert counted[0] <= 200
    assert table.hits() == 500


@pytest.mark.parametrize("is_dropped", [False, True], ids=["pushed out", "dropped"])
def test_what_left_the_table_goes_a_little_at_each_put_with_its_hits_counted(is_dropped):
    table = Table(max_young=40)
    for number in range(40):
        table.ttl(table.put(f"{number}.example."), START)
    if is_dropped:
        table.replies.drop()
    else:
        for number in range(40):
            table.put(f"{number}.a.example.")
    counted = [0]
    for number in range(20):
        table.put(f"{number}.b.example.")
        counted.append(table.hits())
    assert max(after - before for before, after in pairwise(counted)) == 4
    assert counted[-1] == 40


def test_a_hit_or_two_make_nobody_a_favourite():
    table = Table()
    tail = table.put()
    entry = table.replies.young[tail].entry
    table.ttl(tail, START)
    table.flush()
    assert entry.frequency == 1


# Bounds


def test_what_is_not_asked_for_again_leaves_the_table():
    table = Table(max_young=2)
    tails = [table.put(f"{letter}.example.") for letter in "abcde"]
    assert len(table.replies) <= 4
    assert [table.ttl(tail, START) for tail in tails] == [None, None, 30, 30, 30]


def test_what_is_asked_for_again_stays():
    table = Table(max_young=2)
    favourite = table.put("a.example.")
    for letter in "bcdefgh":
        table.put(f"{letter}.example.")
        assert table.ttl(favourite, START) == 30


def test_an_old_reply_that_is_no_longer_good_is_gone():
    table = Table(max_young=1)
    old = table.put("a.example.")
    table.put("b.example.")
    assert table.ttl(old, START + 31) is None
    assert len(table.replies) == 1


def test_a_dropped_table_is_empty():
    table = Table()
    tail = table.put()
    table.replies.drop()
    assert (len(table.replies), table.ttl(tail, START)) == (0, None)


MEBI = 1 << 20


class Bounded:
    """Tables and a cache within one budget, and answers as large as somebody likes."""

    def __init__(self, budget_octets: int, tables: int = 1) -> None:
        self.budget = Budget(budget_octets)
        self.room = ReplyBudget(self.budget)
        self.tables = [ReplyTable(self.room) for _ in range(tables)]
        self.cache = Cache(self.budget, 100_000, 100_000)
        self.served = ZoneBinding(FakeZone(), ServerCounts("dns://:53", "."))

    def ask(self, number: int, size: int, table: int = 0) -> CachedReply:
        """A new name with so large an answer, which comes into the cache and a table."""
        key = b"%06d" % number
        entry = self.cache.put(key, Answer(bytes(size), 12, 0, Kind.POSITIVE), 30, START)
        made = CachedReply(bytes(size), START + 1, entry, self.served, TALLY, ())
        self.tables[table].put(key, made, START)
        return made

    def octets_held(self) -> int:
        """What replies and entries really hold, those only known to a table too."""
        replies = [
            reply
            for table in self.tables
            for generation in (table.young, table._old, *table._retired)
            for reply in generation.values()
        ]
        entries = {id(reply.entry): reply.entry for reply in replies}
        kept = (*self.cache.success.entries(), *self.cache.denial.entries())
        entries |= {id(entry): entry for entry in kept}
        return sum(len(reply.tail) for reply in replies) + sum(
            len(entry.wire) for entry in entries.values()
        )


@pytest.mark.parametrize("size", [100, 4_000, 65_000])
@pytest.mark.parametrize("tables", [1, 6])
def test_answers_without_end_stay_within_the_budget(size, tables):
    bounded = Bounded(MEBI, tables)
    for number in range(2_000):
        bounded.ask(number, size, number % tables)
        assert bounded.octets_held() <= MEBI if number % 100 == 99 else True
        assert bounded.budget.used <= MEBI
        assert bounded.room.used <= MEBI // 4
    assert bounded.octets_held() <= MEBI


def test_an_answer_that_was_renewed_larger_and_evicted_is_not_kept_alive_by_its_reply():
    bounded = Bounded(MEBI)
    answers = [bounded.ask(number, 100) for number in range(100)]
    for reply in answers:
        reply.entry.wire = bytes(60_000)
        bounded.cache.drop(reply.entry.key)
    assert bounded.octets_held() < 100 * 101


def test_a_busy_table_gets_the_room_of_one_that_nobody_asks():
    bounded = Bounded(MEBI, tables=2)
    for number in range(1_000):
        bounded.ask(number, 100, table=0)
    for number in range(1_000, 2_000):
        bounded.ask(number, 100, table=1)
    assert bounded.tables[1].octets > bounded.room.limit_octets / 3


def test_what_a_table_weighed_is_given_back():
    bounded = Bounded(MEBI)
    made = [bounded.ask(number, 100) for number in range(150)]
    table = bounded.tables[0]
    for number in range(75):
        table.put(b"%06d" % number, made[number], START)
    table.recover(b"000001", START + 60)
    table.drop()
    for _ in table.flush_in_slices(START):
        pass
    assert (table.octets, bounded.room.used) == (0, 0)
    table.close(START)
    assert bounded.room.tables == []
    for number in range(150):
        bounded.cache.drop(b"%06d" % number)
    assert bounded.budget.used == 0
