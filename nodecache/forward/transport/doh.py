"""DNS over HTTPS (RFC 8484), without the HTTP: requests from queries, answers from responses.

The law of this module: a request that fails is an answer SERVFAIL, so that another upstream is asked
at once.
"""

import base64
from dataclasses import dataclass
from struct import Struct

from nodecache.forward.runtime import Endpoint
from nodecache.wire import (
    HEADER_SIZE,
    Flag,
    MalformedMessage,
    Rcode,
    Rdtype,
    aged,
    errors_as_options,
    is_bare_reply,
)

PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"
MAX_OCTETS = 65535
_HTTPS_PORT = 443
_SUCCESSFUL = range(200, 300)  # each may bring any answer: RFC 8484 §4.2.1
_MAX_AGE_DIGITS = 10
_MAX_QUOTED = 64
_NETWORK_ERROR = 23  # RFC 8914 §4.24


class BrokenHttp(Exception):
    """What the server says is not HTTP, or not as it may be."""


@dataclass(slots=True)
class Request:
    """What is asked of the server."""

    method: str
    path: str
    fields: list[tuple[str, str]]
    """Header fields, in lower case."""
    body: bytes


def request_for(message: bytes, endpoint: Endpoint) -> Request:
    """The request that asks `endpoint` what a query of ours asks."""
    asked = without_id(message)
    if endpoint.http_method == "GET":
        return Request("GET", query_path(asked), [("accept", MEDIA_TYPE)], b"")
    about_body = [("content-type", MEDIA_TYPE), ("content-length", str(len(asked)))]
    return Request("POST", PATH, [("accept", MEDIA_TYPE), *about_body], asked)


def authority(endpoint: Endpoint) -> str:
    """Whom requests are for: the server's name where we have one; its port unless it is usual."""
    host = endpoint.server_name or endpoint.host
    host = f"[{host}]" if ":" in host else host
    return host if endpoint.port == _HTTPS_PORT else f"{host}:{endpoint.port}"


def query_path(message: bytes) -> str:
    """Where a GET asks (RFC 8484 §4.1): base64url without padding."""
    return f"{PATH}?dns={base64.urlsafe_b64encode(message).rstrip(b'=').decode()}"


def without_id(message: bytes) -> bytes:
    """The message with id 0, which makes equal questions equal for caches (RFC 8484 §4.1)."""
    return b"\0\0" + message[2:]


def servfail(message: bytes, reason: str) -> bytes:
    """The answer that stands for none: SERVFAIL to the query `message`, which says why."""
    question = question_of(message)
    flags = int.from_bytes(message[2:4], "big") & Flag.RD | Flag.QR | Rcode.SERVFAIL
    has_opt = message[HEADER_SIZE - 2 : HEADER_SIZE] != b"\0\0"
    options = errors_as_options(((_NETWORK_ERROR, reason.encode()),))
    opt = _OPT.pack(b"", Rdtype.OPT, MAX_OCTETS, 0, len(options)) + options if has_opt else b""
    counts = _COUNTS.pack(1, 0, 0, has_opt)
    return message[:2] + flags.to_bytes(2, "big") + counts + question + opt


_COUNTS = Struct("!HHHH")
_OPT = Struct("!1sHHLH")  # the root, type, size, extended rcode and flags, length: RFC 6891 §6.1.2


def question_of(message: bytes) -> bytes:
    """The question of a query of ours."""
    end = HEADER_SIZE
    while message[end]:
        end += 1 + message[end]
    return message[HEADER_SIZE : end + 5]


def answer_to(message: bytes, status: int, fields: dict[bytes, bytes], body: bytes) -> bytes:
    """What the pool hears for a response with these header fields: the answer with the query's id, or SERVFAIL.

    A page for people, or an answer to something else, will not get better by waiting.
    """
    if status not in _SUCCESSFUL:
        return servfail(message, f"HTTP status {status}")
    said = fields.get(b"content-type", b"").decode("latin-1")[:_MAX_QUOTED]
    if said.partition(";")[0].strip().lower() != MEDIA_TYPE:
        return servfail(message, f"the response is no DNS message but {said!r}")
    question = question_of(message)
    asked = body[HEADER_SIZE : HEADER_SIZE + len(question)]
    if len(body) > MAX_OCTETS or not (
        is_bare_reply(body)
        or asked.lower() == question.lower()  # its type too: Pending looks again
    ):
        return servfail(message, "the response is no answer to the question")
    return message[:2] + _aged(body, fields.get(b"age", b""))[2:]


def _aged(body: bytes, age: bytes) -> bytes:
    """An answer less the seconds that it spent in HTTP caches: RFC 8484 §5.1 (a MUST)."""
    try:
        return aged(body, int(age[:_MAX_AGE_DIGITS])) if age.isdigit() else body
    except MalformedMessage:
        return body  # its reader says what is wrong with it
