"""From a Go template's words to its tree."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from .gotemplate_lexer import Action, TemplateError, Token, number, parts_of, unquoted


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, `nil` and booleans included."""

    value: object


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`, with the fields that follow: `.Group.a`."""

    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`, with the fields that follow."""

    name: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A function by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands joined by `|`; `names` are the variables it is given to, new ones if `declares`."""

    commands: tuple["Command", ...]
    names: tuple[str, ...] = ()
    declares: bool = False


@dataclass(frozen=True, slots=True)
class Nested:
    """A pipe in parentheses, with the fields that follow."""

    pipe: Pipe
    fields: tuple[str, ...] = ()


Operand = Literal | Dot | Variable | Function | Nested
Command = tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """An action that prints what its pipe gives, unless that goes into a variable."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`if`, `with` or `range`: what to do, and what otherwise."""

    kind: str
    pipe: Pipe
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    kind: str


@dataclass(frozen=True, slots=True)
class Call:
    """`template "name" pipe`, also what `block` leaves behind."""

    name: str
    pipe: Pipe | None


Node = str | Output | Branch | Jump | Call


@dataclass(slots=True)
class Tree:
    """A whole template: its nodes, and those of the templates it defines."""

    nodes: tuple[Node, ...] = ()
    defined: dict[str, tuple[Node, ...]] = field(default_factory=dict)


_BRANCHES = ("if", "with", "range")
_CONSTANTS = {"true": True, "false": False, "nil": None}
_KEYWORDS = frozenset(
    (*_BRANCHES, "else", "end", "define", "block", "template", "break", "continue")
)


def parse(text: str, functions: Collection[str]) -> Tree:
    """Read a template that may call `functions`; TemplateError says what is wrong with it."""
    reader = _TreeReader(parts_of(text), functions)
    reader.tree.nodes = reader.nodes(stops=())
    return reader.tree


class _TreeReader:
    """Reads nodes until the word that ends them."""

    def __init__(self, parts: Iterator[str | Action], functions: Collection[str]) -> None:
        self.tree = Tree()
        self._parts = parts
        self._functions = functions
        self._scopes: list[set[str]] = [{"$"}]
        self._ranges = 0
        self._stop: Sequence[Token] = ()

    def nodes(self, stops: Collection[str]) -> tuple[Node, ...]:
        """The nodes up to one of the words in `stops`, whose action is kept in `_stop`."""
        nodes: list[Node] = []
        for part in self._parts:
            if isinstance(part, str):
                if part:
                    nodes.append(part)
                continue
            tokens = part.tokens
            word = tokens[0].text if tokens and tokens[0].kind == "word" else ""
            if word in stops:
                self._stop = tokens
                return tuple(nodes)
            node = self._node(word, tokens)
            if node is not None:
                nodes.append(node)
        if stops:
            raise TemplateError("unexpected end: an action waits for its {{end}}")
        return tuple(nodes)

    def _node(self, word: str, tokens: Sequence[Token]) -> Node | None:
        if word in _BRANCHES:
            return self._branch(word, tokens[1:])
        if word in ("define", "block"):
            return self._definition(word, tokens)
        if word == "template":
            return self._call(tokens)
        if word in ("break", "continue"):
            if len(tokens) > 1 or not self._ranges:
                raise TemplateError(f"{{{{{word}}}}} outside of a range, or with arguments")
            return Jump(word)
        if word in _KEYWORDS:
            raise TemplateError(f"unexpected {{{{{word}}}}}")
        return Output(self._pipe(tokens, "an action"))

    def _branch(self, kind: str, tokens: Sequence[Token]) -> Branch:
        """A branch up to its `end`; what it declares is known inside of it only."""
        self._scopes.append(set())
        pipe = self._pipe(tokens, kind, is_range=kind == "range")
        self._ranges += kind == "range"
        body = self.nodes(("else", "end"))
        self._ranges -= kind == "range"
        otherwise = self._otherwise(kind) if self._stop[0].text == "else" else ()
        self._scopes.pop()
        return Branch(kind, pipe, body, otherwise)

    def _otherwise(self, kind: str) -> tuple[Node, ...]:
        rest = self._stop[1:]
        if not rest:
            nodes = self.nodes(("end",))
            self._expect_bare_end()
            return nodes
        # `else if` and `else with` are a branch of their own that shares our `end`.
        if kind == "range" or rest[0].text != kind:
            raise TemplateError(f"unexpected {rest[0].text!r} after else")
        return (self._branch(kind, rest[1:]),)

    def _expect_bare_end(self) -> None:
        if len(self._stop) > 1:
            raise TemplateError(f"unexpected {self._stop[1].text!r} after end")

    def _definition(self, word: str, tokens: Sequence[Token]) -> Call | None:
        name = _template_name(tokens)
        rest = tokens[2:]
        if word == "define" and rest:
            raise TemplateError(f"unexpected {rest[0].text!r} in define")
        pipe = self._pipe(rest, "block") if word == "block" else None
        outer, self._scopes = self._scopes, [{"$"}]
        self.tree.defined[name] = self.nodes(("end",))
        self._scopes = outer
        return Call(name, pipe) if word == "block" else None

    def _call(self, tokens: Sequence[Token]) -> Call:
        name = _template_name(tokens)
        rest = tokens[2:]
        return Call(name, self._pipe(rest, "template") if rest else None)

    def _pipe(self, tokens: Sequence[Token], where: str, *, is_range: bool = False) -> Pipe:
        reader = _PipeReader(tokens, self._functions, self._scopes)
        pipe = reader.pipe(where, is_range=is_range)
        reader.expect_end()
        return pipe


def _template_name(tokens: Sequence[Token]) -> str:
    if len(tokens) < 2 or tokens[1].kind not in ("string", "raw"):
        raise TemplateError(f"{tokens[0].text} needs a name in quotes")
    return unquoted(tokens[1].text)


class _PipeReader:
    """Reads one pipe from the tokens of an action."""

    def __init__(
        self, tokens: Sequence[Token], functions: Collection[str], scopes: list[set[str]]
    ) -> None:
        self._tokens = tokens
        self._index = 0
        self._functions = functions
        self._scopes = scopes

    def pipe(self, where: str, *, is_range: bool = False) -> Pipe:
        """A pipe with its declarations."""
        names, declares = self._names(is_range=is_range)
        commands = [self._command(where)]
        while self._take("|"):
            commands.append(self._command(where))
        for command in commands[1:]:
            if isinstance(command[0], Literal | Dot) and not getattr(command[0], "fields", ()):
                raise TemplateError("what stands behind | must be something to call")
        if declares:
            self._scopes[-1].update(names)
        return Pipe(tuple(commands), names, declares)

    def expect_end(self) -> None:
        """TemplateError where tokens are left."""
        token = self._peek()
        if token is not None:
            raise TemplateError(f"unexpected {token.text!r}")

    def _names(self, *, is_range: bool) -> tuple[tuple[str, ...], bool]:
        """The variables in front of `:=` or `=`; a range may have two."""
        texts = [token.text for token in self._tokens[self._index : self._index + 4]]
        if not texts or not texts[0].startswith("$"):
            return (), False
        if texts[1:2] in ([":="], ["="]):
            names, mark = texts[:1], texts[1]
        elif is_range and texts[1:2] == [","] and texts[3:4] in ([":="], ["="]):
            names, mark = [texts[0], texts[2]], texts[3]
        else:
            return (), False
        self._index += 2 * len(names)
        if mark == "=":
            for name in names:
                self._check_known(name)
        return tuple(names), mark == ":="

    def _command(self, where: str) -> Command:
        operands: list[Operand] = []
        while (token := self._peek()) is not None and token.text not in ("|", ")"):
            if operands and not token.is_spaced:
                raise TemplateError(f"white space is missing before {token.text!r}")
            operands.append(self._operand())
        if not operands:
            raise TemplateError(f"missing value for {where}")
        return tuple(operands)

    def _operand(self) -> Operand:
        token = self._tokens[self._index]
        self._index += 1
        if token.kind == "field":
            return Dot((token.text[1:], *self._fields()))
        if token.kind == "variable":
            self._check_known(token.text)
            return Variable(token.text, self._fields())
        if token.text == "(":
            return self._nested()
        if token.text == ".":
            return Dot()
        if token.kind == "word":
            return self._word(token.text)
        return Literal(_constant(token))

    def _nested(self) -> Nested:
        pipe = self.pipe("parentheses")
        if not self._take(")"):
            raise TemplateError("a parenthesis is not closed")
        return Nested(pipe, self._fields())

    def _word(self, word: str) -> Operand:
        if word in _CONSTANTS:
            return Literal(_CONSTANTS[word])
        if word not in self._functions:
            raise TemplateError(f"function {word!r} is not defined")
        return Function(word)

    def _fields(self) -> tuple[str, ...]:
        """The fields that follow without a space."""
        names = []
        while (token := self._peek()) and token.kind == "field" and not token.is_spaced:
            names.append(token.text[1:])
            self._index += 1
        return tuple(names)

    def _check_known(self, name: str) -> None:
        if not any(name in scope for scope in self._scopes):
            raise TemplateError(f"undefined variable {name!r}")

    def _peek(self) -> Token | None:
        return self._tokens[self._index] if self._index < len(self._tokens) else None

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.text != text:
            return False
        self._index += 1
        return True


def _constant(token: Token) -> object:
    if token.kind in ("string", "raw"):
        return unquoted(token.text)
    if token.kind == "number":
        return number(token.text)
    if token.kind == "char":
        return ord(unquoted(token.text))
    raise TemplateError(f"unexpected {token.text!r}")
