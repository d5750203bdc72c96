"""Keepers that take over from each other, on links that a test holds in its hands."""

import os
from collections import deque

import pytest

from nodecache.keeper.handover import (
    PATIENCE_SECONDS,
    SUCCESSOR_SECONDS,
    TAKE_SECONDS,
    Handover,
    Stage,
)
from nodecache.keeper.handover_messages import PROTOCOL, Claim
from nodecache.process.listen import ListenAddress
from nodecache.process.messages import Message

LOCAL, SERVICE = ListenAddress("169.254.20.10", 53), ListenAddress("10.96.0.10", 53)
HELLO = Message("hello", {"protocol": PROTOCOL, "version": "0"})


class Wire:
    """One end of a link; what is sent waits until the test delivers it."""

    def __init__(self) -> None:
        self.sent: deque[Message | None] = deque()
        self.is_closed = False

    def send(self, kind, descriptors=(), **fields):
        self.sent.append(Message(kind, fields, tuple(descriptors)))
        return True

    def close(self):
        self.is_closed = True
        self.sent.append(None)

    @property
    def kinds(self):
        return [message.kind if message else None for message in self.sent]


class KeeperActions:
    """A keeper that does at once what it is asked to, and remembers it."""

    def __init__(self, *addresses, makes_rules=True):
        self.addresses = list(addresses)
        self.pages = frozenset({":9253"})
        self.makes_rules = makes_rules
        self.deeds = []

    def claim(self):
        return Claim(frozenset(self.addresses), self.pages, self.makes_rules)

    def lend(self):
        return self.addresses, list(range(2 * len(self.addresses)))

    def release_node(self, claim):
        self.deeds.append(("stand back", claim))

    def receive_cache(self, descriptors):
        self.deeds.append("receive_cache")

    def take_over(self):
        self.deeds.append("take over")

    def take_back(self):
        self.deeds.append("take back")


class Pair:
    """The one that serves and the one that arrives, linked."""

    def __init__(self, old_actions=None, new_actions=None) -> None:
        self.old_actions = old_actions or KeeperActions(LOCAL, SERVICE)
        self.new_actions = new_actions or KeeperActions(LOCAL)
        self.old, self.new = Handover(self.old_actions), Handover(self.new_actions)
        self.to_new, self.to_old = Wire(), Wire()  # what each holds: its way to the other
        self.link(self.old, self.new)

    def link(self, old, new):
        assert old.arrived(self.to_new, HELLO, 0.0)
        lent = self.to_new.sent.popleft()
        assert lent.kind == "sockets"
        new.found(self.to_old, makes_rules=lent.fields["makes_rules"])

    def deliver_to_old(self):
        while self.to_old.sent:
            self.old.heard(self.to_new, self.to_old.sent.popleft())

    def deliver_to_new(self):
        while self.to_new.sent:
            self.new.heard(self.to_old, self.to_new.sent.popleft())

    def hand_over(self):
        self.new.ready(0.0)
        self.deliver_to_old()
        self.old.node_released()
        self.deliver_to_new()
        return self


@pytest.fixture
def pair():
    return Pair()


def test_a_keeper_alone_has_the_node_and_may_stop():
    alone = Handover(KeeperActions(LOCAL))
    assert alone.ready(0.0)
    assert alone.may_stop(0.0)
    assert alone.has_node


def test_nothing_changes_before_the_successors_worker_is_ready(pair):
    assert pair.old.stage is Stage.SERVING
    assert pair.old_actions.deeds == []
    assert pair.new.stage is Stage.ARRIVING
    assert not pair.new.has_node


def test_a_ready_successor_waits_until_the_old_one_has_released_the_node(pair):
    assert not pair.new.ready(0.0)
    pair.deliver_to_old()
    assert pair.old_actions.deeds == [("stand back", pair.new_actions.claim())]
    assert pair.old.stage is Stage.YIELDING
    assert pair.to_new.kinds == []
    pair.old.node_released()
    pair.deliver_to_new()
    assert (pair.old.stage, pair.new.stage) == (Stage.STANDBY, Stage.SERVING)
    assert pair.new_actions.deeds == ["take over"]


def test_there_is_never_a_moment_with_two_that_hold_up_the_node(pair):
    seen = [(pair.old.has_node, pair.new.has_node)]
    pair.new.ready(0.0)
    seen.append((pair.old.has_node, pair.new.has_node))
    pair.deliver_to_old()
    seen.append((pair.old.has_node, pair.new.has_node))
    pair.old.node_released()
    pair.deliver_to_new()
    seen.append((pair.old.has_node, pair.new.has_node))
    assert seen == [(True, False), (True, False), (False, False), (False, True)]


def test_a_worker_that_is_ready_again_does_not_take_twice(pair):
    pair.new.ready(0.0)
    pair.new.ready(1.0)
    assert pair.to_old.kinds == ["take"]


def test_a_successor_that_dies_before_it_took_over_changes_nothing(pair):
    pair.old.heard(pair.to_new, None)
    assert pair.old.stage is Stage.SERVING
    assert pair.old_actions.deeds == []
    assert pair.old.arrived(Wire(), HELLO, 1.0)  # and there is room for the next


def test_a_successor_that_dies_while_the_old_one_lets_go_is_not_waited_for(pair):
    pair.new.ready(0.0)
    pair.deliver_to_old()
    pair.old.heard(pair.to_new, None)
    pair.old.node_released()
    assert pair.old.stage is Stage.SERVING
    assert pair.old_actions.deeds[-1] == "take back"


def test_the_one_that_stands_by_serves_again_when_its_successor_dies(pair):
    pair.hand_over()
    pair.old.heard(pair.to_new, None)
    assert pair.old.has_node
    assert pair.old_actions.deeds[-1] == "take back"
    assert pair.old.is_socket_wanted


def test_the_one_that_stands_by_may_stop_at_once_and_does_not_have_the_node(pair):
    pair.hand_over()
    assert pair.old.may_stop(0.0)
    assert not pair.old.has_node
    pair.new.heard(pair.to_old, None)
    assert pair.new.has_node
    assert pair.new.may_stop(0.0)


def test_a_predecessor_that_dies_before_it_released_the_node_is_not_needed(pair):
    pair.new.heard(pair.to_old, None)
    assert pair.new_actions.deeds == ["take over"]
    assert pair.new.has_node


def test_a_predecessor_that_does_not_release_the_node_is_waited_for_so_long(pair):
    pair.new.ready(0.0)
    pair.new.turn(TAKE_SECONDS - 0.1)
    assert pair.new.stage is Stage.TAKING
    assert pair.new.next_wake() == TAKE_SECONDS
    pair.new.turn(TAKE_SECONDS)
    assert pair.new.has_node
    assert pair.to_old.is_closed


def test_told_to_stop_it_waits_for_a_successor_within_bounds(pair):
    assert not pair.old.may_stop(5.0)
    assert not pair.old.may_stop(4.9 + PATIENCE_SECONDS)
    assert pair.old.may_stop(5.0 + PATIENCE_SECONDS)
    assert pair.old.has_node  # and takes all away


def test_told_to_stop_while_the_successor_becomes_ready_it_leaves_the_node_to_it(pair):
    assert not pair.old.may_stop(5.0)
    pair.new.ready(5.0)
    pair.deliver_to_old()
    assert not pair.old.may_stop(5.1)
    pair.old.node_released()
    assert pair.old.may_stop(5.2)
    assert not pair.old.has_node


def test_a_successor_that_is_told_to_stop_first_touches_nothing(pair):
    assert pair.new.may_stop(0.0)
    assert not pair.new.has_node


def test_told_to_stop_it_gives_the_node_back_to_the_one_that_stands_by(pair):
    pair.hand_over()
    assert not pair.new.may_stop(1.0)
    assert pair.new_actions.deeds[-1] == ("stand back", pair.new_actions.claim())
    pair.new.node_released()
    pair.deliver_to_old()
    assert pair.old.has_node
    assert pair.old_actions.deeds[-1] == "take back"
    assert pair.new.may_stop(1.1)
    assert not pair.new.has_node


def test_of_three_only_the_last_but_one_stands_by(pair):
    pair.hand_over()
    first, second = pair.old, pair.new
    third, to_third = Handover(KeeperActions(LOCAL)), Wire()
    assert second.arrived(to_third, HELLO, 1.0)
    second.heard(to_third, Message("take", KeeperActions(LOCAL).claim().to_fields()))
    second.node_released()
    third.found(Wire(), makes_rules=True)
    assert pair.to_old.kinds == ["retired", None]
    pair.deliver_to_old()
    assert first.stage is Stage.RETIRED
    second.heard(to_third, None)
    assert (first.has_node, second.has_node) == (False, True)


def test_there_is_room_for_one_successor_at_a_time(pair):
    another = Wire()
    assert not pair.old.arrived(another, HELLO, SUCCESSOR_SECONDS - 1)
    assert another.kinds == ["no"]


def test_one_that_does_not_become_ready_makes_room_in_the_end(pair):
    another = Wire()
    assert pair.old.arrived(another, HELLO, SUCCESSOR_SECONDS)
    assert another.kinds == ["sockets"]
    assert pair.to_new.is_closed
    assert pair.old.has_node


def test_what_the_successor_does_not_hold_up_is_told(pair):
    pair.new_actions.pages = frozenset({":9255", "169.254.20.10:9256"})
    pair.new_actions.makes_rules = False
    pair.hand_over()
    (_, claim), *_ = pair.old_actions.deeds
    assert claim == Claim(frozenset({LOCAL}), frozenset({":9255", "169.254.20.10:9256"}), False)


def test_the_node_goes_back_without_rules_to_one_that_makes_none():
    pair = Pair(old_actions=KeeperActions(LOCAL, makes_rules=False)).hand_over()
    assert not pair.new.may_stop(1.0)
    assert not pair.new_actions.deeds[-1][1].makes_rules


@pytest.mark.parametrize("spoken", [0, 1, 3])
def test_another_protocol_is_refused_with_a_reason_and_nothing_lent(spoken):
    old, link = Handover(KeeperActions(LOCAL)), Wire()
    assert not old.arrived(link, Message("hello", {"protocol": spoken}), 0.0)
    assert link.kinds == ["no", None]
    assert old.has_node
    assert old.successor is None


@pytest.mark.parametrize("kind", ["news", "yours"])
def test_what_is_not_its_to_say_is_as_good_as_hung_up(pair, kind):
    pair.old.heard(pair.to_new, Message(kind))
    assert pair.to_new.is_closed
    assert pair.old.has_node
    assert pair.old_actions.deeds == []


def test_nonsense_from_the_one_that_serves_does_not_make_two_serve(pair):
    pair.hand_over()
    pair.old.heard(pair.to_new, Message("news"))
    assert not pair.to_new.is_closed
    assert pair.old.stage is Stage.STANDBY


def test_the_cache_follows_while_or_after_the_old_one_lets_go(pair):
    pair.new.ready(0.0)
    pair.deliver_to_old()
    pair.old.send_cache([os.dup(0)])
    pair.old.node_released()
    pair.old.send_cache([os.dup(0)])
    assert pair.to_new.kinds == ["cache", "yours", "cache"]
    pair.deliver_to_new()
    assert pair.new_actions.deeds == ["receive_cache", "take over", "receive_cache"]


def test_a_cache_for_nobody_is_closed(pair):
    pair.old.heard(pair.to_new, None)
    copy = os.dup(0)
    pair.old.send_cache([copy])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copy)


def test_nonsense_from_the_one_that_stands_by_does_not_wake_it(pair):
    pair.hand_over()
    pair.new.heard(pair.to_old, Message("sockets"))
    assert not pair.to_old.is_closed
    assert pair.new.has_node
