"""Log lines from formats with placeholders, `{name}`, `{>rflags}`: CoreDNS plugin/pkg/replacer.

Shared by `log` and by the `extra` field of `dnstap`. A format is split once; filling it in
costs one call for each placeholder.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from nodecache.forward import Failure
from nodecache.server.directive import Client, Result
from nodecache.server.mnemonics import class_text, rcode_word, type_text
from nodecache.wire import HEADER_SIZE, Answer, Flag, Kind, Query, Rcode, Rdtype, text_of

EMPTY = "-"

_PLACEHOLDER = re.compile(r"(\{[^{}]*\})")
_METADATA_MARK = "{/"
_MAX_TCP_OCTETS = 65535
_MIN_UDP_OCTETS = 512
_ZERO_BIT = 0x0040  # RFC 1035 §4.1.1, the one bit of Z that is left
_FLAG_WORDS = (
    (Flag.QR, "qr"),
    (Flag.AA, "aa"),
    (Flag.TC, "tc"),
    (Flag.RD, "rd"),
    (Flag.RA, "ra"),
    (_ZERO_BIT, "z"),
    (Flag.AD, "ad"),
    (Flag.CD, "cd"),
)
_FLAG_WORDS_REMEMBERED = 256
_OWN_FLAGS = int(Flag.RD | Flag.CD)
_AD, _QR = int(Flag.AD), int(Flag.QR)


@dataclass(frozen=True, slots=True)
class LoggedQuery:
    """One query and its outcome; `result` is None before there is one. `seconds` is how long it took."""

    query: Query
    client: Client
    result: Result | None = None
    seconds: float = 0.0


Field = Callable[[LoggedQuery], str]


class LogFormat:
    """A format, ready to be filled in."""

    __slots__ = ("_fields",)

    def __init__(self, text: str) -> None:
        self._fields = [_field(part) for part in _PLACEHOLDER.split(text) if part]

    def filled(self, logged: LoggedQuery) -> str:
        """The line for one query."""
        return "".join([field(logged) for field in self._fields])


def _field(part: str) -> Field:
    """The function that fills in `part`: a known placeholder, metadata, or fixed text."""
    known = _PLACEHOLDERS.get(part)
    if known is not None:
        return known
    if part.startswith(_METADATA_MARK) and part.endswith("}"):
        label = part[len(_METADATA_MARK) : -1]
        return lambda logged: (logged.client.metadata or {}).get(label, EMPTY)
    return lambda _: part


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bufsize(logged: LoggedQuery) -> str:
    if logged.client.transport != "udp":
        return str(_MAX_TCP_OCTETS)
    return str(max(_MIN_UDP_OCTETS, logged.query.payload_size))


def _rcode(logged: LoggedQuery) -> str:
    result = logged.result
    return rcode_word(result.rcode) if isinstance(result, Answer | Failure) else EMPTY


def reply_flags(query: Query, result: Answer | Failure) -> int:
    """The header's second word as the client gets it."""
    flags = query.flags & _OWN_FLAGS
    if isinstance(result, Failure):
        return flags | _QR
    shown = result.flags & ~_OWN_FLAGS
    if not (query.flags & _AD or query.has_do):
        shown &= ~_AD
    return flags | shown


def _rflags(logged: LoggedQuery) -> str:
    if not isinstance(logged.result, Answer | Failure):
        return EMPTY
    return _flag_words(reply_flags(logged.query, logged.result))


@lru_cache(_FLAG_WORDS_REMEMBERED)
def _flag_words(flags: int) -> str:
    return ",".join([word for bit, word in _FLAG_WORDS if flags & bit])


def _rsize(logged: LoggedQuery) -> str:
    """Octets before the OPT is put on and before anything is cut."""
    result = logged.result
    if isinstance(result, Answer):
        return str(len(result.wire))
    if isinstance(result, Failure):
        return str(HEADER_SIZE + len(logged.query.question))
    return EMPTY if result is None else "0"


def _duration(logged: LoggedQuery) -> str:
    if logged.result is None:
        return EMPTY
    return f"{logged.seconds:.9f}".rstrip("0").rstrip(".") + "s"


_PLACEHOLDERS: dict[str, Field] = {
    "{type}": lambda logged: type_text(logged.query.qtype),
    "{class}": lambda logged: class_text(logged.query.rdclass),
    "{name}": lambda logged: text_of(logged.query.qname),
    "{proto}": lambda logged: logged.client.transport,
    "{size}": lambda logged: str(len(logged.query.packet)),
    "{remote}": lambda logged: _bracketed(logged.client.host),
    "{port}": lambda logged: str(logged.client.address[1]),
    "{local}": lambda logged: _bracketed(logged.client.local_host),
    "{>id}": lambda logged: str(int.from_bytes(logged.query.id, "big")),
    "{>opcode}": lambda _: "0",  # others never come this far
    "{>do}": lambda logged: "true" if logged.query.has_do else "false",
    "{>bufsize}": _bufsize,
    "{rcode}": _rcode,
    "{>rflags}": _rflags,
    "{rsize}": _rsize,
    "{duration}": _duration,
}


@dataclass(frozen=True, slots=True)
class ReplyKind:
    """How `log` sorts a reply: a class that rules name, and a finer type."""

    word: str
    type_word: str


_SUCCESS = ReplyKind("success", "NOERROR")
_DELEGATION = ReplyKind("success", "DELEGATION")
_NODATA = ReplyKind("denial", "NODATA")
_NXDOMAIN = ReplyKind("denial", "NXDOMAIN")
_SERVER_ERROR = ReplyKind("error", "SERVERERROR")
_META = ReplyKind("error", "META")
_OTHER = ReplyKind("error", "OTHERERROR")

_SERVER_ERRORS = (Rcode.SERVFAIL, Rcode.NOTIMP)
_TRANSFERS = (Rdtype.AXFR, Rdtype.IXFR)


def reply_kind(query: Query, result: Result) -> ReplyKind:  # noqa: PLR0911 (a table, in order)
    """The kind of a reply, as CoreDNS 1.14.7 sorts it for its log."""
    if not isinstance(result, Answer | Failure):
        return _OTHER
    if query.qtype in _TRANSFERS:
        return _META
    if result.rcode in _SERVER_ERRORS:
        return _SERVER_ERROR
    if isinstance(result, Failure):
        return _OTHER
    has_answers = result.wire[6:8] != b"\0\0"
    if result.rcode == Rcode.NXDOMAIN:
        return _OTHER if has_answers else _NXDOMAIN
    if result.rcode != Rcode.NOERROR:
        return _OTHER
    if has_answers:
        return _SUCCESS
    if result.kind is Kind.NODATA:
        return _NODATA
    return _DELEGATION if result.kind is Kind.REFERRAL else _SUCCESS
