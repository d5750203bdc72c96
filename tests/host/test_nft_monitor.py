import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.host.netlink import messages
from nodecache.host.nft_monitor import Changes, note

NEWCHAIN, DELCHAIN, NEWRULE, DELRULE, DELTABLE, DELSETELEM = 3, 5, 6, 8, 2, 14
WATCHED = {("filter", "INPUT"), ("fw", "in")}


def attribute(kind: int, octets: bytes) -> bytes:
    size = 4 + len(octets)
    return struct.pack("=HH", size, kind) + octets + bytes(-size % 4)


def notification(change: int, table: str, chain: str = "", *, has_hook: bool = False) -> bytes:
    """One notification of nftables as the kernel sends it: its names stand where each kind has them."""
    body = bytes(4) + attribute(1, table.encode() + b"\0")
    if chain:
        body += attribute(3 if change in (NEWCHAIN, DELCHAIN) else 2, chain.encode() + b"\0")
    if has_hook:
        body += attribute(4 | 0x8000, bytes(8))
    return struct.pack("=IHHII", 16 + len(body), 10 << 8 | change, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        pytest.param(notification(DELTABLE, "nodecache"), Changes(is_table=True), id="our table"),
        pytest.param(notification(DELSETELEM, "nodecache"), Changes(is_table=True), id="our set"),
        pytest.param(notification(DELTABLE, "nodecache2"), Changes(), id="another table"),
        pytest.param(notification(DELTABLE, "fw"), Changes(is_foreign=True), id="watched table"),
        pytest.param(
            notification(DELRULE, "fw", "in"), Changes(is_foreign=True), id="watched chain"
        ),
        pytest.param(
            notification(NEWRULE, "filter", "INPUT"), Changes(is_foreign=True), id="new rule"
        ),
        pytest.param(
            notification(NEWRULE, "filter", "KUBE-FORWARD"), Changes(), id="kube-proxy's rule"
        ),
        pytest.param(
            notification(NEWCHAIN, "x", "y", has_hook=True), Changes(is_foreign=True), id="base"
        ),
        pytest.param(notification(NEWCHAIN, "x", "y"), Changes(), id="not a base chain"),
    ],
)
def test_a_notification_is_judged_by_the_names_in_it(message, changes):
    noted = Changes()
    ((octets, kind, _),) = messages(message)
    note(octets, kind, "nodecache", WATCHED, noted)
    assert noted == changes


def test_notifications_of_other_subsystems_are_passed_over():
    noted = Changes()
    note(notification(DELTABLE, "nodecache"), 1 << 8 | DELTABLE, "nodecache", WATCHED, noted)
    assert noted == Changes()


def test_several_messages_of_one_read_are_told_apart():
    one, other = notification(DELTABLE, "a"), notification(DELTABLE, "longer-name")
    assert [octets for octets, _, _ in messages(one + other)] == [one, other]


@given(st.binary(max_size=200))
def test_no_octets_can_break_the_reading(octets):
    for message, kind, _ in messages(octets):
        note(message, kind, "nodecache", WATCHED, Changes())
    note(octets, 10 << 8 | DELRULE, "nodecache", WATCHED, Changes())
