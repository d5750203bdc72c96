import pytest

from nodecache.server.policy import ZoneOptions
from nodecache.server.router import Zones
from tests.server.chains import query
from tests.server.zone_harness import ZoneHarness


@pytest.mark.parametrize(
    ("claimed", "limit"),
    [
        pytest.param(4096, 1232, id="lowered"),
        pytest.param(1232, 1232, id="equal"),
        pytest.param(600, 600, id="never raised"),
        pytest.param(None, 512, id="without EDNS"),
    ],
)
def test_a_claim_is_never_above_bufsize(claimed, limit):
    options = {} if claimed is None else {"use_edns": 0, "payload": claimed}
    harness = ZoneHarness(ZoneOptions(bufsize=1232))
    shape = Zones([(b"\0", harness.served)]).shape_of(query("a.example.", **options))
    assert shape.limit == limit
    assert (shape.payload_size == 0) is (claimed is None)
