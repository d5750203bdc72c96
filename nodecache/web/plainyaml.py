"""As much of YAML as people write small configurations in: mappings, lists of words, texts.

No anchors, tags, flow mappings or folded texts: what is not understood is an error with its line,
never a guess. A value is a text, a list of texts or a mapping; an empty one is an empty text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | list[str] | dict[str, Value]"

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[^\s"'#\[\]{},&*!|>%@`-][^:#]*?)\s*:(?=\s|$)""")
_PLAIN_COMMENT = re.compile(r"\s+#.*$")
_QUOTED = re.compile(r"""("(?:[^"\\])*"|'(?:[^']|'')*')\s*(?:#.*)?$""")
_NOT_UNDERSTOOD = tuple("{&*!>%@`|\"'")
_BLOCK_TEXT = re.compile(r"\|([-+]?)\s*(?:#.*)?$")


def read_yaml(text: str) -> dict[str, Value]:
    """The mapping that `text` is. ValueError says what is not understood, and in which line."""
    lines = _Lines(text)
    found = lines.mapping(0) if lines.has_more else {}
    if lines.has_more:
        raise lines.fault("is not indented like what is before it")
    return found


class _Lines:
    """The lines of a text, read from the first to the last."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._at = 0
        self._skip()
        if self.has_more and self._lines[self._at].rstrip() == "---":
            self._at += 1
            self._skip()

    @property
    def has_more(self) -> bool:
        return self._at < len(self._lines)

    @property
    def _line(self) -> str:
        return self._lines[self._at]

    @property
    def _indent(self) -> int:
        """Of the line to be read; -1 where there is none."""
        if not self.has_more:
            return -1
        return len(self._line) - len(self._line.lstrip(" "))

    def fault(self, reason: str, at: int | None = None) -> ValueError:
        return ValueError(f"line {(self._at if at is None else at) + 1} {reason}")

    def _skip(self) -> None:
        """On to the next line with something in it."""
        while self.has_more and (not self._line.strip() or self._line.lstrip().startswith("#")):
            self._at += 1
        if self.has_more and self._line.lstrip(" ").startswith("\t"):
            raise self.fault("is indented with a tab")

    def mapping(self, indent: int) -> dict[str, Value]:
        """The lines `KEY: VALUE` that are indented alike."""
        found: dict[str, Value] = {}
        while self._indent == indent:
            match = _KEY.match(self._line, indent)
            if match is None:
                raise self.fault("is not KEY: VALUE")
            key = match[1].strip("\"'")
            if key in found:
                raise self.fault(f"has {key!r} a second time")
            rest = self._line[match.end() :].strip()
            started_at = self._at
            self._at += 1
            found[key] = self._value(rest, indent, started_at)
        if self._indent > indent:
            raise self.fault("is not indented like what is before it")
        return found

    def _value(self, rest: str, indent: int, at: int) -> Value:
        if block := _BLOCK_TEXT.match(rest):
            return self._block_text(indent, ends_without=block[1] == "-")
        if rest and not rest.startswith("#"):
            value = self._flow(rest, at)
            self._skip()
            return value
        self._skip()
        if self._indent >= indent and self._line.lstrip().startswith("- "):
            return self._list(self._indent)
        return self.mapping(self._indent) if self._indent > indent else ""

    def _list(self, indent: int) -> list[str]:
        found: list[str] = []
        while self._indent == indent and self._line.lstrip().startswith("- "):
            found.append(self._scalar(self._line.lstrip()[2:].strip(), self._at))
            self._at += 1
            self._skip()
        return found

    def _block_text(self, indent: int, *, ends_without: bool) -> str:
        """A text over lines, `|`, without the indentation of its first line."""
        taken: list[str] = []
        while self.has_more and (not self._line.strip() or self._indent > indent):
            taken.append(self._line)
            self._at += 1
        self._skip()
        first = next((line for line in taken if line.strip()), "")
        margin = len(first) - len(first.lstrip(" "))
        text = "\n".join(line[margin:] for line in taken).rstrip("\n")
        return text if ends_without else text + "\n"

    def _flow(self, rest: str, at: int) -> str | list[str]:
        if not rest.startswith("["):
            return self._scalar(rest, at)
        inside = _PLAIN_COMMENT.sub("", rest)
        if not inside.endswith("]"):
            raise self.fault("opens a list that goes on in another line", at)
        items = inside[1:-1].strip()
        return [self._scalar(item.strip(), at) for item in items.split(",")] if items else []

    def _scalar(self, word: str, at: int) -> str:
        if quoted := _QUOTED.fullmatch(word):
            inside = quoted[1][1:-1]
            return inside.replace("''", "'") if word[0] == "'" else inside
        if not word or word.startswith(_NOT_UNDERSTOOD) or ": " in word:
            raise self.fault(f"has a value that is not understood: {word!r}", at)
        return _PLAIN_COMMENT.sub("", word)


def texts(value: "Value | None") -> Sequence[str]:
    """A list of texts, also where only one is given; TypeError for a mapping."""
    if value is None or value == "":
        return []
    if isinstance(value, Mapping):
        raise TypeError("a list is wanted")
    return [value] if isinstance(value, str) else value
