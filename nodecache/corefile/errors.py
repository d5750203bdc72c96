"""What is wrong with a Corefile."""

from collections.abc import Iterable
from typing import Self


class CorefileError(Exception):
    """A Corefile that cannot be used: `Corefile:14: cache: TTL must be …, not '0'`.

    The text is that of the first error found; `all` holds every one, in the order of the lines, and
    `imports` the files and patterns that were imported: a change of them may correct it.
    """

    def __init__(
        self,
        file: str,
        line: int,
        reason: str,
        others: "tuple[CorefileError, ...]" = (),
        imports: tuple[str, ...] = (),
    ) -> None:
        super().__init__(file, line, reason, others, imports)
        self.file = file
        self.line = line
        self.reason = reason
        self.others = others
        self.imports = imports

    @classmethod
    def join(cls, errors: "Iterable[CorefileError]", imports: tuple[str, ...] = ()) -> Self:
        """Many errors, of at least one, as one."""
        first, *others = errors
        return cls(first.file, first.line, first.reason, tuple(others), imports)

    @property
    def all(self) -> "tuple[CorefileError, ...]":
        """Every error found, this one first."""
        return (self, *self.others)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"
