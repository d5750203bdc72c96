import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.server.directives.template.expressions import (
    SCOPE_NAMES,
    Expression,
    ExpressionError,
    read_variables,
    scope_of,
)
from tests.server.chains import client, query

SCOPE = scope_of(query("Web.example.org.", "AAAA"), client(), {"0": "web", "port": "8080"})


def value(text: str):
    return Expression(text).value(SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ** 3 ** 2", 512.0),
        ("-2 + 5", 3),
        ("7 / 2", 3.5),
        ("-7 % 3", -1),
        ("0x1f + 1_000", 1031),
        ("\"a\" + 'b' + `c`", "abc"),
        (r'"say \"hi\""', 'say "hi"'),
        ("name() == 'web.example.org.'", True),
        ("type() in ['A', 'AAAA']", True),
        ("type() not in ['A', 'AAAA']", False),
        ("not (type() == 'A')", True),
        ("!false && true", True),
        ("true or missing()", True),
        ("false and missing()", False),
        ("name() startsWith 'web' and name() endsWith 'org.'", True),
        ("name() contains 'example'", True),
        ("name() matches '^w[a-e]b[.]'", True),
        ("name() not matches '^x'", True),
        ("1 < 2 ? 'yes' : 'no'", "yes"),
        ("1 > 2 ? 'yes' : 2 > 3 ? 'no' : 'never'", "never"),
        ("nil ?? 'x'", "x"),
        ("group('port')", "8080"),
        ("group(0)", "web"),
        ("group('nope')", ""),
        ("int(group('port')) + 1", 8081),
        ("int('7b', 16)", 123),
        ("incidr(client_ip(), '10.244.0.0/16')", True),
        ("incidr('fd00::1', '10.244.0.0/16')", False),
        ("metadata('forward/upstream')", ""),
        ("split('a.b.c', '.')[1]", "b"),
        ("split('a.b.c', '.')[-1]", "c"),
        ("'abcdef'[1:3]", "bc"),
        ("'abcdef'[:2] + 'abcdef'[4:]", "abef"),
        ("name() | split('.') | first() | upper()", "WEB"),
        ("join(['a', 'b'], '-')", "a-b"),
        ("len(name())", 16),
        ("string(1.5)", "1.5"),
        ("1..3", [1, 2, 3]),
        ("size() > 30 and proto() == 'udp' and bufsize() == 512 and not do()", True),
        (
            "port() + ' ' + server_ip() + ' ' + server_port() + ' ' + class()",
            "40212 169.254.20.10 53 IN",
        ),
        ("opcode() == 0 and id() >= 0", True),
        ("trimSuffix(name(), '.')", "web.example.org"),
        ("round(2.5) + floor(1.9) + ceil(1.1)", 6.0),
    ],
)
def test_expressions_have_their_value(text, expected):
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "(1",
        "[1, 2",
        "a b",
        "1 ? 2",
        "'open",
        "@",
        "not",
        ".a",
        "1 not 2",
        "f(1",
        "(" * 200,
    ],
)
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "nope",
        "nope()",
        "1 / 0",
        "1 + 'a'",
        "'a' < 1",
        "1 and true",
        "not 1",
        "int('x')",
        "[1][5]",
        "incidr('x', '10.0.0.0/8')",
        "1 in 2",
        "1..100000",
        "repeat('x', 1000000)",
        "10.0 ** 1000",
        "upper(1)",
        "'a' matches '('",
    ],
)
def test_what_has_no_value_is_an_error(text):
    with pytest.raises(ExpressionError, match=": "):
        value(text)


@given(st.text(st.sampled_from("name()'\"[]0123.+-*/?:|& =!<>,ntor"), max_size=30))
def test_any_text_has_a_value_or_is_an_error(text):
    with contextlib.suppress(ExpressionError):
        value(text)


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ([("name", "1")], "variable name 'name' is taken"),
        ([("len", "1")], "variable name 'len' is taken"),
        ([("let", "1")], "variable name 'let' is taken"),
        ([("a", "1"), ("a", "2")], "variable name 'a' is taken"),
        ([("a", "b + 1"), ("b", "1")], "b \\+ 1: unknown name 'b'"),
        ([("a", "a")], "a: unknown name 'a'"),
    ],
)
def test_a_variable_has_a_name_of_its_own_and_uses_those_before_it(variables, fault):
    with pytest.raises(ExpressionError, match=fault):
        read_variables(variables)


def test_variables_that_follow_one_another_are_read():
    (_, first), (_, second) = read_variables([("a", "1"), ("b", "a + len(name())")])
    assert second.value({"a": first.value({}), "name": lambda: "xy"}) == 3


def test_the_names_of_a_querys_scope_are_told():
    assert set(SCOPE) == SCOPE_NAMES
