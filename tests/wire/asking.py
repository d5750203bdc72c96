"""Queries octet by octet, and what reading them comes to."""

import pytest

from nodecache.wire import MalformedMessage, read_query
from tests.wire.messages import name, opt, raw, record

ONE_MORE = (1, 0, 0, 1)


def asked(*parts: bytes, counts=(1, 0, 0, 0), flags: int = 0x0100, question: bytes | None = None):
    question = name("a.example.") + b"\0\1\0\1" if question is None else question
    return read_query(raw(*parts, counts=counts, flags=flags, question=question))


def refusal(packet: bytes) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        read_query(packet)
    return caught.value


def signed(*, last: bytes = b"", count: int = 1) -> bytes:
    tsig = record(name("key."), "TSIG", name("hmac-sha256.") + b"\0" * 16, ttl=0, rdclass=255)
    return raw(opt(), tsig, last, counts=(1, 0, 0, 1 + count), flags=0x0100)
