"""The handover of a node from one agent to the next: the state machine of the two keepers.

Pure: links and actions are passed in, and so is the time. The next agent finds the one that serves
(`handover_socket.py`), is lent its listening sockets, and says `take` once its own worker answers. From then
on it alone serves the node:

    the next            the one that serves
    hello        →
                 ←      sockets          both read the same sockets from here on
    take         →                       its worker is ready
                 ←      yours            reads no more, stops managing interface and rules
                 ←      cache            and stands by until it is told to stop

A closed link means that the peer has died: before `take` nothing has changed; after it the agent
that stands by takes the node back. `yours` also gives it back, where the next one is told to stop first.
"""

import enum
import logging
import math
import os
from collections.abc import Sequence
from typing import Protocol

from nodecache.process.channel import Channel
from nodecache.process.listen import ListenAddress
from nodecache.process.messages import Message

from .handover_messages import MAX_ADDRESSES, PROTOCOL, Claim, to_fields

log = logging.getLogger(__name__)

TAKE_SECONDS = 5.0  # for `yours` after `take`: longer than the other one may need
PATIENCE_SECONDS = 10.0  # told to stop, how long to wait for a successor that is not ready yet
SUCCESSOR_SECONDS = 60.0  # to become ready, after which the next one may come in its place


class UnexpectedMessage(Exception):
    """The peer sent a message that is not expected now; the text says which."""


class Stage(enum.Enum):
    """The state of a keeper."""

    ARRIVING = "arriving"  # another one serves; our worker is not ready
    TAKING = "taking"  # `take` was sent, and not answered yet
    SERVING = "serving"
    YIELDING = "yielding"  # releasing the node to the other agent
    STANDBY = "standby"  # a successor serves; should it die, we take over again
    RETIRED = "retired"  # others stand by for the successor: waits to be told to stop


class KeeperActions(Protocol):
    """What the handover has a keeper do."""

    def lend(self) -> tuple[list[ListenAddress], list[int]]:
        """The addresses listened on, and two descriptors for each."""

    def claim(self) -> Claim:
        """What this agent holds on the node once it serves it."""

    def release_node(self, claim: Claim) -> None:
        """Begin to release what the successor claims; `node_released` is called at the end."""

    def receive_cache(self, descriptors: Sequence[int]) -> None:
        """Take the cache of the previous agent, one descriptor; a copy, it is closed then."""

    def take_over(self) -> None:
        """Serve the node from now on: interface, addresses and rules."""

    def take_back(self) -> None:
        """Read queries again, and serve the node again."""


class Handover:
    """One keeper's side: as successor of the agent before, and as predecessor of the next."""

    def __init__(self, actions: KeeperActions) -> None:
        self._actions = actions
        self.stage = Stage.SERVING
        self.predecessor: Channel | None = None
        self.successor: Channel | None = None
        self._claimant: Channel | None = None  # who gets the node once it is released
        self._successor_until = math.inf  # how long the successor may take to become ready
        self._predecessor_makes_rules = False
        self._give_up_at = math.inf
        self._stop_by = math.inf

    @property
    def has_node(self) -> bool:
        """Whether interface, addresses and rules are this agent's to keep, and to remove."""
        return self.stage is Stage.SERVING

    @property
    def is_answering(self) -> bool:
        """Whether this worker is to read queries, and files are to be watched."""
        return self.stage in {Stage.ARRIVING, Stage.TAKING, Stage.SERVING}

    @property
    def is_socket_wanted(self) -> bool:
        """Whether the handover socket is to be open for a successor."""
        return self.stage is Stage.SERVING

    def next_wake(self) -> float:
        """When `turn` may have something to do; infinity for never."""
        return self._give_up_at

    # As the successor

    def found(self, link: Channel, *, makes_rules: bool) -> None:
        """Another agent serves, and has lent its sockets. `makes_rules`: it has packet rules too."""
        self.predecessor = link
        self._predecessor_makes_rules = makes_rules
        self.stage = Stage.ARRIVING

    def ready(self, now: float) -> bool:
        """This worker answers: ask for the node. True if the node is this agent's already."""
        if self.stage is Stage.ARRIVING and self.predecessor is not None:
            self.stage = Stage.TAKING
            self._give_up_at = now + TAKE_SECONDS
            self.predecessor.send("take", **self._actions.claim().to_fields())
        return self.has_node

    def turn(self, now: float) -> None:
        """Stop waiting for a predecessor that does not release the node in time."""
        if self.stage is Stage.TAKING and now >= self._give_up_at:
            log.warning(
                "the previous agent does not release the node in time: taking over without that"
            )
            self._close_link(self.predecessor)
            self._serve()

    def _serve(self) -> None:
        self.stage = Stage.SERVING
        self._give_up_at = math.inf
        self._actions.take_over()

    # As the predecessor

    def arrived(self, link: Channel, hello: Message, now: float) -> bool:
        """A successor said hello; False where there is one already."""
        if (
            self.successor is not None
            and now >= self._successor_until
            and self.stage is Stage.SERVING
        ):
            log.warning("the next agent has not become ready: another one may take over")
            self._close_link(self.successor)
        if self.successor is not None or self.stage is not Stage.SERVING:
            link.send("no", why="another agent is taking over")
            return False
        self.successor = link
        self._successor_until = now + SUCCESSOR_SECONDS
        self.heard(link, hello)
        return self.successor is link

    def node_released(self) -> None:
        """This worker reads no more and the host is released: give the node to the successor."""
        successor, self._claimant = self._claimant, None
        if successor is None:  # it died meanwhile
            self._take_back("the agent that was taking over has ended")
            return
        if successor is self.predecessor:
            log.info("the previous agent serves again")
            self.stage = Stage.RETIRED
        else:
            log.info("handed over to the next agent; standing by")
            self.stage = Stage.STANDBY
            if self.predecessor is not None:
                self.predecessor.send("retired")
                self._close_link(self.predecessor)
        successor.send("yours")

    def send_cache(self, descriptors: Sequence[int]) -> None:
        """Send the cache that this worker wrote to the successor, and close it."""
        if self.successor is not None and self.stage in {Stage.YIELDING, Stage.STANDBY}:
            self.successor.send("cache", descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def may_stop(self, now: float) -> bool:
        """Whether an agent that was told to stop may stop now; asked in every turn."""
        if self.stage is Stage.YIELDING:
            return False
        if self.stage is not Stage.SERVING:
            return True
        if self.successor is not None:
            if self._stop_by == math.inf:
                log.info(
                    "waiting for the agent that is taking over, at most %d s", PATIENCE_SECONDS
                )
                self._stop_by = now + PATIENCE_SECONDS
            return now >= self._stop_by
        if self.predecessor is not None:
            ours = self._actions.claim()
            claim = Claim(ours.addresses, ours.pages, self._predecessor_makes_rules)
            self._yield_to(self.predecessor, claim)
            return False
        return True

    def _yield_to(self, successor: Channel, claim: Claim) -> None:
        self.stage = Stage.YIELDING
        self._claimant = successor
        self._actions.release_node(claim)

    def _take_back(self, why: str) -> None:
        log.warning("%s: serving again", why)
        self.stage = Stage.SERVING
        self._actions.take_back()

    # What the others say

    def heard(self, link: Channel, message: Message | None) -> None:
        """A message from one of the links, or its end (None)."""
        try:
            if message is None:
                self._ended(link)
            elif link is self.predecessor:
                self._handle_predecessor(message)
            elif link is self.successor:
                self._handle_successor(message)
        except UnexpectedMessage as error:
            log.warning("closing the link to another agent: %s", error)
            self._ended(link)

    def _handle_predecessor(self, message: Message) -> None:
        match message.kind, self.stage:
            case "yours", Stage.TAKING:
                log.info("taken over from the previous agent")
                self._serve()
            case "cache", Stage.TAKING | Stage.SERVING if len(message.descriptors) == 1:
                self._actions.receive_cache(message.descriptors)
            case kind, Stage.SERVING:  # if the link were closed, it would serve beside us
                log.warning("the previous agent says %r: not understood", kind)
            case kind, stage:
                raise UnexpectedMessage(f"{kind!r} while {stage.value}")

    def _handle_successor(self, message: Message) -> None:
        match message.kind, self.stage:
            case "hello", Stage.SERVING:
                self._lend(message)
            case "take", Stage.SERVING:
                assert self.successor is not None
                self._yield_to(self.successor, Claim.from_fields(message.fields))
            case "yours", Stage.STANDBY:
                self._close_link(self.successor)
                self._take_back("the next agent gives the node back")
            case "retired", Stage.STANDBY:
                self._close_link(self.successor)
                self.stage = Stage.RETIRED
            case (
                kind,
                Stage.YIELDING | Stage.STANDBY,
            ):  # if the link were closed, we would serve beside it
                log.warning("the next agent says %r: not understood", kind)
            case kind, stage:
                raise UnexpectedMessage(f"{kind!r} while {stage.value}")

    def _lend(self, message: Message) -> None:
        assert self.successor is not None
        spoken = message.fields["protocol"]
        if spoken != PROTOCOL:
            self.successor.send(
                "no", why=f"protocol {spoken!r} is not {PROTOCOL}", protocol=PROTOCOL
            )
            raise UnexpectedMessage(f"it speaks protocol {spoken!r}, not {PROTOCOL}")
        addresses, descriptors = self._actions.lend()
        log.info("another agent prepares to take over, version %s", message.fields.get("version"))
        self.successor.send(
            "sockets",
            descriptors[: 2 * MAX_ADDRESSES],
            protocol=PROTOCOL,
            addresses=to_fields(addresses[:MAX_ADDRESSES]),
            makes_rules=self._actions.claim().makes_rules,
        )

    def _ended(self, link: Channel) -> None:
        if link is self._claimant:
            self._claimant = None
        if link is self.predecessor:
            self._close_link(self.predecessor)
            if self.stage in {Stage.ARRIVING, Stage.TAKING}:
                log.warning("the previous agent has ended: taking over without it")
                self._serve()
        elif link is self.successor:
            self._close_link(self.successor)
            if self.stage is Stage.STANDBY:
                self._take_back("the next agent has ended")
            elif self.stage is Stage.SERVING:
                log.warning("the next agent has ended before it took over: nothing changes")

    def _close_link(self, link: Channel | None) -> None:
        if link is None:
            return
        link.close()
        if link is self.predecessor:
            self.predecessor = None
        else:
            self.successor = None
