import pytest

from nodecache.server.bufsize import Bufsize
from nodecache.wire import reply_limit

from .chains import answer, below, query, run


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
    end = below(answer(asked))
    run(Bufsize(1232), asked, then=end)
    assert reply_limit(end.asked[0], is_stream=False) == limit
    assert (end.asked[0].payload_size == 0) is (claimed is None)
