"""The choice among pods, with pods that are numbers and a minute that takes a second."""

import heapq
import random
from collections import Counter

import pytest

from nodecache.forward.balance import Balanced, policy_for
from nodecache.forward.health import Health
from nodecache.forward.pace import Pace
from nodecache.forward.policy import Random

MINUTE = 60.0


class FakePod:
    """Answers within `seconds` at the middle; `mood` may be alive or hung."""

    def __init__(self, seconds: float = 0.001, *, spread: float = 0.5) -> None:
        self.health = Health(2)
        self.pace = Pace()
        self.in_flight = 0
        self.queries_sent = 0
        self.seconds = seconds
        self.spread = spread
        self.is_hung = False

    def duration(self, dice: random.Random) -> float:
        return self.seconds * dice.lognormvariate(0, self.spread)


class Minutes:
    """A node's queries to `pods` and, as the last way, the Service address."""

    def __init__(self, *pods: FakePod) -> None:
        self.now = 0.0
        self.dice = random.Random(16)
        self.pods = list(pods)
        self.service = FakePod()
        self.policy = Balanced(lambda: self.now, self.dice.random)
        self.policy.choose_from([*pods, self.service])
        self.asked: Counter[FakePod] = Counter()
        self._owed: list[tuple[float, int, FakePod, float]] = []
        self._number = 0

    def change_to(self, *pods: FakePod) -> None:
        self.pods = list(pods)
        self.policy.choose_from([*pods, self.service])

    def run(self, seconds: float = MINUTE, rate: float = 1000.0) -> list[float]:
        """Ask at random moments; each pod's share of what was asked, the Service's last."""
        self.asked.clear()
        end = self.now + seconds
        while (moment := self.now + self.dice.expovariate(rate)) < end:
            self._answer_until(moment)
            self._ask()
        total = sum(self.asked.values())
        return [self.asked[pod] / total for pod in (*self.pods, self.service)]

    def _ask(self) -> None:
        upstreams = [*self.pods, self.service]
        pod = upstreams[self.policy.first(len(upstreams))]
        self.asked[pod] += 1
        pod.in_flight += 1
        pod.queries_sent += 1
        if not pod.is_hung:
            took = pod.duration(self.dice)
            self._number += 1
            heapq.heappush(self._owed, (self.now + took, self._number, pod, took))

    def _answer_until(self, moment: float) -> None:
        while self._owed and self._owed[0][0] <= moment:
            _, _, pod, took = heapq.heappop(self._owed)
            pod.in_flight -= 1
            pod.pace.observe(took)
        self.now = moment


def evenness(shares: list[float]) -> float:
    return max(shares) / min(shares)


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize(
    ("seconds", "spread"),
    [(0.0003, 0.3), (0.001, 0.5), (0.005, 1.0), (0.01, 2.0)],
    ids=["quick", "usual", "slow", "cached and not"],
)
def test_equal_pods_share_a_minute_at_a_thousand_queries_a_second_within_a_fifth(
    count, seconds, spread
):
    minute = Minutes(*(FakePod(seconds, spread=spread) for _ in range(count)))
    *shares, service = minute.run()
    assert evenness(shares) < 1.2
    assert service == 0


def test_a_near_pod_is_asked_rather_than_a_far_one():
    minute = Minutes(FakePod(0.0005), FakePod(0.003))
    minute.run(5)
    near, far, _ = minute.run()
    assert near > 0.9
    assert far > 0.01  # else nobody would notice that it has come near


def test_two_near_pods_share_what_a_far_one_is_not_asked():
    minute = Minutes(FakePod(0.0005), FakePod(0.003), FakePod(0.0005))
    minute.run(5)
    one, far, other, _ = minute.run()
    assert evenness([one, other]) < 1.2
    assert far < 0.1


def test_a_far_pod_takes_what_the_near_one_cannot():
    near, far = FakePod(0.02), FakePod(0.05)
    minute = Minutes(near, far)
    minute.run(5)
    assert minute.run()[1] > 0.15  # 20 in flight at the near one otherwise


def test_a_pod_that_came_near_is_found_to_be():
    pods = FakePod(0.0005), FakePod(0.003)
    minute = Minutes(*pods)
    minute.run(20)
    pods[1].seconds = 0.0005
    minute.run(20)
    assert evenness(minute.run()[:2]) < 1.2


def test_a_hung_pod_is_left_before_anybody_says_so():
    pods = FakePod(), FakePod(), FakePod()
    minute = Minutes(*pods)
    minute.run(5)
    pods[0].is_hung = True
    minute.run(1)
    assert minute.asked[pods[0]] < 30


def test_a_new_pod_gets_its_share_at_once_and_not_more():
    pods = [FakePod(0.002), FakePod(0.002)]
    minute = Minutes(*pods)
    minute.run(5)
    minute.change_to(*pods, FakePod(0.002))
    shares = minute.run(2)[:3]
    assert evenness(shares) < 1.3


def test_a_pod_that_is_gone_gets_no_new_question():
    pods = [FakePod(), FakePod()]
    minute = Minutes(*pods)
    minute.run(1)
    minute.change_to(pods[1])
    minute.run(1)
    assert minute.asked[pods[0]] == 0


@pytest.mark.parametrize("fault", ["silent", "lame", "down", "looping"])
def test_pods_that_are_not_well_are_passed_by_and_the_service_address_is_the_last_way(fault):
    pods = [FakePod(), FakePod()]
    minute = Minutes(*pods)
    for pod in pods:
        fail(pod.health, fault)
        shares = minute.run(0.1)
    assert shares == [0, 0, 1]
    pods[0].health.quarantine(is_looping=False)
    pods[0].health.served()
    assert minute.run(0.1) == [1, 0, 0]


def fail(health: Health, fault: str) -> None:
    if fault == "silent":
        health.stayed_silent(0)
    elif fault == "looping":
        health.quarantine(is_looping=True)
    for _ in range(4):
        if fault == "lame":
            health.failed_to_serve(0)
        elif fault == "down":
            health.probed(is_alive=False)


def test_one_failure_in_a_row_is_no_reason_to_leave_a_pod():
    pods = [FakePod(), FakePod()]
    minute = Minutes(*pods)
    pods[0].health.failed_to_serve(0)
    assert minute.run(1)[0] > 0.1


def test_the_order_to_try_ends_with_the_service_address():
    policy = Balanced(lambda: 0.0, random.Random(1).random)
    assert {tuple(policy.order(1, 4)) for _ in range(50)} == {(1, 0, 2, 3), (1, 2, 0, 3)}
    assert {tuple(policy.order(3, 4)) for _ in range(50)} == {
        (3, *rest) for rest in [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    }


def test_other_names_are_the_corefiles_policies():
    assert type(policy_for("random", lambda: 0.0)) is Random
    assert type(policy_for("balanced", lambda: 0.0)) is Balanced
