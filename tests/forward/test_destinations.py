from collections.abc import Sequence

import pytest

from nodecache.forward import Destinations, Endpoint, HostName
from tests.scenarios.simulated import SimulatedWorld

ONE, TWO, THREE = Endpoint("10.0.0.1"), Endpoint("10.0.0.2"), Endpoint("10.0.0.3", 5353)


class FakeFile:
    """A resolv.conf in memory; `stamp` changes with what is in it."""

    path = "/etc/resolv.conf"

    def __init__(self, *endpoints: Endpoint) -> None:
        self.version = 0
        self.endpoints: Sequence[Endpoint] | None = endpoints

    def write(self, *endpoints: Endpoint) -> None:
        self.endpoints = endpoints
        self.version += 1

    def remove(self) -> None:
        self.endpoints = None
        self.version += 1

    def stamp(self) -> object:
        return self.version

    def read(self) -> Sequence[Endpoint]:
        if self.endpoints is None:
            raise FileNotFoundError(2, "No such file or directory")
        return self.endpoints


class FakeNames:
    def __init__(self, changed) -> None:
        self.changed = changed
        self.known: dict[str, list[str]] = {}
        self.refreshed: list[str] = []
        self.is_closed = False

    def addresses(self, name: str) -> list[str]:
        return self.known.get(name, [])

    def refresh(self, name: str) -> None:
        self.refreshed.append(name)

    def close(self) -> None:
        self.is_closed = True


def is_well(_: Endpoint) -> bool:
    """Whether an upstream is silent: none is."""
    return False


def follow(*destinations, names=None):
    """What was told so far, in order; and the world it is told in."""
    world, told = SimulatedWorld(), []
    follower = Destinations(destinations, names)
    follower.follow(lambda endpoints: told.append(list(endpoints)), world, is_well)
    return follower, told, world


def test_addresses_are_told_once_without_doubles():
    _, told, world = follow(ONE, TWO, ONE)
    assert told == [[ONE, TWO]]
    assert world.is_quiet


def test_a_file_is_read_again_when_it_changes():
    file = FakeFile(ONE)
    _, told, world = follow(file, THREE)
    world.advance(5)
    assert told == [[ONE, THREE]]
    file.write(TWO)
    world.advance(1.1)
    assert told == [[ONE, THREE], [TWO, THREE]]


@pytest.mark.parametrize("spoil", [FakeFile.remove, FakeFile.write], ids=["gone", "empty"])
def test_a_spoilt_file_keeps_the_last_good_upstreams(spoil, caplog):
    file = FakeFile(ONE)
    _, told, world = follow(file)
    spoil(file)
    world.advance(3)
    assert told == [[ONE]]
    assert sum("last" in record.message for record in caplog.records) == 1
    file.write(TWO)
    world.advance(1.1)
    assert told == [[ONE], [TWO]]


def test_a_file_that_changes_nothing_is_not_told_again():
    file = FakeFile(ONE)
    _, told, world = follow(file)
    file.write(ONE)
    world.advance(1.1)
    assert told == [[ONE]]


def test_a_missing_file_is_an_error_at_the_start():
    file = FakeFile()
    file.remove()
    with pytest.raises(OSError):
        Destinations([file])


def test_a_missing_file_is_waited_for_where_there_is_nothing_to_go_back_to(caplog):
    file, told, world = FakeFile(), [], SimulatedWorld()
    file.remove()
    Destinations([file, ONE], waits=True).follow(
        lambda each: told.append(list(each)), world, is_well
    )
    assert told == [[ONE]]
    assert "/etc/resolv.conf cannot be read: [Errno 2]" in caplog.text
    file.write(TWO)
    world.advance(1.1)
    assert told == [[ONE], [TWO, ONE]]


def test_a_file_without_nameservers_is_told_of_at_the_start(caplog):
    follow(FakeFile())
    assert "/etc/resolv.conf names no nameserver" in caplog.text


def test_an_upstream_that_cannot_be_asked_at_the_start_is_told_of_once_and_tried_again(caplog):
    told, world = [], SimulatedWorld()
    errors = [OSError(2, "no such key")] * 3

    def tell(endpoints) -> None:
        if errors:
            raise errors.pop()
        told.append(list(endpoints))

    Destinations([ONE], waits=True).follow(tell, world, is_well)
    assert told == []
    world.advance(3.1)
    assert told == [[ONE]]
    assert caplog.text.count("10.0.0.1:53 cannot be asked: [Errno 2] no such key") == 1


def test_host_names_bring_their_addresses_when_they_have_them():
    made = []

    def names(changed):
        made.append(FakeNames(changed))
        return made[0]

    named = HostName(Endpoint("dns.example", 5353))
    follower, told, _ = follow(ONE, named, names=names)
    assert told == [[ONE]]
    made[0].known["dns.example"] = ["10.9.9.9", "fd00::9"]
    made[0].changed()
    assert told[-1] == [ONE, Endpoint("10.9.9.9", 5353), Endpoint("fd00::9", 5353)]
    follower.close()
    assert made[0].is_closed


def test_a_certificate_is_checked_by_the_host_name():
    made = []

    def names(changed):
        made.append(FakeNames(changed))
        made[0].known["dns.example."] = ["10.9.9.9"]
        return made[0]

    named = HostName(Endpoint("dns.example.", 853, scheme="tls"))
    _, told, _ = follow(named, names=names)
    assert told == [[Endpoint("10.9.9.9", 853, scheme="tls", server_name="dns.example")]]


def test_nothing_is_followed_once_closed():
    file = FakeFile(ONE)
    follower, told, world = follow(file)
    follower.close()
    file.write(TWO)
    world.advance(5)
    assert told == [[ONE]]
    assert world.is_quiet


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no such key"), ValueError("no such key")])
def test_what_could_not_be_taken_is_told_again(error, caplog):
    file, told, errors = FakeFile(ONE), [], []
    world = SimulatedWorld()

    def tell(endpoints) -> None:
        if errors:
            raise errors.pop()
        told.append(list(endpoints))

    Destinations([file]).follow(tell, world, is_well)
    file.write(TWO)
    errors.append(error)
    world.advance(1.1)
    assert told == [[ONE]]
    assert "no such key" in caplog.text
    world.advance(1)
    assert told == [[ONE], [TWO]]


def test_addresses_of_a_name_that_could_not_be_taken_are_told_again():
    made, told, errors = [], [], []
    world = SimulatedWorld()

    def names(changed):
        made.append(FakeNames(changed))
        return made[0]

    def tell(endpoints) -> None:
        if errors:
            raise errors.pop()
        told.append(list(endpoints))

    Destinations([HostName(Endpoint("dns.example"))], names).follow(tell, world, is_well)
    made[0].known["dns.example"] = ["10.9.9.9"]
    errors.append(OSError(24, "Too many open files"))
    made[0].changed()
    assert told == []
    world.advance(1.1)
    assert told == [[Endpoint("10.9.9.9")]]


def test_a_name_is_asked_for_again_each_second_while_none_of_its_addresses_answers():
    """Else a name that points elsewhere by now was believed until its TTL, and all queries failed."""
    names = FakeNames(lambda: None)
    names.known = {"a.example": ["10.0.0.1", "10.0.0.2"], "b.example": []}
    silent, world = {ONE}, SimulatedWorld()
    named = [HostName(Endpoint(name)) for name in names.known]
    Destinations(named, lambda _: names).follow(lambda _: None, world, silent.__contains__)
    world.advance(3.1)
    assert names.refreshed == []
    silent.add(TWO)
    world.advance(2)
    assert names.refreshed == ["a.example", "a.example"]
