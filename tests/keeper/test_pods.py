import logging

from nodecache.keeper.pods import PodRelay
from nodecache.process.pods import PodAddress

POD = PodAddress("10.244.0.2", 53, 53)


def test_what_the_worker_tells_is_kept():
    relay = PodRelay(["169.254.20.10"])
    relay.told((POD,))
    assert relay.pods == (POD,)
    relay.told(())
    assert relay.pods == ()


def test_an_address_of_ours_changes_nothing_and_is_an_error_line(caplog):
    relay = PodRelay(["10.96.0.10"])
    relay.told((POD,))
    with caplog.at_level(logging.ERROR):
        relay.told((POD, PodAddress("10.96.0.10", 53, 53)))
    assert relay.pods == (POD,)
    assert len(caplog.records) == 1
