"""Names are compressed where RFC 3597 §4 lets them be, and nowhere else."""

import dns.message
import dns.rrset

from nodecache.wire import compressed


def message(*lines: str) -> bytes:
    response = dns.message.make_response(dns.message.make_query("a.long.example.", "ANY"))
    for line in lines:
        owner, ttl, rdclass, rdtype, data = line.split(maxsplit=4)
        response.answer.append(dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, data))
    return response.to_wire()


def test_the_target_of_an_srv_record_stays_whole():
    wire = compressed(message("a.long.example. 5 IN SRV 0 0 53 b.long.example."))
    assert wire.endswith(b"\1b\4long\7example\0")


def test_the_target_of_an_alias_is_compressed():
    wire = compressed(message("a.long.example. 5 IN CNAME b.long.example."))
    assert wire.endswith(b"\1b\xc0\x0e")


def test_compressing_changes_no_record():
    lines = ["a.long.example. 5 IN SRV 0 0 53 b.long.example.", "b.long.example. 5 IN A 192.0.2.1"]
    before = message(*lines)
    assert dns.message.from_wire(compressed(before)) == dns.message.from_wire(before)
