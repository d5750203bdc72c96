import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.wire import FrameBuffer, framed


def test_a_frame_is_a_message_behind_its_size():
    assert framed(b"abc") == b"\0\3abc"
    assert framed(b"x" * 65535).startswith(b"\xff\xff")


def test_what_is_too_long_for_a_frame_is_nobodys_to_send():
    with pytest.raises(OverflowError):
        framed(b"x" * 65536)


def test_octets_wait_for_the_rest_of_their_message():
    buffer = FrameBuffer()
    assert buffer.feed(b"\0") == []
    assert buffer.feed(b"\3ab") == []
    assert len(buffer) == 4
    assert buffer.feed(b"c\0\1") == [b"abc"]
    assert len(buffer) == 2
    assert buffer.feed(b"d") == [b"d"]
    assert len(buffer) == 0


def test_an_empty_frame_is_an_empty_message():
    assert FrameBuffer().feed(b"\0\0\0\1x\0\0") == [b"", b"x", b""]


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 50), max_size=20))
def test_messages_come_out_whole_and_in_order_however_the_stream_is_cut(messages, sizes):
    stream = b"".join(framed(message) for message in messages)
    buffer = FrameBuffer()
    received: list[bytes] = []
    for size in sizes:
        received += buffer.feed(stream[:size])
        stream = stream[size:]
    received += buffer.feed(stream)
    assert received == messages
    assert len(buffer) == 0


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_octets_are_frames_or_wait(chunks):
    buffer = FrameBuffer()
    received = [message for chunk in chunks for message in buffer.feed(chunk)]
    stream = b"".join(chunks)
    taken = b"".join(framed(message) for message in received)
    assert stream.startswith(taken)
    assert len(buffer) == len(stream) - len(taken)
