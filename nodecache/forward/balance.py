"""The policy `balanced`, for a `forward` to the cluster DNS address: which of kube-dns' pods is asked.

Power of two choices (Mitzenmacher 2001): two pods are drawn at random, and the one with fewer
queries in flight, weighted by its response time, is asked. So equal pods share evenly, a pod that
hangs is avoided before its health check fails, and a pod in another zone gets what the near ones
cannot take. The last upstream is the Service address: it is asked while no pod is healthy.
"""

import random
from collections.abc import Callable, Sequence

from .health import Standing
from .policy import Candidate, Policy, policy_named

BALANCED = "balanced"

# So many queries in a row go to the same pod. It spares looking at connections for each query, and
# what leaves in one turn of the loop leaves in one write.
_STRETCH = 8

# A pod is far if it takes so many times as long as the quickest one; below, a difference is noise of
# two medians. What takes less than the shortest is near, whatever the others take. Seconds.
_FAR = 2.0
_SHORTEST_SECONDS = 0.0005

# Before so many queries nothing is known of a pod's pace, and it counts as near.
_KNOWN_AFTER = 300

# One choice in so many is made blindly: what is known of the pods that are not asked stays true.
_EXPLORES = 1 / 16


class Balanced(Policy):
    """Power of two choices among all but the last upstream."""

    __slots__ = ("_best_seconds", "_candidates", "_clock", "_left", "_place", "_random")
    is_exchangeable = True
    asks_replicas = True

    def __init__(
        self, clock: Callable[[], float], source: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._random = source
        self._candidates: Sequence[Candidate] = ()
        self._place = 0
        self._left = 0  # of the stretch
        self._best_seconds = _SHORTEST_SECONDS

    def choose_from(self, upstreams: Sequence[Candidate]) -> None:
        """The pods, and the Service address as the last, from now on."""
        self._candidates = upstreams
        self._left = 0

    def first(self, count: int) -> int:
        """The place of the pod that is to be asked."""
        if self._left > 0 and self._candidates[self._place].health.is_good:
            self._left -= 1
            return self._place
        place = self._place = self._choose(count)
        self._left = _STRETCH - 1 if place < count - 1 else 0
        return place

    def order(self, first: int, count: int) -> list[int]:
        """`first`, then the other pods shuffled, then the Service address."""
        others = [place for place in range(count - 1) if place != first]
        others.sort(key=lambda _: self._random())
        return [first, *others] if first == count - 1 else [first, *others, count - 1]

    def _choose(self, count: int) -> int:
        now = self._clock()
        candidates = self._candidates
        healthy = [
            place
            for place in range(count - 1)
            if candidates[place].health.standing(now) is Standing.GOOD
        ]
        if not healthy:
            return count - 1
        one = healthy.pop(int(self._random() * len(healthy)))
        if not healthy or self._random() < _EXPLORES:
            return one
        other = healthy[int(self._random() * len(healthy))]
        known = filter(None, map(self._seconds, (one, *healthy)))
        self._best_seconds = min(known, default=_SHORTEST_SECONDS)
        return one if self._cost(one) <= self._cost(other) else other

    def _cost(self, place: int) -> float:
        """What one more query there would wait for, in queries of the quickest pod."""
        times = self._seconds(place) / self._best_seconds
        return (self._candidates[place].in_flight + 1) * (times if times >= _FAR else 1.0)

    def _seconds(self, place: int) -> float:
        """The pace of a pod; 0 where it is not known yet."""
        candidate = self._candidates[place]
        if candidate.queries_sent < _KNOWN_AFTER:
            return 0.0
        return max(candidate.pace.half_seconds, _SHORTEST_SECONDS)


def policy_for(name: str, clock: Callable[[], float]) -> Policy:
    """The policy called `name`: one of the Corefile's, or ours for pods."""
    return Balanced(clock) if name == BALANCED else policy_named(name)
