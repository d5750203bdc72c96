"""Web configurations of the Prometheus exporter toolkit, good and bad, and what is served by them."""

import asyncio
import os
import ssl
from http import HTTPStatus

import h11
import pytest
import uvloop
import yaml

from nodecache.web import listen, webconfig
from nodecache.web.secured import names_of
from nodecache.web.server import Request, Response, WebServer
from nodecache.web.webconfig import open_web_config
from tests.helpers.certificates import make_certificates

NAME = "metrics.example"
OURS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
VERIFIED = OURS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("web")
    make_certificates(path, NAME)
    return path


def opened(folder, text, name=""):
    file = folder / (name or f"{abs(hash(text))}.yml")
    file.write_text(text)
    return open_web_config(str(file))


def test_a_certificate_is_named_from_where_the_configuration_is(folder):
    secured = opened(folder, OURS)
    assert secured.context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert secured.context.verify_mode == ssl.CERT_NONE
    assert secured.allowed_names is None
    assert not secured.has_changed()


@pytest.mark.parametrize(
    "text", ["", "http_server_config:\n  http2: false\n", "tls_server_config:\n", "rate_limit:\n"]
)
def test_without_a_certificate_it_is_plain_http(folder, text):
    assert opened(folder, text).context is None


def test_versions_suites_and_headers_are_chosen(folder):
    secured = opened(
        folder,
        OURS + "  min_version: TLS13\n  max_version: TLS13\n"
        "  cipher_suites:\n  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n"
        "  - TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256\n  - TLS_AES_128_GCM_SHA256\n"
        "  - TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA\n"
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n",
    )
    assert secured.context.minimum_version == ssl.TLSVersion.TLSv1_3
    chosen = {each["name"] for each in secured.context.get_ciphers()}
    assert {name for name in chosen if not name.startswith("TLS_")} == {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-RSA-AES256-SHA",
    }
    assert secured.headers == {"X-Frame-Options": "deny"}


@pytest.mark.parametrize("value", ["max-age=1", " max-age=1 ", "", " "])
def test_a_header_is_one_that_may_be_sent(folder, value):
    text = f'http_server_config:\n  headers:\n    Strict-Transport-Security: "{value}"\n'
    headers = list(opened(folder, text).headers.items())
    response = h11.Response(status_code=200, headers=[*headers, ("Content-Length", "0")])
    assert (b"strict-transport-security", value.strip().encode()) in list(response.headers)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL),
        ("RequireAndVerifyClientCert", ssl.CERT_REQUIRED),
    ],
)
def test_clients_are_asked_for_certificates(folder, kind, mode):
    asked = OURS + f"  client_auth_type: {kind}\n"
    assert opened(folder, asked).context.verify_mode == mode
    authority = "\n    ".join((folder / "ca.pem").read_text().splitlines())
    secured = opened(folder, asked + f"  client_ca: |\n    {authority}\n")
    assert len(secured.context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b\n", "field a not found"),
        ("tls_server_config:\n  certfile: x\n", "field certfile not found"),
        ("tls_server_config: yes\n", "a section is wanted, not 'yes'"),
        ("tls_server_config:\n  key_file: x\n", "missing one of cert or cert_file"),
        ("tls_server_config:\n  cert_file: x\n", "missing one of key or key_file"),
        (OURS.replace("server.pem", "gone.pem"), r"failed to read cert_file \(gone.pem\): No such"),
        (OURS.replace("server.key", "ca.key"), r"failed to read cert_file \(server.pem\)"),
        (OURS + "  client_auth_type: Maybe\n", "invalid ClientAuth: Maybe"),
        (OURS + "  client_auth_type: RequireAnyClientCert\n", "RequireAnyClientCert is not"),
        (OURS + "  client_ca_file: ca.pem\n", "client CA's have been configured without a Client"),
        (VERIFIED.replace("ca.pem", "gone.pem"), r"failed to read client_ca_file \(gone.pem\)"),
        (
            OURS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca: x\n",
            "failed to read client_ca:",
        ),
        (OURS + "  min_version: SSL3\n", "unknown TLS version: SSL3"),
        (OURS + "  cipher_suites: [RC4]\n", "unknown cipher: RC4"),
        (OURS + "  curve_preferences: [CurveP256]\n", "curve_preferences is not supported here"),
        (OURS + "  cert:\n    x: y\n", "cert is not supported here"),
        (OURS + "  cert_file:\n    - x\n", "line 4: has 'cert_file' a second time"),
        ("tls_server_config:\n  cert_file: [x]\n", "cert_file must be a text"),
        (OURS + "  client_allowed_sans:\n    a: b\n", "a list of texts is wanted"),
        (OURS + "  client_allowed_sans: [[a]]\n", "a list of texts is wanted"),
        ("basic_auth_users:\n  me: $2y$10$x\n", "basic_auth_users is not supported here"),
        ("rate_limit:\n  interval: 1s\n", "rate_limit is not supported here"),
        ("http_server_config:\n  headers:\n    X: y\n", "HTTP header 'X' can not be configured"),
        ("http_server_config:\n  headers:\n    X-Frame-Options: no\n", "invalid value for X-Frame"),
        ("http_server_config:\n  headers:\n    X-XSS-Protection: é\n", "invalid value for X-XSS"),
        ("a", "a section is wanted, not 'a'"),
        ("- a", r"a section is wanted, not \['a'\]"),
        ("a: 1\n\tb: 2\n", "line 2: found character '.t' that cannot start any token"),
        ("a: b: c\n", "line 1: mapping values are not allowed here"),
        ("a: *x\n", "line 1: found undefined alias 'x'"),
        ("? [a]\n: b\n", "line 1: found unhashable key"),
        ("a: b\n---\nc: d\n", "line 2: but found another document"),
        ("a: \0\n", 'unacceptable character #x0000: .* in "<unicode string>", position 3'),
    ],
)
def test_what_cannot_be_is_told_and_never_served_with_less(folder, text, why):
    with pytest.raises(ValueError, match=rf"\.yml: {why}"):
        opened(folder, text)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(FileNotFoundError):
        open_web_config("/nonexistent/web.yml")


def test_a_renewed_certificate_is_noticed(folder):
    secured = opened(folder, OURS)
    os.utime(folder / "server.pem", ns=(1, 1))
    assert secured.has_changed()
    (folder / "server.pem").touch()


def test_what_is_written_while_it_is_read_is_noticed(folder, monkeypatch):
    file = folder / "web.yml"

    def read_and_then_written(text):
        file.write_text(VERIFIED)
        return yaml.load(text, yaml.BaseLoader)

    monkeypatch.setattr(webconfig, "_read_yaml", read_and_then_written)
    assert opened(folder, OURS, file.name).has_changed()


def test_names_are_those_of_every_kind():
    told = {"subjectAltName": (("DNS", "a"), ("IP Address", "10.0.0.1"), ("URI", "spiffe://x"))}
    assert names_of(told) == {"a", "10.0.0.1", "spiffe://x"}
    assert names_of(None) == set()


# What clients see


async def hello(_: Request) -> Response:
    return Response(HTTPStatus.OK, b"hello")


def asked(folder, text, context: ssl.SSLContext | None) -> bytes:
    """What a client gets from a page that is served as `text` says; nothing where it is refused."""

    async def talk() -> bytes:
        secured = opened(folder, text)
        allowed = secured.allowed_names

        def is_welcome(writer: asyncio.StreamWriter) -> bool:
            return allowed is None or bool(allowed & names_of(writer.get_extra_info("peercert")))

        server = WebServer({"/": hello}, secured.headers, is_welcome)
        listener = listen.open_listener("127.0.0.1:0")
        port = listener.getsockname()[1]
        await server.serve(listener, secured.context)
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=NAME if context else None
            )
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            told = await reader.read()
            writer.close()
        except (ssl.SSLError, ConnectionError):  # TLS 1.3 refuses once the client reads
            return b""
        else:
            return told
        finally:
            server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(talk())


def client(folder, *, has_certificate=False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if has_certificate:
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context


def test_a_client_that_trusts_the_authority_is_answered(folder):
    text = OURS + "http_server_config:\n  headers:\n    X-Content-Type-Options: nosniff\n"
    told = asked(folder, text, client(folder))
    assert told.endswith(b"\r\n\r\nhello")
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in told


def test_a_client_without_a_certificate_is_refused_where_one_is_wanted(folder, caplog):
    assert asked(folder, VERIFIED, client(folder, has_certificate=True)).endswith(b"hello")
    assert asked(folder, VERIFIED, client(folder)) == b""
    assert caplog.records == []


@pytest.mark.parametrize(("name", "is_heard"), [("client", True), ("other", False)])
def test_a_certificate_must_have_a_name_that_is_allowed(folder, name, is_heard):
    text = VERIFIED + f"  client_allowed_sans:\n  - {name}\n"
    told = asked(folder, text, client(folder, has_certificate=True))
    assert told.endswith(b"hello") == is_heard


def test_a_client_that_speaks_plain_http_gets_nothing(folder, caplog):
    assert b"hello" not in asked(folder, OURS, None)
    assert caplog.records == []
