from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from nodecache.cache.queue import Queue
from tests.cache.made import entry


@given(
    st.lists(st.tuples(st.sampled_from(["push", "pop", "remove"]), st.integers(0, 50)), max_size=60)
)
def test_a_queue_behaves_like_a_deque(steps):
    queue, model = Queue(), deque()
    for step, place in steps:
        if step == "push":
            new = entry()
            queue.push(new)
            model.append(new)
        elif model and step == "pop":
            assert queue.pop() is model.popleft()
        elif model:
            gone = model[place % len(model)]
            queue.remove(gone)
            model.remove(gone)
        assert list(queue) == list(model)
        assert len(queue) == len(model)


def test_what_left_a_queue_holds_on_to_nobody():
    queue, entries = Queue(), [entry() for _ in range(3)]
    for each in entries:
        queue.push(each)
    queue.remove(entries[1])
    queue.pop()
    queue.pop()
    assert all(each.before is each.after is None for each in entries)
