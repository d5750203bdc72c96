import errno
from ipaddress import ip_address as ip

import pytest

from nodecache.host import HostError, HostOptions
from nodecache.host.interface import Interface
from nodecache.host.netlink import Link, LinkAddress
from tests.host.kernel import FakeNetlink

LOCAL, SERVICE, OTHER = ip("169.254.20.10"), ip("10.96.0.10"), ip("192.0.2.1")
OPTIONS = HostOptions(addresses=(LOCAL, SERVICE))
WANTED = {LOCAL: 0, SERVICE: 10}
ALIAS = f"nodecache {LOCAL} {SERVICE}"


@pytest.fixture
def kernel() -> FakeNetlink:
    return FakeNetlink()


def interface(kernel: FakeNetlink) -> Interface:
    return Interface(OPTIONS, kernel)


def left_behind(kernel: FakeNetlink, *, kind="dummy", alias=ALIAS, is_up=True, held=()) -> None:
    kernel.links["nodelocaldns"] = Link(9, "nodelocaldns", kind, is_up, alias)
    kernel.held = [LinkAddress(address, size, 9, None) for address, size in held]


def on_ours(kernel: FakeNetlink) -> set:
    index = kernel.links["nodelocaldns"].index
    return {(held.address, held.valid_seconds) for held in kernel.held if held.index == index}


def test_the_link_is_made_up_with_its_addresses_and_says_whose_it_is(kernel):
    interface(kernel).ensure(WANTED)
    link = kernel.links["nodelocaldns"]
    assert (link.kind, link.is_up, link.alias) == ("dummy", True, ALIAS)
    assert on_ours(kernel) == {(LOCAL, None), (SERVICE, 10)}


def test_a_second_look_changes_nothing(kernel):
    ours = interface(kernel)
    ours.ensure(WANTED)
    kernel.calls.clear()
    assert not ours.ensure(WANTED)
    assert kernel.calls == []


def test_a_look_does_not_extend_a_lifetime(kernel):
    ours = interface(kernel)
    ours.ensure(WANTED)
    ours.ensure({LOCAL: 0, SERVICE: 3})
    assert on_ours(kernel) == {(LOCAL, None), (SERVICE, 10)}
    ours.renew((SERVICE,), 12.2)
    assert on_ours(kernel) == {(LOCAL, None), (SERVICE, 13)}


def test_an_endless_address_that_should_end_is_given_its_end(kernel):
    left_behind(kernel, held=[(LOCAL, 32), (SERVICE, 32)])
    interface(kernel).ensure(WANTED)
    assert on_ours(kernel) == {(LOCAL, None), (SERVICE, 10)}


def test_what_was_removed_is_put_back_and_counted(kernel):
    ours = interface(kernel)
    ours.ensure(WANTED)
    kernel.held.pop()
    kernel.links["nodelocaldns"] = Link(2, "nodelocaldns", "dummy", False, ALIAS)
    repairs = ours.ensure(WANTED)
    assert (repairs.link, repairs.address) == (1, 1)


def test_the_originals_link_is_taken_over_and_set_up(kernel):
    left_behind(kernel, alias="", is_up=False, held=[(LOCAL, 32)])
    ours = interface(kernel)
    ours.check()
    ours.ensure(WANTED)
    assert kernel.links["nodelocaldns"] == Link(9, "nodelocaldns", "dummy", True, ALIAS)
    assert "add_link" not in kernel.calls


def test_a_former_lifes_address_that_is_no_longer_wanted_is_removed(kernel):
    left_behind(kernel, alias=f"nodecache {OTHER}", held=[(OTHER, 32)])
    ours = interface(kernel)
    ours.ensure(WANTED)
    assert on_ours(kernel) == {(LOCAL, None), (SERVICE, 10)}
    assert ours.former == (OTHER,)


@pytest.fixture
def beside_the_next(kernel):
    """An agent beside the next one, which has other addresses: a rollout that changes -localip."""
    old, new = interface(kernel), Interface(HostOptions(addresses=(OTHER, SERVICE)), kernel)
    wanted = {OTHER: 0, SERVICE: 10}
    old.ensure(WANTED)
    new.ensure(wanted)
    old.ensure(WANTED)
    return old, lambda: new.ensure(wanted)


def test_two_agents_with_other_addresses_do_not_fight_over_them(kernel, beside_the_next):
    old, look_again = beside_the_next
    kernel.calls.clear()
    for _ in range(3):
        assert not look_again()
        assert not old.ensure(WANTED)
    assert kernel.calls == []
    assert on_ours(kernel) == {(LOCAL, None), (OTHER, None), (SERVICE, 10)}


def test_an_agent_that_ends_leaves_the_link_to_one_that_has_taken_it_over(kernel, beside_the_next):
    old, look_again = beside_the_next
    old.remove()
    assert on_ours(kernel) == {(OTHER, None), (SERVICE, 10)}
    assert not look_again()


def test_a_strangers_address_on_our_link_is_left_alone_and_told_once(kernel, caplog):
    left_behind(kernel, held=[(OTHER, 24)])
    ours = interface(kernel)
    ours.ensure(WANTED)
    ours.ensure(WANTED)
    assert (OTHER, None) in on_ours(kernel)
    assert caplog.text.count("192.0.2.1 on nodelocaldns is not ours") == 1


@pytest.mark.parametrize(
    ("left", "words"),
    [
        pytest.param({"kind": "veth"}, "of kind veth where dummy was asked for", id="kind"),
        pytest.param({"kind": ""}, "of kind physical", id="no kind"),
        pytest.param({"alias": "uplink"}, "as 'uplink'", id="alias"),
        pytest.param({"alias": "", "held": [(OTHER, 24)]}, "with 192.0.2.1/24", id="addresses"),
    ],
)
def test_a_link_that_is_not_ours_is_refused_and_left_as_it_was(kernel, left, words):
    left_behind(kernel, **left)
    ours = interface(kernel)
    for look in (ours.check, lambda: ours.ensure(WANTED)):
        with pytest.raises(HostError) as caught:
            look()
        assert words in str(caught.value)
        assert "-setupinterface=false" in str(caught.value)
    assert kernel.calls == []


@pytest.mark.parametrize("alias", [ALIAS, f"nodecache {SERVICE} {LOCAL}", "nodecache", ""])
def test_a_link_with_our_addresses_is_deleted_at_the_end(kernel, alias):
    """A successor that has given the node back may name them in another order, or had no room for them."""
    left_behind(kernel, alias=alias, held=[(LOCAL, 32)])
    interface(kernel).remove()
    assert kernel.links == {}


def test_a_foreign_link_is_not_deleted_at_the_end(kernel):
    left_behind(kernel, kind="veth")
    interface(kernel).remove()
    assert "nodelocaldns" in kernel.links


def test_an_address_of_another_link_is_not_added_and_comes_when_it_is_free(kernel, caplog):
    kernel.held = [LinkAddress(SERVICE, 32, 77, None)]
    ours = interface(kernel)
    ours.ensure(WANTED)
    ours.ensure(WANTED)
    assert on_ours(kernel) == {(LOCAL, None)}
    assert ours.refused == {SERVICE}
    ours.renew((SERVICE,), 10)
    assert on_ours(kernel) == {(LOCAL, None)}
    assert caplog.text.count("is held by another interface") == 1
    kernel.held = [held for held in kernel.held if held.index != 77]
    ours.ensure(WANTED)
    assert on_ours(kernel) == {(LOCAL, None), (SERVICE, 10)}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EPERM, "CAP_NET_ADMIN is missing"),
        (errno.EOPNOTSUPP, "no interfaces of kind dummy: choose another with -interfacekind"),
        (errno.EACCES, "IPv6 is switched off"),
        (errno.EBUSY, "refused"),
    ],
)
def test_the_kernels_errors_are_told_in_an_operators_words(kernel, code, words):
    kernel.refusal = code
    with pytest.raises(HostError) as caught:
        interface(kernel).ensure(WANTED)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_too_long_for_an_alias_leaves_the_mark_alone(kernel):
    addresses = tuple(ip(f"fd00:1111:2222:3333:4444:5555:6666:{number:x}") for number in range(9))
    ours = Interface(HostOptions(addresses=addresses), kernel)
    ours.ensure(dict.fromkeys(addresses, 0))
    assert kernel.links["nodelocaldns"].alias == "nodecache"
