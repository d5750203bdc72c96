import json
from ipaddress import ip_address as ip

import pytest

from nodecache.host import Endpoint, FailOpen, HostOptions
from nodecache.host.commands import Command, Result
from nodecache.host.nft_script import Contents, left_script, remove_script, table_script
from nodecache.host.nftables import NftTable, RulesError, read_listing
from nodecache.host.pods import PodList

OPTIONS = HostOptions(addresses=(ip("169.254.20.10"), ip("10.96.0.10"), ip("fd00::10")))


POD, POD6 = Endpoint(ip("10.244.2.2"), 53), Endpoint(ip("fd00:244::2"), 5353)


class Kernel:
    """Stands for nft and the kernel: keeps the last script, and lists it back."""

    def __init__(self) -> None:
        self.table = ""
        self.applied = 0
        self.refusal = ""
        self.handle = 0
        self.changed = ""
        self.connections: list[dict] = []
        self.change_of_others = ""  # made right after the next one of ours

    def run(self, job) -> None:
        result = None
        while True:
            try:
                result = self.answer(job.send(result))
            except StopIteration:
                return

    def answer(self, command: Command) -> Result:
        match command.argv[1:]:
            case ("-j", "list", "table", "inet", "nodecache"):
                return self.listed()
            case ("-f", "-") if self.refusal:
                return Result(1, stderr=self.refusal)
            case ("-f", "-") if "chain" not in command.stdin and "flush map" in command.stdin:
                self.changed = command.stdin
                return Result(0)
            case ("-f", "-"):
                self.applied += 1
                self.table = command.stdin if "chain" in command.stdin else ""
                self.table, self.change_of_others = self.change_of_others or self.table, ""
                return Result(0)
        raise AssertionError(command)

    def listed(self) -> Result:
        if not self.table:
            return Result(1, stderr="Error: No such file or directory")
        self.handle += 1
        counter = {
            "name": "prerouting_udp_to_dns",
            "packets": 7 * self.handle,
            "handle": self.handle,
        }
        elsewhere = {"name": "elsewhere4", "flags": ["timeout", "dynamic"], "timeout": 120}
        if self.connections:
            elsewhere["elem"] = [{"elem": connection} for connection in self.connections]
        entries = [
            {"metainfo": {}}, {"counter": counter}, {"set": elsewhere}, {"rule": {"text": self.table.partition("chain")[2]}}
        ]  # fmt: skip
        return Result(0, json.dumps({"nftables": entries}))


def test_the_script_replaces_the_whole_table_and_names_no_other():
    script = table_script(OPTIONS, FailOpen.SOCKET)
    assert script.startswith("add table inet nodecache\ndelete table inet nodecache\n")
    assert [line for line in script.splitlines() if "table" in line][2:] == [
        "table inet nodecache {"
    ]


def test_addresses_are_in_sets_so_more_of_them_bring_no_more_rules():
    one = table_script(HostOptions(addresses=(ip("10.96.0.10"),)), FailOpen.LEASE)
    two = table_script(
        HostOptions(addresses=(ip("10.96.0.10"), ip("169.254.20.10"))), FailOpen.LEASE
    )
    assert one.count("notrack") == two.count("notrack") == 8
    assert "elements = { 10.96.0.10, 169.254.20.10 }" in two


@pytest.mark.parametrize("fail_open", FailOpen)
def test_every_rule_matches_only_while_its_address_is_local(fail_open):
    rules = [li for li in table_script(OPTIONS, fail_open).splitlines() if "notrack" in li]
    assert len(rules) == 16
    assert all("fib daddr type local" in rule or "fib saddr type local" in rule for rule in rules)


@pytest.mark.parametrize("fail_open", FailOpen)
def test_a_query_is_drawn_only_while_a_socket_of_ours_is_bound_where_the_kernel_can_tell(fail_open):
    drawn = [
        line
        for line in table_script(OPTIONS, fail_open).splitlines()
        if "notrack" in line and "prerouting" in line
    ]
    assert len(drawn) == 4
    is_by_socket = fail_open is FailOpen.SOCKET
    assert [("socket transparent 1" in line) for line in drawn] == [is_by_socket] * 4


def dnats(options: HostOptions, fail_open: FailOpen) -> list[str]:
    return [li for li in table_script(options, fail_open).splitlines() if "dnat ip" in li]


def test_by_lease_a_link_local_address_falls_back_while_it_is_not_local_and_no_other_does():
    local = (ip("169.254.20.10"), ip("10.96.0.10"))
    assert dnats(HostOptions(addresses=local), FailOpen.LEASE) == []
    lines = dnats(HostOptions(addresses=local, fallback=(ip("10.96.0.10"),)), FailOpen.LEASE)
    assert len(lines) == 8  # to a pod or else the Service, by UDP and TCP, for pods and the node
    assert all("169.254.20.10" in line and "fib daddr type != local" in line for line in lines)


def test_by_socket_every_address_falls_back_to_a_pod_and_then_to_the_service_that_was_given():
    local = (ip("169.254.20.10"), ip("10.96.0.10"))
    lines = dnats(HostOptions(addresses=local, fallback=(ip("10.96.0.10"),)), FailOpen.SOCKET)
    of_local = [line for line in lines if "daddr @addresses4" in line and "prerouting_udp" in line]
    assert "map @dns_pods4" in of_local[0]
    assert "fib" not in of_local[0]
    assert any("ip daddr 169.254.20.10" in line and "to 10.96.0.10:53" in line for line in lines)


def test_while_it_drains_nothing_puts_an_address_among_those_that_answer():
    for fail_open, drawn in ((FailOpen.SOCKET, 8), (FailOpen.LEASE, 0)):
        script = table_script(OPTIONS, fail_open, is_draining=True)
        assert "update @answering" not in script
        lines = [line for line in script.splitlines() if "notrack" in line]
        assert len([line for line in lines if "daddr" in line and "health" not in line]) == drawn
        assert len([line for line in lines if "saddr" in line]) == 6


FOUND = {"dns_pods4": ["0 timeout 900s : 10.244.2.2 . 53"]}


def test_a_clean_stop_leaves_what_expires_and_passes_over_addresses_that_somebody_has_put_up():
    script = left_script(OPTIONS, FailOpen.SOCKET, Contents({}, FOUND))
    assert "notrack" not in script
    assert "169.254.20.10 timeout 900s, 10.96.0.10 timeout 900s" in script
    assert "fd00::10 timeout 900s" in script
    sent = [line for line in script.splitlines() if "dnat ip" in line]
    assert len(sent) == 8
    assert all("daddr @addresses" in line and "fib daddr type != local" in line for line in sent)


@pytest.mark.parametrize("fail_open", FailOpen)
def test_a_service_that_is_fallen_back_to_is_left_for_as_long(fail_open):
    local = (ip("169.254.20.10"), ip("10.96.0.10"))
    options = HostOptions(addresses=local, fallback=(ip("10.96.0.10"),))
    script = left_script(options, fail_open, Contents())
    to_service = [line for line in script.splitlines() if "to 10.96.0.10:53" in line]
    assert len(to_service) == 4
    assert all("ip daddr 169.254.20.10 ip daddr @addresses4" in line for line in to_service)


def test_where_queries_could_be_sent_nowhere_nothing_is_left():
    nowhere = Contents({}, {"dns_pods4": [], "elsewhere4": []})
    assert left_script(OPTIONS, FailOpen.SOCKET, nowhere) == remove_script()
    assert left_script(OPTIONS, FailOpen.LEASE, Contents({}, FOUND)) == remove_script()


def test_counters_go_on_from_where_they_were():
    contents = Contents({"output_udp_to_dns": 42})
    script = table_script(OPTIONS, FailOpen.SOCKET, contents)
    assert "counter output_udp_to_dns { packets 42 bytes 0 }" in script


def test_a_table_that_is_as_we_left_it_is_not_touched_again():
    kernel, table = Kernel(), NftTable(OPTIONS, FailOpen.SOCKET)
    kernel.run(table.ensure(0.0))
    kernel.run(table.ensure(0.0))
    assert (kernel.applied, table.repairs) == (1, 0)
    assert table.packets == {"prerouting_udp_to_dns": 14}


@pytest.mark.parametrize("now_listed", ["", "table inet nodecache { # less }"])
def test_a_table_that_was_changed_or_removed_is_put_back_and_counted(now_listed):
    kernel, table = Kernel(), NftTable(OPTIONS, FailOpen.SOCKET)
    kernel.run(table.ensure(0.0))
    whole = kernel.table
    kernel.table = now_listed
    kernel.run(table.ensure(0.0))
    assert kernel.table.partition("chain")[2] == whole.partition("chain")[2]
    assert table.repairs == 1


def test_a_table_that_is_changed_again_right_after_it_was_put_back_is_put_back_again():
    kernel, table = Kernel(), NftTable(OPTIONS, FailOpen.SOCKET)
    kernel.run(table.ensure(0.0))
    whole = kernel.table
    kernel.table, kernel.change_of_others = "", "table inet nodecache { # less }"
    kernel.run(table.ensure(1.0))
    assert kernel.table.partition("chain")[2] == whole.partition("chain")[2]
    before = kernel.applied
    kernel.run(table.ensure(2.0))
    assert kernel.applied == before


def test_a_table_left_by_a_former_life_is_replaced_and_not_counted_as_a_repair():
    kernel, table = Kernel(), NftTable(OPTIONS, FailOpen.SOCKET)
    kernel.table = "table inet nodecache { chain old }"
    kernel.run(table.ensure(0.0))
    assert "old" not in kernel.table
    assert table.repairs == 0


CONNECTION = {"val": {"concat": ["10.244.1.2", 4242, "10.96.0.10"]}, "expires": 77}


def test_connections_that_went_elsewhere_are_no_change_of_the_table(kernel_and_table):
    kernel, table = kernel_and_table
    kernel.connections.append(CONNECTION)
    kernel.run(table.ensure(1.0))
    assert (kernel.applied, table.repairs) == (1, 0)


def test_elements_in_an_unknown_form_are_left_out_and_the_rest_is_read(kernel_and_table):
    kernel, table = kernel_and_table
    kernel.connections.append({"val": "?"})
    kernel.run(table.ensure(1.0))
    assert (kernel.applied, table.repairs) == (1, 0)


def test_connections_that_went_elsewhere_stay_known_when_the_table_is_replaced(kernel_and_table):
    kernel, _ = kernel_and_table
    kernel.connections.append(CONNECTION)
    kernel.run(NftTable(OPTIONS, FailOpen.SOCKET).ensure(0.0))
    assert kernel.applied == 2
    assert "elements = { 10.244.1.2 . 4242 . 10.96.0.10 timeout 77s }" in kernel.table


def test_a_list_of_pods_changes_the_maps_alone_and_fills_every_slot(kernel_and_table):
    kernel, table = kernel_and_table
    kernel.run(table.set_pods(PodList((POD, POD6), until=910.0), 10.0))
    assert kernel.applied == 1
    assert kernel.changed.count("timeout 900s : 10.244.2.2 . 53") == 64
    assert kernel.changed.count("timeout 900s : fd00:244::2 . 5353") == 64


def test_a_table_put_back_knows_the_pods_for_what_was_left_of_their_time(kernel_and_table):
    kernel, table = kernel_and_table
    kernel.run(table.set_pods(PodList((POD,), until=910.0), 10.0))
    kernel.table = "table inet nodecache { # less }"
    kernel.run(table.ensure(610.0))
    assert kernel.table.count("timeout 300s : 10.244.2.2 . 53") == 64


def test_at_first_all_addresses_count_as_answering_and_when_put_back_those_of_the_kernel():
    kernel, table = Kernel(), NftTable(OPTIONS, FailOpen.SOCKET)
    kernel.run(table.ensure(0.0))
    full = "set answering6 { type ipv6_addr; size 256; flags dynamic,timeout; timeout 3s; elements"
    assert full in kernel.table
    kernel.table = "table inet nodecache { # less }"
    kernel.run(table.ensure(0.0))
    assert full not in kernel.table


def test_a_clean_stop_takes_the_pods_and_connections_that_are_known_with_it(kernel_and_table):
    kernel, table = kernel_and_table
    kernel.connections.append(CONNECTION)
    kernel.run(table.set_pods(PodList((POD,), until=910.0), 10.0))
    kernel.run(table.stop_intercepting(20.0))
    assert kernel.table.count("timeout 890s : 10.244.2.2 . 53") == 64
    kernel.run(table.leave_fallbacks(30.0))
    assert kernel.table.count("timeout 880s : 10.244.2.2 . 53") == 64
    assert "10.244.1.2 . 4242 . 10.96.0.10 timeout 77s" in kernel.table
    assert "notrack" not in kernel.table


@pytest.fixture
def kernel_and_table():
    kernel, table = Kernel(), NftTable(OPTIONS, FailOpen.SOCKET)
    kernel.run(table.ensure(0.0))
    return kernel, table


def test_what_nft_refuses_is_told_with_the_way_round():
    kernel = Kernel()
    kernel.refusal = "\nError: Operation not permitted\nmore"
    with pytest.raises(RulesError, match="nft: Error: Operation not permitted; -rules iptables"):
        kernel.run(NftTable(OPTIONS, FailOpen.SOCKET).ensure(0.0))


def test_removing_is_fine_whether_the_table_is_there_or_not():
    assert remove_script() == "add table inet nodecache\ndelete table inet nodecache\n"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"nftables": [{"counter": {}}]}', "null"])
def test_an_unreadable_listing_is_none(text):
    assert read_listing(text) is None
