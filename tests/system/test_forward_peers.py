"""The forwarder against real servers: unbound, nsd, dnsmasq; over UDP, TCP and TLS."""

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import dns.message
import dns.rrset
import pytest
import uvloop

from nodecache.forward import (
    Destinations,
    Endpoint,
    Failure,
    Forwarder,
    Network,
    Settings,
    TlsSettings,
    UpstreamRegistry,
    UpstreamSettings,
)
from nodecache.wire import Answer, Rcode, read_query
from tests.helpers.agent import free_port
from tests.helpers.certificates import Certificates, make_certificates
from tests.system.peers import HOST, dnsmasq, nsd, unbound

pytestmark = pytest.mark.system

NAME = "dns.example"
LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
DEADLINE_SECONDS = 5.0
# For 1,500 queries; a machine that does much else has some opened beside those that are slow.
MAX_CONNECTIONS = 15


class Asker:
    """A forwarder with real sockets, asked with `await`."""

    def __init__(
        self, endpoint: Endpoint, upstream: UpstreamSettings, *others: Endpoint, **settings
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.upstreams = UpstreamRegistry(Network(loop))
        self.forwarder = Forwarder(
            Settings(upstream=upstream, **settings),
            self.upstreams,
            Destinations([endpoint, *others]),
        )

    async def ask(self, name: str, qtype: str = "A", transport: str = "udp") -> Answer | Failure:
        ended: asyncio.Future[Answer | Failure] = self._loop.create_future()
        query = read_query(dns.message.make_query(name, qtype).to_wire())
        now = monotonic()
        self.forwarder.ask(query, now + DEADLINE_SECONDS, ended.set_result, now, transport)
        return await ended

    @property
    def counts(self):
        return self.upstreams.all()[0].counts

    def close(self) -> None:
        self.forwarder.close()
        self.upstreams.close()


def run(
    new_loop: Callable, endpoint: Endpoint, test, upstream=None, *others: Endpoint, **settings
) -> None:
    async def main() -> None:
        asker = Asker(endpoint, upstream or UpstreamSettings(), *others, **settings)
        try:
            await test(asker)
        finally:
            asker.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def addresses(outcome: Answer | Failure) -> list[str]:
    assert isinstance(outcome, Answer), outcome
    message = dns.message.from_wire(outcome.wire)
    return sorted(str(record) for rrset in message.answer for record in rrset)


async def ask_many(asker: Asker, count: int, name: str = "n{}.wild.example.") -> None:
    answers = await asyncio.gather(*(asker.ask(name.format(number)) for number in range(count)))
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert not failures, failures[:3]
    assert all(answer.rcode == Rcode.NOERROR for answer in answers)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"), NAME)


@pytest.fixture(scope="module")
def unbound_ports(tmp_path_factory, certificates):
    with unbound(tmp_path_factory.mktemp("unbound"), certificates) as ports:
        yield ports


@LOOPS
@pytest.mark.parametrize("force_tcp", [False, True], ids=["udp", "tcp"])
def test_unbound_answers(unbound_ports, new_loop, force_tcp):
    async def test(asker: Asker) -> None:
        assert addresses(await asker.ask("www.example.")) == ["192.0.2.1"]
        assert (await asker.ask("nobody.example.")).rcode == Rcode.NXDOMAIN
        await ask_many(asker, 300)
        assert asker.counts.unmatched == 0

    upstream = UpstreamSettings(force_tcp=force_tcp)
    run(new_loop, Endpoint(HOST, unbound_ports[0]), test, upstream)


@LOOPS
def test_unbound_answers_over_tls(unbound_ports, certificates, new_loop):
    async def test(asker: Asker) -> None:
        assert addresses(await asker.ask("www.example.")) == ["192.0.2.1"]
        await ask_many(asker, 300)
        assert asker.counts.connections_opened <= MAX_CONNECTIONS
        assert asker.counts.sent["tcp-tls"] >= 301

    tls = TlsSettings(authority_file=str(certificates.authority))
    endpoint = Endpoint(HOST, unbound_ports[1], scheme="tls", server_name=NAME)
    run(new_loop, endpoint, test, UpstreamSettings(tls=tls))


@LOOPS
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_unbound_answers_over_https(unbound_ports, certificates, new_loop, method):
    async def test(asker: Asker) -> None:
        assert addresses(await asker.ask("www.example.")) == ["192.0.2.1"]
        assert (await asker.ask("nobody.example.")).rcode == Rcode.NXDOMAIN
        for _ in range(5):
            await ask_many(asker, 300)
        assert asker.counts.connections_opened <= MAX_CONNECTIONS
        assert asker.counts.unmatched == 0
        assert asker.forwarder.counts.failed == 0

    tls = TlsSettings(authority_file=str(certificates.authority))
    endpoint = Endpoint(HOST, unbound_ports[2], "https", NAME, method)
    run(new_loop, endpoint, test, UpstreamSettings(tls=tls))


def test_a_wrong_certificate_is_a_failure_with_a_reason(unbound_ports, certificates):
    async def test(asker: Asker) -> None:
        outcome = await asker.ask("www.example.")
        assert isinstance(outcome, Failure)
        assert "certificate" in outcome.reason.lower()

    tls = TlsSettings(authority_file=str(certificates.authority))
    endpoint = Endpoint(HOST, unbound_ports[1], scheme="tls", server_name="other.example")
    run(uvloop.new_event_loop, endpoint, test, UpstreamSettings(tls=tls))


@LOOPS
def test_an_answer_too_big_for_udp_comes_whole(tmp_path, new_loop):
    async def test(asker: Asker) -> None:
        answer = await asker.ask("big.example.", "TXT")
        assert len(addresses(answer)) == 12
        assert asker.counts.sent["udp"] == 1
        assert asker.counts.sent["tcp"] == 1
        assert addresses(await asker.ask("alias.example.")) == ["192.0.2.1", "www.example."]

    with nsd(tmp_path) as port:
        run(new_loop, Endpoint(HOST, port), test)


def test_a_refusal_of_the_only_upstream_is_its_last_word(tmp_path):
    async def test(asker: Asker) -> None:
        assert (await asker.ask("not.ours.")).rcode == Rcode.REFUSED

    with nsd(tmp_path) as port:
        run(uvloop.new_event_loop, Endpoint(HOST, port), test)


@LOOPS
def test_dnsmasqs_limit_of_queries_a_connection_loses_none(tmp_path, new_loop):
    async def test(asker: Asker) -> None:
        for turn in range(5):
            await ask_many(asker, 150, f"n{{}}.turn{turn}.example.")
        assert asker.forwarder.counts.failed == 0

    with dnsmasq(tmp_path) as port:
        run(new_loop, Endpoint(HOST, port), test, UpstreamSettings(force_tcp=True))


def test_a_server_that_restarts_costs_no_query(tmp_path):
    async def test(asker: Asker) -> None:
        await ask_many(asker, 20, "n{}.example.")
        running.pop_all().close()
        asked = [asyncio.ensure_future(asker.ask(f"gap{n}.example.")) for n in range(5)]
        await asyncio.sleep(0.05)
        await asyncio.to_thread(running.enter_context, dnsmasq(tmp_path, port))
        assert all(isinstance(answer, Answer) for answer in await asyncio.gather(*asked))
        await ask_many(asker, 20, "after{}.example.")

    with contextlib.ExitStack() as running:
        port = running.enter_context(dnsmasq(tmp_path))
        run(uvloop.new_event_loop, Endpoint(HOST, port), test, UpstreamSettings(force_tcp=True))


def test_ipv6_upstreams_are_asked(tmp_path):
    async def test(asker: Asker) -> None:
        outcome = await asker.ask("www.example.")
        assert isinstance(outcome, Failure)
        assert "[::1]" in outcome.reason
        assert "connection refused" in outcome.reason

    run(uvloop.new_event_loop, Endpoint("::1", free_port("::1")), test)


class Http1Server(BaseHTTPRequestHandler):
    """DoH by Python's own HTTP server, which knows no HTTP/2; every fifth request fails."""

    protocol_version = "HTTP/1.1"
    requests = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/dns-message"
        self._respond(body)

    def do_GET(self) -> None:
        path, _, asked = self.path.partition("?dns=")
        assert path == "/dns-query"
        self._respond(base64.urlsafe_b64decode(asked + "=" * (-len(asked) % 4)))

    def _respond(self, packet: bytes) -> None:
        Http1Server.requests += 1
        if Http1Server.requests % 5 == 0:
            self.send_error(503)
            return
        query = dns.message.from_wire(packet)
        assert query.id == 0
        response = dns.message.make_response(query)
        response.answer.append(
            dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.9")
        )
        body = response.to_wire()
        self.send_response(200)
        self.send_header("Content-Type", "application/dns-message")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@LOOPS
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_server_without_http2_is_asked_over_http1(certificates, new_loop, method):
    async def test(asker: Asker) -> None:
        outcomes = [await asker.ask(f"n{number}.example.") for number in range(20)]
        good = [each for each in outcomes if each.rcode == Rcode.NOERROR]
        assert len(good) >= 10
        assert all(addresses(each) == ["192.0.2.9"] for each in good)
        assert {each.rcode for each in outcomes} == {Rcode.NOERROR, Rcode.SERVFAIL}
        assert asker.counts.unmatched == 0

    with served(Http1Server, certificates) as port:
        tls = TlsSettings(authority_file=str(certificates.authority))
        endpoint = Endpoint(HOST, port, "https", NAME, method)
        run(new_loop, endpoint, test, UpstreamSettings(tls=tls))


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler], certificates: Certificates) -> Iterator[int]:
    """Python's HTTP server over TLS; its port."""
    server = ThreadingHTTPServer((HOST, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Hanging(Http1Server):
    """Takes questions, and says nothing until it is let go."""

    released = threading.Event()

    def _respond(self, packet: bytes) -> None:
        Hanging.released.wait(30)


def test_a_server_over_https_that_hangs_costs_no_answer(unbound_ports, certificates):
    async def test(asker: Asker) -> None:
        for number in range(3):
            answer = await asker.ask(f"n{number}.wild.example.")
            assert addresses(answer) == ["192.0.2.2"]
        assert asker.counts.sent["tcp-tls"] >= 1

    with served(Hanging, certificates) as port:
        tls = TlsSettings(authority_file=str(certificates.authority))
        hanging = Endpoint(HOST, port, "https", NAME, "POST")
        other = Endpoint(HOST, unbound_ports[0])
        settings = UpstreamSettings(tls=tls)
        try:
            run(uvloop.new_event_loop, hanging, test, settings, other, policy="sequential")
        finally:
            Hanging.released.set()
