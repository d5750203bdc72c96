"""The words of a Go template (text/template): text, and the tokens between `{{` and `}}`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


class TemplateError(ValueError):
    """A template that cannot be read, or cannot be filled in; the text says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an action. `is_spaced`: white space stands before it."""

    kind: str
    text: str
    is_spaced: bool


@dataclass(frozen=True, slots=True)
class Action:
    """What stands between one `{{` and its `}}`."""

    tokens: tuple[Token, ...]


_WORDS = re.compile(
    r"""
    (?P<space>    \s+ )
  | (?P<string>   "(?:[^"\\\n]|\\.)*" )
  | (?P<raw>      `[^`]*` )
  | (?P<char>     '(?:[^'\\\n]|\\.[^']*)' )
  | (?P<number>   [+-]?(?: 0[xX][\da-fA-F_]+ | 0[bB][01_]+ | 0[oO][0-7_]+
                         | \d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+(?:[eE][+-]?\d+)? ) )
  | (?P<field>    \.[^\W\d]\w* )
  | (?P<variable> \$\w* )
  | (?P<word>     [^\W\d]\w* )
  | (?P<mark>     :=|[.|=(),] )
    """,
    re.VERBOSE,
)
_OPEN, _CLOSE = "{{", "}}"
_COMMENT, _COMMENT_END = "/*", "*/"
_TRIM_LEFT = re.compile(r"-(?=\s)")
_TRIM_RIGHT = re.compile(r"\s-}}")


def parts_of(text: str) -> Iterator[str | Action]:
    """The texts and actions of a template, in order; trim marks and comments are already obeyed."""
    offset = 0
    trims_next = False
    while True:
        start = text.find(_OPEN, offset)
        piece = text[offset:] if start < 0 else text[offset:start]
        if trims_next:
            piece = piece.lstrip(" \t\r\n")
        if start < 0:
            yield piece
            return
        start += len(_OPEN)
        if trim := _TRIM_LEFT.match(text, start):
            piece = piece.rstrip(" \t\r\n")
            start = trim.end()
        yield piece
        action, offset, trims_next = _action(text, start)
        if action is not None:
            yield action


def _action(text: str, start: int) -> tuple[Action | None, int, bool]:
    """The action that begins at `start`, where text goes on, and whether that is trimmed."""
    body = start + len(text[start:]) - len(text[start:].lstrip())
    if text.startswith(_COMMENT, body):
        return _comment(text, body)
    tokens: list[Token] = []
    is_spaced = False
    offset = start
    while not text.startswith(_CLOSE, offset):
        if trim := _TRIM_RIGHT.match(text, offset):
            return Action(tuple(tokens)), trim.end(), True
        match = _WORDS.match(text, offset)
        if match is None:
            raise TemplateError(_unreadable(text, offset))
        offset = match.end()
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, match.group(), is_spaced))
        is_spaced = kind == "space"
    return Action(tuple(tokens)), offset + len(_CLOSE), False


def _comment(text: str, start: int) -> tuple[None, int, bool]:
    end = text.find(_COMMENT_END, start)
    if end < 0:
        raise TemplateError("comment has no end")
    end += len(_COMMENT_END)
    if trim := _TRIM_RIGHT.match(text, end):
        return None, trim.end(), True
    if not text.startswith(_CLOSE, end):
        raise TemplateError("comment ends before its closing delimiter")
    return None, end + len(_CLOSE), False


def _unreadable(text: str, offset: int) -> str:
    if offset >= len(text):
        return "action has no end"
    return f"unexpected {text[offset]!r} in an action"


_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"',
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:(?P<char>[abfnrtv\\'\"])|(?P<octal>[0-7]{3})"
    r"|(?:x(?P<x>[\da-fA-F]{2})|u(?P<u>[\da-fA-F]{4})|U(?P<U>[\da-fA-F]{8}))|(?P<bad>.?))"
)


def unquoted(text: str) -> str:
    """A Go string or character literal without its quotes and escapes."""
    if text.startswith("`"):
        return text[1:-1]
    return _ESCAPE.sub(_unescaped, text[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups["bad"] is not None:
        raise TemplateError(f"unknown escape {match.group()!r}")
    if groups["char"]:
        return _ESCAPES[groups["char"]]
    if groups["octal"]:
        return chr(int(groups["octal"], 8))
    return chr(int(groups["x"] or groups["u"] or groups["U"], 16))


def number(text: str) -> int | float:
    """A Go number literal."""
    digits = text.replace("_", "")
    try:
        if re.fullmatch(r"[+-]?0[0-7]+", digits):
            return int(digits, 8)
        return int(digits, 0)
    except ValueError:
        pass
    try:
        return float(digits)
    except ValueError:
        raise TemplateError(f"bad number {text!r}") from None
