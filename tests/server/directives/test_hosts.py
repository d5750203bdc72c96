import logging
import os
from ipaddress import ip_address

import dns.reversename
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodecache.corefile import HostsOptions, parse
from nodecache.server.directives.hosts import Hosts, read_hosts_files
from nodecache.server.directives.hosts_file import (
    HostsFile,
    HostsMap,
    hosts_file,
    parse_hosts,
    reversed_address,
)
from nodecache.server.zone_names import ZoneNames
from nodecache.wire import wire_of
from tests.server.chains import answer, below, lines, query, rcode_of, run, told

LINES = """\
127.0.0.1 localhost localhost.domain
::1 localhost localhost.domain
10.0.0.1 example.org   # a comment
::FFFF:10.0.0.2 example.com
10.0.0.3 multi.example.org
10.0.0.4 multi.example.org
reload 5s
timeout 3600
10.0.0.5
10.0.0.6 *.wild.example.org
fe80::1%lo0 link.local
""".splitlines()
PASSED = object()


def hosts(*, file="/nonexistent", **more) -> Hosts:
    return Hosts(HostsOptions(file=file, inline=LINES, **more), ["."])


def ask(directive: Hosts, qname: str, qtype: str = "A"):
    asked = query(qname, qtype)
    upstream = answer(asked)
    result = run(directive, asked, then=below(upstream))
    return PASSED if result is upstream else result


@pytest.mark.parametrize(
    ("qname", "qtype", "records"),
    [
        ("example.org.", "A", ["example.org. 3600 IN A 10.0.0.1"]),
        ("EXAMPLE.org.", "A", ["EXAMPLE.org. 3600 IN A 10.0.0.1"]),
        ("example.com.", "A", ["example.com. 3600 IN A 10.0.0.2"]),
        ("localhost.", "AAAA", ["localhost. 3600 IN AAAA ::1"]),
        ("link.local.", "AAAA", ["link.local. 3600 IN AAAA fe80::1"]),
        (
            "multi.example.org.",
            "A",
            ["multi.example.org. 3600 IN A 10.0.0.3", "multi.example.org. 3600 IN A 10.0.0.4"],
        ),
        ("a.wild.example.org.", "A", ["a.wild.example.org. 3600 IN A 10.0.0.6"]),
        ("1.0.0.10.in-addr.arpa.", "PTR", ["1.0.0.10.in-addr.arpa. 3600 IN PTR example.org."]),
        (
            dns.reversename.from_address("::1").to_text(),
            "PTR",
            [
                f"{dns.reversename.from_address('::1').to_text()} 3600 IN PTR localhost.",
                f"{dns.reversename.from_address('::1').to_text()} 3600 IN PTR localhost.domain.",
            ],
        ),
        ("example.org.", "AAAA", []),
        ("example.org.", "MX", []),
        ("a.wild.example.org.", "TXT", []),
    ],
)
def test_hosts_lines_answer(qname, qtype, records):
    reply = told(ask(hosts(), qname, qtype))
    assert lines(reply.answer) == records
    assert dns.flags.to_text(reply.flags) == "QR AA RD"
    assert reply.authority == []


@pytest.mark.parametrize(
    ("qname", "qtype"),
    [
        ("nope.org.", "A"),
        ("wild.example.org.", "A"),
        ("a.b.wild.example.org.", "A"),
        ("nope.", "MX"),
    ],
)
def test_an_unknown_name_is_a_server_failure(qname, qtype):
    result = ask(hosts(), qname, qtype)
    assert rcode_of(result) == "SERVFAIL"
    assert result.reason == ""


def test_an_unknown_name_passes_on_where_it_may():
    directive = hosts(fallthrough_zones=["org."])
    assert ask(directive, "nope.org.") is PASSED
    assert rcode_of(ask(directive, "nope.com.")) == "SERVFAIL"


def test_an_unknown_address_always_passes_on():
    assert ask(hosts(), "9.9.9.9.in-addr.arpa.", "PTR") is PASSED
    assert ask(hosts(), "not.an.address.in-addr.arpa.", "PTR") is PASSED


def test_names_outside_the_zones_pass_on():
    directive = hosts(zones=["example.org."])
    assert ask(directive, "example.com.") is PASSED
    assert ask(directive, "localhost.") is PASSED
    assert lines(told(ask(directive, "example.org.")).answer)


def test_addresses_of_names_in_the_zones_turn_back_wherever_they_lie():
    directive = hosts(zones=["example.org."])
    assert told(ask(directive, "1.0.0.10.in-addr.arpa.", "PTR")).answer
    assert ask(directive, "2.0.0.10.in-addr.arpa.", "PTR") is PASSED


def test_other_types_of_known_names_pass_on_where_that_is_wanted():
    directive = hosts(fallthrough_zones=["."], fallthrough_unsupported=True)
    assert ask(directive, "example.org.", "MX") is PASSED
    assert told(ask(directive, "example.org.", "AAAA")).answer == []


def test_no_reverse_names_where_they_are_not_wanted():
    assert ask(hosts(has_reverse=False), "1.0.0.10.in-addr.arpa.", "PTR") is PASSED


def test_ttl_is_the_directives():
    assert told(ask(hosts(ttl=7), "example.org.")).answer[0].ttl == 7


def test_the_file_comes_before_the_lines_of_the_corefile(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("10.0.0.9 example.org\n")
    directive = hosts(file=str(file))
    directive.refresh()
    reply = told(ask(directive, "example.org."))
    assert [str(record[0]) for record in reply.answer] == ["10.0.0.9", "10.0.0.1"]
    assert len(directive) == len(hosts()) + 2


def test_a_changed_file_is_read_again_and_a_lost_one_is_kept(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("10.0.0.9 a\n")
    read = HostsFile(str(file), ["."], has_reverse=True)
    assert read.refresh()
    assert not read.refresh()
    before = read.hosts
    file.write_text("10.0.0.10 a\n")
    os.utime(file, (1, 1))
    assert read.refresh()
    assert read.changed_at == 1
    assert read.hosts.addresses(wire_of("a."), is_ipv6=False) == [b"\x0a\0\0\x0a"]
    assert not before.ipv4
    file.unlink()
    assert not read.refresh()
    assert read.hosts.ipv4


def test_a_file_that_several_blocks_use_is_read_by_one_thread_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "hosts"
    path.write_text("\n".join(LINES))
    file = HostsFile(str(path), ["."], has_reverse=True)
    others: list[bool] = []

    def parsed(lines, zones, *, has_reverse):
        others.append(file.refresh())  # as another thread does meanwhile
        return parse_hosts(lines, zones, has_reverse=has_reverse)

    monkeypatch.setattr("nodecache.server.directives.hosts_file.parse_hosts", parsed)
    assert file.refresh()
    assert others == [False]


def test_those_who_want_the_same_of_a_file_share_it_as_long_as_anybody_does():
    mine, ours = (hosts_file("/hosts", ["a."], has_reverse=True) for _ in range(2))
    assert mine is ours
    assert hosts_file("/hosts", ["b."], has_reverse=True) is not mine
    assert hosts_file("/hosts", ["a."], has_reverse=False) is not mine
    mine.changed_at = 7
    del mine, ours
    assert hosts_file("/hosts", ["a."], has_reverse=True).changed_at == 0


def test_what_was_read_ahead_is_not_read_again(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("10.0.0.9 a\n")
    text = f".:53 {{\n hosts {file}\n}}\n.:54 {{\n hosts /nope\n}}\n.:55 {{\n whoami\n}}"
    blocks = parse(text, "Corefile", env={}, default_port=53).blocks
    held = read_hosts_files(blocks)
    file.unlink()
    directive = Hosts(blocks[0].hosts, blocks[0].zone_names)
    directive.begin()
    assert directive.file is held[0]
    assert len(directive) == 2


def test_a_missing_file_and_a_folder_are_told_at_start(tmp_path, caplog):
    hosts(file=str(tmp_path)).begin()
    hosts(file=str(tmp_path / "nope")).begin()
    unreadable, folder, missing = caplog.messages
    assert "Unable to access" in unreadable
    assert "is a directory" in folder
    assert "does not exist" in missing
    assert caplog.records[0].levelno == logging.WARNING


@given(st.one_of(st.ip_addresses().map(str), st.text("0123456789abcdef.:%", max_size=20)))
@example("::ffff:10.0.0.1")
@example("010.0.0.1")
@example("fe80::1%eth0")
def test_addresses_are_read_as_the_standard_library_reads_them(text):
    try:
        address = ip_address(text.partition("%")[0])
        expected = (getattr(address, "ipv4_mapped", None) or address).packed
    except ValueError:
        expected = None
    read = parse_hosts([f"{text} a"], ZoneNames(["."]), has_reverse=True)
    found = [*read.ipv4.values(), *read.ipv6.values()]
    assert found == ([] if expected is None else [[expected]])


def test_entries_are_counted_as_the_original_does():
    hosts_map = parse_hosts(
        ["10.0.0.1 a b", "::1 a", "10.0.0.2 *.c"], ZoneNames(["."]), has_reverse=True
    )
    assert len(hosts_map) == 4 + 3
    assert len(HostsMap()) == 0


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::"])
def test_reverse_names_lead_to_their_address(address):
    qname = dns.reversename.from_address(address).to_wire()
    packed = reversed_address(qname)
    assert dns.reversename.from_address(address).to_wire() == qname
    assert packed is not None
    from ipaddress import ip_address

    assert str(ip_address(packed)) == address


@pytest.mark.parametrize(
    "qname",
    [
        "example.org.",
        "in-addr.arpa.",
        "1.2.3.in-addr.arpa.",
        "300.1.2.3.in-addr.arpa.",
        "1.ip6.arpa.",
    ],
)
def test_other_names_lead_to_no_address(qname):
    assert reversed_address(wire_of(qname)) is None
