import pytest

from nodecache.command.summary import summary
from tests.helpers.corefiles import block, corefile


def does(body: str) -> str:
    return summary(block(body)).partition(": ")[2]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a b:5300 {\nwhoami\n}", "a.:53 b.:5300 on every address"),
        ("tls://a {\nwhoami\n}", "tls://a.:853 on every address"),
        ("a {\nbind 1.1.1.1 ::1\n}", "a.:53 on 1.1.1.1 ::1"),
        ("a {\nbind lo {\nexcept ::1\n}\nbind eth0\n}", "a.:53 on lo (but ::1) eth0"),
    ],
)
def test_a_block_is_told_by_its_zones_and_addresses(text, place):
    assert summary(corefile(text).blocks[0]).partition(": ")[0] == place


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("bind 1.1.1.1", "refuses every query"),
        ("cache", "keeps answers up to 1h, denials up to 30m"),
        ("cache 30 a {\ndisable denial\n}", "keeps answers of a. up to 30s"),
        (
            "cache {\nserve_stale 4h verify\nprefetch 5\n}",
            (
                "keeps answers up to 1h, denials up to 30m, gives stale ones for 4h (verify), "
                "fetches again what is asked 5 times"
            ),
        ),
        ("forward . 10.0.0.1", "asks 10.0.0.1 over the client's transport"),
        ("forward . 10.0.0.1 {\nforce_tcp\n}", "asks 10.0.0.1 over TCP"),
        ("forward . 10.0.0.1 {\nprefer_udp\n}", "asks 10.0.0.1 over UDP"),
        ("forward . tls://9.9.9.9", "asks tls://9.9.9.9 over TLS"),
        ("forward . https://9.9.9.9", "asks https://9.9.9.9 over HTTPS"),
        (
            "forward . tls://9.9.9.9 https://9.9.9.9",
            "asks tls://9.9.9.9 https://9.9.9.9 over HTTPS and TLS",
        ),
        (
            "forward . tls://9.9.9.9 10.0.0.1",
            "asks tls://9.9.9.9 10.0.0.1 over the client's transport",
        ),
        (
            "forward a 10.0.0.1 10.0.0.2 {\nexcept b.a\nforce_tcp\n}",
            "asks 10.0.0.1 10.0.0.2 for a. but b.a. over TCP",
        ),
        (
            "whoami\nlog\nerrors\nrewrite name a b\nacl\nprometheus :1\nready\n",
            (
                "applies acl; answers by rewrite, whoami; metrics on :1; readiness on :8181; "
                "tells by errors, log"
            ),
        ),
    ],
)
def test_what_it_does_is_told_in_the_order_of_a_query(body, told):
    assert does(body) == told
