"""From words to server blocks: keys, directives, blocks of options; imports, snippets, variables.

Nothing here knows what a directive means. The grammar is that of coredns/caddy's caddyfile parser,
with two differences: a snippet can be imported with arguments, and every mistake is gathered.
"""

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .lexer import Origin, Token, tokens
from .reading import Fault, Statement

# CoreDNS's bounds on imports; and one on words, for snippets that hold snippets that hold snippets.
_MOST_SNIPPETS = 10_000
_MOST_FILES = 100_000
_MOST_WORDS = 200_000
_VARIABLE = re.compile(r"\{%(.+?)%\}|\{\$(.+?)\}", re.DOTALL)
_SNIPPET_ARGUMENT = re.compile(r"\{args(?:\[([0-9]{1,4})\]|\.([0-9]{1,4}))\}")

Read = Callable[[str], str]
Glob = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class RawBlock:
    """One server block, its words not yet understood."""

    keys: tuple[Token, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where text comes from: the environment; files by path and by pattern (None: no files)."""

    env: Mapping[str, str]
    read: Read | None = None
    glob: Glob | None = None
    origin: Origin | None = None
    """What the lines of the text itself were made from."""


@dataclass(slots=True)
class Structure:
    """What was found, and what was wrong with it."""

    blocks: list[RawBlock] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    """Paths and patterns of the files that are imported."""


def structure(text: str, file: str, sources: Sources) -> Structure:
    """Cut `text` into server blocks."""
    words = tokens(text, file, sources.origin)
    parser = _Parser(_Stream(words, posixpath.dirname(file), sources))
    try:
        parser.parse()
    except Fault as fault:  # one that leaves nothing to go on from
        parser.found.faults.append(fault)
    except _EndlessImport as endless:
        parser.found.faults.append(endless.fault)
    return parser.found


class _EndlessImport(Exception):
    """More was imported than any Corefile needs."""

    def __init__(self, name: Token, most: str) -> None:
        super().__init__(most)
        self.fault = Fault(name, f"import: more than {most} are imported")


class _Parser:
    """Reads words from the stream. Methods named for a thing take it from the stream's head."""

    def __init__(self, stream: "_Stream") -> None:
        self.found = Structure(warnings=stream.warnings, imports=stream.imports)
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
            elif head.text == "{" or (keys and head.is_first and not wants_another):
                break
            else:
                key = self._stream.take_replaced()
                wants_another = key.text.endswith(",")
                if key.text.removesuffix(","):
                    keys.append(key.with_text(key.text.removesuffix(",")))
        if wants_another:
            raise Fault(keys[-1] if keys else key, "another key must follow the comma")
        if not keys and head is not None:
            raise Fault(head, "a server block must have a key before its '{'")
        return keys

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
        raise Fault(brace, "the block opened here is never closed")

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
            raise Fault(opening, "the block opened here is never closed")
        if opening is None and closing is not None:
            self.found.warnings.append(Fault(closing, "a '}' without its '{' ends the block"))
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
            words.append(self._stream.take_replaced())
        if head is None or head.text != "{":
            return Statement(name, tuple(words))
        if head.is_first:
            list(self._until_closed(self._stream.take()))
            raise Fault(head, f"{name.text}: a '{{' must stand on the line of its directive")
        brace = self._stream.take()
        lines = tuple(self._lines())
        return Statement(name, tuple(words), lines, self._end(brace, is_empty=not lines))

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
                line.append(self._stream.take_replaced())

    def _end(self, brace: Token, *, is_empty: bool) -> Token:
        """The brace that closes a directive's block: alone on its line, unless it is empty."""
        if self._stream.head is None:
            raise Fault(brace, "the block opened here is never closed")
        closing = self._stream.take()
        follower = self._stream.head
        if not closing.is_first and not is_empty:
            raise Fault(closing, "a '}' must stand on a line of its own")
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


@dataclass(frozen=True, slots=True)
class _ImportEnd:
    """Stands behind what was imported."""

    source: str


class _Stream:
    """The words still to be read; an import puts other words in its place."""

    def __init__(self, words: Sequence[Token], folder: str, sources: Sources) -> None:
        self.snippets: dict[str, list[Token]] = {}
        self.warnings: list[Fault] = []
        self.imports: list[str] = []
        self._words: deque[Token | _ImportEnd] = deque(words)
        self._open: set[str] = set()
        """The snippets and files that the next word is imported from."""
        self._folder = folder
        self._sources = sources
        self._files: dict[str, list[Token]] = {}
        self._snippets_used = 0
        self._files_used = 0
        self._words_imported = 0

    @property
    def head(self) -> Token | None:
        """The next word, which stays; None at the end."""
        while self._words:
            head = self._words[0]
            if isinstance(head, Token):
                return head
            self._open.discard(head.source)
            self._words.popleft()
        return None

    def take(self) -> Token:
        """The next word, as it stands. There must be one."""
        head = self.head
        assert head is not None
        self._words.popleft()
        return head

    def take_replaced(self) -> Token:
        """The next word with the values of environment variables filled in."""
        word = self.take()
        return word.with_text(self._replaced(word.text))

    def _replaced(self, text: str) -> str:
        return _VARIABLE.sub(lambda match: self._sources.env.get(match[1] or match[2], ""), text)

    def expand_import(self) -> None:
        """Put what is imported in the place of the `import` line at the head."""
        name = self.take()
        words = list(self._rest_of_line())
        if not words or not words[0].text:
            raise Fault(name, "import: the name of a file or snippet is missing")
        what, *arguments = words
        if what.text in self.snippets:
            self._put(what, f"({what.text})", self._snippet(what, [a.text for a in arguments]))
        elif arguments:
            raise Fault(arguments[0], f"import: a file takes no more words ({what.text!r})")
        else:
            for path in reversed(self._paths(what)):
                self._put(what, path, self._file(what, path))

    def _rest_of_line(self) -> Iterator[Token]:
        """The words up to the end of the line, which is also the end of what was imported.

        That end stays where it is: what this line imports is a part of it.
        """
        while self._words and isinstance(word := self._words[0], Token) and not word.is_first:
            yield self.take_replaced()

    def _put(self, name: Token, source: str, imported: list[Token]) -> None:
        """Put words before those to be read; the first of them opens a line."""
        if source in self._open:
            raise Fault(name, f"import: {name.text!r} imports itself")
        self._words_imported += len(imported)
        if self._words_imported > _MOST_WORDS:
            raise _EndlessImport(name, f"{_MOST_WORDS} words")
        if not imported:
            return
        first, *rest = imported
        self._open.add(source)
        self._words.extendleft((_ImportEnd(source), *reversed(rest)))
        self._words.appendleft(replace(first, is_first=True))

    def _snippet(self, name: Token, arguments: list[str]) -> list[Token]:
        self._snippets_used += 1
        if self._snippets_used > _MOST_SNIPPETS:
            raise _EndlessImport(name, f"{_MOST_SNIPPETS} snippets")

        def argument(match: re.Match[str]) -> str:
            number = int(match[1] or match[2])
            if number >= len(arguments):
                raise Fault(name, f"import: {name.text!r} asks for {match[0]}, which is not given")
            return arguments[number]

        return [
            word.with_text(_SNIPPET_ARGUMENT.sub(argument, word.text))
            for word in self.snippets[name.text]
        ]

    def _paths(self, pattern: Token) -> list[str]:
        """The files that are meant, by path."""
        folder = self._folder
        if pattern.file in self._files:  # itself imported
            folder = posixpath.dirname(pattern.file)
        path = posixpath.join(folder, pattern.text)
        if path.count("*") > 1 or path.count("?") > 1 or ("[" in path and "]" in path):
            raise Fault(
                pattern, f"import: must have at most one wildcard (*), not {pattern.text!r}"
            )
        self._files_used += 1
        if self._files_used > _MOST_FILES:
            raise _EndlessImport(pattern, f"{_MOST_FILES} files")
        self.imports.append(path)
        if not any(character in path for character in "*?[]"):
            return [path]
        paths = sorted(self._sources.glob(path)) if self._sources.glob is not None else []
        if not paths:
            self.warnings.append(Fault(pattern, f"import: no file is named {pattern.text!r}"))
        return paths

    def _file(self, pattern: Token, path: str) -> list[Token]:
        if self._sources.read is None:
            raise Fault(pattern, f"import: files cannot be read here ({pattern.text!r})")
        if path not in self._files:
            try:
                self._files[path] = tokens(self._sources.read(path), path)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise Fault(pattern, f"import: cannot read {path!r}: {why}") from None
        return self._files[path]
