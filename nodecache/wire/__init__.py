"""DNS messages as bytes.

The law of this package: functions here take bytes a stranger sent. They raise
MalformedMessage and nothing else, keep no state, and never read a clock or a
socket. They import nothing of nodecache. (`wire_of` takes an operator's text, and raises ValueError.)
"""

from .answer import FORWARD, Answer, Kind
from .bare import is_bare_reply, with_question
from .compress import compressed
from .constants import (
    CLASS_IN,
    HEADER_SIZE,
    MAX_LABEL_SIZE,
    MAX_MESSAGE_SIZE,
    MAX_NAME_SIZE,
    Ede,
    Flag,
    Rcode,
    Rdtype,
    rcode_text,
)
from .denials import AnswerReader
from .errors import MalformedMessage
from .frame import FrameBuffer, framed
from .hexdump import hex_dump
from .names import expanded_name, is_within
from .options import ExtendedErrors, are_options_whole, errors_as_options
from .query import KEY_END_SIZE, Query, framed_upstream_query, read_query, upstream_query
from .reader import read_answer, read_cut_answer
from .reply import (
    Body,
    empty_reply,
    error_reply,
    records_of_body,
    reply_limit,
    reply_to,
)
from .sections import aged
from .text import text_of, wire_of
