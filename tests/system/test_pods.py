"""kube-dns' pods are asked themselves: who they are is what kube-dns says of a headless Service."""

import itertools
import threading
import time

import pytest

from tests.helpers.prometheus import wait_until
from tests.needs import need_node
from tests.system.backends import Dnsperf
from tests.system.kube_dns import ZONE, Agent, agent, kube_dns

pytestmark = pytest.mark.system

need_node("dnsperf", "curl")

TIME_OUT_SECONDS = 2.0  # as in test_forward_dead_backend
LONG_TTL = 60


@pytest.fixture
def two(tmp_path):
    """kube-dns with two pods."""
    with kube_dns(tmp_path, 0.0, 0.0) as found:
        yield found


def load(there, folder, rate: int, seconds: int, prefix: str = "n") -> Dnsperf:
    return Dnsperf(there.node, folder, rate, seconds, prefix=prefix, zone=ZONE)


def test_the_list_is_asked_for_at_the_service_address_and_again_before_its_ttl_ends(two, tmp_path):
    first, second = two.pods
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        assert (
            f"kube-dns' pods are {first.address} {second.address}: so say the DNS records of "
            in ours.log
        )
        assert ours.who_answers("a") == {first.address, second.address}
        assert two.service.asked() == []
        changed_at = two.tell([second.address])
        ours.until_known(1)
        assert two.service.asked_for_the_list(changed_at)
        assert first.asked_for_the_list() == second.asked_for_the_list() == []
        assert second.address in ours.who_answers("b") <= {second.address, two.service.address}


def test_a_pod_is_asked_for_the_list_while_the_service_address_does_not_answer(two, tmp_path):
    """As after kube-proxy ended, or where the Service was made anew with another address."""
    first, second = two.pods
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        two.service.hang()
        changed_at = two.tell([second.address])
        ours.until_known(1)
        asked = first.asked_for_the_list(changed_at) + second.asked_for_the_list(changed_at)
        two.service.go_on()
    assert asked


def test_check_tells_the_pods_and_who_says_so(two, tmp_path):
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        both = " ".join(pod.address for pod in two.pods)
        assert (
            f"# kube-dns' pods are {both}, as 10.96.0.11 tells them of kube-dns-pods."
            in ours.check()
        )


def test_the_list_is_asked_for_at_once_when_a_pod_stops_answering(two, tmp_path):
    first, second = two.pods
    two.tell([first.address, second.address], ttl=LONG_TTL)
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        begun = load(two, tmp_path, 200, 5)
        first.hang()
        hung_at = two.tell([second.address], ttl=LONG_TTL)
        ours.until_known(1)
        asked = two.service.asked_for_the_list(hung_at)
        print(f"\nasked {asked[0] - hung_at:.1f} s after the pod fell silent")
        assert begun.result().lost == 0
        first.go_on()
    assert asked[0] - hung_at < LONG_TTL / 2  # far from the end of the TTL


def test_equal_pods_have_equal_shares(tmp_path):
    with kube_dns(tmp_path, 0.0, 0.0, 0.0) as there, agent(there, tmp_path) as ours:
        ours.until_known(3)
        result = load(there, tmp_path, 300, 10).result()
        shares = [len(pod.asked()) for pod in there.pods]
        print(f"\n{shares}: {result}")
        assert (result.lost, set(result.rcodes)) == (0, {"NOERROR"})
        # A machine that starves one of them makes it slower; tests/cluster wants equal ones.
        assert min(shares) > sum(shares) / 10
        assert len(there.service.asked()) < sum(shares) / 100  # which helps out where all are slow


def test_a_near_pod_is_preferred(tmp_path):
    with kube_dns(tmp_path, 0.0, 0.6) as there, agent(there, tmp_path) as ours:
        ours.until_known(2)
        load(there, tmp_path, 200, 4, "learn").result()
        learnt_at = time.monotonic()
        load(there, tmp_path, 200, 4).result()
        near, far = (len(pod.asked(learnt_at)) for pod in there.pods)
        print(f"\nnear {near}, far {far}")
        assert near > 2 * far


def test_a_pod_that_left_the_list_gets_no_new_question_and_its_answers_count(tmp_path):
    with kube_dns(tmp_path, 0.2, 0.0) as there:
        there.tell([there.pods[0].address])
        with agent(there, tmp_path, own="nodecache {\n hedge off\n}") as ours:
            ours.until_known(1)
            # On a machine that stalls, nothing may be under way as it leaves: then once more.
            assert any(an_answer_came_after_it_left(there, ours, f"r{n}") for n in range(5))


def an_answer_came_after_it_left(there, ours: Agent, prefix: str) -> bool:
    """Have the slow pod leave while it is asked; no new question may go there."""
    slow, other = there.pods
    there.tell([slow.address])
    names = (f"{prefix}-{number}.{ZONE}." for number in itertools.count())
    wait_until(lambda: ours.ask(next(names)) == slow.address, "the slow pod is asked")
    answered: list[tuple[float, str | None]] = []

    def ask(number: int) -> None:
        address = ours.ask(f"{prefix}{number}.{ZONE}.")
        answered.append((time.monotonic(), address))

    asking = []
    began_at = there.tell([other.address])
    while not other.asked(began_at):
        asking.append(threading.Thread(target=ask, args=(len(asking),)))
        asking[-1].start()
        time.sleep(0.01)
    left_at = other.asked(began_at)[0][0]
    later = range(len(asking), len(asking) + 20)
    asking += [threading.Thread(target=ask, args=(number,)) for number in later]
    for thread in asking[later.start :]:
        thread.start()
    for thread in asking:
        thread.join()
    addresses = {address for _, address in answered}
    assert {slow.address, other.address} <= addresses
    assert None not in addresses  # the Service address may help out where one is slow
    assert not {f"{prefix}{number}" for number in later} & {
        name.partition(".")[0] for _, name in slow.asked()
    }
    return max(at for at, address in answered if address == slow.address) > left_at


@pytest.mark.parametrize("option", ["force_tcp", "prefer_udp"])
def test_nobody_waits_long_for_a_pod_that_hangs(two, tmp_path, option):
    first, _ = two.pods
    with agent(two, tmp_path, option=option) as ours:
        ours.until_known(2)
        begun = load(two, tmp_path, 200, 8)
        time.sleep(2)
        first.hang()
        result = begun.result()
        first.go_on()
    print(f"\n{option}, one of two hangs: {result}")
    assert (result.lost, set(result.rcodes)) == (0, {"NOERROR"})
    assert result.quantile(0.99) < TIME_OUT_SECONDS


def test_an_empty_list_is_the_service_address(two, tmp_path):
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        two.tell([])
        ours.until_known(0)
        assert ours.who_answers("e") == {two.service.address}
        assert "kube-dns' address is asked: the DNS records of" in ours.log
        two.tell([two.pods[0].address])
        ours.until_known(1)
        first = two.pods[0].address
        assert first in ours.who_answers("f") <= {first, two.service.address}


def test_pods_that_answer_are_asked_while_none_is_ready_and_the_service_address_is_silent(
    two, tmp_path
):
    """Readiness probes fail on an overloaded node: kube-proxy refuses, pods still answer."""
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        two.service.hang()
        changed_at = two.tell([])
        first, second = two.pods
        wait_until(
            lambda: first.asked_for_the_list(changed_at) + second.asked_for_the_list(changed_at),
            "a pod says that no pod is ready",
        )
        assert ours.who_answers("g", 16) <= {first.address, second.address}  # one may be slower now
        two.service.go_on()
        ours.until_known(0)


def test_the_list_survives_a_kube_dns_that_is_away(two, tmp_path):
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        two.service.hang()
        begun = load(two, tmp_path, 100, 12)  # more than two TTLs
        result = begun.result()
        assert (result.lost, set(result.rcodes)) == (0, {"NOERROR"})
        assert ours.known() == 2
        two.service.go_on()
        two.tell([two.pods[1].address])
        ours.until_known(1)


@pytest.mark.parametrize(
    ("flags", "own"),
    [(("-endpoints", "off"), ""), ((), "nodecache {\n endpoints off\n}")],
    ids=["flag", "directive"],
)
def test_turned_off_the_service_address_is_asked(two, tmp_path, flags, own):
    with agent(two, tmp_path, *flags, own=own) as ours:
        assert ours.who_answers("o") == {two.service.address}
        assert two.service.asked_for_the_list() == []
        assert ours.known() is None
        assert "pods" not in ours.log


def test_a_stock_manifest_without_the_service_is_as_before(two, tmp_path):
    two.tell(None)
    with agent(two, tmp_path) as ours:
        ours.until_known(0)
        result = load(two, tmp_path, 250, 4).result()
        assert (result.lost, set(result.rcodes)) == (0, {"NOERROR"})
        assert len(two.service.asked()) >= 1000
        assert [pod.asked() for pod in two.pods] == [[], []]


def test_metrics_are_by_the_pods_address(two, tmp_path):
    with agent(two, tmp_path) as ours:
        ours.until_known(2)
        ours.who_answers("m")
        page = ours.page()
        for pod in two.pods:
            sample = f'coredns_forward_request_duration_seconds_count{{rcode="NOERROR",to="{pod.address}:53"}}'
            assert sample in page
