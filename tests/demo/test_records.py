import dns.message
import dns.rcode
import pytest

from nodecache.demo.records import Records, read_record
from nodecache.demo.standin import reply_to, sample_records

SAMPLE = sample_records()


def ask(qname: str, qtype: str = "A") -> dns.message.Message:
    return SAMPLE.answer(dns.message.make_query(qname, qtype))


def owners(section: list) -> list[str]:
    return [rrset.name.to_text() for rrset in section]


def test_a_service_has_its_cluster_address():
    assert ask("kubernetes.default.svc.cluster.local.").answer[0][0].to_text() == "10.96.0.1"


def test_a_headless_service_has_an_address_for_each_pod():
    assert len(ask("db.shop.svc.cluster.local.").answer[0]) == 3


def test_an_srv_answer_brings_the_addresses_of_its_targets():
    response = ask("_postgres._tcp.db.shop.svc.cluster.local.", "SRV")
    assert owners(response.additional) == [f"db-{n}.db.shop.svc.cluster.local." for n in range(3)]


def test_an_alias_is_followed_to_the_world_outside():
    response = ask("search.shop.svc.cluster.local.")
    assert owners(response.answer)[-1] == "web.example.com."


def test_a_reverse_name_points_back():
    target = ask("34.12.96.10.in-addr.arpa.", "PTR").answer[0][0].to_text()
    assert target == "web.default.svc.cluster.local."


@pytest.mark.parametrize(
    ("qname", "zone"),
    [
        pytest.param("nope.default.svc.cluster.local.", "cluster.local.", id="cluster"),
        pytest.param("nope.example.com.", "example.com.", id="world"),
        pytest.param("nope.test.", ".", id="root"),
    ],
)
def test_a_name_that_does_not_exist_is_denied_with_its_zones_soa(qname, zone):
    response = ask(qname)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert owners(response.authority) == [zone]


@pytest.mark.parametrize("qname", ["web.example.com.", "svc.cluster.local."])
def test_a_name_without_the_type_is_no_data(qname):
    response = ask(qname, "MX")
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert len(response.authority) == 1


def test_a_wildcard_answers_under_the_asked_name():
    assert owners(ask("x1.load.default.svc.cluster.local.").answer) == [
        "x1.load.default.svc.cluster.local."
    ]


def test_names_outside_all_zones_are_refused():
    records = Records("example. 30 IN SOA ns.example. a.example. 1 2 3 4 5")
    response = records.answer(dns.message.make_query("other.", "A"))
    assert response.rcode() == dns.rcode.REFUSED


def test_a_loop_of_aliases_ends():
    records = Records(". 1 IN SOA a. b. 1 2 3 4 5\na. CNAME b.\nb. CNAME a.")
    assert len(records.answer(dns.message.make_query("a.", "A")).answer) == 8


def test_a_record_needs_no_ttl_and_no_class():
    record = read_record("a.example. TXT some text")
    assert (record.ttl, len(record[0].strings)) == (30, 2)


def test_a_reply_too_large_is_truncated():
    text = "\n".join(f"big. 30 IN A 10.0.{n // 250}.{n % 250}" for n in range(400))
    records = Records(". 1 IN SOA a. b. 1 2 3 4 5\n" + text)
    packet = dns.message.make_query("big.", "A").to_wire()
    assert len(reply_to(records, packet)) <= 512
    assert len(dns.message.from_wire(reply_to(records, packet, 65535)).answer[0]) == 400


def test_what_is_no_query_gets_no_reply():
    assert reply_to(SAMPLE, b"\0" * 11) is None
