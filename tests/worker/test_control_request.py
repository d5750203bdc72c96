"""What is asked at the control socket is read strictly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.worker.control_request import MalformedRequest, Request, read_request


def test_a_request_has_what_was_asked_and_defaults_for_the_rest():
    line = b'{"command":"explain","name":"a.example","rdtype":28,"is_asked":true}\n'
    assert read_request(line) == Request(
        command="explain", name="a.example", rdtype=28, is_asked=True
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"command":"explain"}', "no end"),
        (b"\n", "not JSON"),
        (b"[" * 4000 + b"\n", "not JSON"),
        (b"[]\n", "no command"),
        (b'{"name":"a"}\n', "no command"),
        (b'{"command":1}\n', "another type"),
        (b'{"command":"x","rdtype":true}\n', "another type"),
        (b'{"command":"x","rdtype":"A"}\n', "another type"),
        (b'{"command":"x","rdtype":0}\n', "1 to 65535"),
        (b'{"command":"x","rdtype":65536}\n', "1 to 65535"),
        (b'{"command":"x","seconds":0}\n', "0.1 to 60"),
        (b'{"command":"x","seconds":NaN}\n', "0.1 to 60"),
        (b'{"command":"x","seconds":1e9}\n', "0.1 to 60"),
        (b'{"command":"x","other":1}\n', "no field 'other'"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_with_the_rule(line, said):
    with pytest.raises(MalformedRequest, match=said):
        read_request(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from(["command", "name", "rdtype", "namespace", "is_asked", "seconds"])


@given(st.binary() | st.dictionaries(FIELDS, JSON).map(lambda d: json.dumps(d).encode() + b"\n"))
def test_whatever_comes_is_a_request_or_malformed(line):
    try:
        read = read_request(line)
    except MalformedRequest:
        return
    assert isinstance(read.command, str)
    assert 0 < read.rdtype < 65536
