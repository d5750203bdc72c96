"""The one strict parser of the channel's messages, from either side.

The worker reads what strangers send, so the keeper treats it as taken over: a message that is not
exactly of a known form raises MalformedControlMessage, and nothing else is ever raised. A form says
which fields there are, of what type and size, and how many descriptors come along.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[Any], Any]
"""Takes a value as JSON has it and returns it typed; raises MalformedControlMessage."""

_MAX_HOST_OCTETS = 64  # an IPv6 address with a zone of 15 octets (IFNAMSIZ) has 61
_MAX_COUNTS = 1_000
_MAX_NAME_OCTETS = 200
_MAX_NUMBER = 1 << 63


class MalformedControlMessage(ValueError):
    """The other end of a channel sent what has no known form; the text tells what."""


class LostDescriptors(MalformedControlMessage):
    """The message is of the form `kind`, but not all of its descriptors could be taken in."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"descriptors of {kind!r} were lost")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Message:
    """One datagram: its kind and fields, and the descriptors that came with it, now the receiver's."""

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """What a message of one kind has: fields by name, and how many descriptors."""

    fields: Mapping[str, Check] = field(default_factory=dict)
    descriptors: range = range(1)


_OF_ANOTHER_VERSION = Form(descriptors=range(254))


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageForms:
    """All that one end may say: forms by kind (`of`), and the octets of its longest message.

    `is_of_any_version` passes over what another version may say: fields that a form does not have,
    and all of a message of another kind but its name.
    """

    of: Mapping[str, Form]
    max_octets: int
    is_of_any_version: bool = False


def read_message(
    octets: bytes, descriptors: Sequence[int], forms: MessageForms, *, are_lost: bool = False
) -> Message:
    """The message in a datagram. `are_lost` tells that more descriptors were sent than arrived."""
    read = _object(octets, forms.max_octets)
    kind = read.pop("kind", None)
    if not isinstance(kind, str):
        raise MalformedControlMessage("no kind")
    form = forms.of.get(kind, _OF_ANOTHER_VERSION if forms.is_of_any_version else None)
    if form is None:
        raise MalformedControlMessage(f"no such kind of message: {shown(kind)}")
    fields = {name: _checked(read, kind, name, check) for name, check in form.fields.items()}
    if read and not forms.is_of_any_version:
        raise MalformedControlMessage(
            f"{kind!r} with fields it does not have: {shown(', '.join(read))}"
        )
    if are_lost and form.descriptors[-1]:
        raise LostDescriptors(kind)
    if are_lost or len(descriptors) not in form.descriptors:
        raise MalformedControlMessage(f"{kind!r} with {len(descriptors)} descriptors")
    return Message(kind, fields, tuple(descriptors))


def _object(octets: bytes, max_octets: int) -> dict[str, Any]:
    if len(octets) > max_octets:
        raise MalformedControlMessage(f"more than {max_octets} octets")
    try:
        read = json.loads(octets.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedControlMessage("no JSON") from error
    if not isinstance(read, dict):
        raise MalformedControlMessage(f"no object but {type(read).__name__}")
    return read


def _checked(read: dict[str, Any], kind: str, name: str, check: Check) -> Any:
    if name not in read:
        raise MalformedControlMessage(f"{kind!r} without {name!r}")
    return _named(name, check, read.pop(name))


def _named(name: str, check: Check, value: Any) -> Any:
    try:
        return check(value)
    except MalformedControlMessage as error:
        raise MalformedControlMessage(f"{name!r}: {error}") from None


# What fields may be


def text(max_octets: int) -> Check:
    """A string up to so long, as one printable line: it may end in the log."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > max_octets:
            raise MalformedControlMessage(f"no text of up to {max_octets} characters")
        return "".join(each if each.isprintable() else "?" for each in value)

    return check


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise MalformedControlMessage("neither true nor false")
    return value


def whole(value: Any) -> int:
    """A whole number that a counter can have."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX_NUMBER:
        raise MalformedControlMessage("no count")
    return value


def number(value: Any) -> float:
    """A finite number, or a flag as one."""
    if not isinstance(value, int | float) or not math.isfinite(_as_float(value)):
        raise MalformedControlMessage("no number")
    return value


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def by_name(check: Check) -> Check:
    """An object whose values are all of one sort, such as counts."""

    def check_all(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > _MAX_COUNTS:
            raise MalformedControlMessage(f"no object of up to {_MAX_COUNTS} members")
        if any(len(name) > _MAX_NAME_OCTETS for name in value):
            raise MalformedControlMessage("an object with a name too long")
        return {name: check(each) for name, each in value.items()}

    return check_all


def shaped(checks: Mapping[str, Check]) -> Check:
    """An object with exactly these members."""

    def check_each(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or value.keys() != checks.keys():
            raise MalformedControlMessage(f"no object of {', '.join(checks)}")
        return {name: _named(name, check, value[name]) for name, check in checks.items()}

    return check_each


def texts(max_count: int, max_octets: int) -> Check:
    """A list of up to so many strings, each up to so long."""
    check_each = text(max_octets)

    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or len(value) > max_count:
            raise MalformedControlMessage(f"no list of up to {max_count} texts")
        return [check_each(each) for each in value]

    return check


def addresses(max_count: int) -> Check:
    """A list of up to so many hosts and ports."""

    def check(value: Any) -> list[tuple[str, int]]:
        if not isinstance(value, list) or len(value) > max_count:
            raise MalformedControlMessage(f"no list of up to {max_count} addresses")
        return [_host_and_port(each) for each in value]

    return check


def _host_and_port(value: Any) -> tuple[str, int]:
    match value:
        case [str(host), int(port)] if (
            len(host) <= _MAX_HOST_OCTETS and not isinstance(port, bool) and 0 <= port <= 65_535
        ):
            return host, port
        case _:
            raise MalformedControlMessage("no host and port")


def shown(words: str) -> str:
    """A stranger's words for a log line, cut to a bounded length."""
    return ascii(words if len(words) <= _MAX_SHOWN else f"{words[:_MAX_SHOWN]}...")


_MAX_SHOWN = 80
