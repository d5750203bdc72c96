"""The whole page, from the counts of a busy node."""

from prometheus_client.parser import text_string_to_metric_families

from nodecache.forward.counts import ForwarderCounts
from nodecache.metrics import CacheNumbers, Collector, Scrape
from nodecache.metrics.exposition import PIECE_LINES
from nodecache.process.vitals import KeeperVitals, Process
from nodecache.server import Outcome, ServerCounts
from tests.helpers.numbers import busy_node, busy_server, busy_upstream


def samples(collector: Collector) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of a page by name and label values, in the labels' alphabetic order."""
    page = b"".join(collector.pieces()).decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_two_forwarders_with_the_same_upstream_are_one_series():
    scrape = Scrape(
        upstreams=[busy_upstream("10.96.0.10:53", 3), busy_upstream("10.96.0.10:53", 4)]
    )
    page = samples(Collector(lambda: scrape))
    name = "coredns_proxy_request_duration_seconds_count"
    assert page[name, ("forward", "NOERROR", "10.96.0.10:53")] == 7
    assert page["coredns_forward_requests_total", ("10.96.0.10:53",)] == 9


def test_counters_do_not_go_back_when_a_reload_takes_a_zone_away():
    kept, gone = busy_server("127.0.0.1", "."), busy_server("127.0.0.1", "old.test.")
    scrape = Scrape(servers=[kept, gone])
    collector = Collector(lambda: scrape)
    before = samples(collector)
    collector.carry(Scrape(servers=[gone]))
    scrape.servers = [kept, ServerCounts(gone.server, gone.zone)]
    after = samples(collector)
    counted = {key for key in before if key[0].startswith("coredns_dns_")}
    assert counted
    assert {key: after[key] for key in counted} == {key: before[key] for key in counted}


def test_what_is_carried_twice_adds_up():
    collector = Collector(Scrape)
    for _ in range(2):
        collector.carry(Scrape(servers=[busy_server("127.0.0.1", ".", 5)]))
    labels = ("1", "udp", "dns://127.0.0.1:53", "A", "", ".")
    assert samples(collector)["coredns_dns_requests_total", labels] == 10


def test_a_reload_while_a_page_is_made_counts_nothing_twice():
    gone = ForwarderCounts(healthcheck_broken=5)
    there = [gone]
    collector = Collector(lambda: Scrape(forwarders=list(there)))
    begun = collector.families()
    first = next(begun)
    collector.carry(Scrape(forwarders=there))
    there.clear()
    for made in ([first, *begun], [*collector.families()]):
        (broken,) = (each for each in made if each.name.endswith("healthcheck_broken_total"))
        assert broken.values == {(): 5}


def test_gauges_of_a_zone_that_is_gone_are_gone():
    collector = Collector(Scrape)
    collector.carry(Scrape(caches=[CacheNumbers(server="s", zones=".", success_entries=7)]))
    assert not [name for name, _ in samples(collector) if name == "coredns_cache_entries"]


def test_a_zone_that_answered_nothing_has_no_durations():
    """Its average would be a line of NaN in every panel of latency."""
    idle = ServerCounts("dns://127.0.0.1:53", "dropped")
    page = samples(Collector(lambda: Scrape(servers=[idle, busy_server("127.0.0.1", ".")])))
    durations = "coredns_dns_request_duration_seconds_count"
    assert [labels[-1] for name, labels in page if name == durations] == ["."]


def test_rare_types_share_one_label():
    server = ServerCounts("dns://127.0.0.1:53", ".")
    for qtype in range(300):
        server.count(("udp", "1", qtype, 0, 40, 120, False, "cache", Outcome.HIT_SUCCESS))
    server.flush()
    page = samples(Collector(lambda: Scrape(servers=[server])))
    types = {labels[3] for name, labels in page if name == "coredns_dns_requests_total"}
    assert len(types) == 20
    assert page["coredns_dns_requests_total", ("1", "udp", server.server, "other", "", ".")] == 281


def test_memory_of_both_processes_is_counted_once_and_cpu_in_full():
    keeper = KeeperVitals(
        process=Process(cpu_seconds=1000.0, resident_octets=10**12, private_octets=10**9)
    )
    page = samples(Collector(Scrape, keeper))
    assert 10**9 < page["process_resident_memory_bytes", ()] < 10**10
    assert page["process_cpu_seconds_total", ()] > 1000.0


def test_no_piece_of_a_page_is_long():
    """A piece is what the loop cannot give back in between."""
    collector = Collector(busy_node)
    first, second = ([piece.count(b"\n") for piece in collector.pieces()] for _ in range(2))
    assert max(first) <= PIECE_LINES / 6
    assert max(second) <= PIECE_LINES + 20


def test_a_page_is_the_same_whether_its_texts_were_kept_or_not():
    collector, numbers = Collector(busy_node), busy_node()
    list(collector.pieces())
    for server in numbers.servers:
        server.requests = {key: count * 1000 for key, count in server.requests.items()}
    collector._read = lambda: numbers
    kept = counted_lines(collector)
    assert counted_lines(Collector(lambda: numbers)) == kept


def counted_lines(collector: Collector) -> list[str]:
    """The page's lines, but for those of the process, which change by themselves."""
    lines = b"".join(collector.pieces()).decode().splitlines()
    return [line for line in lines if line.removeprefix("# HELP ").startswith("coredns_")]


def test_counts_are_brought_up_to_date_in_steps_before_they_are_read():
    steps = []

    def flush():
        for step in range(3):
            steps.append(step)
            yield

    def read():
        assert steps == [0, 1, 2]
        return busy_node()

    pieces = Collector(read, flush=flush).pieces()
    assert [next(pieces) for _ in range(3)] == [b""] * 3
    assert steps == [0, 1, 2]
    assert next(pieces).startswith(b"# HELP")
