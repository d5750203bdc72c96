from nodecache.forward.work_queue import WorkQueue


class SlowWorld:
    """Everything takes a while; the loop's next turn comes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon = []

    def clock(self) -> float:
        return self.now

    def call_soon(self, callback) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        due, self.soon = self.soon, []
        for callback in due:
            callback()


class Work:
    """What is done to each thing, a quarter of a millisecond each."""

    def __init__(self, world: SlowWorld) -> None:
        self.world = world
        self.done: list[object] = []

    def act(self, thing: object, now: float) -> None:
        assert now == self.world.now
        self.world.now += 0.00025
        self.done.append(thing)


def test_little_is_done_at_once():
    world = SlowWorld()
    work = Work(world)
    WorkQueue(world).submit("abc", work.act)
    assert work.done == ["a", "b", "c"]
    assert world.soon == []


def test_much_is_done_a_millisecond_a_turn_in_its_order():
    world = SlowWorld()
    work = Work(world)
    queue = WorkQueue(world)
    queue.submit(range(10), work.act)
    assert work.done == [0, 1, 2, 3]
    queue.submit([10], work.act)
    world.turn()
    assert work.done == [*range(8)]
    world.turn()
    assert work.done == [*range(11)]
    assert world.soon == []


def test_what_comes_while_some_is_done_waits_for_its_turn():
    world = SlowWorld()
    work = Work(world)
    queue = WorkQueue(world)
    queue.submit([1], lambda thing, now: (work.act(thing, now), queue.submit([2], work.act)))
    assert work.done == [1, 2]


def test_one_that_fails_costs_the_others_nothing(caplog):
    world = SlowWorld()
    work = Work(world)

    def act(thing: int, now: float) -> None:
        work.act(10 // thing, now)

    WorkQueue(world).submit([5, 0, 2], act)
    assert work.done == [2, 5]
    assert "inside the forwarder" in caplog.text
