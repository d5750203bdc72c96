"""The two C programs of the bench, with dnspython as the judge of what they say."""

import struct
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from bench import build, processes
from tests.needs import need

pytestmark = pytest.mark.system
CORE = 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    need("gcc", package="gcc")
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Iterator[int]:
    program = build.compile_program("upstream", folder)
    port = processes.free_port()
    argv = [str(program), str(port), str(folder / "counts")]
    with processes.running(argv, CORE, folder / "log") as pid:
        processes.wait_until_it_answers(port, pid)
        yield port


def ask(port: int, name: str, qtype: str = "A", *, is_stream: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, qtype, use_edns=0)
    by = dns.query.tcp if is_stream else dns.query.udp
    return by(query, "127.0.0.1", port=port, timeout=5)


@pytest.mark.parametrize("is_stream", [False, True], ids=["udp", "tcp"])
def test_upstream_gives_an_address_with_the_ttl_that_the_name_asks_for(upstream, is_stream):
    answer = ask(upstream, "svc.t30", is_stream=is_stream)
    assert answer.answer[0].to_text() == "svc.t30. 30 IN A 192.0.2.1"
    assert answer.edns == 0


def test_upstream_denies_names_under_nx_with_an_soa(upstream):
    answer = ask(upstream, "a.b.nx")
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.authority[0].name.to_text() == "nx."


def test_upstream_has_an_alias_and_the_address_behind_it(upstream):
    answer = ask(upstream, "svc.alias", "AAAA")
    assert [rrset.to_text() for rrset in answer.answer] == [
        "svc.alias. 3600 IN CNAME real.alias.",
        "real.alias. 3600 IN AAAA c000:201::",
    ]


def test_upstream_has_a_service(upstream):
    answer = ask(upstream, "_dns._tcp.svc", "SRV")
    assert answer.answer[0].to_text() == "_dns._tcp.svc. 3600 IN SRV 0 100 53 pod."


def test_upstream_has_no_record_of_other_types(upstream):
    answer = ask(upstream, "svc.cluster.local", "MX")
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].name.to_text() == "local."


@pytest.mark.parametrize("is_stream", [False, True], ids=["udp", "tcp"])
def test_upstream_answers_late_under_slow(upstream, is_stream):
    assert ask(upstream, "a.slow", is_stream=is_stream).time >= 0.09


def test_upstream_says_nothing_under_dead(upstream):
    query = dns.message.make_query("a.dead", "A")
    with pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, "127.0.0.1", port=upstream, timeout=0.3)


def test_upstream_counts_what_it_is_asked(upstream, folder):
    before = struct.unpack("=QQ", (folder / "counts").read_bytes())
    ask(upstream, "svc.cluster.local")
    ask(upstream, "svc.cluster.local", is_stream=True)
    after = struct.unpack("=QQ", (folder / "counts").read_bytes())
    assert [late - early for early, late in zip(before, after, strict=True)] == [1, 1]


def test_floor_answers_and_its_time_and_memory_can_be_read(folder):
    program = build.compile_program("floor", folder)
    port = processes.free_port()
    with processes.running([str(program), str(port)], CORE, folder / "floor.log") as pid:
        processes.wait_until_it_answers(port, pid)
        assert ask(port, "svc.cluster.local").answer
        assert processes.cpu_seconds(processes.tree(pid)) > 0
        assert processes.memory_octets(processes.tree(pid)) > 0
    assert processes.is_zombie(pid)
