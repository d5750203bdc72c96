"""Replies that do not repeat the question.

Servers that do not understand a query, for example its OPT, answer with a header only
(FORMERR: RFC 8906 §8.2), and so do some that want to be asked by TCP (TC). Only the id tells which
query is answered.
"""

from typing import Final

from .constants import HEADER_SIZE, RCODE_MASK, Flag

_QR_OCTET: Final = Flag.QR >> 8
_TC_OCTET: Final = Flag.TC >> 8
_NO_QUESTION_NO_RECORDS: Final = bytes(6)  # QDCOUNT, ANCOUNT, NSCOUNT
_ONE_QUESTION: Final = b"\0\1\0\0\0\0\0\0"


def is_bare_reply(packet: bytes) -> bool:
    """Whether `packet` is a response with an rcode or TC, and neither a question nor an answer.

    One with TC may have counts of records that do not follow.
    """
    if len(packet) < HEADER_SIZE or not packet[2] & _QR_OCTET:
        return False
    if packet[2] & _TC_OCTET and len(packet) == HEADER_SIZE:
        return True
    return packet[4:10] == _NO_QUESTION_NO_RECORDS and bool(
        packet[3] & RCODE_MASK or packet[2] & _TC_OCTET
    )


def with_question(packet: bytes, question: bytes) -> bytes:
    """A bare reply with the question that it answers inserted, and without an OPT."""
    return packet[:4] + _ONE_QUESTION + question
