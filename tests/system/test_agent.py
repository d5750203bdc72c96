"""The agent as a whole, from its command line: what a client, an operator and a kubelet see."""

import os
import select
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.helpers.agent import HOST, Agent, command, free_port, stock
from tests.helpers.prometheus import wait_until
from tests.helpers.upstream import FakeUpstream, delayed, obey, silent
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.system

RECORDS = """
a.example. 30 IN A 192.0.2.1
b.example. 30 IN A 192.0.2.2
big.example. 30 IN TXT "x"
"""


@pytest.fixture
def upstream():
    with FakeUpstream(RECORDS) as fake:
        yield fake


@pytest.fixture
def agent(tmp_path, upstream):
    with Agent(tmp_path, stock(upstream.address)) as running:
        yield running


def test_a_name_is_asked_upstream_once_and_then_answered_from_the_cache(agent, upstream):
    first = agent.ask("a.example.")
    upstream.behave = silent
    second = agent.ask("a.example.")
    assert first.answer == second.answer
    assert second.flags & dns.flags.AA
    assert {exchange.transport for exchange in upstream.asked} == {"tcp"}


def test_udp_and_tcp_are_one_cache(agent, upstream):
    query = dns.message.make_query("a.example.", "A")
    first = agent.tcp(query).answer
    upstream.behave = silent
    assert agent.udp(query).answer == first != []


def test_the_metrics_count_questions_that_joined_an_equal_one(tmp_path, upstream):
    upstream.behave = delayed(1.0)
    flags = ("-metrics-listen-address", f"{HOST}:{(page := free_port())}")
    with Agent(tmp_path, stock(upstream.address), *flags) as agent, agent.datagrams() as client:
        for _ in range(3):
            client.send(dns.message.make_query("a.example.", "A").to_wire())
        for _ in range(3):
            assert dns.message.from_wire(client.recv(4096)).answer
        with urllib.request.urlopen(f"http://{HOST}:{page}/metrics") as response:
            metrics = response.read().decode()
    assert "\nnodecache_coalesced_queries_total 2\n" in metrics


def test_the_letter_case_of_the_question_comes_back(agent):
    agent.ask("a.example.")
    reply = agent.ask("A.ExAmPlE.")
    assert reply.question[0].name.to_text() == "A.ExAmPlE."
    assert reply.answer[0].name.to_text() == "A.ExAmPlE."


def test_a_worker_that_is_killed_is_replaced_and_no_query_is_refused(agent):
    for _ in range(3):
        killed = agent.kill_worker()
        assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
        assert agent.worker != killed


def test_a_worker_that_hangs_is_killed_and_replaced(agent):
    hung = agent.kill_worker(signal.SIGSTOP)
    agent.wait_for_line("it is replaced")
    assert agent.ask("a.example.").rcode() == dns.rcode.NOERROR
    assert agent.worker != hung


def test_a_query_that_comes_before_the_worker_reads_waits_and_is_answered(tmp_path, upstream):
    agent = Agent(tmp_path, stock(upstream.address))
    flags = ("-localip", HOST, "-p", str(agent.port))
    starting = subprocess.Popen(command(agent.corefile, *flags), stdout=subprocess.PIPE)
    with starting, agent.datagrams() as client:
        packet = dns.message.make_query("a.example.", "A").to_wire()
        while True:
            try:
                client.send(packet)
                reply = client.recv(512)
                break
            except ConnectionRefusedError:  # not bound yet
                assert starting.poll() is None
        assert dns.message.from_wire(reply).answer
        starting.terminate()


def test_the_worker_does_not_outlive_its_keeper(agent):
    worker = agent.worker
    descriptor = os.pidfd_open(worker)
    agent.process.kill()
    agent.process.wait()
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def test_told_to_stop_it_answers_what_is_in_flight_and_exits_with_0(tmp_path, upstream):
    upstream.behave = delayed(1.0)
    with Agent(tmp_path, stock(upstream.address)) as agent, agent.datagrams() as client:
        client.send(dns.message.make_query("a.example.", "A").to_wire())
        upstream.wait_for(1)
        agent.process.send_signal(signal.SIGTERM)
        reply = dns.message.from_wire(client.recv(4096))
        assert reply.answer
        assert agent.process.wait(PATIENCE_SECONDS) == 0


def test_no_socket_takes_the_place_of_a_standard_stream_that_is_closed(tmp_path, upstream):
    """libuv would abort when it is closed: `uv__close: Assertion fd > STDERR_FILENO failed`."""
    closed = ("sh", "-c", 'exec "$0" "$@" <&- 2>&-')
    with Agent(tmp_path, stock(upstream.address), before=closed) as agent:
        streams = [Path(f"/proc/{agent.worker}/fd/{number}").readlink() for number in (0, 2)]
        assert streams == [Path("/dev/null")] * 2
        assert agent.ask("a.example.").answer


def test_told_to_stop_it_answers_what_still_lies_in_the_socket(tmp_path, upstream):
    with Agent(tmp_path, stock(upstream.address)) as agent, agent.datagrams() as client:
        agent.ask("a.example.")
        worker = agent.kill_worker(signal.SIGSTOP)
        client.send(dns.message.make_query("a.example.", "A").to_wire())
        agent.process.send_signal(signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        assert dns.message.from_wire(client.recv(4096)).answer
        assert agent.process.wait(PATIENCE_SECONDS) == 0


def test_a_wildcard_socket_replies_from_the_address_that_was_asked(tmp_path, upstream):
    corefile = stock(upstream.address).replace(f"bind {HOST}", "")
    with Agent(tmp_path, corefile) as agent, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.connect(("127.0.0.7", agent.port))  # takes replies from nobody else
        client.send(dns.message.make_query("a.example.", "A").to_wire())
        assert dns.message.from_wire(client.recv(4096)).answer


def test_a_corefile_with_a_mistake_is_told_by_file_and_line_before_anything_is_bound(tmp_path):
    corefile = tmp_path / "Corefile"
    corefile.write_text(f".:{free_port()} {{\n  cache 0\n  frobnicate\n}}\n")
    ended = subprocess.run(
        command(corefile), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == 1
    assert f"{corefile}:2: cache: " in ended.stdout + ended.stderr
    assert f"{corefile}:3: " in ended.stdout + ended.stderr


@pytest.mark.parametrize("wrong", ["-frobnicate", "-dns.port=x", "-localip=10.0.0.256"])
def test_a_wrong_flag_is_one_line_that_names_it_and_exit_2(tmp_path, wrong):
    argv = [*command(tmp_path / "Corefile"), wrong]
    ended = subprocess.run(
        argv, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert wrong.partition("=")[0] in ended.stderr


def test_a_taken_metrics_port_is_an_error_line_and_not_the_end(tmp_path, upstream):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        address = f"{HOST}:{taken.getsockname()[1]}"
        flags = ("-metrics-listen-address", address)
        with Agent(tmp_path, stock(upstream.address), *flags) as agent:
            assert agent.ask("a.example.").answer
            assert f"cannot serve /metrics on {address}" in agent.log
            taken.close()
            agent.wait_for_line(f"/metrics is served on {address}")


def test_what_is_no_address_for_metrics_is_an_error_line_and_dns_is_served(tmp_path, upstream):
    flags = ("-metrics-listen-address", "9353")
    with Agent(tmp_path, stock(upstream.address), *flags) as agent:
        assert agent.ask("a.example.").answer
    assert "[ERROR] cannot serve /metrics on 9353: an address is HOST:PORT" in agent.log


def test_no_address_for_metrics_is_no_page(tmp_path, upstream):
    with Agent(tmp_path, stock(upstream.address), "-metrics-listen-address=") as agent:
        assert agent.ask("a.example.").answer
    assert "[ERROR]" not in agent.log


def test_pages_at_one_address_are_all_there_at_every_connection(tmp_path, upstream):
    """In CoreDNS each has a socket of its own, and a probe of one hears 404 from another's."""
    page = free_port()
    more = f"health {HOST}:{page}\n"
    with Agent(tmp_path, stock(upstream.address, more=more)) as agent:
        more += f"ready {HOST}:{page}\nprometheus {HOST}:{page}\npprof {HOST}:{page}"
        agent.write(stock(upstream.address, more=more))
        paths = ["/metrics", "/health", "/ready", "/debug/pprof/"]
        wait_until(lambda: status(page, "/metrics") == 200, "the new Corefile's pages")
        assert {path: {status(page, path) for _ in range(20)} for path in paths} == {
            path: {200} for path in paths
        }


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}") as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_taken_dns_port_is_the_end_with_a_line_that_says_so(tmp_path, upstream):
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        corefile = tmp_path / "Corefile"
        port = taken.getsockname()[1]
        corefile.write_text(stock(upstream.address).replace("{port}", str(port)))
        ended = subprocess.run(
            command(corefile), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    assert ended.returncode == 1
    assert f"cannot listen on {HOST}:{port}: Address already in use" in ended.stdout + ended.stderr


def test_a_signal_makes_it_read_the_corefile_again_and_keep_its_cache(agent, upstream):
    agent.ask("a.example.")
    upstream.behave = silent
    other = free_port()
    agent.write(
        stock(upstream.address, more="health 127.0.0.1:0")
        + f"b.example:{other} {{\n bind {HOST}\n forward . {upstream.address}\n}}\n"
    )
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_for_line("Reloading complete")
    assert agent.ask("a.example.").answer
    upstream.behave = obey
    assert dns.query.udp(
        dns.message.make_query("b.example.", "A"), HOST, port=other, timeout=PATIENCE_SECONDS
    ).answer


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_that_ask_for_a_new_start_make_it_read_again_and_go_on(agent, number):
    agent.process.send_signal(number)
    agent.wait_for_line("Reloading complete")
    assert agent.ask("a.example.").answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_that_ask_for_the_end_get_a_clean_one(agent, number):
    assert agent.stop(number) == 0


def test_a_broken_corefile_is_told_and_the_old_one_serves_on(agent):
    agent.write("this is { no Corefile")
    agent.process.send_signal(signal.SIGUSR1)
    agent.wait_for_line("Corefile:1")
    assert agent.ask("a.example.").answer


def test_a_name_that_no_block_covers_is_refused(tmp_path, upstream):
    corefile = stock(upstream.address).replace(".:{port}", "example.org:{port}")
    with Agent(tmp_path, corefile) as agent:
        assert agent.ask("a.example.").rcode() == dns.rcode.REFUSED


def test_the_agent_prints_what_it_listens_on(agent):
    assert f".:{agent.port} on {HOST}" in agent.log


def test_a_query_that_waits_when_the_worker_is_killed_is_answered_by_the_next(agent, upstream):
    upstream.then(delayed(60.0))
    with agent.datagrams() as client:
        client.send(dns.message.make_query("b.example.", "A").to_wire())
        upstream.wait_for(1)
        agent.kill_worker()
        assert dns.message.from_wire(client.recv(4096)).answer
