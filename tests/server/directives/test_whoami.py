import pytest

from nodecache.server.directives.whoami import Whoami
from tests.server.chains import client, lines, query, run, told

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61]) + "."


@pytest.mark.parametrize(
    ("host", "transport", "qname", "expected"),
    [
        pytest.param(
            "10.240.0.1",
            "udp",
            "example.org.",
            [
                "example.org. 0 IN A 10.240.0.1",
                "_udp.example.org. 0 IN SRV 0 0 40212 .",
            ],
            id="IPv4",
        ),
        pytest.param(
            "fd00::1",
            "tcp",
            "Example.org.",
            [
                "Example.org. 0 IN AAAA fd00::1",
                "_tcp.Example.org. 0 IN SRV 0 0 40212 .",
            ],
            id="IPv6 and letter case",
        ),
        pytest.param(
            "::ffff:10.0.0.9",
            "udp",
            ".",
            [". 0 IN A 10.0.0.9", "_udp. 0 IN SRV 0 0 40212 ."],
            id="mapped, the root",
        ),
        pytest.param(
            "10.240.0.1",
            "udp",
            LONGEST,
            [f"{LONGEST} 0 IN A 10.240.0.1"],
            id="no room for a label",
        ),
    ],
)
def test_clients_are_told_their_address_and_port(host, transport, qname, expected):
    reply = told(run(Whoami(), query(qname), whom=client(host, transport=transport)))
    assert lines(reply.additional) == expected
    assert reply.answer == []
    assert dns_flags(reply) == "QR AA RD"


def dns_flags(reply):
    import dns.flags

    return dns.flags.to_text(reply.flags)
