from collections import Counter
from ipaddress import IPv6Network

import dns.flags
import dns.ipv6
import dns.reversename
import pytest

from nodecache.corefile import Dns64Options
from nodecache.server.directive import LATE, refusal
from nodecache.server.directives.dns64 import Dns64, address_of, embedded, extracted
from tests.server.chains import answer, below, client, lines, query, run, told

ASKED = query("example.com.", "AAAA")
SOA = "example.com. 70 IN SOA foo.example.com. bar.example.com. 1 1 1 1 1"
V6 = client("fd00::1")
VALIDATES = query("example.com.", "AAAA", want_dnssec=True, flags=dns.flags.RD | dns.flags.CD)
A = answer(query("example.com."), "example.com. 60 IN A 192.0.2.42")


def translated(upstream, found=A, whom=V6, asked=ASKED, **options):
    counts = Counter()
    directive = Dns64(Dns64Options(**options), counts)
    lookup = below(found)
    result = run(directive, asked, then=below(upstream), lookup=lookup, whom=whom)
    return result, counts, lookup


def test_a_name_without_ipv6_gets_its_ipv4_address_embedded():
    result, counts, lookup = translated(answer(ASKED, authority=[SOA]))
    reply = told(result)
    assert lines(reply.answer) == ["example.com. 60 IN AAAA 64:ff9b::c000:22a"]
    assert lookup.questions == ["example.com. IN A"]
    assert counts == {"dns://169.254.20.10:53": 1}
    assert dns.flags.to_text(reply.flags) == "QR RD RA"


def test_the_ttl_is_no_more_than_the_soas():
    found = answer(query("example.com."), "example.com. 900 IN A 192.0.2.42")
    result, _, _ = translated(answer(ASKED, authority=[SOA]), found)
    assert told(result).answer[0].ttl == 70


def test_without_an_soa_the_ttl_is_no_more_than_ten_minutes():
    found = answer(query("example.com."), "example.com. 900 IN A 192.0.2.42")
    result, _, _ = translated(answer(ASKED, rcode="SERVFAIL"), found)
    assert told(result).answer[0].ttl == 600


def test_aliases_and_the_other_sections_go_along():
    found = answer(
        query("example.com."),
        "example.com. 60 IN CNAME www.example.com.",
        "www.example.com. 50 IN A 192.0.2.42",
        authority=["example.com. 5 IN NS ns.example.com."],
        additional=["ns.example.com. 5 IN A 192.0.2.53"],
    )
    reply = told(translated(answer(ASKED), found)[0])
    assert lines(reply.answer) == [
        "example.com. 60 IN CNAME www.example.com.",
        "www.example.com. 50 IN AAAA 64:ff9b::c000:22a",
    ]
    assert lines(reply.additional) == ["ns.example.com. 5 IN A 192.0.2.53"]


@pytest.mark.parametrize(
    ("upstream", "whom", "asked"),
    [
        pytest.param(answer(ASKED, authority=[SOA], rcode="NXDOMAIN"), V6, ASKED, id="NXDOMAIN"),
        pytest.param(answer(ASKED, "example.com. 5 IN AAAA ::1"), V6, ASKED, id="has IPv6"),
        pytest.param(answer(ASKED), client(), ASKED, id="IPv4 client"),
        pytest.param(answer(ASKED), V6, query("example.com."), id="type A"),
        pytest.param(answer(ASKED), V6, query("example.com.", "AAAA", "CH"), id="class CH"),
        pytest.param(answer(ASKED), V6, VALIDATES, id="CD and DO: RFC 6147 §5.5"),
    ],
)
def test_these_are_left_alone(upstream, whom, asked):
    result, counts, lookup = translated(upstream, whom=whom, asked=asked)
    assert result is upstream
    assert (lookup.asked, counts) == ([], {})


@pytest.mark.parametrize(
    "upstream",
    [
        pytest.param(answer(ASKED, rcode="SERVFAIL"), id="SERVFAIL"),
        pytest.param(answer(ASKED, rcode="REFUSED"), id="REFUSED"),
        pytest.param(answer(ASKED, rcode="NOTIMP"), id="NOTIMP"),
        pytest.param(refusal(2, "10.96.0.10:53 did not answer in time"), id="no answer"),
        pytest.param(refusal(5, "too many queries"), id="refused here"),
    ],
)
def test_an_error_counts_as_an_answer_without_ipv6_addresses(upstream):
    """RFC 6147 §5.1.2, §5.1.3."""
    result, counts, _ = translated(upstream)
    assert lines(told(result).answer) == ["example.com. 60 IN AAAA 64:ff9b::c000:22a"]
    assert sum(counts.values()) == 1


@pytest.mark.parametrize("upstream", [answer(ASKED, authority=[SOA]), refusal(2, "no")])
def test_where_there_is_no_ipv4_address_either_the_first_result_stays(upstream):
    result, counts, _ = translated(upstream, answer(query("example.com."), authority=[SOA]))
    assert result is upstream
    assert counts == {}


def test_where_the_ipv4_address_cannot_be_had_the_answer_stays():
    upstream = answer(ASKED, authority=[SOA])
    assert translated(upstream, refusal(2, "no"))[0] is upstream


@pytest.mark.parametrize(
    ("late", "found", "expected"),
    [
        (answer(ASKED, "example.com. 5 IN AAAA ::1"), A, "example.com. 5 IN AAAA ::1"),
        (LATE, A, "example.com. 60 IN AAAA 64:ff9b::c000:22a"),
        (answer(ASKED, authority=[SOA]), A, "example.com. 60 IN AAAA 64:ff9b::c000:22a"),
        (answer(ASKED, "example.com. 5 IN AAAA ::1"), refusal(2, ""), "example.com. 5 IN AAAA ::1"),
    ],
    ids=["it came meanwhile", "it did not", "there are none", "no IPv4 address"],
)
def test_an_answer_that_does_not_come_in_time_is_looked_for_once_more(late, found, expected):
    then = below(LATE, late)
    result = run(Dns64(Dns64Options(), Counter()), ASKED, then=then, lookup=below(found), whom=V6)
    assert lines(told(result).answer) == [expected]
    assert len(then.asked) == 2


def test_clients_of_ipv4_may_be_allowed():
    result, _, _ = translated(answer(ASKED), whom=client(), allow_ipv4=True)
    assert told(result).answer


def test_existing_addresses_may_be_replaced():
    upstream = answer(ASKED, "example.com. 5 IN AAAA ::1")
    result, _, _ = translated(upstream, translate_all=True)
    assert "64:ff9b::" in lines(told(result).answer)[0]


@pytest.mark.parametrize("asked", [query("example.com.", "AAAA", want_dnssec=True), ASKED])
def test_only_who_checks_signatures_himself_gets_what_is_signed(asked):
    signature = (
        "example.com. 60 IN RRSIG A 8 2 60 20300101000000 20250101000000 1 example.com. AAAA"
    )
    found = answer(query("example.com."), "example.com. 60 IN A 192.0.2.42", signature)
    result, _, _ = translated(answer(asked, authority=[SOA]), found, asked=asked)
    assert lines(told(result).answer) == ["example.com. 60 IN AAAA 64:ff9b::c000:22a"]


MAPPED = "example.com. 5 IN AAAA ::ffff:192.0.2.1"
REAL = "example.com. 5 IN AAAA 2001:db8::1"


def test_addresses_that_are_ipv4_ones_count_as_none():
    """RFC 6147 §5.1.4."""
    assert lines(told(translated(answer(ASKED, MAPPED))[0]).answer) == [
        "example.com. 60 IN AAAA 64:ff9b::c000:22a"
    ]


@pytest.mark.parametrize(
    ("upstream", "found", "expected"),
    [
        (answer(ASKED, MAPPED, REAL, flags="QR RD RA AD"), A, [REAL]),
        (answer(ASKED, MAPPED), answer(query("example.com."), authority=[SOA]), []),
    ],
    ids=["beside others", "where there is no IPv4 address"],
)
def test_addresses_that_are_ipv4_ones_are_left_out(upstream, found, expected):
    reply = told(translated(upstream, found)[0])
    assert lines(reply.answer) == expected
    assert not reply.flags & dns.flags.AD


REVERSE = "a.2.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.F.f.4.6.0.0.ip6.arpa."
NAMED = answer(
    query("42.2.0.192.in-addr.arpa.", "PTR"), "42.2.0.192.in-addr.arpa. 9 IN PTR a.example.com."
)


def reversed_name(name=REVERSE, found=NAMED, whom=V6):
    asked = query(name, "PTR")
    upstream = answer(asked, authority=[SOA], rcode="NXDOMAIN")
    return *translated(upstream, found, whom=whom, asked=asked), upstream


def test_the_name_of_a_made_address_is_that_of_its_ipv4_address():
    """RFC 6147 §5.3.1."""
    result, counts, lookup, _ = reversed_name()
    assert lines(told(result).answer) == [
        f"{REVERSE} 9 IN CNAME 42.2.0.192.in-addr.arpa.",
        "42.2.0.192.in-addr.arpa. 9 IN PTR a.example.com.",
    ]
    assert lookup.questions == ["42.2.0.192.in-addr.arpa. IN PTR"]
    assert sum(counts.values()) == 1


def test_an_ipv4_address_without_a_name_leaves_the_question_to_others():
    found = answer(query("42.2.0.192.in-addr.arpa.", "PTR"), authority=[SOA], rcode="NXDOMAIN")
    result, counts, _, upstream = reversed_name(found=found)
    assert (result, counts) == (upstream, {})


@pytest.mark.parametrize(
    ("name", "whom"),
    [
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", V6),
        (REVERSE.replace("a.2", "x.2"), V6),
        (REVERSE.replace("a.2", "\\032.2"), V6),
        (REVERSE.removeprefix("a."), V6),
        ("1.2.0.192.in-addr.arpa.", V6),
        ("ip6.arpa.", V6),
        (".", V6),
        (REVERSE, client()),
    ],
    ids=["elsewhere", "no digit", "a blank", "a part", "IPv4", "none", "root", "IPv4 client"],
)
def test_other_names_are_nothing_to_it(name, whom):
    result, _, lookup, upstream = reversed_name(name, whom=whom)
    assert result is upstream
    assert not lookup.asked


def test_an_answer_that_did_not_fit_stays_incomplete():
    found = answer(query("example.com."), "example.com. 60 IN A 192.0.2.42", flags="QR TC")
    assert translated(answer(ASKED), found)[0].is_truncated


@pytest.mark.parametrize(
    ("prefix", "address"),  # RFC 6052 §2.4, for 192.0.2.33
    [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
        ("64:ff9b::/96", "64:ff9b::c000:221"),
    ],
)
def test_addresses_are_embedded_as_the_rfc_shows(prefix, address):
    from ipaddress import ip_address

    octets = embedded(IPv6Network(prefix), bytes([192, 0, 2, 33]))
    assert str(ip_address(octets)) == str(ip_address(address))
    assert extracted(IPv6Network(prefix), octets) == bytes([192, 0, 2, 33])
    assert extracted(IPv6Network("fd00::/96"), octets) is None


def test_a_reverse_name_is_of_one_address():
    name = dns.reversename.from_address("2001:db8::567:89ab")
    assert address_of(name.to_wire()) == dns.ipv6.inet_aton("2001:db8::567:89ab")
