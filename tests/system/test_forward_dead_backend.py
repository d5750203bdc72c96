"""One of two kube-dns pods falls silent while new names are asked for. Figures are printed (-s)."""

import time

import pytest

from tests.needs import need, need_root
from tests.system.backends import SERVICE, Dnsperf, agent

pytestmark = pytest.mark.system

need_root()
need("dnsperf", package="dnsperf")
need("unbound", package="unbound")
need("dig", package="bind9-dnsutils")
need("nft", package="nftables")

RATE, SECONDS = 200, 8
COREFILE = ". {{\n bind 127.0.0.1\n cache 30\n errors\n forward . {to} {{\n {option}\n }}\n}}\n"
# What those would wait that met the dead pod: CoreDNS's read time-out, here and in the original.
TIME_OUT_SECONDS = 2.0


@pytest.mark.parametrize("way", ["drops", "hangs"])
@pytest.mark.parametrize("option", ["force_tcp", "prefer_udp"])
def test_nobody_waits_long_for_a_dead_pod_behind_the_service_address(pods, tmp_path, option, way):
    assert_nobody_waits_long(pods, tmp_path, SERVICE, option, way)


@pytest.mark.parametrize("option", ["force_tcp", "prefer_udp"])
def test_nobody_waits_long_for_a_dead_upstream_of_two(pods, tmp_path, option):
    _, first, second = pods
    both = f"{first.address} {second.address}"
    assert_nobody_waits_long(pods, tmp_path, both, option, "drops")


def assert_nobody_waits_long(pods, folder, to, option, way):
    node, first, _ = pods
    with agent(node, folder, COREFILE.format(to=to, option=option)):
        load = Dnsperf(node, folder, RATE, SECONDS)
        time.sleep(2)
        begin, end = {
            "drops": (first.drop_everything, first.come_back),
            "hangs": (first.hang, first.go_on),
        }[way]
        begin()
        try:
            result = load.result()
        finally:
            end()
    print(f"\n{option}, upstream {to}, one of two {way}: {result}")
    assert result.lost == 0
    # Each attempt meets the dead pod with the chance of one half: for one query all of them may.
    assert result.rcodes["NOERROR"] >= 0.995 * RATE * SECONDS
    assert result.quantile(0.99) < TIME_OUT_SECONDS
