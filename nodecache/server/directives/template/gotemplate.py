"""Go templates (text/template), as far as DNS records need them: which is the whole language.

Left out are channels, complex numbers and methods of Go's own types. Data are `Struct`s, dicts, lists,
texts, numbers and booleans. Filling in raises TemplateError and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from .goprint import shown
from .gotemplate_functions import BUILTINS, NO_VALUE, is_true
from .gotemplate_lexer import TemplateError
from .gotemplate_parser import (
    Branch,
    Call,
    Command,
    Dot,
    Function,
    Literal,
    Nested,
    Node,
    Operand,
    Output,
    Pipe,
    Tree,
    Variable,
    parse,
)

# Templates may call each other in circles.
_MAX_DEPTH = 100
_SHORT_CIRCUITS = {"and": False, "or": True}

_NOTHING = object()  # no value comes through the pipe


class Struct:
    """What Go code would have as a struct: named fields, of which functions are methods."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: Mapping[str, object]) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        values = (value for value in self.fields.values() if not callable(value))
        return "{" + " ".join(shown(value) for value in values) + "}"


class Template:
    """A template, read once; `functions` are called by name besides the built-in ones."""

    def __init__(
        self, text: str, functions: Mapping[str, Callable[..., object]] | None = None
    ) -> None:
        self.text = text
        self._functions = {**BUILTINS, **(functions or {})}
        self._tree = parse(text, self._functions.keys() | _SHORT_CIRCUITS.keys())

    def filled(self, data: object) -> str:
        """The text with `data` as its dot."""
        out: list[str] = []
        run = _Run(self._tree, self._functions, out)
        try:
            run.nodes(self._tree.nodes, data)
        except _JumpOut:
            raise TemplateError("break or continue outside of a range") from None
        return "".join(out)


class _JumpOut(Exception):
    """`break` or `continue` on its way to its range."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Run:
    """One filling in: variables by scope, and what was printed."""

    def __init__(
        self,
        tree: Tree,
        functions: Mapping[str, Callable[..., object]],
        out: list[str],
        depth: int = 0,
    ) -> None:
        self._tree = tree
        self._functions = functions
        self._out = out
        self._depth = depth
        self._scopes: list[dict[str, object]] = [{}]

    def nodes(self, nodes: Sequence[Node], dot: object) -> None:
        """Print `nodes`."""
        if not self._scopes[0]:
            self._scopes[0]["$"] = dot
        for node in nodes:
            if isinstance(node, str):
                self._out.append(node)
            elif isinstance(node, Output):
                value = self._pipe(node.pipe, dot)
                if not node.pipe.names:
                    self._out.append(shown(value))
            elif isinstance(node, Branch):
                self._branch(node, dot)
            elif isinstance(node, Call):
                self._call_template(node, dot)
            else:
                raise _JumpOut(node.kind)

    def _branch(self, node: Branch, dot: object) -> None:
        self._scopes.append({})
        try:
            if node.kind == "range":
                self._range(node, dot)
                return
            value = self._pipe(node.pipe, dot)
            inner = value if node.kind == "with" else dot
            if is_true(value):
                self.nodes(node.body, inner)
            else:
                self.nodes(node.otherwise, dot)
        finally:  # also where a `break` or `continue` leaves it
            self._scopes.pop()

    def _range(self, node: Branch, dot: object) -> None:
        # The pipe is evaluated with its variables left alone: they get each element instead.
        value = self._pipe(Pipe(node.pipe.commands), dot)
        is_empty = True
        for key, element in _elements(value):
            is_empty = False
            self._give(node.pipe, key, element)
            try:
                self.nodes(node.body, element)
            except _JumpOut as jump:
                if jump.kind == "break":
                    break
        if is_empty:
            self.nodes(node.otherwise, dot)

    def _give(self, pipe: Pipe, key: object, element: object) -> None:
        names = pipe.names
        if names:
            self._set(names[-1], element, declares=pipe.declares)
        if len(names) > 1:
            self._set(names[0], key, declares=pipe.declares)

    def _call_template(self, node: Call, dot: object) -> None:
        nodes = self._tree.defined.get(node.name)
        if nodes is None:
            raise TemplateError(f"template {node.name!r} is not defined")
        if self._depth >= _MAX_DEPTH:
            raise TemplateError(f"templates call each other more than {_MAX_DEPTH} deep")
        inner = _Run(self._tree, self._functions, self._out, self._depth + 1)
        inner.nodes(nodes, NO_VALUE if node.pipe is None else self._pipe(node.pipe, dot))

    # Values

    def _pipe(self, pipe: Pipe, dot: object) -> object:
        value: object = _NOTHING
        for command in pipe.commands:
            value = self._command(command, dot, value)
        for name in pipe.names:
            self._set(name, value, declares=pipe.declares)
        return value

    def _command(self, command: Command, dot: object, piped: object) -> object:
        first, *rest = command
        if isinstance(first, Function) and first.name in _SHORT_CIRCUITS:
            return self._short_circuit(first.name, rest, dot, piped)
        if isinstance(first, Literal) and first.value is None:
            raise TemplateError("nil is not a command")
        target = self._operand(first, dot)
        has_arguments = bool(rest) or piped is not _NOTHING
        if isinstance(target, _Callable):
            arguments = [self._argument(operand, dot) for operand in rest]
            return target(*arguments, *([] if piped is _NOTHING else [piped]))
        if has_arguments:
            raise TemplateError(f"can't give argument to non-function {_name(first)}")
        return target

    def _argument(self, operand: Operand, dot: object) -> object:
        value = self._operand(operand, dot)
        return value() if isinstance(value, _Callable) else value

    def _short_circuit(
        self, name: str, operands: Sequence[Operand], dot: object, piped: object
    ) -> object:
        """`and` and `or` look at no more than they need."""
        value: object = _NOTHING
        for operand in operands:
            value = self._argument(operand, dot)
            if is_true(value) is _SHORT_CIRCUITS[name]:
                return value
        if piped is not _NOTHING:
            return piped
        if value is _NOTHING:
            raise TemplateError(f"wrong number of arguments for {name}: want at least 1, got 0")
        return value

    def _operand(self, operand: Operand, dot: object) -> object:
        if isinstance(operand, Literal):
            return operand.value
        if isinstance(operand, Dot):
            return _field_of(dot, operand.fields)
        if isinstance(operand, Variable):
            return _field_of(self._get(operand.name), operand.fields)
        if isinstance(operand, Nested):
            return _field_of(self._pipe(operand.pipe, dot), operand.fields)
        return _Callable(operand.name, self._functions[operand.name])

    def _get(self, name: str) -> object:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        raise TemplateError(f"undefined variable {name!r}")

    def _set(self, name: str, value: object, *, declares: bool) -> None:
        for scope in reversed(self._scopes):
            if declares or name in scope:
                scope[name] = value
                return


class _Callable:
    """A function or method with its name, so that a wrong call can say which."""

    __slots__ = ("_function", "_name")

    def __init__(self, name: str, function: Callable[..., object]) -> None:
        self._name = name
        self._function = function

    def __call__(self, *arguments: object) -> object:
        try:
            return self._function(*arguments)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise TemplateError(f"error calling {self._name}: {error}") from None


def _name(operand: Operand) -> str:
    if isinstance(operand, Dot):
        return "." + ".".join(operand.fields)
    return repr(operand.value) if isinstance(operand, Literal) else type(operand).__name__.lower()


def _field_of(value: object, fields: Sequence[str]) -> object:
    """Follow `fields` from `value`; a method in between is called without arguments."""
    for is_last, field in _with_last(fields):
        if isinstance(value, Struct):
            if field not in value.fields:
                raise TemplateError(f"can't evaluate field {field} in type {value.name}")
            value = value.fields[field]
            if callable(value):
                method = _Callable(field, value)
                value = method if is_last else method()
        elif isinstance(value, dict):
            value = value.get(field, NO_VALUE)
        elif value is None or value is NO_VALUE:
            raise TemplateError(f"nil has no field {field}")
        else:
            raise TemplateError(f"can't evaluate field {field} in type {type(value).__name__}")
    return value


def _with_last(fields: Sequence[str]) -> Iterator[tuple[bool, str]]:
    for field, following in pairwise((*fields, None)):
        yield following is None, str(field)


def _elements(value: object) -> Iterator[tuple[object, object]]:
    """What a range walks over: keys (in order) or indices, and elements."""
    if isinstance(value, dict):
        yield from sorted(value.items())
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from ((number, number) for number in range(value))
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif value is not None and value is not NO_VALUE:
        raise TemplateError(f"range can't iterate over {shown(value)}")
