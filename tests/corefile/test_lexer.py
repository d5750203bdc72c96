import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecache.corefile.lexer import tokens, written


def words(text: str) -> list[str]:
    return [token.text for token in tokens(text, "Corefile")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a b\tc\n d", ["a", "b", "c", "d"], id="white space parts words"),
        pytest.param("a\u00a0b\u2003c", ["a", "b", "c"], id="Unicode space too"),
        pytest.param("a\x1cb", ["a\x1cb"], id="but not the separators only Python takes for space"),
        pytest.param('"a b" c', ["a b", "c"], id="quotes hold a word together"),
        pytest.param(r'"say \"hi\""', ['say "hi"'], id="an escaped quote"),
        pytest.param(r'"\d+ \\ \n"', [r"\d+ \\ \n"], id="other backslashes stay"),
        pytest.param(r'"a\\"', [r"a\\"], id="a backslash escapes none but a quote"),
        pytest.param('""', [""], id="an empty word"),
        pytest.param('"a"b', ["a", "b"], id="a closing quote ends a word"),
        pytest.param('a"b c"', ['a"b', 'c"'], id="a quote within a word is a character"),
        pytest.param('"a\nb" c', ["a\nb", "c"], id="a word over two lines"),
        pytest.param('"never closed', ["never closed"], id="an open quote takes all the rest"),
        pytest.param('"', [], id="an open quote and nothing behind it"),
        pytest.param('"a\\', ["a"], id="a backslash at the very end"),
        pytest.param("a # b c\nd", ["a", "d"], id="a comment ends with its line"),
        pytest.param("a#b\nc", ["a", "c"], id="a comment may begin within a word"),
        pytest.param("a#b c\nd", ["a", "c", "d"], id="and then ends with that word"),
        pytest.param('"a # b"', ["a # b"], id="no comment in quotes"),
        pytest.param("\ufeffa", ["a"], id="a byte order mark is nothing"),
        pytest.param("a\ufeff", ["a\ufeff"], id="elsewhere it is a character"),
        pytest.param("a\r\nb\rc", ["a", "bc"], id="carriage returns are nothing"),
        pytest.param('"a\r\nb"', ["a\r\nb"], id="but in quotes they stay"),
        pytest.param("{ } {}", ["{", "}", "{}"], id="braces are words"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_text_is_cut_as_coredns_cuts_it(text, expected):
    assert words(text) == expected


def test_tokens_know_their_lines_and_whether_they_are_first_on_them():
    found = tokens('a b\n\n  c "d\ne" f\ng', "Corefile")
    assert [(token.text, token.line, token.is_first) for token in found] == [
        ("a", 1, True),
        ("b", 1, False),
        ("c", 3, True),
        ("d\ne", 3, False),
        ("f", 4, False),
        ("g", 5, True),
    ]


def test_an_origin_says_where_a_line_was_made_from():
    found = tokens("a\nb", "Corefile", lambda line: ("base", line + 10))
    assert [(token.file, token.line) for token in found] == [("base", 11), ("base", 12)]


@given(st.text())
def test_any_text_can_be_cut(text):
    for token in tokens(text, "Corefile"):
        assert 1 <= token.line <= text.count("\n") + 1


@given(st.lists(st.text(min_size=1), min_size=1))
def test_quoting_keeps_any_word_without_backslashes(texts):
    texts = [text.replace("\\", "/") for text in texts]
    written = " ".join('"' + text.replace('"', r"\"") + '"' for text in texts)
    assert words(written) == texts


@given(st.text().filter(lambda word: "\\" not in word))
def test_a_word_is_read_as_it_was_written(word):
    assert words(f"a {written(word)} b") == ["a", word, "b"]
