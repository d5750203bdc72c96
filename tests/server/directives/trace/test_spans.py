import json

import pytest

from nodecache.server.directives.trace.spans import Span, Tracer


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.is_closed = False

    def put(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        self.is_closed = True


class Clock:
    """Nanoseconds that pass when told to."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Bits:
    """1, 2, 3 … for random numbers."""

    def __init__(self, first: int = 1) -> None:
        self.next = first

    def __call__(self, count: int) -> int:
        assert count == 64
        self.next += 1
        return self.next - 1


def tracing(first: int = 1) -> tuple[Tracer, Kept, Clock, Clock]:
    sink, clock, wall = Kept(), Clock(5_000_000), Clock(1_700_000_000_000_000_000)
    return Tracer(sink, clock, wall, Bits(first)), sink, clock, wall


def test_a_span_is_written_as_zipkin_has_it():
    tracer, sink, clock, _ = tracing()
    top = tracer.start("servedns")
    top.kind = "SERVER"
    top.tags = {"coredns.io/name": "a."}
    clock.now += 2_000_000
    inner = top.child("cache")
    clock.now += 1_500
    inner.end()
    clock.now += 1_000_000
    top.note("event:error")
    top.end()
    endpoint = {"serviceName": "dns", "ipv4": "10.0.0.1", "port": 53}
    assert [json.loads(span.to_json(endpoint)) for span in sink.spans] == [
        {
            "traceId": "0000000000000001",
            "id": "0000000000000002",
            "parentId": "0000000000000001",
            "name": "cache",
            "timestamp": 1_700_000_000_002_000,
            "duration": 1,
            "localEndpoint": endpoint,
        },
        {
            "traceId": "0000000000000001",
            "id": "0000000000000001",
            "name": "servedns",
            "kind": "SERVER",
            "timestamp": 1_700_000_000_000_000,
            "duration": 3001,
            "localEndpoint": endpoint,
            "annotations": [{"timestamp": 1_700_000_000_003_001, "value": "event:error"}],
            "tags": {"coredns.io/name": "a."},
        },
    ]


def test_a_clock_that_is_set_meanwhile_changes_nothing():
    tracer, sink, clock, wall = tracing()
    top = tracer.start("servedns")
    wall.now -= 3600 * 10**9
    clock.now += 7_000
    top.child("cache").end()
    top.end()
    told = [json.loads(span.to_json({})) for span in sink.spans]
    assert [span["timestamp"] for span in told] == [1_700_000_000_000_007, 1_700_000_000_000_000]
    assert told[1]["duration"] == 7


def test_what_took_no_time_takes_a_microsecond_for_0_is_unknown():
    tracer, sink, _, _ = tracing()
    tracer.start("servedns").end()
    assert json.loads(sink.spans[0].to_json({}))["duration"] == 1


@pytest.mark.parametrize(
    ("bits", "told"), [(0, "0000000000000001"), (2**64 - 1, "ffffffffffffffff")]
)
def test_ids_are_64_bits_in_hex_and_never_zero(bits, told):
    tracer, _, _, _ = tracing(first=bits)
    assert tracer.new_id() == told
