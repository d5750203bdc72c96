import json
from ipaddress import ip_address as ip

import pytest

from nodecache.host import HostOptions
from nodecache.host.commands import Command, Result
from nodecache.host.nftables import (
    NftTable,
    RulesError,
    read_listing,
    remove_script,
    table_script,
)

OPTIONS = HostOptions(addresses=(ip("169.254.20.10"), ip("10.96.0.10"), ip("fd00::10")))


class Kernel:
    """Stands for nft and the kernel: keeps the last script, and lists it back."""

    def __init__(self) -> None:
        self.table = ""
        self.applied = 0
        self.refusal = ""
        self.handle = 0

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
            case ("-f", "-"):
                self.applied += 1
                self.table = command.stdin if "chain" in command.stdin else ""
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
        entries = [{"metainfo": {}}, {"counter": counter}, {"rule": {"text": self.table}}]
        return Result(0, json.dumps({"nftables": entries}))


def test_the_script_replaces_the_whole_table_and_names_no_other():
    script = table_script(OPTIONS)
    assert script.startswith("add table inet nodecache\ndelete table inet nodecache\n")
    assert [line for line in script.splitlines() if "table" in line][2:] == [
        "table inet nodecache {"
    ]


def test_addresses_are_in_sets_so_more_of_them_bring_no_more_rules():
    one = table_script(HostOptions(addresses=(ip("10.96.0.10"),)))
    two = table_script(HostOptions(addresses=(ip("10.96.0.10"), ip("169.254.20.10"))))
    assert one.count("notrack") == two.count("notrack") == 8
    assert "elements = { 10.96.0.10, 169.254.20.10 }" in two


def test_every_rule_matches_only_while_its_address_is_local():
    rules = [line for line in table_script(OPTIONS).splitlines() if "notrack" in line]
    assert len(rules) == 16
    assert all("fib daddr type local" in rule or "fib saddr type local" in rule for rule in rules)


def test_a_fallback_is_a_dnat_while_the_address_is_not_local():
    options = HostOptions(addresses=(ip("169.254.20.10"),), fallback=(ip("10.96.0.10"),))
    lines = [line for line in table_script(options).splitlines() if "dnat" in line]
    assert len(lines) == 4
    assert all("fib daddr type != local" in line and "to 10.96.0.10:53" in line for line in lines)


def test_counters_go_on_from_where_they_were():
    assert "counter output_udp_to_dns { packets 42 bytes 0 }" in table_script(
        OPTIONS, {"output_udp_to_dns": 42}
    )


def test_a_table_that_is_as_we_left_it_is_not_touched_again():
    kernel, table = Kernel(), NftTable(OPTIONS)
    kernel.run(table.ensure())
    kernel.run(table.ensure())
    assert (kernel.applied, table.repairs) == (1, 0)
    assert table.packets == {"prerouting_udp_to_dns": 14}


@pytest.mark.parametrize("now_listed", ["", "table inet nodecache { # less }"])
def test_a_table_that_was_changed_or_removed_is_put_back_and_counted(now_listed):
    kernel, table = Kernel(), NftTable(OPTIONS)
    kernel.run(table.ensure())
    whole = kernel.table
    kernel.table = now_listed
    kernel.run(table.ensure())
    assert kernel.table == whole
    assert table.repairs == 1


def test_a_table_left_by_a_former_life_is_replaced_and_not_counted_as_a_repair():
    kernel, table = Kernel(), NftTable(OPTIONS)
    kernel.table = "table inet nodecache { chain old }"
    kernel.run(table.ensure())
    assert "old" not in kernel.table
    assert table.repairs == 0


def test_what_nft_refuses_is_told_with_the_way_round():
    kernel = Kernel()
    kernel.refusal = "\nError: Operation not permitted\nmore"
    with pytest.raises(RulesError, match="nft: Error: Operation not permitted; -rules iptables"):
        kernel.run(NftTable(OPTIONS).ensure())


def test_removing_is_fine_whether_the_table_is_there_or_not():
    assert remove_script() == "add table inet nodecache\ndelete table inet nodecache\n"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"nftables": [{"counter": {}}]}', "null"])
def test_an_unreadable_listing_is_none(text):
    assert read_listing(text) is None
