"""The words of a Corefile in order: variables filled in, imports expanded.

An `import` is replaced by the words of a snippet or of files. Imports are expanded when they
are reached, so a snippet can be defined in an imported file.
"""

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .lexer import Origin, Token, tokens
from .reading import Fault

# CoreDNS's bounds on imports; and one on words, for snippets that hold snippets that hold snippets.
_MAX_SNIPPETS = 10_000
_MAX_FILES = 100_000
_MAX_WORDS = 200_000
_VARIABLE = re.compile(r"\{%(.+?)%\}|\{\$(.+?)\}", re.DOTALL)
_SNIPPET_ARGUMENT = re.compile(r"\{args(?:\[([0-9]{1,4})\]|\.([0-9]{1,4}))\}")

Read = Callable[[str], str]
Glob = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where text comes from: the environment; files by path and by pattern (None: no files)."""

    env: Mapping[str, str]
    read: Read | None = None
    glob: Glob | None = None
    origin: Origin | None = None
    """What the lines of the text itself were made from."""


NO_SOURCES = Sources(env={})


class EndlessImport(Exception):
    """More is imported than the bounds allow."""

    def __init__(self, name: Token, max_count: str) -> None:
        super().__init__(max_count)
        self.fault = Fault(name, f"import: more than {max_count} are imported")


@dataclass(frozen=True, slots=True)
class _ImportMark:
    """Marks where what was imported begins or ends."""

    source: str
    is_end: bool


class Stream:
    """The words that are not read yet; an import is replaced by other words."""

    def __init__(self, words: Sequence[Token], folder: str, sources: Sources) -> None:
        self.snippets: dict[str, list[Token]] = {}
        self.warnings: list[Fault] = []
        self.imports: list[str] = []
        self.imported: dict[str, str] = {}
        """The text of each file that was read, by path."""
        self.last: Token | None = None
        """The word taken last."""
        self._words: deque[Token | _ImportMark] = deque(words)
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
            self._words.popleft()
            (self._open.discard if head.is_end else self._open.add)(head.source)
        return None

    def take(self) -> Token:
        """The next word, as it stands. There must be one."""
        head = self.head
        assert head is not None
        self._words.popleft()
        self.last = head
        return head

    def take_replaced(self) -> Token:
        """The next word with the values of environment variables filled in."""
        word = self.take()
        return word.with_text(self._replaced(word.text))

    def take_if_any(self) -> list[Token]:
        """The same; nothing where variables that are not set leave nothing of the word."""
        word = self.take()
        replaced = word.with_text(self._replaced(word.text))
        return [replaced] if replaced.text or not word.text else []

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
        if self._words_imported > _MAX_WORDS:
            raise EndlessImport(name, f"{_MAX_WORDS} words")
        if not imported:
            return
        first, *rest = imported
        self._words.extendleft((_ImportMark(source, is_end=True), *reversed(rest)))
        self._words.extendleft((replace(first, is_first=True), _ImportMark(source, is_end=False)))

    def _snippet(self, name: Token, arguments: list[str]) -> list[Token]:
        self._snippets_used += 1
        if self._snippets_used > _MAX_SNIPPETS:
            raise EndlessImport(name, f"{_MAX_SNIPPETS} snippets")

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
        if "\0" in path:
            raise Fault(pattern, f"import: must be a path, not {pattern.text!r}")
        if path.count("*") > 1 or path.count("?") > 1 or ("[" in path and "]" in path):
            raise Fault(
                pattern, f"import: must have at most one wildcard (*), not {pattern.text!r}"
            )
        self._files_used += 1
        if self._files_used > _MAX_FILES:
            raise EndlessImport(pattern, f"{_MAX_FILES} files")
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
                self.imported[path] = self._sources.read(path)
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise Fault(pattern, f"import: cannot read {path!r}: {why}") from None
            self._files[path] = tokens(self.imported[path], path)
        return self._files[path]
