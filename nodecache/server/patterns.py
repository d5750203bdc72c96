"""RE2 patterns, as Go's `regexp` has them: linear in the text, also for patterns of strangers.

The library is imported with the first pattern: most Corefiles have none.
"""

from collections.abc import Mapping
from typing import Any


class Pattern:
    """A compiled pattern; ValueError where `text` is none."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        import re2  # noqa: PLC0415 (see above)

        options = re2.Options()
        options.log_errors = False
        self.text = text
        try:
            self._compiled: Any = re2.compile(text, options)
        except re2.error as error:
            raise ValueError(f"bad pattern {text!r}: {error}") from None

    def found_in(self, text: str) -> bool:
        """Whether the pattern matches anywhere in `text`."""
        return self._compiled.search(text) is not None

    def groups_in(self, text: str) -> list[str] | None:
        """The first match and its groups, in order; a group that took no part is empty."""
        match = self._compiled.search(text)
        if match is None:
            return None
        return [match.group(0), *(group or "" for group in match.groups())]

    @property
    def group_names(self) -> Mapping[str, int]:
        """Named groups and their numbers."""
        return self._compiled.groupindex  # type: ignore[no-any-return]


def replaced(pattern: Pattern, to: str, text: str) -> str | None:
    """`to` with `{0}`, `{1}` … filled in from the match in `text`; None where there is none."""
    groups = pattern.groups_in(text)
    if groups is None:
        return None
    for index, group in enumerate(groups):
        to = to.replace(f"{{{index}}}", group)
    return to
