"""Names between the wire and the text that patterns, logs and zone lists are written in.

Text is absolute, in lower case, with the escapes of miekg/dns: people's regular expressions were
written against them.
"""

from collections.abc import Iterable
from functools import lru_cache

from nodecache.wire.constants import MAX_LABEL_SIZE, MAX_NAME_SIZE

ROOT = b"\0"

_BACKSLASHED = ". '@;()\"\\"
_ESCAPES = {
    code: f"\\{chr(code)}" if chr(code) in _BACKSLASHED else f"\\{code:03d}"
    for code in range(256)
    if not 0x20 <= code <= 0x7E or chr(code) in _BACKSLASHED
}
_SIZES = {size: bytes([size]) for size in range(1, MAX_LABEL_SIZE + 1)}
_DECIMAL_DIGITS = 3
_NAMES_REMEMBERED = 4096


@lru_cache(_NAMES_REMEMBERED)
def text_of(name: bytes) -> str:
    """`name`, whole and without pointers, as text in the case it has."""
    labels = []
    offset = 0
    while size := name[offset]:
        label = name[offset + 1 : offset + 1 + size].decode("latin-1")
        labels.append(label.translate(_ESCAPES))
        offset += size + 1
    return ".".join(labels) + "."


def wire_of(text: str) -> bytes:
    """The name written as `text`, absolute with or without its last dot, in the case it has.

    Raises ValueError where it is no name.
    """
    if text in ("", "."):
        return ROOT
    try:
        name = b"".join([_SIZES[len(label)] + label for label in _labels_of(text)]) + ROOT
    except KeyError:
        raise ValueError(f"a label has 1 to {MAX_LABEL_SIZE} octets: {text!r}") from None
    if len(name) > MAX_NAME_SIZE:
        raise ValueError(f"name is longer than {MAX_NAME_SIZE} octets: {text!r}")
    return name


def _labels_of(text: str) -> list[bytes]:
    """The labels of `text`, its escapes undone."""
    if "\\" not in text:
        return text.removesuffix(".").encode().split(b".")
    labels = [bytearray()]
    rest = iter(text)
    for character in rest:
        if character == ".":
            labels.append(bytearray())
        elif character == "\\":
            labels[-1] += _unescaped(rest)
        else:
            labels[-1] += character.encode()
    return [bytes(label) for label in (labels if labels[-1] else labels[:-1])]


def _unescaped(rest: Iterable[str]) -> bytes:
    """What stands behind a backslash: three digits, or any one character (RFC 1035 §5.1)."""
    rest = iter(rest)
    first = next(rest, "")
    if not first.isdecimal():
        return first.encode()
    digits = first + next(rest, "") + next(rest, "")
    if len(digits) < _DECIMAL_DIGITS or not digits.isdecimal() or int(digits) > 0xFF:
        raise ValueError(f"an escape is three digits up to 255, not {digits!r}")
    return bytes([int(digits)])


class ZoneNames:
    """Zone names that a directive is bound to; the longest match counts, as in CoreDNS."""

    __slots__ = ("_of_all", "_texts")

    def __init__(self, names: Iterable[str]) -> None:
        self._texts = {wire_of(name.lower()): absolute(name) for name in names}
        # What every name gets, where no other zone is named.
        self._of_all = "." if self._texts.keys() == {ROOT} else None

    def __bool__(self) -> bool:
        return bool(self._texts)

    def match(self, qname: bytes) -> str | None:
        """The zone that `qname` (in lower case, on the wire) is in, or None."""
        if self._of_all is not None:
            return self._of_all
        texts = self._texts
        while True:
            text = texts.get(qname)
            if text is not None or len(qname) == 1:
                return text
            qname = qname[qname[0] + 1 :]


def absolute(name: str) -> str:
    """`name` in lower case and with its last dot."""
    return name.lower() if name.endswith(".") else f"{name.lower()}."
