import pytest

from nodecache.server.directives.dnstap.frames import (
    Control,
    ControlReader,
    Event,
    MalformedStream,
    Sender,
    TapMessage,
    control_frame,
    data_frame,
    encoded,
)
from tests.helpers import taps

SENDER = Sender(b"node-1", b"nodecache-1")
NOON = 1_700_000_000_123_456_789


def message(**more) -> TapMessage:
    return TapMessage(
        **{
            "event": Event.CLIENT_QUERY,
            "transport": "udp",
            "query_address": ("10.244.1.7", 40212),
            "query_time": NOON,
            **more,
        }
    )


def test_a_query_is_told_with_who_asked_and_when():
    tapped = taps.payload(encoded(SENDER, message(query_packet=b"query"), b"more"))
    assert (tapped.identity, tapped.version, tapped.extra) == (b"node-1", b"nodecache-1", b"more")
    assert tapped.message == {
        1: 5, 2: 1, 3: 1, 4: b"\x0a\xf4\1\7", 6: 40212,
        8: 1_700_000_000, 9: 123_456_789, 10: b"query",
    }  # fmt: skip


def test_a_reply_is_told_with_its_time():
    tapped = taps.payload(
        encoded(
            SENDER,
            message(
                event=Event.CLIENT_RESPONSE,
                transport="tcp",
                query_address=("fe80::1%eth0", 1),
                response_time=NOON + 1,
                response_packet=b"reply",
            ),
        )
    )
    assert (tapped.message[1], tapped.message[2], tapped.message[3]) == (6, 2, 2)
    assert len(tapped.message[4]) == 16
    assert (tapped.message[12], tapped.message[13]) == (1_700_000_000, 123_456_790)
    assert tapped.message[14] == b"reply"
    assert 10 not in tapped.message


def test_an_upstream_is_who_is_asked():
    tapped = taps.payload(
        encoded(
            SENDER,
            message(
                event=Event.FORWARDER_QUERY,
                query_address=None,
                response_address=("10.96.0.10", 53),
            ),
        )
    )
    assert (tapped.message[5], tapped.message[7]) == (b"\x0a\x60\0\x0a", 53)
    assert 4 not in tapped.message


def test_frames_carry_their_size():
    assert data_frame(b"abc") == b"\0\0\0\3abc"
    assert control_frame(Control.STOP) == taps.control(3, named=False)
    assert control_frame(Control.READY) == taps.control(4)


def test_a_readers_control_frames_may_come_in_pieces():
    reader = ControlReader()
    octets = taps.control(1) + taps.control(5, named=False)
    found = [kind for octet in octets for kind in reader.feed(bytes([octet]))]
    assert found == [Control.ACCEPT, Control.FINISH]


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\0\0\0\1xxxxxxxxxxx", id="a data frame"),
        pytest.param(b"\0\0\0\0\0\0\xff\xff\0\0\0\1", id="too long"),
        pytest.param(taps.control(9), id="unknown"),
        pytest.param(taps.control(1, named=False), id="accepts something else"),
    ],
)
def test_other_octets_are_no_stream(octets):
    with pytest.raises(MalformedStream):
        ControlReader().feed(octets)
