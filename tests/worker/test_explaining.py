"""What would happen to a query is told without a trace."""

from types import SimpleNamespace

import pytest

from nodecache.cache import Budget
from nodecache.corefile import parse
from nodecache.forward import UpstreamRegistry
from nodecache.server import (
    Handler,
    InflightLimiter,
    ServerCounts,
    ZoneBinding,
    Zones,
)
from nodecache.wire import Kind, wire_of
from nodecache.worker.assembly import WorkerContext, build
from nodecache.worker.control_request import MalformedRequest
from nodecache.worker.explaining import explain, query_for
from tests.cache.made import answer
from tests.scenarios.simulated import SimulatedWorld
from tests.scenarios.subjects import SimulatedLoop

SERVER = "dns://169.254.20.10:53"
COREFILE = """
cluster.local {
    cache 30
    forward . 10.96.0.10 {
        force_tcp
    }
}
. {
    cache 300
    hosts {
        192.0.2.7 known.example
        fallthrough
    }
    forward . 192.0.2.1 192.0.2.2
}
"""


class Worker:
    """What an explanation looks at: the blocks of a Corefile at one address."""

    config = None

    def __init__(self, text: str = COREFILE) -> None:
        self.world = SimulatedWorld()
        self.shop = WorkerContext(
            SimulatedLoop(self.world), UpstreamRegistry(self.world), Budget(), InflightLimiter()
        )
        self.built = [build(each, self.shop) for each in parse(text, "Corefile", env={}).blocks]
        zones = [
            (wire_of(name), ZoneBinding(made.zone, ServerCounts(SERVER, name)))
            for made in self.built
            for name in made.block.zone_names
        ]
        handler = Handler(Zones(zones), ServerCounts(SERVER, "dropped"))
        self.listeners = {SERVER: SimpleNamespace(handler=handler)}
        for made in self.built:
            made.zone.clock = self.world.clock

    @property
    def now(self) -> float:
        return self.world.clock()

    def explain(self, name: str, rdtype: int = 1, later: float = 0.0) -> dict:
        return explain(self, query_for(name, rdtype), self.now + later)

    def keep(self, name: str, kind: Kind = Kind.POSITIVE, ttl: int = 30, block: int = 1):
        key = query_for(name, 1).key
        return self.built[block].zone.cache.put(key, answer(kind), ttl, self.now)


@pytest.fixture
def worker():
    return Worker()


def test_the_block_its_directives_and_the_only_upstream_are_named(worker):
    told = worker.explain("a.cluster.local")
    assert (told["zone"], told["server"]) == ("cluster.local.", SERVER)
    assert told["block"] == {"zones": ["dns://cluster.local.:53"], "file": "Corefile", "line": 2}
    assert told["directives"] == ["cache", "forward"]
    assert told["outcome"] == "upstream"
    (upstream,) = told["upstream"]["upstreams"]
    assert (upstream["to"], upstream["protocol"], upstream["standing"]) == (
        "10.96.0.10:53",
        "tcp",
        "good",
    )
    assert told["because"] == "10.96.0.10:53 is the only upstream, and it answers"


def test_a_name_that_no_block_is_for_is_refused():
    told = Worker("cluster.local {\nforward . 10.96.0.10\n}").explain("a.example")
    assert (told["outcome"], told["block"]) == ("refused", None)


def test_a_kept_answer_is_a_hit_until_its_ttl_ends(worker):
    worker.keep("a.example", ttl=30)
    told = worker.explain("A.example.", later=10.0)
    assert told["outcome"] == "hit"
    assert told["cache"]["kind"] == "positive"
    assert told["cache"]["seconds_left"] == 20
    assert "upstream" not in told
    assert worker.explain("a.example", 28)["outcome"] == "upstream"


def test_a_denial_is_told_as_what_it_is(worker):
    worker.keep("b.example", Kind.NXDOMAIN)
    told = worker.explain("b.example")
    assert (told["outcome"], told["cache"]["rcode"]) == ("hit", "NXDOMAIN")


def test_a_stale_answer_is_told_with_who_is_asked_first(worker):
    worker.keep("a.example", ttl=30)
    told = worker.explain("a.example", later=100.0)
    assert told["outcome"] == "stale"
    assert told["because"].startswith("its TTL ended 70 s ago: asked again")
    assert told["upstream"]["asked"] == ["192.0.2.1:53", "192.0.2.2:53"]
    assert worker.explain("a.example", later=3700.0)["outcome"] == "upstream"


def test_a_prefetch_that_is_due_is_told(worker):
    entry = worker.keep("a.example", ttl=100)
    entry.hits = 10
    assert not worker.explain("a.example", later=50.0)["cache"]["prefetch"]["is_due"]
    told = worker.explain("a.example", later=95.0)
    assert told["cache"]["prefetch"]["is_due"]
    assert "has it fetched again" in told["because"]


def test_a_failure_that_is_remembered_is_told_with_its_end(worker):
    key = query_for("f.example", 1).key
    failures = worker.built[1].zone._failures
    failures.note(key, 2, ((22, b"192.0.2.1:53 did not answer in time"),), worker.now)
    told = worker.explain("f.example", later=0.5)
    assert told["outcome"] == "failure"
    assert told["failure"] == {
        "rcode": "SERVFAIL",
        "errors": [{"code": 22, "text": "192.0.2.1:53 did not answer in time"}],
        "times": 1,
        "seconds_left": 0.5,
    }
    assert worker.explain("f.example", later=1.5)["outcome"] == "upstream"


def test_a_question_that_is_under_way_is_joined(worker):
    query = query_for("a.example", 1)
    worker.built[1].zone._inflight[query.key] = object()
    assert "under way" in worker.explain("a.example")["because"]
    worker.built[1].zone._inflight.clear()


def test_a_failure_comes_before_an_equal_question_under_way(worker):
    query = query_for("f.example", 1)
    zone = worker.built[1].zone
    zone._failures.note(query.key, 2, (), worker.now)
    zone._inflight[query.key] = object()
    told = worker.explain("f.example")
    assert told["because"].startswith("it failed 1 times")
    assert told["is_under_way"]
    zone._inflight.clear()


def test_a_zone_transfer_is_refused(worker):
    told = worker.explain("a.example", 252)
    assert (told["outcome"], told["because"]) == ("refused", "zone transfers are not served")


def test_a_name_of_the_hosts_file_goes_to_nobody(worker):
    told = worker.explain("known.example")
    assert (told["outcome"], told["directive"]) == ("directive", "hosts")


def test_an_upstream_that_is_down_is_passed_by(worker):
    first, second = worker.built[1].forwarders[0].upstreams
    for _ in range(3):
        first.health.probed(is_alive=False)
    told = worker.explain("a.example")["upstream"]
    assert told["asked"] == [second.to]
    assert [each["standing"] for each in told["upstreams"]] == ["down", "good"]


@pytest.mark.parametrize(
    ("lines", "because"),
    [
        ("policy sequential", "192.0.2.1:53 is the first of which this holds: it answers"),
        ("policy round_robin", "the next in turn of 192.0.2.1:53, 192.0.2.2:53: it answers"),
        ("max_concurrent 1", "max_concurrent 1 is reached: REFUSED"),
    ],
)
def test_why_an_upstream_is_asked_is_told(lines, because):
    worker = Worker(f". {{\nforward . 192.0.2.1 192.0.2.2 {{\n{lines}\n}}\n}}")
    worker.built[0].forwarders[0].in_flight = 1
    assert worker.explain("a.example")["because"] == because


def plain_numbers_of(entry) -> dict:
    names = ("frequency", "hits", "counted_at", "refresh_at", "stored_at", "failures")
    return {name: getattr(entry, name) for name in (*names, "is_refreshing", "is_in_main")}


def test_looking_leaves_no_trace(worker):
    entry = worker.keep("a.example")
    before = plain_numbers_of(entry)
    zones = worker.listeners[SERVER].handler.zones
    for name in ("a.example", "b.example", "known.example"):
        worker.explain(name, later=5.0)
    assert plain_numbers_of(entry) == before
    assert len(zones.shapes) == 0
    assert all(not binding.counts.outcomes[1] for binding in zones)
    assert worker.shop.upstreams.all()[0].queries_sent == 0


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["abcdefg"] * 33)])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(MalformedRequest):
        query_for(name, 1)
