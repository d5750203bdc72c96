from ipaddress import ip_address

from nodecache.host import Endpoint
from nodecache.keeper.pods import pass_on_pods
from nodecache.process.pods import PodAddress


class FakeHost:
    def __init__(self) -> None:
        self.told: list[tuple[list[Endpoint], float]] = []

    def set_dns_pods(self, pods, now) -> None:
        self.told.append((list(pods), now))


def test_the_host_is_told_the_pods_in_its_own_terms():
    host = FakeHost()
    pods = (PodAddress("10.244.0.2", 5353, 53), PodAddress("fd00:10:244::2", 53, 53))
    pass_on_pods(pods, host, 7.0)
    endpoints = [
        Endpoint(ip_address("10.244.0.2"), 5353),
        Endpoint(ip_address("fd00:10:244::2"), 53),
    ]
    assert host.told == [(endpoints, 7.0)]
