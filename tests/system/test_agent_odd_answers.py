"""What upstreams may answer, octet by octet, and what a client gets of it: a real agent by UDP.

The cases are those of other servers' suites and of the standards they test; dnspython reads every
reply, and refuses a name that is compressed where none may be (RFC 3597 §4).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.message
import dns.rcode
import pytest

from tests.helpers.agent import Agent
from tests.helpers.upstream import Exchange, FakeUpstream, Send, Step, silent
from tests.wire.messages import HEADER, TO_QUESTION, name, opt, record

pytestmark = pytest.mark.system

COREFILE = """
.:{{port}} {{
    cache 30
    bind 127.0.0.1
    forward . {upstream}
}}
"""
A = record(TO_QUESTION, "A", b"\xc0\0\2\1")
SOA = record(b"\0", "SOA", name("ns.") + name("admin.") + bytes(16) + b"\0\0\0\x3c")
TARGET = b"\1t" + TO_QUESTION  # a name that ends in the question's
RRSIG = b"\0\x21\5\2\0\0\0\x3c\x7f\xff\xff\xff\0\0\0\1\0\1"
ZEROS = "0 " * 3


@dataclass
class Odd:
    """An answer: its type, records, counts and rcode; and what the client hears.

    `texts` are the data of the answer section's records, `{q}` for the name asked for.
    """

    rdtype: str
    parts: list[bytes]
    counts: tuple[int, int, int]
    texts: list[str] = field(default_factory=list)
    rcode: str = "NOERROR"
    is_kept: bool = True

    def answer(self, exchange: Exchange) -> Iterator[Step]:
        packet = exchange.packet
        question = packet[HEADER : packet.index(b"\0", HEADER) + 5]
        flags = 0x8180 | dns.rcode.from_text(self.rcode)
        header = [packet[:2], *(n.to_bytes(2, "big") for n in (flags, 1, *self.counts))]
        yield Send(b"".join([*header, question, *self.parts]))


def data(rdtype: str, octets: bytes, *more: bytes, additional: int = 0) -> dict[str, object]:
    """One record of `rdtype`, and what stands behind it."""
    parts = [record(TO_QUESTION, rdtype, octets), *more]
    return {"rdtype": rdtype, "parts": parts, "counts": (1, 0, additional)}


ADDRESS = ["192.0.2.1"]
CASES = {
    "srv": Odd(**data("SRV", bytes(6) + TARGET), texts=[ZEROS + "t.{q}"]),
    "naptr": Odd(**data("NAPTR", bytes(7) + TARGET), texts=['0 0 "" "" "" t.{q}']),
    "dname": Odd(**data("DNAME", TARGET), texts=["t.{q}"]),
    "rp": Odd(**data("RP", TARGET * 2), texts=["t.{q} t.{q}"]),
    "nsec": Odd(**data("NSEC", TARGET + b"\0\1\x40"), texts=["t.{q} A"]),
    "https": Odd(**data("HTTPS", b"\0\1" + TARGET), texts=["1 t.{q}"]),
    "rrsig": Odd(
        **data("RRSIG", RRSIG + TO_QUESTION + b"sign"),
        texts=["SRV 5 2 60 20380119031407 19700101000001 1 {q} c2lnbg=="],
    ),
    "mx": Odd(**data("MX", b"\0\5" + TARGET), texts=["5 t.{q}"]),
    "compressed-behind-opt": Odd(
        "SRV",
        [record(TO_QUESTION, "SRV", bytes(6) + TARGET), opt(), A],
        (1, 0, 2),
        [ZEROS + "t.{q}"],
    ),
    "two-opts": Odd("A", [A, opt(), opt()], (1, 0, 2), ADDRESS),
    "opt-with-an-owner": Odd("A", [A, opt(owner=b"\1x\0")], (1, 0, 1), ADDRESS),
    "opt-with-a-broken-option": Odd("A", [A, opt(data=b"\0\3\0\x09x")], (1, 0, 1), ADDRESS),
    "octets-behind": Odd("A", [A, b"\xff" * 9], (1, 0, 0), ADDRESS),
    "fewer-additionals-than-told": Odd("A", [A, A, opt()], (1, 0, 9), ADDRESS),
    "no-additionals-though-told": Odd("A", [A], (1, 0, 2), ADDRESS),
    "unasked-records": Odd("A", [A, SOA, A], (1, 1, 1), ADDRESS),
    "large": Odd(
        "TXT", [record(TO_QUESTION, "TXT", b"\xff" + b"x" * 255)] * 30, (30, 0, 0), ['"' + "x" * 255 + '"']
    ),
    "alias-of-nothing": Odd(
        "A", [record(TO_QUESTION, "CNAME", TARGET), SOA], (1, 1, 0), ["t.{q}"], "NXDOMAIN"
    ),
    "nothing": Odd("A", [SOA], (0, 1, 0), [], "NXDOMAIN"),
    "nothing-without-soa": Odd("A", [], (0, 0, 0), [], "NXDOMAIN", is_kept=False),
}  # fmt: skip


def behave(exchange: Exchange) -> Iterator[Step]:
    """As the first label of the name asked for says."""
    return CASES[exchange.qname.split(".")[0]].answer(exchange)


@pytest.fixture(scope="module")
def upstream():
    with FakeUpstream() as one:
        one.behave = behave
        yield one


@pytest.fixture(scope="module")
def agent(tmp_path_factory, upstream):
    folder = tmp_path_factory.mktemp("odd")
    with Agent(folder, COREFILE.format(upstream=upstream.address)) as running:
        yield running


@pytest.mark.parametrize("label", CASES)
def test_a_client_gets_of_an_odd_answer_what_is_good_in_it(agent, upstream, label):
    odd = CASES[label]
    qname = f"{label}.example."
    query = dns.message.make_query(qname, odd.rdtype, use_edns=0, payload=65_535)
    for told in (behave, silent if odd.is_kept else behave):
        upstream.behave = told
        reply = agent.udp(query)
        assert dns.rcode.to_text(reply.rcode()) == odd.rcode
        found = [str(rdata) for rrset in reply.answer for rdata in rrset]
        assert found == [text.format(q=qname) for text in odd.texts]
    assert odd.is_kept or [asked.qname for asked in upstream.asked].count(qname) > 1
