"""`gotemplate_cases.json` is what Go's own text/template (1.24) made of each template; null: an error."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.directives.template.data import parse_uint
from nodecache.server.directives.template.gotemplate import Struct, Template, TemplateError

CASES = json.loads(Path(__file__).with_name("gotemplate_cases.json").read_text())
NOTES = {"forward/upstream": "1.2.3.4:53"}
DATA = Struct(
    "templateData",
    {
        "Zone": "example.",
        "Name": "ip-10-1-2-3.example.",
        "Class": "IN",
        "Type": "A",
        "Remote": "10.0.0.9",
        "Match": ["ip-10-1-2-3", "10", "1"],
        "Group": {"a": "10", "b": "1", "hex": "7b", "0": "x"},
        "Question": Struct("Question", {"Name": "ip-10-1-2-3.example.", "Qtype": 1, "Qclass": 1}),
        "N": 42,
        "F": 2.5,
        "B": True,
        "Empty": "",
        "L": [],
        "Meta": lambda label: NOTES.get(label, ""),
    },
)


def filled(text: str) -> str:
    return Template(text, {"parseInt": parse_uint}).filled(DATA)


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_templates_come_out_as_in_go(text, expected):
    if expected is None:
        with pytest.raises(TemplateError):
            filled(text)
    else:
        assert filled(text) == expected


@given(st.text(st.sampled_from("{}{{}}-/* .$abN\"`'|()=:,01 ifelsendrange"), max_size=60))
def test_any_text_is_a_template_or_an_error(text):
    with contextlib.suppress(TemplateError):
        assert isinstance(filled(text), str)


@pytest.mark.parametrize("jump", ["continue", "break"])
def test_what_a_jump_leaves_takes_its_variables_along(jump):
    """Go's text/template: a variable's scope ends with the control structure that declares it."""
    inner = "{{range .Match}}{{$x := 1}}{{if .}}{{" + jump + "}}{{end}}{{end}}"
    assert filled('{{$x := "outer"}}' + inner + "{{$x}}") == "outer"


def test_templates_that_call_each_other_for_ever_end():
    with pytest.raises(TemplateError, match="deep"):
        filled('{{ define "t" }}{{ template "t" . }}{{ end }}{{ template "t" . }}')


@pytest.mark.parametrize(
    ("text", "base", "bits", "value"),
    [("7b", 16, 8, 123), ("0x1f", 0, 64, 31), ("255", 10, 8, 255), ("z", 36, 0, 35)],
)
def test_numbers_are_read_as_strconv_does(text, base, bits, value):
    assert parse_uint(text, base, bits) == value


@pytest.mark.parametrize(
    ("text", "base", "bits"),
    [("256", 10, 8), ("-1", 10, 8), ("", 10, 8), ("1_0", 10, 8), (" 1", 10, 8), ("8", 8, 8)],
)
def test_what_is_no_number_is_an_error(text, base, bits):
    with pytest.raises(ValueError):
        parse_uint(text, base, bits)
