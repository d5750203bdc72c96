"""What every Go template can call, and how values are printed and compared."""

import html
from collections.abc import Callable
from urllib.parse import quote_plus

from .goprint import shown, sprintf


class _NoValue:
    """What a map gives for a key it does not have."""

    def __str__(self) -> str:
        return "<no value>"


NO_VALUE = _NoValue()


def is_true(value: object) -> bool:
    """Go's truth: neither false, nor zero, nor empty, nor missing; structs always."""
    if isinstance(value, bool | int | float | str | list | tuple | dict):
        return bool(value)
    return value is not None and value is not NO_VALUE


def _kind(value: object) -> str:
    """The kinds that Go compares with each other and with no others."""
    for kind, types in (("bool", bool), ("int", int), ("float", float), ("string", str)):
        if isinstance(value, types):
            return kind
    raise ValueError(f"non-comparable value {shown(value)}")


def _is_equal(first: object, second: object) -> bool:
    if first is None or second is None:
        return first is second
    if _kind(first) != _kind(second):
        raise ValueError("incompatible types for comparison")
    return first == second


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(_is_equal(first, other) for other in others)


def _ordered(is_right: Callable[[int], bool]) -> Callable[[object, object], bool]:
    def compare(first: object, second: object) -> bool:
        kind = _kind(first)
        if kind != _kind(second):
            raise ValueError("incompatible types for comparison")
        if kind not in ("int", "float", "string"):
            raise ValueError("invalid type for comparison")
        return is_right((first > second) - (first < second))  # type: ignore[operator]

    return compare


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, dict):
            # A map of texts gives an empty one where it has nothing.
            value = value.get(key, "")
        elif isinstance(value, list | tuple | str):
            value = _at(value, key)
        else:
            raise ValueError(f"can't index {shown(value)}")  # noqa: TRY004 (Go's words)
    return value


def _at(value: list[object] | tuple[object, ...] | str, key: object) -> object:
    place = _whole(key)
    if not 0 <= place < len(value):
        raise ValueError(f"index out of range: {place}")
    return value.encode()[place] if isinstance(value, str) else value[place]


def _slice(value: object, *bounds: object) -> object:
    if not isinstance(value, list | tuple | str):
        raise ValueError(f"can't slice {shown(value)}")  # noqa: TRY004 (Go's words)
    octets = value.encode() if isinstance(value, str) else value
    if isinstance(value, str) and len(bounds) > 2:
        raise ValueError("cannot 3-index slice a string")
    places = [0, len(octets)]
    for number, bound in enumerate(bounds[:2]):
        places[number] = _whole(bound)
    if not 0 <= places[0] <= places[1] <= len(octets):
        raise ValueError(f"slice bounds out of range: {places}")
    part = octets[places[0] : places[1]]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"cannot index with {shown(value)}")  # noqa: TRY004 (Go's words)
    return value


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple | dict):
        return len(value)
    raise ValueError(f"len of {shown(value)}")


def _sprint(*values: object) -> str:
    """Values one behind the other, with a space between two that are no texts."""
    parts: list[str] = []
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            parts.append(" ")
        parts.append(shown(value))
    return "".join(parts)


def _call(function: object, *arguments: object) -> object:
    if not callable(function):
        raise ValueError("non-function")  # noqa: TRY004 (Go's words)
    return function(*arguments)


_JS = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026",
    "=": "\\u003D",
}  # fmt: skip


def _js(*values: object) -> str:
    return "".join(
        _JS.get(char, char if char >= " " else f"\\u{ord(char):04X}") for char in _sprint(*values)
    )


BUILTINS: dict[str, Callable[..., object]] = {
    "call": _call,
    "eq": _equal,
    "ge": _ordered(lambda order: order >= 0),
    "gt": _ordered(lambda order: order > 0),
    "html": lambda *values: html.escape(_sprint(*values)).replace("&#x27;", "&#39;"),
    "index": _index,
    "js": _js,
    "le": _ordered(lambda order: order <= 0),
    "len": _length,
    "lt": _ordered(lambda order: order < 0),
    "ne": lambda first, second: not _is_equal(first, second),
    "not": lambda value: not is_true(value),
    "print": _sprint,
    "printf": sprintf,
    "println": lambda *values: " ".join(map(shown, values)) + "\n",
    "slice": _slice,
    "urlquery": lambda *values: quote_plus(_sprint(*values)),
}
