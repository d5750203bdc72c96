"""The options of an OPT record: RFC 6891 §6.1.2, RFC 8914."""

from struct import Struct
from typing import Final

from .constants import OPTION_EDE
from .errors import MalformedMessage

ExtendedErrors = tuple[tuple[int, bytes], ...]
"""Extended DNS Errors, each a code and a text."""

_CODE_AND_SIZE: Final = Struct("!2H")
_CODE: Final = Struct("!H")
_OPTION_HEADER_SIZE: Final = 4
_CODE_SIZE: Final = 2

# An upstream's errors are kept with its answer and go to every client: RFC 8914 §2 wants the texts
# short. What known servers write fits, and a few errors fit a reply of 512 octets.
_MAX_ERRORS: Final = 4
_MAX_TEXT_OCTETS: Final = 255


def check_options(options: bytes) -> None:
    """Check that `options` are whole: code, size, data, and so on. Raises MalformedMessage."""
    if not are_options_whole(options, 0):
        raise MalformedMessage("EDNS options do not end where their record does")


def are_options_whole(packet: bytes, offset: int) -> bool:
    """Whether `packet` from `offset` to its end is whole options."""
    end = len(packet) - _OPTION_HEADER_SIZE
    while offset <= end:
        offset += _OPTION_HEADER_SIZE + (packet[offset + 2] << 8 | packet[offset + 3])
    return offset == end + _OPTION_HEADER_SIZE


def extended_errors(packet: bytes, offset: int, end: int) -> ExtendedErrors:
    """The Extended DNS Errors among an upstream's options from `offset` to `end`; malformed ones are left out."""
    errors: list[tuple[int, bytes]] = []
    while offset + _OPTION_HEADER_SIZE <= end and len(errors) < _MAX_ERRORS:
        option, size = _CODE_AND_SIZE.unpack_from(packet, offset)
        data = offset + _OPTION_HEADER_SIZE
        offset = data + size
        if option == OPTION_EDE and size >= _CODE_SIZE and offset <= end:
            text = packet[data + _CODE_SIZE : offset]
            errors.append((_CODE.unpack_from(packet, data)[0], _shortened(text)))
    return tuple(errors)


def _shortened(text: bytes) -> bytes:
    """`text`, UTF-8, cut to the size that is kept, but not within a character."""
    if len(text) <= _MAX_TEXT_OCTETS:
        return text
    return text[:_MAX_TEXT_OCTETS].decode(errors="ignore").encode()


def errors_as_options(errors: ExtendedErrors) -> bytes:
    """`errors` as the options of an OPT record."""
    return b"".join(
        _CODE_AND_SIZE.pack(OPTION_EDE, _CODE_SIZE + len(text)) + _CODE.pack(code) + text
        for code, text in errors
    )
