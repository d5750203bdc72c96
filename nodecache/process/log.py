"""Log lines in the original's form: `[ERROR] plugin/errors: 2 example.org. A: …`, on standard output.

The law of this module: a log line never delays a query. A reader that stops reading costs lines,
which are counted, never time; and a flood of like lines is shown at its start and then summed up.

Everyone logs through the standard library. A logger named `plugin/cache` writes that name before
its text, as the original does; any other logger writes its text alone. Lines carry no time, because
the container runtime stamps each one. `-log-format json` writes one object a line instead, with the
keys CoreDNS uses for it (`time`, `level`, `msg`, `plugin`, and what a record adds as `fields`).
"""

import contextlib
import json
import logging
import os
import select
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Form = Literal["text", "json"]

QUERY_LOG = "queries"
"""Logger of the `log` directive: every line was asked for, so none is summed up."""

BARE = "bare"
"""Logger of what CoreDNS prints without a level, each line of it: the zones that are served."""

_PLUGIN_MARK = "plugin/"

_LEVEL_WORDS = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARNING",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}

# Go's slog, which CoreDNS' JSON lines come from, shortens this one word.
_JSON_LEVEL_WORDS = _LEVEL_WORDS | {logging.WARNING: "WARN"}

# A pipe that polls as writable takes this much in one write without blocking (pipe(7), PIPE_BUF).
_CHUNK_OCTETS = 4096

# Ten like lines say what is wrong; ten seconds are short enough to see that it goes on.
_BURST_LINES = 10
_WINDOW_SECONDS = 10.0

# Texts told apart within one flood: enough to name the worst, too few to be a memory problem.
_DISTINCT_TEXTS = 100
_TEXTS_NAMED = 3

# Control characters other than tab and newline could rewrite a terminal.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}


def configure(form: Form = "text", sink: "Sink | None" = None) -> "LineHandler":
    """Send every logger's lines to `sink`, by default standard output; replaces what was set."""
    handler = LineHandler(sink or Sink(1), form, time.monotonic)
    root = logging.getLogger()
    for old in _handlers():
        root.removeHandler(old)
    root.addHandler(handler)
    set_debug(is_debug=False)
    return handler


def set_debug(*, is_debug: bool) -> None:
    """Show `[DEBUG]` lines, as the `debug` directive asks for the whole process, or hide them."""
    logging.getLogger().setLevel(logging.DEBUG if is_debug else logging.INFO)


def lines_lost() -> int:
    """Lines of this process that nobody read in time."""
    return sum(handler.lost for handler in _handlers())


def tick() -> None:
    """Sum up floods that have ended; keeper and worker call it about once a second."""
    for handler in _handlers():
        handler.tick()


def write_summaries_now() -> None:
    """Write the pending summaries now: a forked worker ends without `logging`'s shutdown."""
    for handler in _handlers():
        handler.close()


def _handlers() -> "list[LineHandler]":
    handlers = logging.getLogger().handlers
    return [handler for handler in handlers if isinstance(handler, LineHandler)]


class Sink:
    """A file descriptor that is written to only while that cannot block."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _without_waiting(descriptor)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, line: str) -> bool:
        """Write `line` and a newline; False where it had to be given up."""
        octets = f"{line}\n".encode(errors="backslashreplace")
        starts = range(0, len(octets), _CHUNK_OCTETS)
        return all(self._write_chunk(octets[start : start + _CHUNK_OCTETS]) for start in starts)

    def _write_chunk(self, chunk: bytes) -> bool:
        try:
            if not self._poll.poll(0):
                return False
            return os.write(self._descriptor, chunk) == len(chunk)
        except OSError:  # nobody reads any more; DNS goes on
            return False


def _without_waiting(descriptor: int) -> int:
    """Another end of the same pipe, where it is one, that never blocks.

    Keeper and worker write to one pipe: what polls as writable may be filled by the other one just then.
    The flag is not set on the end that we were given, which others may have too.
    """
    with contextlib.suppress(OSError):  # no /proc, or not ours to open
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{descriptor}", flags)
    return descriptor


class LineHandler(logging.Handler):
    """Writes records as lines, sums up floods, and says how many lines nobody read."""

    def __init__(self, sink: Sink, form: Form, clock: Callable[[], float]) -> None:
        super().__init__()
        self.lost = 0
        """Lines that nobody read in time."""
        self._sink = sink
        self.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
        self._clock = clock
        self._floods = Floods()
        self._untold = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, or count it where it is one of a flood."""
        now = self._clock()
        self._write_summaries(self._floods.ended(now))
        if record.name in (QUERY_LOG, BARE) or self._floods.admits(record, now):
            self._write(record)

    def tick(self) -> None:
        """Sum up floods that have ended, and tell how many lines were lost; once a second."""
        self._sum_up(self._clock())

    def close(self) -> None:
        """Sum up what is held back, window over or not."""
        self._sum_up(float("inf"))
        super().close()

    def _sum_up(self, now: float) -> None:
        self.acquire()  # threads that read files have lines as well
        try:
            self._write_summaries(self._floods.ended(now))
            self._report_lost_lines()
        finally:
            self.release()

    def _write_summaries(self, summaries: Iterator[logging.LogRecord]) -> None:
        for summary in summaries:
            self._write(summary)

    def _write(self, record: logging.LogRecord) -> None:
        self._report_lost_lines()
        if not self._sink.write(self.format(record)):
            self.lost += 1
            self._untold += 1

    def _report_lost_lines(self) -> None:
        if self._untold:
            text = f"{self._untold} log lines were lost because nobody read them in time"
            if self._sink.write(self.format(_record("nodecache", logging.WARNING, text))):
                self._untold = 0


@dataclass(slots=True)
class _Flood:
    """Like lines within one window; `texts` counts those that were not shown."""

    ends_at: float
    shown: int = 0
    held_back: int = 0
    texts: Counter[str] = field(default_factory=Counter)


class Floods:
    """Tells the first lines of their kind from the rest. A kind is a logger, level and template."""

    def __init__(self) -> None:
        self._floods: dict[tuple[str, int, str], _Flood] = {}

    def admits(self, record: logging.LogRecord, now: float) -> bool:
        """Whether `record` is to be shown; if not, it is counted for the summary."""
        kind = (record.name, record.levelno, str(record.msg))
        flood = self._floods.get(kind)
        if flood is None:
            flood = self._floods[kind] = _Flood(ends_at=now + _WINDOW_SECONDS)
        if flood.shown < _BURST_LINES:
            flood.shown += 1
            return True
        flood.held_back += 1
        text = record.getMessage()
        if text in flood.texts or len(flood.texts) < _DISTINCT_TEXTS:
            flood.texts[text] += 1
        return False

    def ended(self, now: float) -> Iterator[logging.LogRecord]:
        """Summaries of the floods whose window is over at `now`."""
        over = [kind for kind, flood in self._floods.items() if flood.ends_at <= now]
        for kind in over:
            flood = self._floods.pop(kind)
            if flood.held_back:
                yield _summary(kind, flood)


def _summary(kind: tuple[str, int, str], flood: _Flood) -> logging.LogRecord:
    name, level, _ = kind
    worst = flood.texts.most_common(_TEXTS_NAMED)
    named = ", ".join(f"{text!r} ({count} times)" for text, count in worst)
    lines = "line" if flood.held_back == 1 else "lines"
    text = f"{flood.held_back} more {lines} of this kind in {_WINDOW_SECONDS:.0f} s: {named}"
    return _record(name, level, text)


def _record(name: str, level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, text, None, None)


class TextFormatter(logging.Formatter):
    """`[LEVEL] plugin/name: text`; further lines are indented, so that none can pose as a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`; control characters are shown as escapes."""
        prefix = f"{record.name}: " if record.name.startswith(_PLUGIN_MARK) else ""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        text = text.translate(_VISIBLE).replace("\n", "\n    ")
        if record.name == BARE:
            return text
        return f"[{_level_word(_LEVEL_WORDS, record)}] {prefix}{text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line. What a record carries as `fields` stands beside its text."""

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`; its time is UTC in milliseconds."""
        stamp = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _level_word(_JSON_LEVEL_WORDS, record),
            "msg": record.getMessage(),
        }
        if record.name.startswith(_PLUGIN_MARK):
            line["plugin"] = record.name.removeprefix(_PLUGIN_MARK)
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, separators=(",", ":"), default=str)


def _level_word(words: dict[int, str], record: logging.LogRecord) -> str:
    return words.get(record.levelno, record.levelname)
