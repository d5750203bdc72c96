from nodecache.server import counts as counts_module
from nodecache.server.counts import Outcome, ServerCounts, Tally
from tests.server.zone_harness import ZoneHarness

ONE = Tally(
    "udp", "1", 1, 0, 40, 120, has_do=False, written_by="cache", outcome=Outcome.HIT_SUCCESS
)


def counted(*tallies: Tally, times: int = 1) -> ServerCounts:
    counts = ServerCounts("dns://169.254.20.10:53", "cluster.local.")
    for tally in tallies:
        counts.count(tally, times)
    counts.flush()
    return counts


def test_a_reply_counts_in_every_family():
    counts = counted(ONE, times=3)
    assert counts.requests == {("udp", "1", 1): 3}
    assert counts.responses == {("NOERROR", "cache"): 3}
    assert counts.outcomes[Outcome.HIT_SUCCESS] == 3
    assert counts.request_size["udp"].count == counts.response_size["udp"].count == 3
    assert (counts.request_size["udp"].sum, counts.response_size["udp"].sum) == (120, 360)
    assert counts.do_requests == 0


def test_what_the_metrics_tell_apart_is_counted_apart():
    counts = counted(
        ONE,
        ONE._replace(transport="tcp"),
        ONE._replace(family="2"),
        ONE._replace(qtype=28, has_do=True),
        ONE._replace(rcode=3, outcome=Outcome.HIT_DENIAL),
        ONE._replace(rcode=2, written_by="", outcome=Outcome.MISS),
        ONE._replace(rcode=4095, written_by="forward", outcome=Outcome.UNCACHED),
    )
    assert counts.requests == {
        ("udp", "1", 1): 4,
        ("tcp", "1", 1): 1,
        ("udp", "2", 1): 1,
        ("udp", "1", 28): 1,
    }
    assert counts.responses == {
        ("NOERROR", "cache"): 4,
        ("NXDOMAIN", "cache"): 1,
        ("SERVFAIL", ""): 1,
        ("RCODE4095", "forward"): 1,
    }
    assert counts.do_requests == 1
    assert sum(counts.outcomes.values()) == 7


def test_rare_types_are_counted_as_one():
    """A pod that asked for each of 65,536 cost 9 MB a zone and address, and 30 ms at every scrape from then on."""
    counts = counted(*(ONE._replace(qtype=qtype) for qtype in range(0x10000)))
    assert len(counts.requests) < 30
    assert sum(counts.requests.values()) == 0x10000


def test_plain_tuples_of_the_same_fields_count_like_tallies():
    assert counted(tuple(ONE)).requests == counted(ONE).requests  # type: ignore[arg-type]


def test_nothing_is_counted_twice():
    counts = counted(ONE)
    counts.flush()
    counts.count(ONE)
    counts.flush()
    assert counts.requests == {("udp", "1", 1): 2}


def test_the_number_of_tallies_is_bounded():
    counts = ServerCounts("dns://:53", ".")
    kinds = counts_module._MAX_TALLIES + 10
    for size in range(kinds):
        counts.count(ONE._replace(request_size=size))
    assert len(counts._tallies) < 20
    counts.flush()
    assert counts.requests == {("udp", "1", 1): kinds}


def test_sizes_are_those_of_what_was_sent():
    """The original counts what a reply would be uncompressed, and before it is cut."""
    harness = ZoneHarness()
    for _ in range(2):
        client = harness.ask("a.example. A")
        if harness.upstream.open:
            harness.upstream.says(*(f"a.example. 30 IN A 192.0.2.{n}" for n in range(60)))
        assert len(client.reply.to_wire()) <= 512
    counts = harness.served.counts
    counts.flush()
    (sizes,) = counts.response_size.values()
    assert sizes.sum == sum(len(octets) for sent in harness.udp.sent.values() for octets in sent)
