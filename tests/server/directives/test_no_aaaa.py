from nodecache.server.directives.no_aaaa import NoAaaa
from nodecache.wire import Kind
from tests.server.chains import answer, below, lines, query, run, told


def test_aaaa_is_answered_with_no_such_data_and_the_zones_soa():
    reply = told(run(NoAaaa(["cluster.local."]), query("Kube.cluster.local.", "AAAA")))
    assert not reply.answer
    assert lines(reply.authority) == [
        "cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30"
    ]
    assert reply.rcode() == 0


def test_the_answer_can_be_cached():
    made = run(NoAaaa(["."]), query("example.org.", "AAAA"))
    assert (made.kind, made.soa_ttl) == (Kind.NODATA, 30)


def test_other_types_pass():
    asked = query("example.org.")
    upstream = answer(asked, "example.org. 5 IN A 192.0.2.1")
    assert run(NoAaaa(["."]), asked, then=below(upstream)) is upstream
