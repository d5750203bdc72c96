"""`errors`: a line for every query that failed, or one line for many that failed alike."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nodecache.corefile import Consolidation, ErrorsOptions
from nodecache.forward import Failure, Timer
from nodecache.server.chain import CallLater
from nodecache.server.mnemonics import type_text
from nodecache.server.patterns import Pattern
from nodecache.wire import Query, text_of

log = logging.getLogger("plugin/errors")

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@dataclass(slots=True)
class _Kind:
    """Failures of one `consolidate` line, counted since `timer` began to run."""

    options: Consolidation
    pattern: Pattern
    count: int = 0
    timer: Timer | None = None


class ErrorLog:
    """Logs failures; those that match a `consolidate` pattern are counted and logged together."""

    def __init__(self, options: ErrorsOptions, call_later: CallLater) -> None:
        self._kinds: Sequence[_Kind] = [
            _Kind(consolidation, Pattern(consolidation.pattern))
            for consolidation in options.consolidations
        ]
        self._call_later = call_later
        self._is_closed = False

    def note(self, query: Query, failure: Failure) -> None:
        """Log that `query` failed; nothing where that was a directive's own decision."""
        if not failure.reason:
            return
        level = logging.ERROR
        for kind in self._kinds:
            if kind.pattern.found_in(failure.reason):
                if self._is_counted(kind):
                    return
                if not self._is_closed:
                    level = _LEVELS[kind.options.level]
                break
        log.log(
            level,
            "%d %s %s: %s",
            failure.rcode,
            text_of(query.qname),
            type_text(query.qtype),
            failure.reason,
        )

    def _is_counted(self, kind: _Kind) -> bool:
        """Count a failure of `kind`; False where it is to be shown by itself."""
        if self._is_closed:
            return False
        kind.count += 1
        if kind.count > 1:
            return True
        kind.timer = self._call_later(kind.options.seconds, partial(_tell, kind))
        return not kind.options.show_first

    def close(self) -> None:
        """Log the counts; failures from now on are logged one by one."""
        self._is_closed = True
        for kind in self._kinds:
            if kind.timer is not None:
                kind.timer.cancel()
                _tell(kind)


def _tell(kind: _Kind) -> None:
    count, kind.count, kind.timer = kind.count, 0, None
    if count > 1 or (count and not kind.options.show_first):
        log.log(
            _LEVELS[kind.options.level],
            "%d errors like '%s' occurred in last %s",
            count,
            kind.options.pattern,
            go_duration(kind.options.seconds),
        )


def go_duration(seconds: float) -> str:
    """`seconds` as Go prints a duration: `1h0m0s`, `30s`, `1.5s`, `250ms`."""
    if seconds < 1:
        return _small_duration(seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{_trimmed(rest)}s"
    if hours:
        return f"{hours:.0f}h{minutes:.0f}m{text}"
    return f"{minutes:.0f}m{text}" if minutes else text


def _small_duration(seconds: float) -> str:
    for unit, size in (("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size:
            return f"{_trimmed(seconds / size)}{unit}"
    return "0s"


def _trimmed(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")
