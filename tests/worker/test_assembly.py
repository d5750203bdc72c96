import pytest

from nodecache.cache import Budget, Cache
from nodecache.corefile import parse
from nodecache.worker.assembly import (
    bounds_of,
    new_cache,
    release_cache,
    searches_ahead,
    zone_options,
)
from tests.cache.made import START, answer


class Timers:
    """A loop that only has timers, started by hand."""

    def __init__(self):
        self.due = []

    def call_later(self, delay, callback, *arguments):
        assert delay > 0
        self.due.append((callback, arguments))


def test_a_cache_that_nobody_needs_is_emptied_a_lot_at_a_time():
    budget, timers = Budget(), Timers()
    cache = Cache(budget, 10_000, 10_000)
    for number in range(1000):
        cache.put(b"%d" % number, answer(), 30, START)
    cache.close()
    release_cache(cache, timers)
    left = []
    while timers.due:
        left.append(len(cache))
        callback, arguments = timers.due.pop()
        callback(*arguments)
    assert left == sorted(left, reverse=True)
    assert len(left) > 2
    assert (len(cache), budget.used, budget.segments) == (0, 0, [])


@pytest.mark.parametrize(
    ("lines", "capacities"),
    [
        ("cache", (9984, 9984)),
        ("cache {\n success 0 5\n denial 0 1\n}", (1024, 1024)),
        ("cache {\n success -1\n denial 2000\n}", (1024, 2000)),
    ],
)
def test_a_cache_keeps_as_many_entries_as_coredns_at_least(lines, capacities):
    """Two public charts say `denial 0 1` and `success 0 5`, which CoreDNS takes for 1,024 each."""
    (block,) = parse(f". {{\n{lines}\nforward . 192.0.2.1\n}}\n", "Corefile", env={}).blocks
    cache = new_cache(block, zone_options(block), Budget())
    assert (cache.success.capacity, cache.denial.capacity) == capacities


@pytest.mark.parametrize(
    ("keys", "lines", "seconds"),
    [
        pytest.param(".", "cache", 1800, id="CoreDNS's own"),
        pytest.param("example.org", "cache", 1800, id="another domain"),
        pytest.param("cluster.local", "cache", 5, id="the cluster's"),
        pytest.param("svc.cluster.local", "cache", 5, id="within the cluster's"),
        pytest.param("notcluster.local", "cache", 1800, id="a name that ends alike"),
        pytest.param("cluster.local in-addr.arpa", "cache", 1800, id="the cluster's and another"),
        pytest.param("cluster.local", "cache 30", 30, id="the Corefile says"),
        pytest.param("cluster.local", "cache {\n denial 9 60\n}", 60, id="denial says"),
        pytest.param("cluster.local", "nodecache {\n denial_cap 2s\n}\ncache", 2, id="a cap"),
        pytest.param("example.org", "nodecache {\n denial_cap 2s\n}\ncache", 2, id="another's"),
        pytest.param(".", "nodecache {\n denial_cap 2s\n}\ncache", 1800, id="no cap on all names"),
        pytest.param("example.org ip6.arpa", "nodecache {\n denial_cap 2s\n}\ncache", 1800, id="nor on addresses"),
    ],
)  # fmt: skip
def test_denials_are_kept_as_long_as_coredns_does_but_for_the_clusters_own(keys, lines, seconds):
    body = f"{lines}\nforward . 192.0.2.1"
    heads = ", ".join(f"{key}:53" for key in keys.split())
    (block,) = parse(f"{heads} {{\n{body}\n}}\n", "Corefile", env={}).blocks
    assert bounds_of(block, block.cache).denial_ttl == seconds


@pytest.mark.parametrize(
    ("lines", "is_asked_ahead"),
    [
        ("", True),
        ("rewrite name a.test b.test", True),
        ("log\nacl { \n block net 10.0.0.0/8 \n}", True),
        ("nodecache { \n search_ahead off \n}", False),
        ("hosts", False),
        ("template IN A", False),
        ("whoami", False),
        ("metadata", False),
    ],
)
def test_a_block_whose_directives_answer_or_note_queries_is_not_asked_ahead(lines, is_asked_ahead):
    text = f". {{\ncache\nforward . 192.0.2.1\n{lines}\n}}\n"
    block = parse(text, "Corefile", env={}, default_port=53).blocks[0]
    assert searches_ahead(block) is is_asked_ahead
