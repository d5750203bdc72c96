"""Parses words into server blocks: keys, snippets, directives with their blocks of options.

Nothing here knows what a directive means. The grammar is that of coredns/caddy's caddyfile parser;
what that lets pass by chance is a warning, and every mistake is gathered.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from .lexer import Token, tokens
from .reading import Fault, Statement
from .stream import EndlessImport, Sources, Stream


@dataclass(frozen=True, slots=True)
class RawBlock:
    """One server block, its words not yet understood."""

    keys: tuple[Token, ...]
    statements: tuple[Statement, ...]


@dataclass(slots=True)
class Structure:
    """What was found, and what was wrong with it."""

    blocks: list[RawBlock] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    """Paths and patterns of the files that are imported."""
    imported: dict[str, str] = field(default_factory=dict)
    """The text of those that could be read, by path."""


def structure(text: str, file: str, sources: Sources) -> Structure:
    """Cut `text` into server blocks."""
    words = tokens(text, file, sources.origin)
    parser = _Parser(Stream(words, posixpath.dirname(file), sources))
    try:
        parser.parse()
    except Fault as fault:  # one that leaves nothing to go on from
        parser.found.faults.append(fault)
    except EndlessImport as endless:
        parser.found.faults.append(endless.fault)
    return parser.found


class _Parser:
    """Reads words from the stream. Methods named for a thing take it from the stream's head."""

    def __init__(self, stream: Stream) -> None:
        self.found = Structure(
            warnings=stream.warnings, imports=stream.imports, imported=stream.imported
        )
        self._stream = stream

    def parse(self) -> None:
        while self._stream.head is not None:
            keys = self._keys()
            if not keys:
                continue
            name = keys[0].text
            if len(keys) == 1 and name.startswith("(") and name.endswith(")"):
                self._snippet(keys[0])
            else:
                self._block(keys)

    def _keys(self) -> list[Token]:
        """The words before a block: up to its brace, or the end of the line."""
        keys: list[Token] = []
        wants_another = False
        while (head := self._stream.head) is not None:
            if head.text == "import" and head.is_first:
                self._import()
            elif head.text in ("{", "}") and not keys and not wants_another:
                self._skip_stray(head)
            elif head.text == "{" or (keys and head.is_first and not wants_another):
                break
            else:
                key = self._stream.take_replaced()
                self._check_brace(key)
                wants_another = key.text.endswith(",")
                if key.text.removesuffix(","):
                    keys.append(key.with_text(key.text.removesuffix(",")))
        if wants_another:
            raise Fault(keys[-1] if keys else key, "another key must follow the comma")
        return keys

    def _skip_stray(self, brace: Token) -> None:
        """Skip, with a warning, what CoreDNS accepts between blocks: a surplus brace, a block without keys."""
        self._stream.take()
        if brace.text == "}":
            self._warn(brace, "a '}' without its '{' is left out")
        else:
            list(self._until_closed(brace))
            self._warn(brace, "a server block without a key is left out")

    def _warn(self, token: Token, reason: str) -> None:
        self.found.warnings.append(Fault(token, reason))

    def _snippet(self, key: Token) -> None:
        name = key.text[1:-1]
        brace = self._stream.head
        if brace is None or brace.text != "{":
            raise Fault(key, f"the snippet {name!r} must be followed by a block in braces")
        body = list(self._until_closed(self._stream.take()))
        if name in self._stream.snippets:
            self.found.faults.append(Fault(key, f"the snippet {name!r} is there already"))
        self._stream.snippets.setdefault(name, body)

    def _until_closed(self, brace: Token) -> Iterator[Token]:
        """The words up to the brace that closes `brace`, which is taken as well."""
        depth = 1
        while self._stream.head is not None:
            word = self._stream.take()
            depth += (word.text == "{") - (word.text == "}")
            if depth == 0:
                return
            yield word
        raise self._never_closed(brace)

    def _never_closed(self, brace: Token) -> Fault:
        """What is told of a brace at the end of the text, which a quote may have taken to itself."""
        reason, last = "the block opened here is never closed", self._stream.last
        if last is not None and "\n" in last.text:
            reason += f"; is the quote closed that opens in line {last.line}?"
        return Fault(brace, reason)

    def _block(self, keys: list[Token]) -> None:
        """The directives of a server block; without braces, all the rest of the text."""
        opening = self._stream.head
        if opening is not None and opening.text == "{":
            self._stream.take()
        else:
            opening = None
        statements = list(self._statements())
        closing = self._stream.head
        if closing is not None:
            self._stream.take()
        if opening is not None and closing is None:
            # CoreDNS looks only whether the last word is a brace, even if another block's.
            if not statements or statements[-1].end is None:
                raise self._never_closed(opening)
            self._warn(opening, "the block opened here is never closed, only its last directive's")
        if opening is None and closing is not None:
            self._warn(closing, "a '}' without its '{' ends the block")
        self.found.blocks.append(RawBlock(tuple(keys), tuple(statements)))

    def _statements(self) -> Iterator[Statement]:
        """Each directive up to the block's end; those with faults are left out."""
        while (head := self._stream.head) is not None and head.text != "}":
            if head.text == "import":
                self._import()
                continue
            try:
                yield self._statement()
            except Fault as fault:
                self.found.faults.append(fault)

    def _statement(self) -> Statement:
        """A directive, the words on its line and its block."""
        name = self._stream.take_replaced()
        words: list[Token] = []
        while (head := self._stream.head) is not None and head.text != "{" and not head.is_first:
            if head.text == "}":
                self._stream.take()  # left out, so that the rest can be read
                raise Fault(head, f"{name.text}: a '}}' must stand on a line of its own")
            words += self._stream.take_if_any()
        self._check_brace(words[-1] if words else name)
        if head is None or head.text != "{":
            return Statement(name, tuple(words))
        if head.is_first:
            list(self._until_closed(self._stream.take()))
            raise Fault(head, f"{name.text}: a '{{' must stand on the line of its directive")
        brace = self._stream.take()
        lines = tuple(self._lines())
        return Statement(name, tuple(words), lines, self._end(brace, is_empty=not lines))

    def _check_brace(self, last: Token) -> None:
        """Refuse a word that a brace sticks to, and what would be the block behind it."""
        if last.text.endswith("{") and last.text != "{":
            list(self._until_closed(last))
            raise Fault(last, f"a blank is missing before the '{{' of {last.text!r}")

    def _lines(self) -> Iterator[tuple[Token, ...]]:
        """The lines of a directive's block, up to the brace that closes it."""
        line: list[Token] = []
        while (head := self._stream.head) is not None:
            if line and (head.is_first or head.text == "}"):
                yield tuple(line)
                line = []
            if head.text == "import" and head.is_first:
                self._import()
            elif head.text == "}":
                return
            elif head.text == "{":
                self._skip(head)
            else:
                line += self._stream.take_if_any()

    def _end(self, brace: Token, *, is_empty: bool) -> Token:
        """The brace that closes a directive's block."""
        if self._stream.head is None:
            raise self._never_closed(brace)
        closing = self._stream.take()
        follower = self._stream.head
        if not closing.is_first and not is_empty:
            self._warn(closing, "a '}' behind other words closes the block here, not in CoreDNS")
        if follower is not None and not follower.is_first:
            raise Fault(follower, f"nothing may follow the '}}', but there is {follower.text!r}")
        return closing

    def _skip(self, brace: Token) -> None:
        """A block within an option: there are none."""
        list(self._until_closed(self._stream.take()))
        self.found.faults.append(Fault(brace, "an option has no block of its own"))

    def _import(self) -> None:
        try:
            self._stream.expand_import()
        except Fault as fault:
            self.found.faults.append(fault)
