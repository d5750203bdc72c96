"""What may be asked upstream ahead of clients: who asks for what nobody wants pays for it.

Each question that clients had asked upstream pays for a share of one that nobody may ask for after all,
and one that is asked for is given back. So those in vain are never more than that share of all questions,
and a few at the start: whatever clients do.
"""

from typing import Final

_START: Final = 64.0  # some eight searches before lists are learned
# One in 40: a twentieth of what goes upstream where `aaaa suppress` answers every other question here.
_SHARE: Final = 0.025
_MAX: Final = 1024.0  # under way and not known to be of use yet; at 0.5 KiB each


class AheadBudget:
    """Questions that may still be asked; and how many were, of use or not, since the start."""

    __slots__ = ("asked", "left", "unused", "used")

    def __init__(self) -> None:
        self.left = _START
        self.asked = 0
        self.used = 0
        self.unused = 0

    @property
    def is_spent(self) -> bool:
        """Whether nothing may be asked ahead now."""
        return self.left < 1.0

    def earn(self) -> None:
        """A question that clients waited for was answered."""
        if self.left < _MAX:
            self.left += _SHARE

    def spend(self) -> None:
        """A question was asked ahead."""
        self.asked += 1
        self.left -= 1.0

    def note_used(self) -> None:
        """A client asked for it."""
        self.used += 1
        self.left += 1.0

    def note_unused(self) -> None:
        """Nobody did."""
        self.unused += 1
