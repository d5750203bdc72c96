"""The host without rules, over links and addresses in memory: who holds what, and until when."""

import errno
import json
import os
import time
from ipaddress import ip_address as ip

import pytest

from nodecache.host import Host, HostError, HostOptions, leased_interface, privileges
from nodecache.host.commands import Command, Job
from tests.host.kernel import FakeNetlink

LOCAL, SERVICE = ip("169.254.20.10"), ip("10.96.0.10")

pytestmark = pytest.mark.skipif(
    not privileges.has_capability(privileges.CAP_NET_ADMIN),
    reason="needs CAP_NET_ADMIN, for check_needs asks for it",
)


@pytest.fixture
def kernel() -> FakeNetlink:
    return FakeNetlink()


@pytest.fixture
def host(kernel):
    options = HostOptions(addresses=(LOCAL, SERVICE), rules="none")
    host = Host(options, make_netlink=lambda: kernel)
    yield host
    host.close_in_child()


def lifetimes(kernel: FakeNetlink) -> dict:
    return {held.address: held.valid_seconds for held in kernel.held}


def test_checking_touches_nothing(host, kernel):
    host.check_needs()
    assert kernel.calls == []


def test_brought_up_the_leased_address_has_an_end_and_the_other_none(host, kernel):
    host.bring_up(100.0)
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 10}


def test_without_a_descriptor_for_the_kernels_notifications_the_host_is_brought_up(
    host, kernel, monkeypatch, caplog
):
    def refuse(_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(leased_interface, "LinkMonitor", refuse)
    host.bring_up(100.0)
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 10}
    assert "noticed late, each -syncinterval: Too many open files" in caplog.text


def test_renewing_extends_the_leased_address_alone(host, kernel):
    host.bring_up(100.0)
    kernel.calls.clear()
    host.renew(103.0)
    assert kernel.calls == [f"put {SERVICE} 10"]


def test_a_repair_gives_no_more_than_is_left_of_the_lease(host, kernel):
    host.bring_up(100.0)
    kernel.held.clear()
    host.sync(107.5)
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 3}


def test_a_lease_that_ran_out_is_not_repaired_but_renewed(host, kernel):
    host.bring_up(100.0)
    kernel.held = [held for held in kernel.held if held.address == LOCAL]
    host.sync(111.0)
    assert lifetimes(kernel) == {LOCAL: None}
    host.renew(111.5)
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 10}


def test_withdrawn_addresses_stay_away_whatever_is_compared(host, kernel):
    host.bring_up(100.0)
    host.withdraw(101.0)
    host.sync(102.0)
    host.renew(103.0)
    assert lifetimes(kernel) == {LOCAL: None}
    host.restore(104.0)
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 10}


def test_what_others_take_away_is_counted_as_a_repair(host, kernel):
    host.bring_up(100.0)
    kernel.links.clear()
    kernel.held.clear()
    host.sync(101.0)
    assert host.state()["repairs"] == {"link": 1, "address": 2, "rules": 0}


def test_an_error_is_counted_each_time_said_once_a_minute_and_tried_again(host, kernel, caplog):
    host.check_needs()
    kernel.refusal = errno.EBUSY
    host.bring_up(100.0)
    assert host.next_wake(100.0) == 101.0
    for now in (101.0, 103.0, 107.0):
        host.turn(now)
    assert host.state()["setup_errors"]["interface_add"] == 4
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    kernel.refusal = 0
    host.turn(120.0)
    assert lifetimes(kernel) == {LOCAL: None}
    assert host.state()["setup_errors"]["interface_add"] == 4


def test_without_rules_only_an_address_that_stays_is_probed(host):
    host.bring_up(100.0)
    assert host.probe_addresses(100.0) == (LOCAL,)


def test_given_back_nothing_is_repaired_and_at_last_the_link_goes(host, kernel):
    host.bring_up(100.0)
    host.release(101.0)
    kernel.held.clear()
    host.sync(102.0)
    host.turn(200.0)
    assert kernel.held == []
    assert host.is_settled
    host.remove_interface(201.0)
    assert kernel.links == {}


def test_detached_everything_stays_and_nothing_is_repaired_until_brought_up_again(host, kernel):
    host.bring_up(100.0)
    host.detach()
    kernel.calls.clear()
    host.renew(101.0)
    host.sync(102.0)
    host.turn(200.0)
    assert host.is_settled
    assert kernel.calls == []
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 10}
    kernel.held.clear()
    host.bring_up(201.0)
    assert lifetimes(kernel) == {LOCAL: None, SERVICE: 10}


def test_with_skipteardown_the_link_stays(kernel):
    options = HostOptions(addresses=(LOCAL,), rules="none", skip_teardown=True)
    host = Host(options, make_netlink=lambda: kernel)
    host.bring_up(100.0)
    host.release(101.0)
    host.remove_interface(101.0)
    assert lifetimes(kernel) == {LOCAL: None}
    host.close_in_child()


def test_without_pyroute2_the_flag_that_needs_none_is_named():
    def missing():
        raise ImportError("pyroute2 is not installed")

    host = Host(HostOptions(addresses=(LOCAL,), rules="none"), make_netlink=missing)
    with pytest.raises(HostError, match="pyroute2 is not installed; -setupinterface=false"):
        host.check_needs()
    host.close_in_child()


def test_the_state_is_ready_for_json(host):
    host.bring_up(100.0)
    state = json.loads(json.dumps(host.state()))
    assert state["lease"] == {"seconds": 10.0, "is_held": True, "renewals": 0}
    assert set(state["setup_errors"]) == {
        "configmap", "interface_add", "interface_check", "iptables", "iptables_lock"
    }  # fmt: skip


def test_what_is_not_done_in_time_is_told(host, caplog):
    def job() -> Job:
        yield Command(("sleep", "60"), "", 0.2)

    host._runner.add("leave", job())
    host._runner.add("later", job())
    host._runner.turn(time.monotonic())
    assert not host.settle(0.0)
    assert "packet rules may be left: not done in 0 s: sleep 60, later" in caplog.text
    host.detach()
    assert host.settle(60)
