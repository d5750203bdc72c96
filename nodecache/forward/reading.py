"""What an upstream's reply comes to, whole or not.

The law of this module: no socket, no clock.
"""

from nodecache.wire import (
    Answer,
    MalformedMessage,
    Query,
    is_bare_reply,
    read_answer,
    read_cut_answer,
)

from .attempt import Attempt


def read_reply(query: Query, attempt: Attempt, packet: bytes) -> tuple[Answer, bool]:
    """The answer to `query` in the reply to `attempt`, and whether it is cut off without saying so.

    Middleboxes and some servers cut what came by UDP in the middle of a record, without TC: such an
    answer reads as one with TC. MalformedMessage where nothing can be made of it.
    """
    try:
        return read_answer(packet, question_end=query.question_end), False
    except MalformedMessage:
        if is_bare_reply(packet):
            return read_answer(attempt.with_question(packet)), False
        if attempt.by_stream:
            raise
        return read_cut_answer(packet, query.question_end), True
