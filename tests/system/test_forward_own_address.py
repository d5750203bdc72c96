"""A node on which any address can be bound (`ip_nonlocal_bind`), as keepalived wants it."""

import os

import pytest

from nodecache.forward import Endpoint, Network
from tests.needs import need_node
from tests.system.netns import Namespace

pytestmark = pytest.mark.system

need_node()


@pytest.fixture
def node():
    node = Namespace(f"nc{os.getpid()}n")
    for family in ("ipv4", "ipv6"):
        node.sysctl(f"net.{family}.ip_nonlocal_bind", 1)
    yield node
    node.remove()


@pytest.mark.parametrize("host", ["10.96.0.10", "fd00:96::10"])
def test_an_upstream_is_not_taken_for_ourselves_because_its_address_can_be_bound(node, host):
    """With a block without `bind`, every upstream was left out as our own."""
    with node.entered():
        assert not Network(None).is_own(Endpoint(host), frozenset({("0.0.0.0", 53), ("::", 53)}))
