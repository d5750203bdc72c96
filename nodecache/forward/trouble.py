"""What a query remembers once it was not answered at once. Most never need it."""

from nodecache.wire import Answer

from .attempt import Attempt


class Trouble:
    """What an ask remembers once it was not answered at once.

    `open` attempts may still bring an answer. `held` is an answer that is no good, but better
    than none. `asked` are the upstreams tried, the first first. `patience` doubles with each
    time-out.
    """

    __slots__ = (
        "asked",
        "connect_failures",
        "hedge_at",
        "held",
        "latest",
        "losses",
        "open",
        "patience",
        "reason",
        "retry_at",
        "tries",
        "wakes_at",
    )

    def __init__(self, first: Attempt) -> None:
        pace = first.upstream.pace
        self.asked = [first.upstream]
        self.latest = first
        self.tries = self.open = 1
        self.connect_failures = 0
        self.losses = 0
        self.patience = 1
        self.wakes_at = 0.0
        self.held: Answer | None = None
        self.reason = ""
        self.hedge_at = first.sent_at + pace.hedge_seconds
        self.retry_at = first.sent_at + pace.lost_seconds
