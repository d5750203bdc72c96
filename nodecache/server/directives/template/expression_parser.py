"""Expressions of `template`'s `var` and `expr`: from text to something that can be worked out.

The language is expr-lang's, less what needs a closure (`filter(list, # > 1)`), dates and `let`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Scope = Mapping[str, Any]
Code = Callable[[Scope], Any]
"""One part of an expression, compiled: the names it may use → its value."""

Operator = Callable[[Any, Any], Any]


class ExpressionError(ValueError):
    """An expression that cannot be read, or that has no value here; the text says why."""


_WORDS = re.compile(
    r"""\s*(?:
    (?P<number> 0[xX][\da-fA-F_]+ | 0[bB][01_]+ | 0[oO][0-7_]+
              | \d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)? | \.\d+ )
  | (?P<text>   "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*` )
  | (?P<name>   [^\W\d]\w* )
  | (?P<mark>   \*\* | && | \|\| | [=!<>]= | \?\? | \?\. | \.\. | [-+*/%^<>!?:.,|()\[\]{}] )
  )""",
    re.VERBOSE,
)

# How strongly operators bind; the order is expr-lang's.
_STRENGTHS = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20, "in": 20, "matches": 20,
    "contains": 20, "startsWith": 20, "endsWith": 20, "not": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_UNARY_STRENGTHS = {"not": 50, "!": 50, "-": 90, "+": 90}
_RIGHT_FIRST = ("**", "^")
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_MOST_DEEP = 100

Token = tuple[str, str]


def tokens_of(text: str) -> list[Token]:
    """The words of an expression, with their kinds."""
    tokens, offset, end = [], 0, len(text.rstrip())
    while offset < end:
        match = _WORDS.match(text, offset)
        if match is None:
            raise ExpressionError(f"unexpected {text[offset:].strip()[:1]!r} in {text!r}")
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        offset = match.end()
    return tokens


class Parser:
    """Reads one expression; `operators` and `functions` say what it may do."""

    def __init__(
        self,
        text: str,
        operators: Mapping[str, Operator],
        functions: Mapping[str, Callable[..., Any]],
    ) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._index = 0
        self._depth = 0
        self._operators = operators
        self._functions = functions
        self.names: set[str] = set()
        """The names it looks up, but for those of functions."""

    def parse(self) -> Code:
        """The whole expression."""
        code = self._expression()
        if self._index < len(self._tokens):
            raise self._unexpected()
        return code

    def _expression(self) -> Code:
        """An expression, `a ? b : c` included."""
        self._depth += 1
        if self._depth > _MOST_DEEP:
            raise ExpressionError(f"more than {_MOST_DEEP} parts inside each other")
        code = self._binary(0)
        while self._take("?"):
            code = self._choice(code)
        self._depth -= 1
        return code

    def _choice(self, condition: Code) -> Code:
        first = self._expression()
        self._expect(":")
        second = self._expression()
        return lambda scope: first(scope) if condition(scope) is True else second(scope)

    def _binary(self, least: int) -> Code:
        left = self._unary()
        while (operator := self._peek()) in _STRENGTHS and _STRENGTHS[operator] >= least:
            strength = _STRENGTHS[operator]
            self._index += 1
            is_denied = operator == "not"
            if is_denied:
                operator = self._next_name()
            if operator == "|":
                left = self._piped(left)
                continue
            right = self._binary(strength + (operator not in _RIGHT_FIRST))
            left = self._combined(operator, left, right)
            if is_denied:
                left = _denied(left)
        return left

    def _piped(self, left: Code) -> Code:
        """`value | function(more)`: the value is the first argument."""
        return self._call(self._next_name(), [left])

    def _combined(self, operator: str, left: Code, right: Code) -> Code:
        if operator in ("and", "&&"):
            return lambda scope: _boolean(left(scope)) and _boolean(right(scope))
        if operator in ("or", "||"):
            return lambda scope: _boolean(left(scope)) or _boolean(right(scope))
        if operator == "??":
            return lambda scope: right(scope) if (value := left(scope)) is None else value
        work = self._operators.get(operator)
        if work is None:
            raise ExpressionError(f"unexpected {operator!r} in {self._text!r}")
        return lambda scope: work(left(scope), right(scope))

    def _unary(self) -> Code:
        operator = self._peek()
        if operator not in _UNARY_STRENGTHS or self._kind() == "text":
            return self._postfix(self._primary())
        self._index += 1
        value = self._binary(_UNARY_STRENGTHS[operator])
        if operator in ("not", "!"):
            return _denied(value)
        minus = self._operators["-"]
        return value if operator == "+" else lambda scope: minus(0, value(scope))

    def _postfix(self, code: Code) -> Code:
        """What follows a value: `.field`, `[index]`, `[from:to]`."""
        while True:
            if self._take(".") or self._take("?."):
                code = self._indexed(code, _constant(self._next_name()))
            elif self._take("["):
                code = self._bracketed(code)
            else:
                return code

    def _bracketed(self, code: Code) -> Code:
        first = _constant(0) if self._peek() == ":" else self._expression()
        if not self._take(":"):
            self._expect("]")
            return self._indexed(code, first)
        last = _constant(None) if self._peek() == "]" else self._expression()
        self._expect("]")
        part = self._functions["slice"]
        return lambda scope: part(code(scope), first(scope), last(scope))

    def _indexed(self, code: Code, key: Code) -> Code:
        index = self._functions["index"]
        return lambda scope: index(code(scope), key(scope))

    def _primary(self) -> Code:
        if self._index >= len(self._tokens):
            raise ExpressionError(f"unexpected end of {self._text!r}")
        kind, text = self._tokens[self._index]
        self._index += 1
        if kind == "number":
            return _constant(_number(text))
        if kind == "text":
            return _constant(_unquoted(text))
        if kind == "name":
            return self._name(text)
        if text == "(":
            code = self._expression()
            self._expect(")")
            return code
        if text == "[":
            elements = self._list("]")
            return lambda scope: [element(scope) for element in elements]
        self._index -= 1
        raise self._unexpected()

    def _name(self, name: str) -> Code:
        if name in _CONSTANTS:
            return _constant(_CONSTANTS[name])
        if self._peek() == "(":
            return self._call(name, [])
        self.names.add(name)
        return lambda scope: _looked_up(scope, name)

    def _call(self, name: str, first: list[Code]) -> Code:
        self._expect("(")
        arguments = [*first, *self._list(")")]
        function = self._functions.get(name)
        if function is not None:
            return lambda scope: function(*[argument(scope) for argument in arguments])
        return lambda scope: _looked_up(scope, name)(*[argument(scope) for argument in arguments])

    def _list(self, end: str) -> list[Code]:
        elements: list[Code] = []
        while not self._take(end):
            if elements:
                self._expect(",")
            elements.append(self._expression())
        return elements

    def _peek(self) -> str:
        """The next word, empty at the end; a text in quotes is never taken for an operator."""
        if self._index >= len(self._tokens) or self._kind() == "text":
            return ""
        return self._tokens[self._index][1]

    def _kind(self) -> str:
        return self._tokens[self._index][0] if self._index < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._index += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected(f", wanted {word!r}")

    def _next_name(self) -> str:
        if self._kind() != "name":
            raise self._unexpected()
        self._index += 1
        return self._tokens[self._index - 1][1]

    def _unexpected(self, more: str = "") -> ExpressionError:
        if self._index >= len(self._tokens):
            return ExpressionError(f"unexpected end of {self._text!r}{more}")
        return ExpressionError(
            f"unexpected {self._tokens[self._index][1]!r} in {self._text!r}{more}"
        )


def _constant(value: object) -> Code:
    return lambda _: value


def _denied(code: Code) -> Code:
    return lambda scope: not _boolean(code(scope))


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"true or false is wanted, not {value!r}")
    return value


def _looked_up(scope: Scope, name: str) -> Any:
    if name not in scope:
        raise ExpressionError(f"unknown name {name!r}")
    return scope[name]


def _number(text: str) -> int | float:
    digits = text.replace("_", "")
    try:
        return int(digits, 0)
    except ValueError:
        return float(digits)


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return re.sub(
        r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.DOTALL
    )
