import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.host.netlink import messages
from nodecache.host.notices import Concern, judge

NEWCHAIN, DELCHAIN, NEWRULE, DELRULE, DELTABLE, DELSETELEM = 3, 5, 6, 8, 2, 14
WATCHED = {("filter", "INPUT"), ("fw", "in")}


def attribute(kind: int, octets: bytes) -> bytes:
    size = 4 + len(octets)
    return struct.pack("=HH", size, kind) + octets + bytes(-size % 4)


def notice(change: int, table: str, chain: str = "", *, has_hook: bool = False) -> bytes:
    """One notice of nftables as the kernel sends it: its names stand where each kind has them."""
    body = bytes(4) + attribute(1, table.encode() + b"\0")
    if chain:
        body += attribute(3 if change in (NEWCHAIN, DELCHAIN) else 2, chain.encode() + b"\0")
    if has_hook:
        body += attribute(4 | 0x8000, bytes(8))
    return struct.pack("=IHHII", 16 + len(body), 10 << 8 | change, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("message", "concern"),
    [
        pytest.param(notice(DELTABLE, "nodecache"), Concern(is_table=True), id="our table"),
        pytest.param(notice(DELSETELEM, "nodecache"), Concern(is_table=True), id="our set"),
        pytest.param(notice(DELTABLE, "nodecache2"), Concern(), id="another table"),
        pytest.param(notice(DELTABLE, "fw"), Concern(is_foreign=True), id="watched table"),
        pytest.param(notice(DELRULE, "fw", "in"), Concern(is_foreign=True), id="watched chain"),
        pytest.param(notice(NEWRULE, "filter", "INPUT"), Concern(is_foreign=True), id="new rule"),
        pytest.param(notice(NEWRULE, "filter", "KUBE-FORWARD"), Concern(), id="kube-proxy's rule"),
        pytest.param(
            notice(NEWCHAIN, "x", "y", has_hook=True), Concern(is_foreign=True), id="base"
        ),
        pytest.param(notice(NEWCHAIN, "x", "y"), Concern(), id="not a base chain"),
    ],
)
def test_a_notice_is_judged_by_the_names_in_it(message, concern):
    judged = Concern()
    ((octets, kind, _),) = messages(message)
    judge(octets, kind, "nodecache", WATCHED, judged)
    assert judged == concern


def test_notices_of_other_subsystems_are_passed_over():
    judged = Concern()
    judge(notice(DELTABLE, "nodecache"), 1 << 8 | DELTABLE, "nodecache", WATCHED, judged)
    assert judged == Concern()


def test_several_messages_of_one_read_are_told_apart():
    one, other = notice(DELTABLE, "a"), notice(DELTABLE, "longer-name")
    assert [octets for octets, _, _ in messages(one + other)] == [one, other]


@given(st.binary(max_size=200))
def test_no_octets_can_break_the_reading(octets):
    for message, kind, _ in messages(octets):
        judge(message, kind, "nodecache", WATCHED, Concern())
    judge(octets, 10 << 8 | DELRULE, "nodecache", WATCHED, Concern())
