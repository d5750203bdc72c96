"""In which order upstreams are asked: `policy random|round_robin|sequential`.

The law of this module: no socket, no clock, and no health. A policy gives places in the list of
upstreams; the forwarder prefers the healthy ones among them.
"""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from .health import Health
from .pace import Pace


class Candidate(Protocol):
    """An upstream, as far as a policy needs it."""

    @property
    def health(self) -> Health:
        """Its health."""

    @property
    def pace(self) -> Pace:
        """Its response times."""

    @property
    def in_flight(self) -> int:
        """Queries that it owes an answer."""

    @property
    def queries_sent(self) -> int:
        """Queries sent to it in the time that `pace` measures."""


class Policy:
    """The order of the Corefile, from the top for each query: `sequential`.

    `is_exchangeable` says whether the operator treats all upstreams as equals. Where he does
    not, the first one's word is final for as long as it can be had. `asks_replicas` says that all
    are one service: what one of them lost or denied, another one is asked, once.
    """

    __slots__ = ()
    is_exchangeable = False
    asks_replicas = False

    def choose_from(self, upstreams: Sequence[Candidate]) -> None:
        """The upstreams changed; most policies do not look at them."""

    def first(self, count: int) -> int:  # noqa: ARG002 - the others need it
        """The place of the upstream to ask first, of `count`."""
        return 0

    def order(self, first: int, count: int) -> list[int]:
        """Every place in the order to try, after `first` was drawn."""
        return [first, *(place for place in range(count) if place != first)]


class RoundRobin(Policy):
    """`round_robin`: the next one for each query."""

    __slots__ = ("_last",)
    is_exchangeable = True

    def __init__(self) -> None:
        self._last = -1

    def first(self, count: int) -> int:
        """The place after the last query's."""
        self._last = place = (self._last + 1) % count
        return place

    def order(self, first: int, count: int) -> list[int]:
        """From `first` on, around."""
        return [(first + step) % count for step in range(count)]


class Random(Policy):
    """`random`, CoreDNS's default. Nothing secret depends on it, so a cheap generator is used."""

    __slots__ = ("_random",)
    is_exchangeable = True

    def __init__(self, source: Callable[[], float] = random.random) -> None:
        self._random = source

    def first(self, count: int) -> int:
        """Any place."""
        return int(self._random() * count)

    def order(self, first: int, count: int) -> list[int]:
        """`first`, then the others shuffled."""
        others = [place for place in range(count) if place != first]
        others.sort(key=lambda _: self._random())
        return [first, *others]


def policy_named(name: str) -> Policy:
    """The policy a Corefile calls `name`, which was checked when it was read."""
    return {"sequential": Policy, "round_robin": RoundRobin, "random": Random}[name]()
