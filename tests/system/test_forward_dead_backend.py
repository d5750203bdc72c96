"""One of two kube-dns pods behind the Service address falls silent while new names are asked for."""

import time

import pytest

from tests.needs import need, need_root
from tests.system.backends import SERVICE, Dnsperf, agent, cluster

pytestmark = pytest.mark.system

need_root()
need("dnsperf", package="dnsperf")
need("unbound", package="unbound")
need("dig", package="bind9-dnsutils")
need("nft", package="nftables")

RATE, SECONDS = 500, 8
COREFILE = (
    ". {{\n bind 127.0.0.1\n cache 30\n errors\n forward . {service} {{\n {option}\n }}\n}}\n"
)
# 300 ms is what the client may notice; the machine of a test may be busy besides.
MOST_SECONDS = 0.3


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("pods")) as found:
        yield found


@pytest.mark.parametrize("option", ["force_tcp", "prefer_udp"])
def test_nobody_waits_long_when_a_pod_drops_every_packet(pods, tmp_path, option):
    node, first, _ = pods
    corefile = COREFILE.format(service=SERVICE, option=option)
    with agent(node, tmp_path, corefile):
        load = Dnsperf(node, tmp_path, RATE, SECONDS)
        time.sleep(2)
        first.drop_everything()
        try:
            result = load.result()
        finally:
            first.come_back()
    print(f"{option}, pod cut off: {result}")
    assert result.lost == 0
    assert result.rcodes == {"NOERROR": RATE * SECONDS}
    assert result.quantile(1.0) < MOST_SECONDS
