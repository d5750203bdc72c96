import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.wire import text_of, wire_of

LABEL = st.binary(min_size=1, max_size=20)


@given(st.lists(LABEL, max_size=8))
def test_any_name_survives_the_way_to_text_and_back(labels):
    name = dns.name.Name([*labels, b""]).to_wire()
    assert wire_of(text_of(name)) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(".", b"\0", id="root"),
        pytest.param("", b"\0", id="nothing is the root"),
        pytest.param("a.example.", b"\1a\7example\0", id="absolute"),
        pytest.param("a.example", b"\1a\7example\0", id="without its dot"),
        pytest.param(r"a\.b.c.", b"\3a.b\1c\0", id="dot in a label"),
        pytest.param(r"\097.", b"\1a\0", id="decimal escape"),
        pytest.param(r"a\..", b"\2a.\0", id="ends in an escaped dot"),
    ],
)
def test_text_is_read_as_a_name(text, name):
    assert wire_of(text) == name


@pytest.mark.parametrize("text", ["a..b.", ".a.", "a" * 64, "a." * 128, r"\256.", r"\12"])
def test_text_that_is_no_name_is_refused(text):
    with pytest.raises(ValueError):
        wire_of(text)


def test_escapes_are_those_of_the_original():
    assert text_of(b"\4a b.\2\xffc\0") == r"a\ b\..\255c."
