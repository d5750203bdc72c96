import pytest

from nodecache.corefile.stream import Sources
from nodecache.corefile.structure import structure
from tests.helpers.corefiles import Disk


def cut(text, env=None, files=None):
    disk = Disk(files or {})
    return structure(text, "/etc/Corefile", Sources(env or {}, disk.read, disk.glob))


def shape(found):
    """Blocks as (keys, [(directive, words, [lines of the block])])."""
    return [
        (
            [key.text for key in block.keys],
            [
                (
                    statement.name.text,
                    [word.text for word in statement.words],
                    [[word.text for word in line] for line in statement.lines],
                )
                for statement in block.statements
            ],
        )
        for block in found.blocks
    ]


def faults(found):
    return [str(fault.to_error()) for fault in found.faults]


def test_blocks_hold_directives_and_these_hold_options():
    found = cut("""
a b:53, c,
d {
    errors
    cache 30 {
        success 1 2
        keepttl
    }
}
. {
    whoami
}
""")
    assert faults(found) == []
    assert shape(found) == [
        (
            ["a", "b:53", "c", "d"],
            [("errors", [], []), ("cache", ["30"], [["success", "1", "2"], ["keepttl"]])],
        ),
        (["."], [("whoami", [], [])]),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            ".:53\nerrors\nwhoami", [([".:53"], [("errors", [], []), ("whoami", [], [])])],
            id="one block without braces",
        ),
        pytest.param(".\n{\nwhoami\n}", [(["."], [("whoami", [], [])])], id="brace on its own line"),
        pytest.param(". {\n}", [(["."], [])], id="an empty block"),
        pytest.param(".", [(["."], [])], id="a key and nothing else"),
        pytest.param(
            ". { whoami\n}\na {\nwhoami\n} b {\nwhoami\n}",
            [(["."], [("whoami", [], [])]), (["a"], [("whoami", [], [])]),
             (["b"], [("whoami", [], [])])],
            id="words around braces",
        ),
        pytest.param(
            ". {\nerrors { }\ncache { success 1\n}\n}",
            [(["."], [("errors", [], []), ("cache", [], [["success", "1"]])])],
            id="options on the line of the brace",
        ),
        pytest.param(
            '. {\nrewrite name "a\nb" c\nwhoami\n}',
            [(["."], [("rewrite", ["name", "a\nb", "c"], []), ("whoami", [], [])])],
            id="a line goes on behind a word over two lines",
        ),
        pytest.param("", [], id="nothing at all"),
        pytest.param("# nothing", [], id="a comment"),
    ],
)  # fmt: skip
def test_odd_layouts_that_coredns_takes(text, expected):
    found = cut(text)
    assert faults(found) == []
    assert shape(found) == expected


@pytest.mark.parametrize(
    ("text", "keys", "warning"),
    [
        pytest.param(
            "a\nwhoami\n}\n",
            ["a"],
            "3: a '}' without its '{' ends the block",
            id="closing brace of a block without an opening one",
        ),
        pytest.param(
            "a {\n}\n}\nb {\n}\n",
            ["a", "b"],
            "3: a '}' without its '{' is left out",
            id="closing brace between blocks",
        ),
        pytest.param(
            "{\nerrors {\n}\n}\na {\n}\n",
            ["a"],
            "1: a server block without a key is left out",
            id="block without a key",
        ),
        pytest.param(
            "a {\nforward . b {\nforce_tcp\n}\n",
            ["a"],
            "1: the block opened here is never closed, only its last directive's",
            id="last brace missing",
        ),
        pytest.param(
            "a {\ncache {\nsuccess 1 }\nloop\n}\n",
            ["a"],
            "3: a '}' behind other words closes the block here, not in CoreDNS",
            id="brace behind an option",
        ),
    ],
)
def test_what_coredns_lets_pass_by_chance_is_a_warning(text, keys, warning):
    found = cut(text)
    assert faults(found) == []
    assert [block.keys[0].text for block in found.blocks] == keys
    assert [str(each.to_error()) for each in found.warnings] == [f"/etc/Corefile:{warning}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a,\n", "1: another key must follow the comma", id="comma at the end"),
        pytest.param("a, {\n}", "1: another key must follow the comma", id="comma before the block"),
        pytest.param(". {\nerrors", "1: the block opened here is never closed", id="server block"),
        pytest.param(
            ". {\nerrors {\n\n", "2: the block opened here is never closed", id="options"
        ),
        pytest.param(
            "(a) {\nerrors", "1: the block opened here is never closed", id="snippet"
        ),
        pytest.param("(a)\nerrors", "1: the snippet 'a' must be followed by a block", id="bare"),
        pytest.param(
            "(a) {\n}\n(a) {\n}", "3: the snippet 'a' is there already", id="snippet twice"
        ),
        pytest.param(
            ". {\nwhoami }", "2: whoami: a '}' must stand on a line of its own", id="brace behind"
        ),
        pytest.param(
            ". {\ncache {\n} errors\n}", "3: nothing may follow the '}', but there is 'errors'",
            id="words behind the brace",
        ),
        pytest.param(
            ". {\ncache\n{\nsuccess 1\n}\n}",
            "3: cache: a '{' must stand on the line of its directive",
            id="brace below its directive",
        ),
        pytest.param(
            ". {\ncache {\nsuccess {\n}\n}\n}", "3: an option has no block of its own",
            id="block within options",
        ),
    ],
)  # fmt: skip
def test_broken_layouts_are_told_where_they_are(text, expected):
    found = faults(cut(text))
    assert found
    assert found[0].startswith(f"/etc/Corefile:{expected}")


def test_after_a_fault_the_rest_is_read():
    found = cut(". {\ncache {\n} x\nerrors }\nloop\n}\na {\nwhoami\n}")
    assert len(faults(found)) == 2
    assert shape(found)[-1] == (["a"], [("whoami", [], [])])


# Variables


def test_variables_are_filled_in_and_missing_ones_are_empty():
    env = {"ZONE": "example.org", "UP": "10.0.0.1 10.0.0.2", "WHAT": "errors"}
    found = cut("{$ZONE}:{%PORT%}53 {\n{$WHAT}\nforward . {$UP} x{$NO}y {%\n}", env)
    assert shape(found) == [
        (["example.org:53"], [("errors", [], []), ("forward", [".", env["UP"], "xy", "{%"], [])])
    ]


def test_a_variable_s_value_is_one_word_and_opens_no_block():
    found = cut('. {\nlog "{$FORMAT}" {$BRACE}\n}', {"FORMAT": "{remote} {name}", "BRACE": "{"})
    assert shape(found) == [(["."], [("log", ["{remote} {name}", "{"], [])])]


def test_a_word_that_unset_variables_leave_empty_is_none():
    """As in Caddy's language, `cache {$NOT_SET}` is `cache`."""
    found = cut('{$NONE} . {\ncache {$NONE} "" {%NONE%} {$NONE}x\n}')
    assert shape(found) == [(["."], [("cache", ["", "x"], [])])]
    found = cut(". {\ncache {\n{$NONE} {$NONE}\nsuccess {$NONE} 5\n}\n}")
    assert shape(found) == [(["."], [("cache", [], [["success", "5"]])])]


def test_a_brace_that_sticks_to_a_key_is_told():
    found = cut(".:53{\nwhoami\n}\n. {\n}")
    assert [fault.reason for fault in found.faults] == [
        "a blank is missing before the '{' of '.:53{'"
    ]


def test_a_value_is_not_filled_in_again():
    assert shape(cut("{$A}", {"A": "{$A}"})) == [(["{$A}"], [])]


# Imports


def test_a_snippet_stands_in_for_its_import_wherever_a_line_may_stand():
    found = cut("""
(common) {
    errors
    cache 30 {
        success 1
    }
}
(short) { loop }
(options) {
    denial 2
}
a {
    import common
    import short
    whoami
}
b {
    import common
    import common
    cache {
        import options
        keepttl
    }
}
""")
    common = [("errors", [], []), ("cache", ["30"], [["success", "1"]])]
    assert faults(found) == []
    assert shape(found) == [
        (["a"], [*common, ("loop", [], []), ("whoami", [], [])]),
        (["b"], [*common, *common, ("cache", [], [["denial", "2"], ["keepttl"]])]),
    ]


def test_a_snippet_takes_arguments():
    found = cut("""
(zone) {
    forward {args[0]} {args.1} {
        max_fails {args[2]}
    }
    hosts "{args[0]} and {args.0}"
}
. {
    import zone example.org 10.0.0.1 3
}
""")
    assert shape(found) == [
        (
            ["."],
            [
                ("forward", ["example.org", "10.0.0.1"], [["max_fails", "3"]]),
                ("hosts", ["example.org and example.org"], []),
            ],
        )
    ]


def test_an_argument_that_is_not_given_is_a_fault():
    found = cut("(a) {\nhosts {args[1]}\n}\n. {\nimport a x\n}")
    assert faults(found) == ["/etc/Corefile:5: import: 'a' asks for {args[1]}, which is not given"]


def test_files_are_imported_from_where_the_importing_file_is():
    files = {
        "/etc/more/zones.conf": "import part.conf\nb {\nwhoami\n}\n",
        "/etc/more/part.conf": "a {\nerrors\n}\n",
    }
    found = cut("import more/zones.conf\nc {\nloop\n}", files=files)
    assert faults(found) == []
    assert [keys for keys, _ in shape(found)] == [["a"], ["b"], ["c"]]
    assert [block.keys[0].file for block in found.blocks] == [
        "/etc/more/part.conf", "/etc/more/zones.conf", "/etc/Corefile",
    ]  # fmt: skip
    assert found.imports == ["/etc/more/zones.conf", "/etc/more/part.conf"]


def test_a_pattern_imports_its_files_in_order():
    files = {"/etc/d/b.server": "b {\n}\n", "/etc/d/a.server": "a {\n}\n", "/etc/d/c": "c {\n}\n"}
    found = cut("import d/*.server", files=files)
    assert [keys for keys, _ in shape(found)] == [["a"], ["b"]]


def test_files_of_a_pattern_may_import_each_other():
    files = {"/etc/d/a.conf": "import b.conf\nlog\n", "/etc/d/b.conf": "bind\n"}
    found = cut(". {\nimport d/*.conf\nerrors\n}", files=files)
    assert faults(found) == []
    assert shape(found) == [
        (["."], [("bind", [], []), ("log", [], []), ("bind", [], []), ("errors", [], [])])
    ]


def test_files_of_a_pattern_that_import_the_pattern_import_themselves():
    files = {"/etc/d/a.conf": "import *.conf\n", "/etc/d/b.conf": "log\n"}
    found = cut(". {\nimport d/*.conf\n}", files=files)
    assert faults(found) == ["/etc/d/a.conf:1: import: '*.conf' imports itself"]


def test_a_pattern_without_files_is_only_a_warning():
    found = cut("import /custom/*.server\n. {\n}")
    assert faults(found) == []
    assert [str(each.to_error()) for each in found.warnings] == [
        "/etc/Corefile:1: import: no file is named '/custom/*.server'"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import nowhere\n", "1: import: cannot read '/etc/nowhere': No such file or directory"),
        (". {\nimport nowhere\n}", "2: import: cannot read '/etc/nowhere'"),
        ("import\n", "1: import: the name of a file or snippet is missing"),
        ("import {$NO}\n", "1: import: the name of a file or snippet is missing"),
        ("import /a there\n", "1: import: a file takes no more words ('/a')"),
        (
            "import /a/*/*.conf\n",
            "1: import: must have at most one wildcard (*), not '/a/*/*.conf'",
        ),
        ("import a\0b*\n", "1: import: must be a path, not 'a\\x00b*'"),
        ("import /a[b]\n", "1: import: must have at most one wildcard"),
    ],
)
def test_imports_that_cannot_be_are_told(text, expected):
    assert faults(cut(text))[0].startswith(f"/etc/Corefile:{expected}")


@pytest.mark.parametrize(
    "text",
    [
        '. {\ntemplate IN A {\nanswer "{{ .Name }} 60 IN A 192.0.2.1\n}\n}\n',
        '. {\nerrors\nlog . "{remote}\n}\n',
        '(a) {\nerrors\nlog . "{remote}\n}\n',
    ],
)
def test_a_quote_that_takes_the_closing_brace_is_named(text):
    told = faults(cut(text))
    assert told
    assert all(each.endswith("; is the quote closed that opens in line 3?") for each in told)


def test_files_cannot_be_imported_without_a_reader():
    found = structure("import a", "Corefile", Sources({}))
    assert faults(found) == ["Corefile:1: import: files cannot be read here ('a')"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("(a) {\nimport a\n}\n. {\nimport a\n}", "a"),
        ("(a) {\nimport b\nimport b\n}\n(b) {\nimport a\n}\n. {\nimport a\n}", "a"),
        ("import itself\n", "itself"),
        ("import i*\n", "itself"),
    ],
)
def test_imports_cannot_go_in_circles(text, name):
    found = cut(text, files={"/etc/itself": "import itself\n"})
    assert faults(found)[0].endswith(f"import: {name!r} imports itself")


def test_snippets_that_hold_snippets_that_hold_snippets_end():
    deeper = "".join(f"(s{n}) {{\nimport s{n + 1}\nimport s{n + 1}\n}}\n" for n in range(40))
    found = cut(f"{deeper}(s40) {{\nerrors\n}}\n. {{\nimport s0\n}}")
    assert faults(found)[-1].endswith("import: more than 10000 snippets are imported")


def test_a_file_that_is_not_text_is_told():
    def read(path):
        return b"\xff".decode()

    found = structure("import a", "Corefile", Sources({}, read))
    assert "import: cannot read 'a': 'utf-8' codec" in faults(found)[0]
