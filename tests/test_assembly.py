from nodecache.assembly import empty
from nodecache.cache import Budget, Cache
from tests.cache.made import START, answer


class Timers:
    """A loop that only has timers, started by hand."""

    def __init__(self):
        self.due = []

    def call_later(self, delay, callback, *arguments):
        assert delay > 0
        self.due.append((callback, arguments))


def test_a_cache_that_nobody_needs_is_emptied_a_lot_at_a_time():
    budget, timers = Budget(), Timers()
    cache = Cache(budget, 10_000, 10_000)
    for number in range(1000):
        cache.put(b"%d" % number, answer(), 30, START)
    cache.close()
    empty(cache, timers)
    left = []
    while timers.due:
        left.append(len(cache))
        callback, arguments = timers.due.pop()
        callback(*arguments)
    assert left == sorted(left, reverse=True)
    assert len(left) > 2
    assert (len(cache), budget.used, budget.segments) == (0, 0, [])
