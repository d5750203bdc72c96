import contextlib
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nodecache.web.plainyaml import read_yaml, texts

SAMPLE = """\
---
# The sample of the exporter toolkit, and more.
tls_server_config:
  cert_file: server.crt   # beside
  key_file: "server.key"
  client_ca: |
    -----BEGIN CERTIFICATE-----
    MII#not a comment

    -----END CERTIFICATE-----

  client_allowed_sans:
  - first.example
  - 'it''s'
  cipher_suites: [ TLS_A, "TLS_B" ]  # both
  curve_preferences: []
http_server_config:
    http2: "true"
    headers:
        X-Frame-Options: deny
        Strict-Transport-Security: 'max-age=31536000; includeSubDomains'
basic_auth_users:
"""


def filled(value):
    """An empty value is an empty text with us."""
    if isinstance(value, dict):
        return {key: filled(each) for key, each in value.items()}
    return "" if value is None else value


def test_a_configuration_is_read_as_pyyaml_reads_it():
    assert read_yaml(SAMPLE) == filled(yaml.safe_load(SAMPLE))


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing\n", "---\n"])
def test_nothing_is_an_empty_mapping(text):
    assert read_yaml(text) == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: |-\n  x\nb: 1\n", {"a": "x", "b": "1"}),
        ("a:\n  b:\n    c: d\n  e: f\n", {"a": {"b": {"c": "d"}, "e": "f"}}),
        ("a:\n    - x\n    - y\n", {"a": ["x", "y"]}),
        ("a: x#y\n", {"a": "x#y"}),
        ("a: # none\nb: c\n", {"a": "", "b": "c"}),
        ("'a b': c\n", {"a b": "c"}),
    ],
)
def test_values_are_read(text, told):
    assert read_yaml(text) == told == filled(yaml.safe_load(text.replace("1", "'1'")))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a\n", "line 1 is not KEY: VALUE"),
        ("- a\n", "line 1 is not KEY: VALUE"),
        ("a: 1\n\tb: 2\n", "line 2 is indented with a tab"),
        ("a: 1\n  b: 2\n", "line 2 is not indented like what is before it"),
        ("a:\n    b: 1\n  c: 2\n", "line 3 is not indented like what is before it"),
        ("  a: 1\n", "line 1 is not indented like what is before it"),
        ("a: 1\na: 2\n", "line 2 has 'a' a second time"),
        ("a: &x 1\n", "line 1 has a value that is not understood: '&x 1'"),
        ("a: *x\n", "line 1 has a value that is not understood"),
        ("a: !!str x\n", "line 1 has a value that is not understood"),
        ("a: {b: c}\n", "line 1 has a value that is not understood"),
        ("a: >\n  x\n", "line 1 has a value that is not understood"),
        ('a: "x\\n"\n', "line 1 has a value that is not understood"),
        ("a: b: c\n", "line 1 has a value that is not understood"),
        ("a: [x,\n  y]\n", "line 1 opens a list that goes on in another line"),
        ("a:\n  - x: y\n", "line 2 has a value that is not understood"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line(text, why):
    with pytest.raises(ValueError, match=f"^{re.escape(why)}"):
        read_yaml(text)


WORDS = st.from_regex(r"[a-z][a-z0-9_./-]{0,12}", fullmatch=True).filter(
    lambda word: word not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)


@given(st.dictionaries(WORDS, st.one_of(WORDS, st.lists(WORDS, min_size=1), st.dictionaries(WORDS, WORDS, min_size=1)), min_size=1))  # fmt: skip
def test_what_pyyaml_writes_is_read_back(written):
    assert read_yaml(yaml.safe_dump(written)) == written


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        assert isinstance(read_yaml(text), dict)


@pytest.mark.parametrize(
    ("value", "told"), [(None, []), ("", []), ("a", ["a"]), (["a", "b"], ["a", "b"])]
)
def test_a_list_of_one_may_be_written_without_the_dash(value, told):
    assert texts(value) == told


def test_a_mapping_is_no_list():
    with pytest.raises(TypeError, match="a list is wanted"):
        texts({"a": "b"})
