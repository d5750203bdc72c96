import pytest

from nodecache.server.directives.bufsize import lower_payload_size
from nodecache.wire import reply_limit
from tests.server.chains import query


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
    asked = query("a.example.", **options)
    lower_payload_size(asked, 1232)
    assert reply_limit(asked, is_stream=False) == limit
    assert (asked.payload_size == 0) is (claimed is None)
