from collections import Counter
from ipaddress import ip_network

import dns.flags
import pytest

from nodecache.corefile import AclOptions, AclPolicy
from nodecache.server.directive import NoReply
from nodecache.server.directives.acl import Acl
from tests.server.chains import answer, below, client, query, rcode_of, run, told

PRIVATE = (ip_network("192.168.0.0/16"), ip_network("10.0.0.0/8"))
ALLOWED = object()


def policy(action: str, networks=(), rdtypes=()) -> AclPolicy:
    return AclPolicy(action=action, networks=tuple(networks), rdtypes=frozenset(rdtypes))


def acl(*policies: AclPolicy, counts=None) -> Acl:
    return Acl(
        [AclOptions(policies=policies)], ["example.org."], Counter() if counts is None else counts
    )


def outcome(directive: Acl, qname="www.example.org.", qtype="A", host="192.168.0.2"):
    asked = query(qname, qtype)
    upstream = answer(asked)
    result = run(directive, asked, then=below(upstream), whom=client(host))
    return ALLOWED if result is upstream else result


BLOCK = policy("block", PRIVATE)


@pytest.mark.parametrize(
    ("policies", "asked", "result"),
    [
        pytest.param([BLOCK], {}, "REFUSED", id="blocked"),
        pytest.param([BLOCK], {"host": "172.16.0.1"}, ALLOWED, id="other network"),
        pytest.param([BLOCK], {"qname": "a.test."}, ALLOWED, id="other zone"),
        pytest.param([policy("block")], {"host": "fd00::1"}, "REFUSED", id="every network"),
        pytest.param(
            [policy("block", [ip_network("fd00::/8")])],
            {"host": "fd00::1%eth0"},
            "REFUSED",
            id="IPv6 with its zone",
        ),
        pytest.param([BLOCK], {"host": "::ffff:10.0.0.1"}, "REFUSED", id="mapped IPv4"),
        pytest.param([policy("block", rdtypes=[28])], {"qtype": "AAAA"}, "REFUSED", id="type"),
        pytest.param([policy("block", rdtypes=[28])], {}, ALLOWED, id="other type"),
        pytest.param(
            [policy("allow", [ip_network("192.168.0.0/24")]), BLOCK],
            {},
            ALLOWED,
            id="first policy decides",
        ),
        pytest.param([policy("filter")], {}, "NOERROR", id="filtered"),
    ],
)
def test_policies(policies, asked, result):
    told_result = outcome(acl(*policies), **asked)
    assert (told_result if told_result is ALLOWED else rcode_of(told_result)) == result


def test_dropped_queries_hear_nothing():
    assert outcome(acl(policy("drop"))) is NoReply.DROPPED


def test_a_refusal_says_why_to_who_understands_it():
    assert outcome(acl(BLOCK)).ede == ((15, b""),)
    filtered = outcome(acl(policy("filter")))
    assert (filtered.ede, told(filtered).answer) == (((17, b""),), [])


def test_what_is_filtered_is_not_taken_for_a_lame_servers():
    """glibc goes on to the next server at an empty NOERROR with neither AA nor RA."""
    assert dns.flags.to_text(told(outcome(acl(policy("filter")))).flags) == "QR AA RD RA"


def test_the_next_rule_is_looked_at_where_one_does_not_decide():
    directive = Acl(
        [
            AclOptions(policies=(policy("block", PRIVATE[1:]),)),
            AclOptions(zones=("org.",), policies=(policy("filter"),)),
        ],
        ["example.org."],
        Counter(),
    )
    assert rcode_of(outcome(directive)) == "NOERROR"
    assert rcode_of(outcome(directive, host="10.0.0.1")) == "REFUSED"


@pytest.mark.parametrize("action", ["allow", "block", "filter", "drop"])
def test_whether_a_query_would_pass_is_told_and_not_counted(action):
    counts = Counter()
    directive = acl(policy(action), counts=counts)
    assert directive.admits(query("www.example.org."), client("192.168.0.2")) is (action == "allow")
    assert counts == {}


def test_what_became_of_queries_is_counted_by_zone():
    counts = Counter()
    directive = acl(BLOCK, counts=counts)
    for host in ("10.0.0.1", "10.0.0.1", "172.16.0.1"):
        outcome(directive, host=host)
    server = "dns://169.254.20.10:53"
    assert counts == {("block", server, "example.org."): 2, ("allow", server, ""): 1}
