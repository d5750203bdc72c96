from ipaddress import ip_address

from nodecache.host import Endpoint
from nodecache.keeper.keeper import endpoints
from nodecache.process.pods import PodAddress


def test_the_host_is_told_the_pods_in_its_own_terms():
    pods = (PodAddress("10.244.0.2", 5353, 53), PodAddress("fd00:10:244::2", 53, 53))
    assert endpoints(pods) == [
        Endpoint(ip_address("10.244.0.2"), 5353),
        Endpoint(ip_address("fd00:10:244::2"), 53),
    ]
