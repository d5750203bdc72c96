"""Records written as in a zone file (RFC 1035 §5.1), as a template's lines are.

dnspython knows every type's data. It is imported where a Corefile has templates, on a cold path.
"""

import re

from nodecache.wire import CLASS_IN, wire_of

from .mnemonics import CLASSES
from .records import Record

_DEFAULT_TTL = 3600  # miekg/dns's own
_MAX_TTL = 0xFFFFFFFF
_MAX_CLASS = 0xFFFF
_TTL_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# Linear in the text, which a stranger may write.
_TTL = re.compile(r"(?=\d)(?:\d+[smhdw])*\d*", re.IGNORECASE)
_TTL_PART = re.compile(r"(\d+)([smhdw]?)", re.IGNORECASE)
# A space with a backslash is part of a name, as miekg/dns writes one, and parts no words.
_ESCAPED_SPACE = re.compile(r"(?<!\\)((?:\\\\)*)\\ ")
_CLASS_NUMBER = re.compile(r"CLASS(\d+)", re.IGNORECASE)


def prepare() -> None:
    """Import what reading records takes: later, with no privileges, that may be impossible."""
    import dns.rdata  # noqa: PLC0415
    import dns.rdtypes.ANY  # noqa: PLC0415
    import dns.rdtypes.IN  # noqa: PLC0415

    dns.rdata.load_all_types()  # type: ignore[no-untyped-call]


def record_of(text: str) -> Record:
    """The record written as `text`: `owner [TTL] [class] type data`, names absolute.

    Raises ValueError where it is none.
    """
    text = _ESCAPED_SPACE.sub(r"\g<1>\\032", text)
    owner, *rest = text.split(maxsplit=1)
    name = wire_of("" if owner == "@" else owner)
    ttl, rdclass = _DEFAULT_TTL, CLASS_IN
    while rest:
        word, *rest = rest[0].split(maxsplit=1)
        if _TTL.fullmatch(word):
            ttl = _seconds(word)
        elif (number := _class_of(word)) is not None:
            rdclass = number
        else:
            return _with_data(name, ttl, rdclass, word, rest[0] if rest else "")
    raise ValueError(f"no type in {text!r}")


def _seconds(word: str) -> int:
    """A TTL as `3600` or `1h30m`."""
    seconds = sum(
        int(count) * _TTL_UNITS[unit.lower() or "s"] for count, unit in _TTL_PART.findall(word)
    )
    if seconds > _MAX_TTL:
        raise ValueError(f"TTL does not fit into 32 bits: {word!r}")
    return seconds


def _class_of(word: str) -> int | None:
    match = _CLASS_NUMBER.fullmatch(word)
    if match is None:
        return CLASSES.get(word.upper())
    number = int(match[1])
    if number > _MAX_CLASS:
        raise ValueError(f"no class: {word!r}")
    return number


def _with_data(name: bytes, ttl: int, rdclass: int, word: str, data: str) -> Record:
    import dns.exception  # noqa: PLC0415 (see the head of the file)
    import dns.name  # noqa: PLC0415
    import dns.rdata  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    try:
        rdtype = dns.rdatatype.from_text(word)
        # Addresses and the like are defined for IN alone, and templates put them into any class.
        rdata = dns.rdata.from_text("IN", rdtype, data, dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{word} {data}: {error or type(error).__name__}") from None
    return Record(name, int(rdtype), rdclass, ttl, rdata.to_wire() or b"")
