"""Log lines: the original's forms, floods summed up, and no line that waits for its reader."""

import json
import logging
import os
import select
import threading

import pytest

from nodecache.process import log
from nodecache.process.log import Form, LineHandler, Sink


class FakeSink(Sink):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_stuck = False

    def write(self, line: str) -> bool:
        if not self.is_stuck:
            self.lines.append(line)
        return not self.is_stuck


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> FakeSink:
    return FakeSink()


@pytest.fixture
def logger(sink: FakeSink, clock: Clock) -> logging.Logger:
    return logger_in("text", sink, clock)


@pytest.fixture
def json_logger(sink: FakeSink, clock: Clock) -> logging.Logger:
    return logger_in("json", sink, clock)


def logger_in(form: Form, sink: Sink, clock: Clock) -> logging.Logger:
    """A logger of its own, which pytest has no part in."""
    logger = logging.Logger("plugin/errors")  # noqa: LOG001
    logger.addHandler(LineHandler(sink, form, clock))
    return logger


def handler_of(logger: logging.Logger) -> LineHandler:
    (handler,) = logger.handlers
    assert isinstance(handler, LineHandler)
    return handler


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (logging.DEBUG, "[DEBUG]"),
        (logging.INFO, "[INFO]"),
        (logging.WARNING, "[WARNING]"),
        (logging.ERROR, "[ERROR]"),
        (logging.CRITICAL, "[FATAL]"),
    ],
)
def test_levels_are_written_as_the_original_writes_them(logger, sink, level, word):
    logger.log(level, "%d %s %s: %s", 2, "example.org.", "A", "i/o timeout")
    assert sink.lines == [f"{word} plugin/errors: 2 example.org. A: i/o timeout"]


def test_logger_that_is_no_directive_has_no_prefix(sink, clock):
    handler = LineHandler(sink, "text", clock)
    name = "nodecache.keeper.keeper"
    handler.handle(logging.LogRecord(name, logging.INFO, "", 0, "Tearing down", None, None))
    assert sink.lines == ["[INFO] Tearing down"]


def test_text_of_a_stranger_cannot_pose_as_a_record_or_colour_a_terminal(logger, sink):
    logger.warning("%s", "x\n[INFO] all is well\x1b[2J")
    assert sink.lines == ["[WARNING] plugin/errors: x\n    [INFO] all is well\\x1b[2J"]


def test_flood_is_shown_at_its_start_and_then_summed_up(logger, sink, clock):
    for number in range(1000):
        logger.error("2 %s A: i/o timeout", f"{number % 3}.test.")
    assert len(sink.lines) == 10
    clock.now = 10.0
    handler_of(logger).tick()
    (summary,) = sink.lines[10:]
    assert summary == (
        "[ERROR] plugin/errors: 990 more lines of this kind in 10 s: "
        "'2 1.test. A: i/o timeout' (330 times), '2 2.test. A: i/o timeout' (330 times), "
        "'2 0.test. A: i/o timeout' (330 times)"
    )


def test_flood_does_not_hide_lines_of_another_kind(logger, sink):
    for _ in range(50):
        logger.error("upstream %s is down", "10.96.0.10:53")
    logger.error("Corefile:3: cache: TTL must be a whole number")
    assert sink.lines[-1] == "[ERROR] plugin/errors: Corefile:3: cache: TTL must be a whole number"


def test_flood_of_ever_new_texts_takes_bounded_memory(logger, sink, clock):
    for number in range(10_000):
        logger.error("%s", f"{number}.test.")
    (flood,) = handler_of(logger)._floods._floods.values()
    assert len(flood.texts) == 100
    handler_of(logger).close()
    assert sink.lines[-1].startswith("[ERROR] plugin/errors: 9990 more lines of this kind")


def test_new_window_shows_lines_again(logger, sink, clock):
    for _ in range(20):
        logger.error("down")
    clock.now = 11.0
    logger.error("down")
    assert sink.lines[-1] == "[ERROR] plugin/errors: down"


def test_lines_of_the_log_directive_are_never_summed_up(sink, clock):
    handler = LineHandler(sink, "text", clock)
    for _ in range(100):
        handler.handle(logging.LogRecord(log.QUERY_LOG, logging.INFO, "", 0, "%s", ("q",), None))
    assert sink.lines == ["[INFO] q"] * 100


def test_lost_lines_are_told_once_the_reader_is_back(logger, sink):
    sink.is_stuck = True
    for number in range(3):
        logger.info("%s", f"lost {number}")
    sink.is_stuck = False
    logger.info("back")
    assert sink.lines == [
        "[WARNING] 3 log lines were lost because nobody read them in time",
        "[INFO] plugin/errors: back",
    ]
    assert handler_of(logger).lost == 3


def test_lost_lines_are_told_though_no_other_line_follows(logger, sink):
    sink.is_stuck = True
    logger.info("lost")
    sink.is_stuck = False
    handler_of(logger).tick()
    assert sink.lines == ["[WARNING] 1 log lines were lost because nobody read them in time"]


def test_a_line_of_another_thread_waits_for_the_summaries(logger, sink, clock):
    """Files are read in threads, which sum up what has ended too."""
    for text in ("one", "other"):
        for _ in range(12):
            logger.info(text)
    clock.now = 20.0
    threads = []

    def write(line):
        if not threads:
            threads.append(threading.Thread(target=logger.info, args=("file",)))
            threads[0].start()
            threads[0].join(0.2)  # it would be through by then
        sink.lines.append(line)
        return True

    sink.lines.clear()
    sink.write = write
    handler_of(logger).tick()
    threads[0].join()
    assert [line.partition(" plugin/errors: ")[2][:6] for line in sink.lines] == [
        "2 more",
        "2 more",
        "file",
    ]


def test_json_line_has_the_keys_of_coredns(json_logger, sink):
    json_logger.warning("%s", 'with "quotes"', extra={"fields": {"qname": "a.test.", "size": 3}})
    line = json.loads(sink.lines[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARN",
        "msg": 'with "quotes"',
        "plugin": "errors",
        "qname": "a.test.",
        "size": 3,
    }


@pytest.mark.parametrize(
    ("form", "line"),
    [("text", "example.org.:53 on 127.0.0.1"), ("json", '"msg":"example.org.:53 on 127.0.0.1"')],
)
def test_what_has_no_level_is_a_line_of_its_own_or_an_object_like_any_other(
    form, line, sink, clock
):
    bare = logging.Logger(log.BARE)  # noqa: LOG001
    bare.addHandler(LineHandler(sink, form, clock))
    for _ in range(30):
        bare.info("%s on %s", "example.org.:53", "127.0.0.1")
    assert len(sink.lines) == 30
    if form == "text":
        assert set(sink.lines) == {line}
    else:
        assert all(line in each and json.loads(each) for each in sink.lines)


def test_json_keeps_a_traceback_on_one_line(json_logger, sink):
    try:
        int("broken")
    except ValueError:
        json_logger.exception("unexpected")
    (line,) = sink.lines
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["traceback"]


def test_full_pipe_costs_lines_and_not_time():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        sink = Sink(writer)
        taken = sum(sink.write("x" * 2000) for _ in range(100))
        assert 0 < taken < 100
        assert os.read(reader, 1 << 20).count(b"\n") == taken
        assert sink.write("back")


def test_a_pipe_that_another_process_fills_at_that_moment_costs_lines_and_not_time(monkeypatch):
    reader, writer = os.pipe()

    class Racing:
        """Says what was true, before another process wrote."""

        def register(self, descriptor, events):
            pass

        def poll(self, seconds):
            other = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY | os.O_NONBLOCK)
            with os.fdopen(other, "wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
            return [(writer, select.POLLOUT)]

    monkeypatch.setattr(log.select, "poll", Racing)
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        assert not Sink(writer).write("too late")


def test_closed_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb"):
        sink = Sink(writer)
        assert not sink.write("nobody is there")


def test_configure_replaces_the_handler_it_made_before():
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        log.configure(sink=FakeSink())
        handler = log.configure(sink=FakeSink())
        assert [h for h in root.handlers if isinstance(h, LineHandler)] == [handler]
        assert root.level == logging.INFO
        log.set_debug(is_debug=True)
        assert root.level == logging.DEBUG
    finally:
        root.handlers[:] = before
        root.setLevel(level)
