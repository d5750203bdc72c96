"""The control socket: who may ask, one request a connection, and clients that do not read."""

import asyncio
import json
import logging
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from nodecache.worker import control
from nodecache.worker.control import Control


@pytest.fixture
def folder():
    """A folder whose name is short enough for a socket's: sun_path has 108 octets."""
    made = Path(tempfile.mkdtemp(prefix="nc"))
    yield made
    shutil.rmtree(made)


async def three(request):
    for number in range(3):
        yield {"number": number, "name": request.name}


class Endless:
    """A command that goes on until somebody ends it."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.made = 0
        self.ended = asyncio.Event()

    async def __call__(self, request):
        try:
            while True:
                self.made += 1
                yield {"line": self.line}
                await asyncio.sleep(0)
        finally:
            self.ended.set()


async def opened(path: Path, **commands) -> Control:
    made = Control(str(path), commands)
    await made.begin()
    return made


async def told(path: Path, request: bytes) -> list[dict]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    lines = (await reader.read()).splitlines()
    writer.close()
    return [json.loads(line) for line in lines]


def test_a_request_is_answered_line_by_line_and_the_connection_ends(folder):
    async def run():
        made = await opened(folder / "s", three=three)
        lines = await told(folder / "s", b'{"command":"three","name":"x"}\n')
        made.close()
        return lines

    assert asyncio.run(run()) == [{"number": n, "name": "x"} for n in range(3)]


@pytest.mark.parametrize(
    ("request_line", "said"),
    [
        (b'{"command":"four"}\n', "there is no command 'four'"),
        (b"nonsense\n", "the request is not JSON"),
        (b"x" * 10_000, "limit"),
    ],
)
def test_what_is_no_request_gets_a_line_that_says_so(folder, request_line, said):
    async def run():
        made = await opened(folder / "s", three=three)
        (line,) = await told(folder / "s", request_line)
        made.close()
        return line["error"]

    assert said in asyncio.run(run())


def test_only_the_owner_may_connect_and_the_folder_is_made(folder):
    path = folder / "run" / "control.sock"

    async def run():
        (await opened(path, three=three)).close()

    asyncio.run(run())
    found = path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["control.sock"]


def test_the_socket_of_a_worker_before_us_is_replaced(folder):
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))

        async def run():
            made = await opened(path, three=three)
            lines = await told(path, b'{"command":"three"}\n')
            made.close()
            return lines

        assert len(asyncio.run(run())) == 3


def test_of_two_agents_with_one_path_the_later_is_asked_and_the_earlier_takes_nothing_away(folder):
    async def other(request):
        yield {"agent": "the next one"}

    async def run():
        before = await opened(folder / "s", three=three)
        after = await opened(folder / "s", three=other)
        before.close()
        lines = await told(folder / "s", b'{"command":"three"}\n')
        after.close()
        return lines

    assert asyncio.run(run()) == [{"agent": "the next one"}]


@pytest.mark.parametrize("path", ["/proc/none/control.sock", "/dev/null/s", f"/tmp/{'x' * 200}"])
def test_where_it_cannot_be_opened_one_line_says_so(path, caplog):
    with caplog.at_level(logging.INFO):
        asyncio.run(opened(Path(path)))
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert path in record.message


def test_a_folder_in_its_place_stays_and_nothing_is_left_beside_it(folder, caplog):
    (folder / "s").mkdir()
    with caplog.at_level(logging.INFO):
        asyncio.run(opened(folder / "s"))
    assert "Is a directory" in caplog.text
    assert [each.name for each in folder.iterdir()] == ["s"]


def test_an_empty_path_is_no_socket(caplog):
    async def run():
        made = Control("", {})
        await made.begin()
        made.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert not caplog.records


def test_a_client_that_does_not_read_is_sent_away_and_no_more_is_made_for_it(folder, monkeypatch):
    monkeypatch.setattr(control, "_UNREAD_SECONDS", 0.05)

    async def run():
        endless = Endless("x" * (1 << 20))
        made = await opened(folder / "s", endless=endless)
        _, writer = await asyncio.open_unix_connection(str(folder / "s"), limit=1)
        writer.write(b'{"command":"endless"}\n')
        await endless.ended.wait()
        writer.close()
        made.close()
        return endless.made

    assert asyncio.run(run()) <= 2


def test_a_command_ends_when_its_client_leaves(folder):
    async def run():
        endless = Endless("x")
        made = await opened(folder / "s", endless=endless)
        reader, writer = await asyncio.open_unix_connection(str(folder / "s"))
        writer.write(b'{"command":"endless"}\n')
        await reader.readline()
        writer.close()
        await endless.ended.wait()
        made.close()

    asyncio.run(run())


def test_too_many_clients_are_told_so_and_those_who_are_there_stay(folder):
    async def run():
        made = await opened(folder / "s", three=three)
        waiting = [await asyncio.open_unix_connection(str(folder / "s")) for _ in range(8)]
        (refused,) = await told(folder / "s", b"")
        waiting[0][1].write(b'{"command":"three"}\n')
        lines = (await waiting[0][0].read()).splitlines()
        for _, writer in waiting:
            writer.close()
        made.close()
        return refused, len(lines)

    assert asyncio.run(run()) == ({"error": "too many connections"}, 3)


def test_a_client_that_asks_nothing_is_sent_away(folder, monkeypatch):
    monkeypatch.setattr(control, "_REQUEST_SECONDS", 0.05)

    async def run():
        made = await opened(folder / "s", three=three)
        reader, writer = await asyncio.open_unix_connection(str(folder / "s"))
        try:
            return await reader.read()
        finally:
            writer.close()
            made.close()

    assert asyncio.run(run()) == b""
