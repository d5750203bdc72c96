import asyncio
import socket
import threading
from pathlib import Path

import pytest

from nodecache.corefile import DnstapOptions
from nodecache.server.directives.dnstap import sink as sinks
from nodecache.server.directives.dnstap.frames import Event, Sender, TapMessage, encoded
from nodecache.server.directives.dnstap.sink import TapClient, TapListener, open_sink
from tests.helpers.agent import free_port
from tests.helpers.taps import Reading, TapReader, control, read_stream
from tests.patience import PATIENCE_SECONDS

SENDER = Sender(b"node", b"1")


def payload(port: int) -> bytes:
    address = ("10.0.0.1", port)
    message = TapMessage(
        event=Event.CLIENT_QUERY, transport="udp", query_address=address, query_time=0
    )
    return encoded(SENDER, message)


def options(address: str, **more) -> DnstapOptions:
    return DnstapOptions(**{"transport": "unix", "address": address, **more})


async def until(is_true) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_true():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.005)


def test_payloads_reach_a_reader_and_the_stream_ends_in_order(tmp_path):
    async def talk(reader: TapReader) -> None:
        sink = TapClient(options(reader.address), asyncio.get_running_loop())
        for port in range(100):
            sink.put(payload(port))
        await asyncio.to_thread(reader.wait_for, 100)
        sink.put(payload(100))
        sink.close()
        await asyncio.to_thread(reader.wait_for_stop)

    with TapReader(str(tmp_path / "tap.sock")) as reader:
        asyncio.run(talk(reader))
        assert [tapped.message[6] for tapped in reader.wait_for(101)] == list(range(101))
        assert reader.reading.controls == [4, 2, 3]


def test_a_reader_on_tcp_is_reached_too():
    async def talk(reader: TapReader) -> None:
        wanted = options(reader.address, transport="tcp")
        sink = open_sink(wanted, asyncio.get_running_loop())
        sink.put(payload(7))
        await asyncio.to_thread(reader.wait_for, 1)
        sink.close()

    with TapReader() as reader:
        asyncio.run(talk(reader))


def test_without_a_reader_the_queue_is_bounded(tmp_path, caplog):
    async def fill() -> int:
        wanted = options(str(tmp_path / "nobody"), queue_messages=3)
        sink = TapClient(wanted, asyncio.get_running_loop())
        for port in range(5):
            sink.put(payload(port))
        await until(lambda: "No connection to dnstap endpoint" in caplog.text)
        sink.close()
        return sink.dropped

    assert asyncio.run(fill()) == 2


def test_a_reader_that_goes_is_connected_to_again(tmp_path):
    path = str(tmp_path / "tap.sock")

    async def talk() -> None:
        with TapReader(path) as reader:
            sink = TapClient(options(path), asyncio.get_running_loop())
            sink.put(payload(1))
            await asyncio.to_thread(reader.wait_for, 1)
            sink._stream.transport.abort()
            await until(lambda: sink._stream.transport is not None and sink._stream.is_taking)
            sink.put(payload(2))
            assert len(await asyncio.to_thread(reader.wait_for, 2)) == 2
            sink.close()

    asyncio.run(talk())


def test_a_reader_that_speaks_something_else_is_left(tmp_path, caplog):
    async def talk() -> None:
        path = str(tmp_path / "tap.sock")

        async def nonsense(reader, writer) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_unix_server(nonsense, path)
        sink = TapClient(options(path), asyncio.get_running_loop())
        await until(lambda: "control frames and nothing else" in caplog.text)
        sink.close()
        server.close()

    asyncio.run(talk())


def test_a_reader_that_always_goes_is_not_connected_to_without_a_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks, "_LOOK_SECONDS", 1000.0)
    path = str(tmp_path / "tap.sock")
    came = 0

    async def accept_and_go(reader, writer) -> None:
        nonlocal came
        came += 1
        await reader.readexactly(len(control(4)))
        writer.write(control(1))
        writer.close()

    async def talk() -> None:
        server = await asyncio.start_unix_server(accept_and_go, path)
        sink = TapClient(options(path), asyncio.get_running_loop())
        await until(lambda: came == 2 and sink._stream.has_begun and sink._stream.transport is None)
        for _ in range(100):  # turns of the loop
            await asyncio.sleep(0)
        assert sink._connecting is None
        sink.close()
        server.close()

    asyncio.run(talk())
    assert came == 2


def test_the_end_does_not_wait_for_a_reader_that_hangs(tmp_path):
    path = str(tmp_path / "tap.sock")
    gone = asyncio.Event()

    async def hang(reader, writer) -> None:
        await reader.readexactly(len(control(4)))
        writer.write(control(1))
        await gone.wait()
        writer.transport.abort()

    async def talk() -> None:
        server = await asyncio.start_unix_server(hang, path)
        sink = TapClient(options(path), asyncio.get_running_loop())
        await until(lambda: sink._stream.is_taking)
        while sink._stream.is_taking:
            sink.put(bytes(1 << 16))
            await asyncio.sleep(0)
        sink.close()
        await until(lambda: sink._stream.transport is None)
        gone.set()
        server.close()

    asyncio.run(talk())


def connect(address: str) -> socket.socket:
    if address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)))


async def listened_to(address: str, transport: str) -> Reading:
    """What a reader hears that connects to us."""
    reading, news = Reading(), threading.Condition()
    sink = TapListener(options(address, transport=transport), asyncio.get_running_loop())
    await until(lambda: sink._server is not None)
    connection = await asyncio.to_thread(connect, address)
    hearing = asyncio.create_task(asyncio.to_thread(read_stream, connection, reading, news))
    await until(lambda: any(stream.is_taking for stream in sink._streams))
    sink.put(payload(7))
    sink.close()
    await hearing
    return reading


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_readers_may_come_to_us(tmp_path, transport):
    address = str(tmp_path / "tap.sock") if transport == "unix" else free_address()
    reading = asyncio.run(listened_to(address, transport))
    assert [tapped.message[6] for tapped in reading.payloads] == [7]
    assert reading.controls == [4, 2, 3]


def test_a_socket_left_behind_is_taken_over(tmp_path):
    path = tmp_path / "tap.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert asyncio.run(listened_to(str(path), "unix")).payloads


def test_a_listener_may_take_the_place_of_another(tmp_path):
    address = str(tmp_path / "tap.sock")

    async def replace() -> Reading:
        old = TapListener(options(address), asyncio.get_running_loop())
        await until(lambda: old._server is not None)
        hearing = asyncio.create_task(listened_to(address, "unix"))
        await asyncio.sleep(0)
        old.close()
        return await hearing

    assert asyncio.run(replace()).payloads


def test_a_listener_that_cannot_listen_is_an_error_line(tmp_path, caplog):
    async def listen() -> None:
        sink = TapListener(options(str(tmp_path / "no" / "dir")), asyncio.get_running_loop())
        await until(lambda: "Failed to start dnstap listener" in caplog.text)
        sink.put(payload(1))
        sink.close()

    asyncio.run(listen())
    assert not Path(tmp_path / "no").exists()
