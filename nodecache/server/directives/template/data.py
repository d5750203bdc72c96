"""The data of a template: `.Name`, `.Group.a`, `.Question.Qtype` and the rest."""

from collections.abc import Callable, Sequence

from nodecache.server.directive import Client
from nodecache.server.mnemonics import class_text, type_text
from nodecache.server.patterns import Pattern
from nodecache.wire import Flag, Query, text_of

from .goprint import shown
from .gotemplate import Struct

_ANY = 255
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIXES = {"0x": 16, "0o": 8, "0b": 2}
_WHOLE_BITS = 64


def template_data(
    query: Query,
    client: Client,
    zone: str,
    *,
    pattern: Pattern,
    groups: Sequence[str],
    own: tuple[int, int],
) -> Struct:
    """The dot of a template that matched: `own` are its class and type, told where ANY is asked."""
    rdclass = query.rdclass if query.rdclass != _ANY else own[0]
    rdtype = query.qtype if query.qtype != _ANY else own[1]
    notes = client.metadata or {}
    return Struct(
        "templateData",
        {
            "Zone": zone,
            "Name": text_of(query.qname),
            "Regex": pattern.text,
            "Match": list(groups),
            "Group": _by_name(pattern, groups),
            "Class": class_text(rdclass),
            "Type": type_text(rdtype),
            "Message": _message(query),
            "Question": _question(query),
            "Remote": client.host,
            "Meta": lambda label: notes.get(_text(label), ""),
        },
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"wrong type for value; expected string; got {shown(value)}")
    return value


def _by_name(pattern: Pattern, groups: Sequence[str]) -> dict[str, str]:
    """Groups by number and, where they have one, by name."""
    by_name = {str(number): group for number, group in enumerate(groups)}
    by_name.update((name, groups[number]) for name, number in pattern.group_names.items())
    return by_name


def _question(query: Query) -> Struct:
    return Struct(
        "Question",
        {
            "Name": text_of(query.question[:-4]),
            "Qtype": query.qtype,
            "Qclass": query.rdclass,
        },
    )


def _message(query: Query) -> Struct:
    """The header and question of the client's message, under miekg/dns's names."""
    flags = query.flags
    return Struct(
        "Msg",
        {
            "Id": int.from_bytes(query.id, "big"),
            "Response": False,
            "Opcode": 0,
            "Authoritative": bool(flags & Flag.AA),
            "Truncated": bool(flags & Flag.TC),
            "RecursionDesired": bool(flags & Flag.RD),
            "RecursionAvailable": bool(flags & Flag.RA),
            "AuthenticatedData": bool(flags & Flag.AD),
            "CheckingDisabled": bool(flags & Flag.CD),
            "Rcode": 0,
            "Question": [_question(query)],
        },
    )


def parse_uint(text: object, base: object, bits: object) -> int:
    """`parseInt` of templates, which is Go's strconv.ParseUint; ValueError where it fails."""
    digits, base, bits = _text(text).lower(), _number(base), _number(bits)
    if base == 0:
        base = _PREFIXES.get(digits[:2], 10)
        digits = digits[2:] if digits[:2] in _PREFIXES else digits
    if not 2 <= base <= len(_DIGITS):
        raise ValueError(f"invalid base {base}")
    if not digits or not set(digits) <= set(_DIGITS[:base]):
        raise ValueError(f"parsing {text!r}: invalid syntax")
    value = int(digits, base)
    if value >= 1 << (bits or _WHOLE_BITS):
        raise ValueError(f"parsing {text!r}: value out of range")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"wrong type for value; expected int; got {shown(value)}")
    return value


FUNCTIONS: dict[str, Callable[..., object]] = {"parseInt": parse_uint}
"""What DNS templates can call besides Go's own functions."""
