import pytest

from nodecache.corefile import OwnOptions
from tests.helpers.corefiles import block, body_errors


def test_defaults_stand_where_the_directive_does_not():
    assert block("errors").nodecache == OwnOptions()
    assert block("nodecache").nodecache == OwnOptions()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("budget 64Mi", OwnOptions(budget_octets=64 << 20)),
        ("max_waiting 1000", OwnOptions(max_waiting=1000)),
        ("max_waiting 1000 50", OwnOptions(max_waiting=1000, max_waiting_per_client=50)),
        ("stale off", OwnOptions(stale_seconds=0.0)),
        ("stale 4h", OwnOptions(stale_seconds=14400.0)),
        ("client_deadline 300ms", OwnOptions(client_deadline_seconds=0.3)),
        ("hedge off", OwnOptions(hedges=False)),
        ("pool 8", OwnOptions(pool_size=8)),
        ("endpoints off", OwnOptions(asks_pods=False)),
        ("endpoints on", OwnOptions()),
        ("search_ahead off", OwnOptions(searches_ahead=False)),
        ("search_ahead on", OwnOptions()),
        ("aaaa suppress", OwnOptions(suppresses_aaaa=True)),
        ("aaaa pass", OwnOptions()),
        ("denial_cap 30s", OwnOptions(denial_cap_seconds=30.0)),
    ],
)
def test_knobs_are_read(options, expected):
    assert block(f"nodecache {{\n{options}\n}}").nodecache == expected


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("budget 1", "budget must be at least 1Mi, not '1'"),
        ("budget lots", "budget must be a size such as 64Mi, not 'lots'"),
        ("max_waiting 0", "max_waiting must be a whole number of 1 or more, not '0'"),
        ("max_waiting 10 11", "max_waiting: PER_CLIENT must be a whole number from 1 to 10, not"),
        ("stale 30d", "stale must be a duration such as 30s or 1m30s, not '30d'"),
        ("stale 200h", "stale must be at most 168h, not '200h'"),
        ("client_deadline 0", "client_deadline must be above 0, not '0'"),
        ("hedge maybe", "hedge must be on or off, not 'maybe'"),
        ("pool 0", "pool must be a whole number from 1 to 64, not '0'"),
        ("endpoints api", "endpoints must be on or off, not 'api'"),
        ("aaaa no", "aaaa must be pass or suppress, not 'no'"),
        ("denial_cap -1s", "denial_cap must be at least 0s, not '-1s'"),
        ("turbo on", "unknown option 'turbo'"),
    ],
)
def test_broken_knobs_are_told(options, why):
    (only,) = body_errors(f"nodecache {{\n{options}\n}}")
    assert only.partition(": nodecache: ")[2].startswith(why)
