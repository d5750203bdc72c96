import pytest

from nodecache.server.directive import refusal
from nodecache.server.directives.minimal import Minimal
from tests.server.chains import answer, below, query, run, told

ASKED = query("www.example.")
SOA = "example. 30 IN SOA ns.example. admin.example. 1 2 3 4 5"
NS = "example. 30 IN NS ns.example."
GLUE = "ns.example. 30 IN A 192.0.2.53"


def test_a_positive_answer_loses_what_nobody_asked_for():
    upstream = answer(
        ASKED,
        "www.example. 30 IN CNAME web.example.",
        "web.example. 60 IN A 192.0.2.1",
        authority=[NS],
        additional=[GLUE],
    )
    result = run(Minimal(), ASKED, then=below(upstream))
    reply = told(result)
    assert reply.answer == told(upstream).answer
    assert (reply.authority, reply.additional) == ([], [])
    assert result.kind is upstream.kind


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param(answer(ASKED, authority=[SOA]), id="no data"),
        pytest.param(answer(ASKED, authority=[SOA], rcode="NXDOMAIN"), id="NXDOMAIN"),
        pytest.param(answer(ASKED, authority=[NS], additional=[GLUE]), id="referral"),
        pytest.param(answer(ASKED, authority=[NS], rcode="REFUSED"), id="refused"),
        pytest.param(answer(ASKED, "www.example. 30 IN A 192.0.2.1"), id="minimal already"),
        pytest.param(refusal(2, "no"), id="failure"),
    ],
)
def test_all_else_stays_as_it_is(upstream):
    assert run(Minimal(), ASKED, then=below(upstream)) is upstream
