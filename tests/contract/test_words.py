"""The code speaks the field's words: those of RFC 9499, CoreDNS and unbound, and none of its own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nodecache"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]

# Each was a name here once, and had to be looked up: what is said instead.
INSTEAD = {
    "agenda": "timer wheel",
    "anew": "again",
    "asker": "client, responder",
    "bequeath": "send, transfer",
    "complaints": "errors",
    "door": "handover socket",
    "employer": "owner",
    "facts": "the thing that they are about",
    "habit": "learned list",
    "heed": "handle",
    "house": "harness, package",
    "knock": "connect, request",
    "least": "min",
    "likeness": "normalized query",
    "most": "max",
    "neighbours": "conflicts",
    "rulebook": "rules",
    "sighted": "is_loop_probe",
    "trouble": "retry state",
    "wish": "step",
    "workshop": "context",
}
# Words that no sentence needs either, in whatever form.
UNSAID = re.compile(
    r"\b(heed(s|ed)?|befalls?|befell|bequeath(s|ed)?|knocks?|see[ns]? off|hark|whence|thereof|whoever"
    r"|hung up on|waiting room|lets? go of|turn(s|ed)? away|h(o|e)ld(s|ing)? up|former li(fe|ves)"
    r"|(traffic|queries) (is|are) drawn|draws? (no more |the )?(traffic|queries))\b",
    re.IGNORECASE,
)
# Names that others gave (Counter.most_common), and three that read as English.
GIVEN = {"at_least", "at_most", "most_common", "most_label"}


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a module gives: classes, functions, parameters, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def words_of(name: str) -> set[str]:
    """`_MOST_WAITING` and `WaitingRoom` in their parts."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


MODULES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "demo").rglob("*.py")])


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_no_name_is_one_that_has_to_be_looked_up(module):
    found = {
        f"{line}: {name}": INSTEAD[word]
        for line, name in names_in(ast.parse(module.read_text(encoding="utf-8")))
        if name not in GIVEN
        for word in words_of(name) & INSTEAD.keys()
    }
    assert found == {}
    assert not words_of(module.stem) & INSTEAD.keys()


@pytest.mark.parametrize("file", [*MODULES, *DOCUMENTS], ids=place)
def test_no_sentence_needs_a_word_of_another_age(file):
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
    assert [(number, line) for number, line in lines if UNSAID.search(line)] == []


def test_a_name_is_taken_apart():
    assert words_of("_MOST_WAITING") == {"most", "waiting"}
    assert words_of("WaitingRoom") == {"waiting", "room"}
    assert words_of("is_awaited") == {"is", "awaited"}
