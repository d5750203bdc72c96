"""The view that the user has chosen by keys: sort order, filter, paused or not."""

from dataclasses import dataclass
from typing import Any

SORTS = ("queries", "misses", "nxdomains", "failures")
HELP = "s sort   / filter   p pause   q quit"
_ENTER = ("\r", "\n")
_ESCAPE = "\x1b"
_BACKSPACE = ("\x7f", "\b")
_INTERRUPT = "\x03"
_MAX_FILTER = 60


@dataclass(slots=True)
class View:
    """`typed` is a filter that is being typed, None while none is."""

    sort: str = SORTS[0]
    filter: str = ""
    typed: str | None = None
    is_paused: bool = False
    has_quit: bool = False

    def press(self, key: str) -> None:
        """Handle a key."""
        if key == _INTERRUPT:
            self.has_quit = True
        elif self.typed is not None:
            self._type(self.typed, key)
        elif key == "q":
            self.has_quit = True
        elif key == "p":
            self.is_paused = not self.is_paused
        elif key == "s":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        elif key == "/":
            self.typed = self.filter
        elif key == _ESCAPE:
            self.filter = ""

    def _type(self, typed: str, key: str) -> None:
        if key in _ENTER:
            self.filter, self.typed = typed, None
        elif key == _ESCAPE:
            self.filter, self.typed = "", None
        elif key in _BACKSPACE:
            self.typed = typed[:-1]
        elif key.isprintable():
            self.typed = (typed + key)[:_MAX_FILTER]

    def rows(self, told: list[dict[str, Any]], max_count: int) -> list[dict[str, Any]]:
        """The rows to show, the first first."""
        wanted = self.filter if self.typed is None else self.typed
        shown = [row for row in told if wanted.lower() in f"{row['key']} {row.get('pod') or ''}"]
        shown.sort(key=lambda row: (-row[self.sort], row["key"]))
        return shown[:max_count]
