"""A changed configuration, with real sockets and a worker that does nothing."""

import errno
import os

import pytest

from nodecache.config.plan import listen_addresses, served_zones
from nodecache.config.source import Config
from nodecache.corefile import own_options
from nodecache.keeper import active_config
from nodecache.keeper.active_config import ActiveConfig
from nodecache.keeper.loop import Loop
from nodecache.keeper.reconfiguring import Reconfiguring
from tests.helpers.agent import free_port
from tests.helpers.corefiles import corefile

PORT = free_port()


def config(*hosts: str) -> Config:
    text = "".join(f".:{PORT} {{\n bind {host}\n whoami\n}}\n" for host in hosts)
    read = corefile(text)
    return Config(
        text=text,
        corefile=read,
        served_zones=served_zones(read, lambda _: []),
        own=own_options(read),
    )


OLD, NEW = config("127.0.0.2"), config("127.0.0.3")


class Source:
    """The files, as far as it matters what became of them."""

    failures = 0

    def __init__(self):
        self.good = []
        self.refusals = []

    def keep_good(self, config):
        self.good.append(config)

    def refused(self, *, is_to_be_tried_again):
        self.refusals.append(is_to_be_tried_again)


class Worker:
    """One that was forked, and has said nothing yet."""

    def __init__(self):
        self.is_ready = self.is_asked = self.has_ended = False

    def owes(self, kind):
        return self.is_asked


class Supervisor:
    """One worker, and how many configurations it was sent."""

    def __init__(self):
        self.worker = None
        self.sent = 0

    def send(self, kind, descriptors):
        self.worker.is_asked = True
        self.sent += 1


class Keeper:
    """What a keeper has of a configuration."""

    def __init__(self):
        self.source = Source()
        self.active = ActiveConfig(OLD)
        self.active.open({})
        self.supervisor = Supervisor()
        self.reconfiguring = Reconfiguring(self.source, self.active, self.supervisor, Loop())

    def fork(self):
        self.supervisor.worker = Worker()

    def ready(self):
        self.supervisor.worker.is_ready = True
        self.reconfiguring.worker_ready()

    def taken(self):
        self.supervisor.worker.is_asked = False
        self.reconfiguring.taken()


@pytest.fixture
def keeper():
    made = Keeper()
    yield made
    made.active.close()


def test_what_changes_while_a_worker_starts_is_offered_once_it_is_ready(keeper):
    """It was forked with the configuration that was in force then."""
    keeper.fork()
    keeper.reconfiguring.offer(NEW)
    assert keeper.active.config is OLD
    keeper.ready()
    assert keeper.source.good == [OLD]
    assert keeper.supervisor.sent == 1
    keeper.taken()
    assert keeper.active.config is NEW
    assert keeper.source.good == [OLD, NEW]


def test_of_several_changes_the_last_is_offered(keeper):
    keeper.fork()
    for each in (config("127.0.0.4"), NEW):
        keeper.reconfiguring.offer(each)
    keeper.ready()
    keeper.taken()
    assert keeper.supervisor.sent == 1
    assert keeper.active.config is NEW


def test_what_changes_while_a_worker_starts_is_the_next_ones_if_that_one_ends(keeper):
    keeper.fork()
    keeper.reconfiguring.offer(NEW)
    keeper.supervisor.worker = None
    keeper.reconfiguring.worker_ended()
    assert keeper.active.config is NEW
    assert keeper.source.refusals == []


def test_what_changes_as_a_worker_dies_is_the_next_ones(keeper):
    """It did not end over what it was never offered."""
    keeper.fork()
    keeper.ready()
    keeper.supervisor.worker.has_ended = True
    keeper.reconfiguring.offer(NEW)
    keeper.supervisor.worker = None
    keeper.reconfiguring.worker_ended()
    assert keeper.active.config is NEW
    assert keeper.source.refusals == []


def test_what_cannot_be_sent_is_refused_and_tried_again(keeper, monkeypatch, caplog):
    def refuse(_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    keeper.fork()
    keeper.ready()
    monkeypatch.setattr(active_config, "to_descriptor", refuse)
    keeper.reconfiguring.offer(NEW)
    assert keeper.source.refusals == [True]
    assert not keeper.active.is_offering
    assert "Too many open files; the running configuration stays" in caplog.text
    assert keeper.active.config is OLD


def test_more_addresses_than_a_message_carries_are_refused(keeper, caplog):
    many = config(*(f"127.0.1.{number}" for number in range(127)))
    assert len(listen_addresses(many.served_zones)) == 127
    keeper.fork()
    keeper.ready()
    keeper.reconfiguring.offer(many)
    assert keeper.source.refusals == [True]
    assert "127 addresses" in caplog.text
    assert keeper.supervisor.sent == 0
