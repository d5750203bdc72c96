"""A bounded table that forgets what was not looked up for a while, a whole generation at once."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most twice `max_values`, by key; what was not looked up for twice `seconds` may be gone."""

    __slots__ = ("_max_values", "_old", "_seconds", "_turns_at", "_young")

    def __init__(self, max_values: int, seconds: float) -> None:
        self._max_values = max_values
        self._seconds = seconds
        self._turns_at = 0.0
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        """The value, if it is known still; it is of today again."""
        value = self._young.get(key)
        if value is None:
            value = self._old.pop(key, None)
            if value is not None:
                self._add(key, value)
        return value

    def put(self, key: K, value: V, now: float) -> None:
        """Know a value from now on."""
        if now >= self._turns_at:
            self._turns_at = now + self._seconds
            self._old, self._young = self._young, {}
        self._add(key, value)

    def _add(self, key: K, value: V) -> None:
        if len(self._young) >= self._max_values:
            self._old, self._young = self._young, {}
        self._young[key] = value
