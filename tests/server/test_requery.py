import dns.edns
import dns.message

from nodecache.server.requery import with_question
from nodecache.wire import read_query, wire_of

from .chains import query


def test_another_question_leaves_the_rest_of_the_query_alone():
    asked = query("A.example.", use_edns=0, payload=1400, want_dnssec=True)
    other = with_question(asked, wire_of("Other.name.test."), rdtype=28)
    anew = read_query(other.packet)
    assert (other.key, other.question_end) == (anew.key, anew.question_end)
    assert (other.rdclass, other.flags, other.options) == (anew.rdclass, anew.flags, b"")
    assert (other.payload_size, other.has_do, other.qtype) == (1400, True, 28)
    assert str(dns.message.from_wire(other.packet).question[0]) == "Other.name.test. IN AAAA"


def test_class_alone_can_change():
    assert with_question(query("a.example.", rdclass="CH"), rdclass=1).rdclass == 1
