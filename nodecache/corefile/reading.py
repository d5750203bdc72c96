"""How directives read what is written behind their names and in their blocks.

A directive's module holds a table of its options; each row says how one option's words become
fields of the directive's dataclass. Errors are raised as Fault where the word stands, and gathered,
so that one run tells every mistake of a file.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from .errors import CorefileError
from .lexer import Token
from .names import zone_names
from .values import Reader, hint

T = TypeVar("T")
Fields = dict[str, Any]

ITSELF = "it"
"""What the value of an option is called that has only one: by the option's name."""


class Fault(Exception):
    """One mistake, at one word."""

    def __init__(self, token: Token, reason: str) -> None:
        super().__init__(reason)
        self.token = token
        self.reason = reason

    def to_error(self, directive: str = "") -> CorefileError:
        """The same for the operator, behind the name of the directive it is in."""
        reason = f"{directive}: {self.reason}" if directive else self.reason
        return CorefileError(self.token.file, self.token.line, reason)


@dataclass(frozen=True, slots=True)
class Statement:
    """A directive as written: its name, the words behind it, the lines of its block."""

    name: Token
    words: tuple[Token, ...]
    lines: tuple[tuple[Token, ...], ...] = ()
    end: Token | None = None
    """The brace that closes the block; None where there is no block."""

    @property
    def arguments(self) -> "Arguments":
        """The words behind the name, to be read."""
        return Arguments(self.name, self.words)


@dataclass(slots=True)
class Context:
    """Collects mistakes and warnings of a directive's options."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    left_out: list[Fault] = field(default_factory=list)

    def warn(self, token: Token, reason: str) -> None:
        """Add a warning about something that works, but not as written."""
        self.warnings.append(Fault(token, reason))

    def leave_out(self, token: Token, reason: str) -> None:
        """Add a mistake that does not keep the rest from being served."""
        self.left_out.append(Fault(token, f"left out: {reason}"))


class Arguments:
    """The words behind a name, read one by one."""

    def __init__(self, name: Token, words: Sequence[Token]) -> None:
        self.name = name
        self._words = list(words)

    def __len__(self) -> int:
        return len(self._words)

    @property
    def last(self) -> str:
        """The last word not yet read; "" where there is none."""
        return self._words[-1].text if self._words else ""

    @property
    def following(self) -> str:
        """The next word, not yet read; "" where there is none."""
        return self._words[0].text if self._words else ""

    @property
    def after_following(self) -> str:
        """The word after the next one; "" where there is none."""
        return self._words[1].text if len(self._words) > 1 else ""

    def take(self, what: str, read: Reader[T]) -> T:
        """The next word as `read` understands it; `what` is its name in an error."""
        self._need(1, what)
        return self._read(what, read, self._words.pop(0))

    def take_or(self, what: str, read: Reader[T], default: T) -> T:
        """The next word, or `default` where there is none."""
        return self.take(what, read) if self._words else default

    def take_last(self, what: str, read: Reader[T]) -> T:
        """The last word."""
        return self._read(what, read, self._words.pop())

    def rest(self, what: str, read: Reader[T], *, at_least: int = 0) -> tuple[T, ...]:
        """All words that are left."""
        self._need(at_least, what)
        words, self._words = self._words, []
        return tuple(self._read(what, read, word) for word in words)

    def _need(self, count: int, what: str) -> None:
        if len(self._words) < count:
            missing = f"{what} needs a value" if what == ITSELF else f"{what} is missing"
            raise Fault(self.name, missing)

    def end(self) -> None:
        """Nothing may be left."""
        if self._words:
            told = f"{ITSELF} takes no more words, but there is {self.following!r}"
            raise Fault(self._words[0], told)

    def fault(self, reason: str) -> Fault:
        """A mistake where the name stands."""
        return Fault(self.name, reason)

    @staticmethod
    def _read(what: str, read: Reader[T], word: Token) -> T:
        try:
            return read(word.text)
        except ValueError as error:
            raise Fault(word, f"{what} {error}") from None


@dataclass(frozen=True, slots=True)
class Option:
    """How one option's words become fields; given twice, `join` adds to what was said before."""

    read: Callable[[Arguments], Fields]
    join: Callable[[Any, Any], Any] | None = None
    is_lax: bool = False
    """Whether CoreDNS passes over words too many: then they are a warning."""


Table = Mapping[str, Option]


def flag(name: str, *, value: bool = True) -> Option:
    """An option without words."""
    return Option(lambda _: {name: value})


def single(name: str, read: Reader[Any]) -> Option:
    """An option with one word, told in errors by the option's own name."""
    return Option(lambda arguments: {name: arguments.take(ITSELF, read)})


def no_effect(read: Reader[Any] | None = None) -> Option:
    """An option that is read and has no effect here; without a word, or with one that `read` takes."""

    def check(arguments: Arguments) -> Fields:
        if read is not None:
            arguments.take_or(ITSELF, read, None)
        return {}

    return Option(check)


def once(option: Option) -> Option:
    """The same option, refused a second time."""

    def refuse(_: object, __: object) -> object:
        raise ValueError("can be given only once")

    return Option(option.read, refuse)


def several(name: str, read: Reader[Any]) -> Option:
    """An option with one word or more; a second time it adds to the first."""
    return Option(lambda a: {name: a.rest(ITSELF, read, at_least=1)}, operator.add)


def a_set(name: str, read: Reader[Any]) -> Option:
    """The same, where neither order nor repetition matters."""
    return Option(lambda a: {name: frozenset(a.rest(ITSELF, read, at_least=1))}, operator.or_)


def read_options(statement: Statement, table: Table, context: Context) -> Fields:
    """The fields that the lines of a block set; each line's fault is left in `context`."""
    fields: Fields = {}
    for name, *words in statement.lines:
        option = table.get(name.text)
        if option is None:
            fault = Fault(name, f"unknown option {name.text!r}{hint(name.text, table)}")
            context.faults.append(fault)
            continue
        try:
            arguments = Arguments(name, words)
            _add(fields, option, arguments)
            if surplus := arguments.following:
                context.warn(name, f"{name.text} takes no more words: {surplus!r} has no effect")
        except Fault as fault:
            context.faults.append(_within(name, fault))
    return fields


def _add(fields: Fields, option: Option, arguments: Arguments) -> None:
    """Read one option, and join what it says with what was said before."""
    read = option.read(arguments)
    if not option.is_lax:
        arguments.end()
    for key, value in read.items():
        if option.join is None or key not in fields:
            fields[key] = value
            continue
        try:
            fields[key] = option.join(fields[key], value)
        except ValueError as error:
            raise arguments.fault(f"{ITSELF} {error}") from None


def _within(option: Token, fault: Fault) -> Fault:
    """The fault behind the option's name: `expire must be …` where the option is the value."""
    subject, _, rest = fault.reason.partition(" ")
    reason = f" {rest}" if subject == ITSELF else f": {fault.reason}"
    return Fault(fault.token, f"{option.text}{reason}")


def zones(arguments: Arguments, what: str = "zone", *, at_least: int = 0) -> tuple[str, ...]:
    """All words that are left, as zones."""
    return tuple(
        name for names in arguments.rest(what, zone_names, at_least=at_least) for name in names
    )


def no_block(statement: Statement) -> None:
    """A block may not follow; an empty one may, as in CoreDNS."""
    if statement.lines:
        name = statement.lines[0][0]
        raise Fault(name, f"has no options, but there is {name.text!r}")


class Repeat(Enum):
    """What a second directive of the same name in a block means, as CoreDNS has it."""

    NEVER = "can be used only once in a server block"
    FIRST = "the first stands"
    LAST = "the last stands"
    EACH = "all stand, in order"


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive: the field of a server block that it fills, and how it is read."""

    field: str
    read: Callable[[Statement, Context], Any]
    repeat: Repeat = Repeat.NEVER


def bare(statement: Statement, _: Context) -> bool:
    """A directive without words and options."""
    statement.arguments.end()
    no_block(statement)
    return True
