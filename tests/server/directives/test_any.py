from nodecache.server.directives.any import Any
from tests.server.chains import answer, below, lines, query, run, told


def test_any_is_answered_with_hinfo():
    reply = told(run(Any(), query("example.org.", "ANY")))
    assert lines(reply.answer) == [
        'example.org. 8482 IN HINFO "ANY obsoleted" "See RFC 8482"',
    ]
    assert not reply.flags & 0x0400


def test_other_types_pass():
    asked = query("example.org.")
    upstream = answer(asked, "example.org. 5 IN A 192.0.2.1")
    assert run(Any(), asked, then=below(upstream)) is upstream
