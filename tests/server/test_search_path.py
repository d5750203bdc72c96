"""What is learned of clients' search lists, and what is expected of whom."""

from dataclasses import dataclass, field

import dns.name
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from nodecache.server.search_path import SearchPaths
from tests.wire.messages import name as wire

A, AAAA = b"\0\x01\0\x01\0", b"\0\x1c\0\x01\0"
CLUSTER = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
CLOUD = "eu-west-1.compute.internal"
SHOP = (*CLUSTER, CLOUD, ".")
STEP_SECONDS = 0.005


def text(name: bytes) -> str:
    return dns.name.from_wire(name, 0)[0].to_text(omit_final_dot=True)


def step(name: str, suffix: str) -> str:
    return name if suffix == "." else f"{name}.{suffix}"


@dataclass
class Clients:
    """Clients that look for names along a search list, one step after the other."""

    paths: SearchPaths = field(default_factory=SearchPaths)
    now: float = 1000.0

    def denied(self, qname: str, host: str = "pod", sort: bytes = A) -> list[str]:
        """A client asks, and hears 5 ms later that the name does not exist; what is expected now."""
        asked_at = self.now
        self.now += STEP_SECONDS
        expected = self.paths.denied(host, wire(qname), sort, asked_at, self.now)
        return [] if expected is None else [text(each) for each in expected.names]

    def answered(self, qname: str, host: str = "pod", sort: bytes = A) -> None:
        asked_at = self.now
        self.now += STEP_SECONDS
        self.paths.answered(host, wire(qname), sort, asked_at, self.now)

    def search(self, name: str, suffixes=SHOP, host: str = "pod", sort: bytes = A) -> list[str]:
        """Look for a name, which the last suffix has; what was expected after the first step."""
        expected = self.denied(step(name, suffixes[0]), host, sort)
        for suffix in suffixes[1:-1]:
            self.denied(step(name, suffix), host, sort)
        self.answered(step(name, suffixes[-1]), host, sort)
        return expected


def rest(name: str, suffixes=SHOP) -> list[str]:
    return [step(name, suffix) for suffix in suffixes[1:]]


def test_after_two_names_the_rest_of_the_list_is_expected_of_a_third():
    pods = Clients()
    assert pods.search("a.example.com") == []
    assert pods.search("b.example.com") == []
    assert pods.denied("c.example.com.shop.svc.cluster.local") == rest("c.example.com")


def test_one_name_asked_for_again_and_again_proves_nothing():
    pods = Clients()
    for _ in range(5):
        assert pods.search("a.example.com") == []


def test_a_name_that_does_not_exist_at_all_ends_at_itself():
    pods = Clients()
    for name in ("a.example.com", "b.example.com"):
        for suffix in SHOP:
            pods.denied(step(name, suffix))
    assert pods.denied("c.example.com.shop.svc.cluster.local") == rest("c.example.com")


def test_where_a_search_ends_is_known_by_the_last_label():
    """A name in another namespace is found at the second step; that it is not asked of the Internet."""
    pods = Clients()
    for name in ("a", "b"):
        pods.search(f"{name}.example.com")
        pods.search(f"{name}.billing", SHOP[:2])
    assert pods.denied("c.billing.shop.svc.cluster.local") == rest("c.billing", SHOP[:2])
    assert pods.denied("c.example.com.shop.svc.cluster.local") == rest("c.example.com")
    assert pods.denied("c.unheard.shop.svc.cluster.local") == []


def test_steps_that_the_cache_answered_leave_the_list_as_it_is_known():
    pods = Clients()
    for number in range(2):
        pods.search(f"{number}.example.com")
    pods.search("c.example.com", (SHOP[0], SHOP[2], SHOP[4]))
    assert pods.search("d.example.com") == rest("d.example.com")


def test_a_client_that_asks_two_names_at_once_is_understood():
    pods = Clients()
    for pair in (("a", "b"), ("c", "d")):
        for suffix in SHOP:
            for name in pair:
                pods.denied(step(f"{name}.example.com", suffix))
    assert pods.denied("e.example.com.shop.svc.cluster.local") == rest("e.example.com")


def test_both_types_search_beside_each_other_and_are_one_name():
    pods = Clients()
    for suffix in SHOP:
        for sort in (A, AAAA):
            pods.denied(step("a.example.com", suffix), sort=sort)
    assert pods.denied("b.example.com.shop.svc.cluster.local") == []


def test_a_question_asked_before_the_denial_was_told_is_no_next_step():
    pods = Clients()
    for name in ("a.example.com", "b.example.com"):
        for suffix in SHOP:
            pods.paths.denied("pod", wire(step(name, suffix)), A, pods.now, pods.now + 1)
    assert pods.denied("c.example.com.shop.svc.cluster.local") == []


def test_a_step_that_comes_a_minute_later_is_another_story():
    pods = Clients()
    for name in ("a.example.com", "b.example.com"):
        for suffix in SHOP:
            pods.denied(step(name, suffix))
            pods.now += 60
    assert pods.denied("c.example.com.shop.svc.cluster.local") == []


def test_a_name_that_is_denied_as_it_is_first_is_a_mistyped_one():
    pods = Clients()
    for name in ("a.example.con", "b.example.con"):
        for suffix in (".", *CLUSTER):
            pods.denied(step(name, suffix))
    assert pods.denied("c.example.con") == []


def test_the_ending_that_was_not_looked_for_the_longest_makes_room():
    pods = Clients()
    for name in ("a.com", "b.com"):
        pods.search(name)
    for number in range(30):
        for name in ("a", "b"):
            pods.search(f"{name}.{number}")
        assert pods.search(f"c{number}.com") != []
    assert pods.search("c.0") == []


# What becomes of it


def test_steps_not_taken_are_expected_no_longer():
    pods = Clients()
    for number in range(2):
        pods.search(f"{number}.example.com")
    expected = pods.paths.denied(
        "pod", wire("c.example.com.shop.svc.cluster.local"), A, pods.now, pods.now
    )
    assert expected is not None
    expected.judge([wire("c.example.com")])
    assert pods.denied("d.example.com.shop.svc.cluster.local") == []


def test_a_client_that_always_did_may_fail_to_once():
    pods = Clients()
    for number in range(10):
        pods.search(f"{number}.example.com")
    for number in range(8):
        searched = wire(f"{number}.example.com.shop.svc.cluster.local")
        expected = pods.paths.denied("pod", searched, A, pods.now, pods.now)
        expected.judge([])
    expected.judge([wire("7.example.com")])
    assert pods.denied("z.example.com.shop.svc.cluster.local") == rest("z.example.com", SHOP[:-1])
    expected.judge([wire("7.example.com")])
    expected.judge([wire("7.example.com")])
    assert pods.denied("y.example.com.shop.svc.cluster.local") == []


def test_a_step_more_than_was_expected_is_expected_from_then_on():
    pods = Clients()
    for number in range(2):
        pods.search(f"{number}.example.com", (*CLUSTER, "."))
    pods.denied("c.example.com.shop.svc.cluster.local")
    pods.denied(f"c.example.com.{CLOUD}")
    assert pods.denied("d.example.com.shop.svc.cluster.local") == rest("d.example.com")


# Of one client, and of others


def test_what_two_clients_do_is_expected_of_a_third_as_far_as_its_own_suffix_goes():
    """The cloud's suffix is not among them: nobody can have others' names asked for in a domain of his."""
    pods = Clients()
    for host in ("one", "two"):
        for number in range(2):
            pods.search(f"{number}.example.com", host=host)
    names = rest("c.example.com", (*CLUSTER, "."))
    assert pods.denied("c.example.com.shop.svc.cluster.local", "three") == names


def test_one_client_alone_teaches_nothing_of_others():
    pods = Clients()
    for number in range(20):
        pods.search(f"{number}.example.com", host="one")
    assert pods.denied("c.example.com.shop.svc.cluster.local", "two") == []


def test_a_client_that_does_otherwise_is_taken_at_its_word():
    pods = Clients()
    for host in ("one", "two"):
        for number in range(2):
            pods.search(f"{number}.example.com", host=host)
    first = wire("c.example.com.shop.svc.cluster.local")
    expected = pods.paths.denied("three", first, A, pods.now, pods.now)
    expected.judge(list(expected.names))
    assert pods.denied("d.example.com.shop.svc.cluster.local", "three") == []
    assert pods.denied("d.example.com.shop.svc.cluster.local", "four") != []


# Both addresses


def pair(pods: Clients, name: str) -> None:
    pods.denied(name, sort=A)
    pods.answered(name, sort=AAAA)


def test_a_client_that_asks_for_the_other_address_afterwards_is_known_by_three_names():
    pods = Clients()
    for number in range(3):
        assert not pods.paths.asks_in_pairs("pod")
        assert not pods.paths.has_pairs
        pair(pods, f"{number}.example.com")
    assert pods.paths.asks_in_pairs("pod")
    assert pods.paths.has_pairs
    assert not pods.paths.asks_in_pairs("another")


def test_a_client_that_asks_for_both_at_once_needs_no_help():
    pods = Clients()
    for number in range(3):
        pair(pods, f"{number}.example.com")
    asked_at = pods.now
    for sort in (A, AAAA):
        pods.paths.answered("pod", wire("z.example.com"), sort, asked_at, asked_at + 0.005)
    assert not pods.paths.asks_in_pairs("pod")


@pytest.mark.parametrize("is_used", [True, False])
def test_another_address_asked_for_in_vain_ends_it(is_used):
    pods = Clients()
    for number in range(3):
        pair(pods, f"{number}.example.com")
    pods.paths.known("pod").judge_pair(is_used=is_used)
    assert pods.paths.asks_in_pairs("pod") is is_used


# Of everybody

SUFFIXES = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "evil.example", ".")
WALKS = st.tuples(
    st.sampled_from(["mallory", "eve", "pod"]),
    st.sampled_from(["a.com", "b.com", "c.com", "a.svc", "shop"]),
    st.one_of(
        st.sampled_from([SUFFIXES, (*SUFFIXES[:1], *SUFFIXES[3:]), SUFFIXES[:1] + SUFFIXES[-1:]]),
        st.lists(st.sampled_from(SUFFIXES), min_size=1, max_size=5),
    ),
    st.sampled_from([A, AAAA]),
)


@given(st.lists(WALKS, min_size=10, max_size=40))
def test_of_a_client_only_its_own_suffixes_are_expected_or_those_its_name_ends_in(searches):
    """Whatever others ask: nobody's names are asked for in a domain that he does not search."""
    pods = Clients()
    asked: dict[str, set[str]] = {"mallory": set(), "eve": set(), "pod": set()}
    for host, name, suffixes, sort in searches:
        first = step(name, suffixes[0])
        for suffix in suffixes:
            qname = step(name, suffix)
            for expected in pods.denied(qname, host, sort):
                event("something is expected")
                own = asked[host] | {qname}
                assert _last_part(expected, qname) in _endings(own), (expected, qname)
            asked[host].add(qname)
        pods.answered(first, host, sort)


def _last_part(name: str, other: str) -> str:
    """What stands in `name` behind the labels that both begin with."""
    ours, theirs = name.split("."), other.split(".")
    at = 0
    while at < len(ours) and ours[: at + 1] == theirs[: at + 1]:
        at += 1
    assert at, "a step begins as the name that was denied"
    return ".".join(ours[at:])


def _endings(names: set[str]) -> set[str]:
    """All that the names end in; each ends in the root."""
    return {".".join(each.split(".")[at:]) for each in names for at in range(each.count(".") + 2)}


OCTETS = st.lists(st.binary(min_size=1, max_size=63), max_size=3).map(
    lambda labels: b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
)


@given(st.lists(st.tuples(OCTETS, st.booleans()), max_size=20))
def test_no_name_is_too_odd(acts):
    paths = SearchPaths()
    for qname, is_denied in acts:
        if is_denied:
            paths.denied("pod", qname, A, 1.0, 1.0)
        else:
            paths.answered("pod", qname, A, 1.0, 1.0)


def test_a_list_is_not_learned_that_no_resolver_has():
    pods = Clients()
    many = [f"s{number}.example" for number in range(12)]
    wide = ["x" * 60 + f".s{number}.example" for number in range(8)]
    for suffixes in (many, wide):
        for name in ("a.com", "b.com", "c.com"):
            for suffix in (*suffixes, "."):
                assert pods.denied(step(name, suffix)) == []


def test_what_is_remembered_is_bounded():
    pods = Clients()
    for number in range(600):
        for name in ("a", "b"):
            pods.search(f"{name}.t{number}", SHOP[:2], host=f"10.0.{number}.1")
            pods.search(f"{name}.t{number}", SHOP[:2], host=f"10.1.{number}.1")
            pods.search(f"{name}.t{number}", SHOP[:2], host="pod")
        pods.denied(f"a{number}.shop.svc.cluster.local")
    client = pods.paths.known("pod")
    assert len(client.lists) == 16
    assert len(client.searches) == 16
    assert len(pods.paths._clients) <= 512
    assert len(pods.paths._shared) <= 1024
