"""Working out `var` and `expr` of `template`: operators, functions, and what they see of a query."""

import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from nodecache.server.chain import Client
from nodecache.server.dns_name import text_of
from nodecache.server.mnemonics import class_text, type_text
from nodecache.server.patterns import Pattern
from nodecache.wire import Query

from .expression_parser import Code, ExpressionError, Operator, Parser, Scope
from .goprint import shown

__all__ = ["SCOPE_NAMES", "Expression", "ExpressionError", "read_variables", "scope_of"]

_MOST_ELEMENTS = 10_000
_MOST_TCP_OCTETS, _LEAST_UDP_OCTETS = 65535, 512
_KEYWORDS = frozenset(
    ("and", "contains", "else", "endsWith", "false", "if", "in", "let", "matches", "nil", "not")
).union(("or", "startsWith", "true"))
SCOPE_NAMES = frozenset(
    ("bufsize", "class", "client_ip", "do", "group", "id", "incidr", "metadata", "name", "opcode")
).union(("port", "proto", "server_ip", "server_port", "size", "type"))
"""What `scope_of` tells of a query."""


class Expression:
    """One expression, read once; ExpressionError where it cannot be read."""

    __slots__ = ("_code", "_names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parser = Parser(text, _OPERATORS, _FUNCTIONS)
        self._code: Code = parser.parse()
        self._names = parser.names

    def check(self, known: Collection[str]) -> None:
        """ExpressionError where it is about something that is not `known`."""
        for name in sorted(self._names.difference(known)):
            raise ExpressionError(f"{self.text}: unknown name {name!r}")

    def value(self, scope: Scope) -> Any:
        """Its value where names mean what `scope` says; ExpressionError where it has none."""
        try:
            return self._code(scope)
        except ExpressionError as error:
            raise ExpressionError(f"{self.text}: {error}") from None
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise ExpressionError(f"{self.text}: {error}") from None


def read_variables(variables: Iterable[tuple[str, str]]) -> list[tuple[str, Expression]]:
    """Names and expressions, each of which may use those before it, as in CoreDNS."""
    known = set(SCOPE_NAMES)
    read: list[tuple[str, Expression]] = []
    for name, text in variables:
        if name in known or name in _FUNCTIONS or name in _KEYWORDS:
            raise ExpressionError(f"variable name {name!r} is taken")
        expression = Expression(text)
        expression.check(known)
        known.add(name)
        read.append((name, expression))
    return read


def scope_of(query: Query, client: Client, groups: dict[str, str]) -> dict[str, Any]:
    """The functions that tell an expression about a query."""
    is_udp = client.transport == "udp"
    bufsize = max(_LEAST_UDP_OCTETS, query.payload_size) if is_udp else _MOST_TCP_OCTETS
    return {
        "bufsize": lambda: bufsize,
        "class": lambda: class_text(query.rdclass),
        "client_ip": lambda: client.host,
        "do": lambda: query.has_do,
        "group": lambda name: groups.get(str(name), ""),
        "id": lambda: int.from_bytes(query.id, "big"),
        "incidr": _is_in_network,
        "metadata": lambda label: (client.metadata or {}).get(label, ""),
        "name": lambda: text_of(query.qname),
        "opcode": lambda: 0,
        "port": lambda: str(client.address[1]),
        "proto": lambda: client.transport,
        "server_ip": lambda: client.local_host,
        "server_port": lambda: str(client.local[1]),
        "size": lambda: len(query.packet),
        "type": lambda: type_text(query.qtype),
    }


def _is_in_network(address: str, network: str) -> bool:
    return ip_address(address) in ip_network(network, strict=False)


def _checked(value: object, types: type | tuple[type, ...], wanted: str) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        raise ExpressionError(f"{wanted} is wanted, not {value!r}")
    return value


def _text(value: object) -> str:
    return _checked(value, str, "a text")  # type: ignore[no-any-return]


def _numeric(work: Operator) -> Operator:
    def checked(left: object, right: object) -> object:
        for value in (left, right):
            _checked(value, (int, float), "a number")
        return work(left, right)

    return checked


def _added(left: object, right: object) -> object:
    if isinstance(left, str):
        return left + _text(right)
    return _numeric(operator.add)(left, right)


def _remainder(left: int, right: int) -> int:
    """Go's: the sign of what is divided."""
    value = abs(left) % abs(right)
    return -value if left < 0 else value


def _compared(work: Operator) -> Operator:
    def checked(left: object, right: object) -> object:
        if not isinstance(left, str):
            return _numeric(work)(left, right)
        return work(left, _text(right))

    return checked


def _of_texts(work: Callable[[str, str], bool]) -> Operator:
    return lambda left, right: work(_text(left), _text(right))


def _is_in(element: object, whole: object) -> bool:
    _checked(whole, (list, dict), "a list or map")
    return element in whole  # type: ignore[operator]


def _range(first: int, last: int) -> list[int]:
    if last - first >= _MOST_ELEMENTS:
        raise ExpressionError(f"more than {_MOST_ELEMENTS} elements")
    return list(range(first, last + 1))


_OPERATORS: dict[str, Operator] = {
    "+": _added,
    "-": _numeric(operator.sub),
    "*": _numeric(operator.mul),
    "/": _numeric(operator.truediv),
    "%": _numeric(_remainder),
    "**": _numeric(lambda left, right: float(left) ** right),
    "^": _numeric(lambda left, right: float(left) ** right),
    "==": operator.eq,
    "!=": operator.ne,
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "in": _is_in,
    "contains": _of_texts(lambda left, right: right in left),
    "startsWith": _of_texts(str.startswith),
    "endsWith": _of_texts(str.endswith),
    "matches": _of_texts(lambda left, right: Pattern(right).found_in(left)),
    "..": _range,
}


def _index(whole: Any, key: object) -> object:
    if isinstance(whole, dict):
        return whole.get(key)
    return _checked(whole, (list, str), "a list or map")[_checked(key, int, "a number")]


def _slice(whole: Any, first: int, last: int | None) -> object:
    return _checked(whole, (list, str), "a list or text")[first:last]


def _int(value: object, base: int = 10) -> int:
    """A whole number of a number or a text; texts may be in another base."""
    if isinstance(value, str):
        return int(value, base)
    return int(_checked(value, (int, float), "a number"))


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    return text.split(separator, count - 1 if count > 0 else -1) if separator else list(text)


def _join(elements: Sequence[str], separator: str = "") -> str:
    return separator.join(elements)


def _repeat(text: str, count: int) -> str:
    if len(text) * count > _MOST_ELEMENTS:
        raise ExpressionError(f"more than {_MOST_ELEMENTS} characters")
    return text * count


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": lambda value: float(-(-value // 1)),
    "first": lambda elements: elements[0] if elements else None,
    "float": float,
    "floor": lambda value: float(value // 1),
    "hasPrefix": str.startswith,
    "hasSuffix": str.endswith,
    "index": _index,
    "indexOf": str.find,
    "int": _int,
    "join": _join,
    "last": lambda elements: elements[-1] if elements else None,
    "lastIndexOf": str.rfind,
    "len": len,
    "lower": str.lower,
    "max": max,
    "min": min,
    "repeat": _repeat,
    "replace": str.replace,
    "reverse": lambda elements: elements[::-1],
    "round": lambda value: float(int(value + (0.5 if value >= 0 else -0.5))),
    "slice": _slice,
    "sort": sorted,
    "split": _split,
    "string": shown,
    "trim": lambda text, characters=None: text.strip(characters),
    "trimPrefix": str.removeprefix,
    "trimSuffix": str.removesuffix,
    "upper": str.upper,
}
