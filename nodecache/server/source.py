"""Where a zone's answers come from when the cache has none.

A `Source` is asked with a callback, so that the plain way, one forwarder, costs no task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from nodecache.forward import Failure, Forwarder
from nodecache.wire import Answer, Ede, Query, Rcode

from .asker import Asker

Done = Callable[[Answer | Failure], None]


class Ask(Protocol):
    """A question under way."""

    def cancel(self) -> None:
        """Nobody waits any more."""


class Source(Protocol):
    """What is below the cache."""

    def ask(self, asker: Asker, deadline: float, done: Done, now: float) -> Ask | None:
        """Ask; `done` is called exactly once, perhaps before this returns."""


NO_FORWARDER = Failure(
    rcode=Rcode.SERVFAIL,
    ede_code=Ede.OTHER,
    ede_text="no forward covers this name",
    reason="no next plugin found",
)


@dataclass(slots=True)
class ForwardSource:
    """A block's `forward` directives: the first that takes the name is asked.

    Its `next` rcodes hand the question on to the following one (CoreDNS plugin/forward).
    """

    forwarders: Sequence[Forwarder]

    def ask(self, asker: Asker, deadline: float, done: Done, now: float) -> Ask | None:
        """Ask the first forwarder that takes the name."""
        return self._ask_from(0, asker, deadline, done, now)

    def _ask_from(
        self, start: int, asker: Asker, deadline: float, done: Done, now: float
    ) -> Ask | None:
        query = asker.query
        for index in range(start, len(self.forwarders)):
            forwarder = self.forwarders[index]
            if forwarder.takes(query):
                if forwarder.next_rcodes and index + 1 < len(self.forwarders):
                    done = self._unless_next(index, asker, deadline, done, now)
                return forwarder.ask(query, deadline, done, now, asker.transport.name)
        done(NO_FORWARDER)
        return None

    def _unless_next(
        self, index: int, asker: Asker, deadline: float, done: Done, now: float
    ) -> Done:
        forwarder, query = self.forwarders[index], asker.query

        def hand_on(outcome: Answer | Failure) -> None:
            is_next = outcome.rcode in forwarder.next_rcodes
            if is_next and any(other.takes(query) for other in self.forwarders[index + 1 :]):
                self._ask_from(index + 1, asker, deadline, done, now)
            else:
                done(outcome)

        return hand_on
