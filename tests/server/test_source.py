"""Which `forward` of a block a query goes to."""

import dns.name
from hypothesis import given
from hypothesis import strategies as st

from nodecache.forward import Destinations, Endpoint, Forwarder, Settings, UpstreamRegistry
from nodecache.forward.probe import probe_query
from nodecache.server.source import ForwardSource
from nodecache.wire import Flag, Rdtype, read_query
from tests.scenarios.simulated import SimulatedWorld

NAMES = st.lists(st.sampled_from(["a", "b", "example"]), max_size=3).map(
    lambda labels: ".".join([*labels, ""]) or "."
)


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=2)), max_size=6), NAMES)
def test_the_first_forward_that_takes_the_name_is_asked(lines, name):
    upstreams = UpstreamRegistry(SimulatedWorld())
    forwarders = [
        Forwarder(
            Settings(from_zone=from_zone, except_zones=tuple(exceptions)),
            upstreams,
            Destinations([Endpoint("10.0.0.1")]),
        )
        for from_zone, exceptions in lines
    ]
    query = read_query(probe_query(1, name, Rdtype.A, Flag.RD))
    source = ForwardSource(forwarders, lambda _: False)
    assert source.covers(query) is any(takes(*line, name) for line in lines)
    first = next((n for n, line in enumerate(lines) if takes(*line, name)), None)
    assert source._covering(query) is (None if first is None else forwarders[first])


def takes(from_zone: str, exceptions: list[str], name: str) -> bool:
    """Whether CoreDNS' `forward` takes a name: FROM itself always."""
    asked = dns.name.from_text(name)
    if asked == dns.name.from_text(from_zone):
        return True
    return asked.is_subdomain(dns.name.from_text(from_zone)) and not any(
        asked.is_subdomain(dns.name.from_text(each)) for each in exceptions
    )
