"""When a dead worker is replaced: at once, unless workers end soon after their start again and again."""

_YOUNG_SECONDS = 10.0
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 10.0


class Respawn:
    """Back-off from 0 up to 10 s, doubling; reset once a worker has run long enough."""

    def __init__(self) -> None:
        self._young_deaths = 0
        self._born_at = 0.0

    def started(self, now: float) -> None:
        """A worker was started."""
        self._born_at = now

    def ended(self, now: float, *, is_hung: bool = False) -> float:
        """A worker died; seconds until the next may be started.

        One that hung has cost seconds: where its successor does too, that is no chance any more.
        """
        if now - self._born_at >= _YOUNG_SECONDS:
            self._young_deaths = 0
        self._young_deaths += _FREE_DEATHS if is_hung else 1
        if self._young_deaths <= _FREE_DEATHS:
            return 0.0
        return min(_FIRST_PAUSE * 2.0 ** (self._young_deaths - _FREE_DEATHS - 1), _MAX_PAUSE)


_FREE_DEATHS = 3  # killed three times in ten seconds may still be chance, or somebody's test
