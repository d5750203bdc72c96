r"""Splits a Corefile into words as CoreDNS's lexer does (coredns/caddy, caddyfile).

White space separates words. A word that opens with `"` goes on to the next `"`, over lines too; inside
it `\"` stands for a quote, and any other backslash for itself. `#` opens a comment, also in the
middle of a word. Carriage returns and a leading byte order mark are nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

# Go's unicode.IsSpace; Python's own idea of space holds four separators more (U+001C to U+001F).
_SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_NEEDS_QUOTES = _SPACE | {'"', "#"}
_BYTE_ORDER_MARK = "\ufeff"

Origin = Callable[[int], tuple[str, int]]
"""From a line's number to the file and line to name in messages."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word, with its file and line."""

    text: str
    file: str
    line: int
    is_first: bool
    """Whether it is the first on its line."""

    def with_text(self, text: str) -> "Token":
        """Another word in its place."""
        return replace(self, text=text)


def tokens(text: str, file: str, origin: Origin | None = None) -> list[Token]:
    """All words of `text`. Any text can be cut: there are no errors.

    `origin` says where a line of `text` was made from; without it, it is that line of `file`.
    """
    words: list[Token] = []
    last_line = 0  # on which the word before ends
    for line, end_line, word in _Scanner(text.removeprefix(_BYTE_ORDER_MARK)).words():
        place = origin(line) if origin is not None else (file, line)
        words.append(Token(word, *place, line > last_line))
        last_line = end_line
    return words


def written(word: str) -> str:
    """A word as a Corefile writes it: in quotes where it would be several, or a part of it a comment."""
    if word and _NEEDS_QUOTES.isdisjoint(word):
        return word
    return '"' + word.replace('"', '\\"') + '"'


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        self._line = 1

    def words(self) -> Iterator[tuple[int, int, str]]:
        """Each word with the lines on which it begins and ends."""
        while self._skip_to_word():
            line = self._line
            word = self._quoted() if self._text[self._offset] == '"' else self._plain()
            if word is not None:
                yield line, self._line, word

    def _skip_to_word(self) -> bool:
        """Go past white space and comments; False at the end of the text."""
        is_comment = False
        while self._offset < len(self._text):
            character = self._text[self._offset]
            if character == "\n":
                self._line += 1
                is_comment = False
            elif character == "#":
                is_comment = True
            elif not is_comment and character not in _SPACE:
                return True
            self._offset += 1
        return False

    def _plain(self) -> str:
        """The word up to white space; what follows a `#` in it is left out.

        As in CoreDNS, such a comment ends at the next white space and not with the line.
        """
        start = self._offset
        while self._offset < len(self._text) and (
            self._text[self._offset] == "\r" or self._text[self._offset] not in _SPACE
        ):
            self._offset += 1
        return self._text[start : self._offset].replace("\r", "").partition("#")[0]

    def _quoted(self) -> str | None:
        """The text between two quotes; None where the text ends before there was any."""
        self._offset += 1
        characters: list[str] = []
        while self._offset < len(self._text):
            piece = self._text[self._offset : self._offset + 1]
            if piece == '"':
                self._offset += 1
                return "".join(characters)
            if piece == "\\":  # and the character behind it, which may be the end of the text
                piece = self._text[self._offset : self._offset + 2]
            self._offset += len(piece)
            self._line += piece.count("\n")
            characters.append(_unescaped(piece))
        return "".join(characters) or None


def _unescaped(piece: str) -> str:
    """What one character, or a backslash and one, stand for."""
    if piece[0] != "\\":
        return piece
    return '"' if piece[1:] == '"' else piece if len(piece) == 2 else ""
