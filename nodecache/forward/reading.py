"""Reads replies that the strict reader refuses, as far as they can be used.

The law of this module: no socket, no clock.
"""

from nodecache.wire import Answer, MalformedMessage, is_bare_reply, read_answer, read_cut_answer

from .attempt import Attempt


def read_unsound(
    attempt: Attempt, packet: bytes, question_end: int, fault: MalformedMessage
) -> tuple[Answer, bool]:
    """The answer in a reply that has a `fault`, and whether it is cut off without saying so.

    Middleboxes and some servers cut what came by UDP in the middle of a record, without TC: such an
    answer reads as one with TC. By TCP nothing is cut on the way, but some servers count more records
    than they send: where none is cut off, what they sent is better than nothing. MalformedMessage
    where nothing can be made of it.
    """
    if is_bare_reply(packet):
        return read_answer(attempt.with_question(packet)), False
    answer = read_cut_answer(packet, question_end)
    if attempt.by_stream and not (answer.has_answers and len(answer.wire) == len(packet)):
        raise MalformedMessage(str(fault))  # itself, it would hold this frame, which holds it
    return answer, True
