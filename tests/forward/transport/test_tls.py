"""TLS without sockets: our stream against a server's session in memory."""

import ssl

import pytest

from nodecache.forward import TlsSettings
from nodecache.forward.transport.tls import TlsStream, tls_context
from tests.helpers.certificates import make_certificates

NAME = "dns.example"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"), NAME)


class Told:
    def __init__(self) -> None:
        self.events: list[tuple] = []

    def opened(self, now: float) -> None:
        self.events.append(("opened",))

    def received(self, data: bytes, now: float) -> None:
        self.events.append(("received", data))

    def closed(self, error: Exception | None, now: float) -> None:
        self.events.append(("closed", error))

    @property
    def kinds(self) -> list[str]:
        return [event[0] for event in self.events]


class PlainStream:
    """What another stream stands on; it keeps what it is given."""

    local = "127.0.0.1:40000"

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_acknowledged(self) -> bool:
        return True

    def close(self) -> None:
        self.is_closed = True


class Server:
    """The other side's session, and the conversation between both."""

    def __init__(self, certificates, told, context, name=NAME, wants_client=False) -> None:
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_context.load_cert_chain(certificates.server, certificates.server_key)
        if wants_client:
            server_context.verify_mode = ssl.CERT_REQUIRED
            server_context.load_verify_locations(certificates.authority)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = server_context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.plain = PlainStream()
        self.stream = TlsStream(told, context, name)
        self.stream.carry(self.plain)
        self.error: ssl.SSLError | None = None

    def shake_hands(self, size: int = 65536) -> None:
        """Carry octets to and fro until nobody has any; `size` at a time to the client."""
        self.stream.opened(0.0)
        is_done = False
        while self.plain.written or self.outgoing.pending:
            written, self.plain.written = self.plain.written, b""
            self.incoming.write(written)
            try:
                if not is_done:
                    self.session.do_handshake()
                    is_done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.error = error
                is_done = True
            self.deliver(size)

    def deliver(self, size: int = 65536) -> None:
        while self.outgoing.pending:
            self.stream.received(self.outgoing.read(size), 0.0)

    def send(self, data: bytes) -> None:
        self.session.write(data)
        self.deliver()

    def read(self) -> bytes:
        written, self.plain.written = self.plain.written, b""
        self.incoming.write(written)
        return self.session.read()


def client_context(certificates, **options) -> ssl.SSLContext:
    return tls_context(TlsSettings(authority_file=str(certificates.authority), **options))


@pytest.mark.parametrize("size", [65536, 7], ids=["whole", "in small pieces"])
def test_octets_cross_under_tls(certificates, size):
    told = Told()
    server = Server(certificates, told, client_context(certificates))
    server.shake_hands(size)
    assert told.kinds == ["opened"]
    server.stream.write(b"question")
    assert b"question" not in server.plain.written
    assert server.read() == b"question"
    server.send(b"answer")
    assert told.events[-1] == ("received", b"answer")


def test_a_certificate_for_another_name_is_refused(certificates):
    told = Told()
    server = Server(certificates, told, client_context(certificates), name="other.example")
    server.shake_hands()
    assert told.kinds == ["closed"]
    assert "other.example" in str(told.events[0][1])
    assert server.plain.is_closed


def test_an_unknown_authority_is_refused(certificates):
    told = Told()
    server = Server(certificates, told, tls_context(TlsSettings()))
    server.shake_hands()
    assert told.kinds == ["closed"]


def test_a_client_certificate_is_shown_to_who_wants_it(certificates):
    told = Told()
    context = client_context(
        certificates,
        certificate_file=str(certificates.client),
        key_file=str(certificates.client_key),
    )
    server = Server(certificates, told, context, wants_client=True)
    server.shake_hands()
    assert server.error is None
    server.stream.write(b"question")
    assert server.read() == b"question"


def test_an_address_is_a_name_too(certificates):
    told = Told()
    server = Server(certificates, told, client_context(certificates), name="127.0.0.1")
    server.shake_hands()
    assert told.kinds == ["opened"]


def test_nonsense_ends_the_stream_with_an_error(certificates):
    told = Told()
    server = Server(certificates, told, client_context(certificates))
    server.stream.opened(0.0)
    server.stream.received(b"HTTP/1.1 400 Bad Request\r\n\r\n", 0.0)
    assert told.kinds == ["closed"]
    assert isinstance(told.events[0][1], ssl.SSLError)


def test_a_farewell_ends_the_stream_after_what_came_before(certificates):
    told = Told()
    server = Server(certificates, told, client_context(certificates))
    server.shake_hands()
    server.session.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        server.session.unwrap()
    server.deliver()
    assert told.events[-2:] == [("received", b"last"), ("closed", None)]


def test_the_server_is_told_that_we_close(certificates):
    """unbound logs an error for each connection that ends without (RFC 8446 §6.1)."""
    server = Server(certificates, Told(), client_context(certificates))
    server.shake_hands()
    server.stream.close()
    assert server.plain.is_closed
    assert server.read() == b""


def test_what_closes_before_it_is_open_says_nothing(certificates):
    server = Server(certificates, Told(), client_context(certificates))
    server.stream.close()
    assert server.plain.is_closed
    assert server.plain.written == b""


def test_the_end_of_the_plain_stream_is_told_once(certificates):
    told = Told()
    server = Server(certificates, told, client_context(certificates))
    server.shake_hands()
    error = ConnectionResetError(104, "Connection reset by peer")
    server.stream.closed(error, 0.0)
    server.stream.closed(error, 0.0)
    assert told.events[1:] == [("closed", error)]
    server.stream.write(b"nobody")


def test_old_versions_are_not_spoken(certificates):
    assert client_context(certificates).minimum_version is ssl.TLSVersion.TLSv1_2


def test_no_server_may_renegotiate(certificates):
    """Queries written meanwhile were lost."""
    assert client_context(certificates).options & ssl.OP_NO_RENEGOTIATION


def test_a_missing_file_is_an_error_when_it_is_made():
    with pytest.raises(OSError):
        tls_context(TlsSettings(authority_file="/nonexistent/ca.pem"))
