"""Replies out of the table in another order each time, and what may not come out of it."""

import random

import pytest

from nodecache.server.chain import Chain
from nodecache.server.directives.any import Any
from nodecache.server.directives.loadbalance import LoadBalance
from nodecache.server.directives.minimal import Minimal
from nodecache.server.directives.shuffled import (
    ShuffledReply,
    keep_reply,
    shuffle_addresses,
    skip_table,
)
from tests.server.zone_harness import ZoneHarness
from tests.wire.messages import parsed

ADDRESSES = [f"a.example. 30 IN A 192.0.2.{number}" for number in range(1, 5)]
ALIAS = "a.example. 30 IN CNAME b.example."
NAMESERVER = "example. 30 IN NS ns.example."


def balanced(*directives, pick=None) -> ZoneHarness:
    """A harness whose zone has directives above its cache, as the assembly makes it."""
    harness = ZoneHarness()
    pick = pick or random.Random(7).randrange
    above = directives or (LoadBalance(pick),)
    harness.zone.above = Chain(above, harness.zone.terminal())
    harness.zone.prepare_reply = (
        shuffle_addresses(pick) if isinstance(above[0], LoadBalance) else keep_reply
    )
    return harness


def addresses(tail: bytes) -> list[str]:
    return [rdata.to_text() for rdata in parsed(b"\x12\x34" + tail).answer[-1]]


def table_reply(harness: ZoneHarness, *records: str, **edns):
    harness.keep(*records)
    harness.ask(**edns)
    return harness.ask(**edns).finished


@pytest.mark.parametrize("edns", [{}, {"use_edns": 0}], ids=["plain", "EDNS"])
@pytest.mark.parametrize("alias", [(), (ALIAS,)], ids=["addresses", "behind an alias"])
def test_every_reply_out_of_the_table_may_have_another_order(alias, edns):
    records = [record.replace("a.", "b.", 1) for record in ADDRESSES] if alias else ADDRESSES
    finished = table_reply(balanced(), *alias, *records, **edns)
    assert isinstance(finished.order, ShuffledReply)
    orders = {tuple(addresses(finished.next_tail())) for _ in range(200)}
    assert len(orders) == 24
    assert {tuple(sorted(order)) for order in orders} == {
        ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4")
    }


def test_ttls_count_down_in_every_order():
    harness = balanced()
    finished = table_reply(harness, *ADDRESSES)
    assert finished.age(harness.loop.now + 7)
    for _ in range(10):
        message = parsed(b"\x12\x34" + finished.next_tail())
        assert message.answer[0].ttl == 23
        assert len(message.answer[0]) == 4


def test_one_address_needs_no_order():
    finished = table_reply(balanced(), ADDRESSES[0])
    assert finished is not None
    assert finished.order is None


def test_what_stands_behind_the_addresses_must_not_be_pushed_about():
    harness = balanced()
    harness.keep(*ADDRESSES, authority=(NAMESERVER,))
    harness.ask()
    assert harness.ask().finished is None


def test_a_shortened_reply_ages_in_the_table():
    harness = balanced(Minimal())
    harness.keep(*ADDRESSES, authority=(NAMESERVER,))
    harness.ask()
    finished = harness.ask().finished
    assert finished.age(harness.loop.now + 7)
    message = parsed(b"\x12\x34" + finished.next_tail())
    assert message.authority == []
    assert [rrset.ttl for rrset in message.answer] == [23]


def test_a_directive_that_looks_at_clients_keeps_replies_out_of_the_table():
    harness = balanced(Any())
    harness.zone.prepare_reply = skip_table
    assert table_reply(harness, *ADDRESSES) is None
