"""Names between the wire and the text that Corefiles, patterns and logs are written in.

Text is absolute, in lower case, with the escapes of miekg/dns: people's regular expressions were
written against them.
"""

from collections.abc import Iterable
from functools import lru_cache

from .constants import MAX_LABEL_SIZE, MAX_NAME_SIZE

_ROOT = b"\0"

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
        return _ROOT
    try:
        name = b"".join([_SIZES[len(label)] + label for label in _labels_of(text)]) + _ROOT
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
