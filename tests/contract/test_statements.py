"""What docs/differences.md and docs/dns.md say is shown by tests that exist: each row and paragraph."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.statements_of_differences import DIFFERENCES
from tests.contract.statements_of_dns import DNS

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"


def statements(name: str) -> Iterator[str]:
    """The rows of a document's tables, less their heads, and its paragraphs, in one line each."""
    text = (DOCS / name).read_text(encoding="utf-8")
    for part in text.split("\n\n"):
        if part.startswith("|"):
            yield from (row.strip("| ") for row in part.splitlines()[2:])
        elif part and not part.startswith("#"):
            yield part.replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "shown", "said_of_itself"),
    [
        ("differences.md", DIFFERENCES, ("What other programs can see", "More than the original")),
        ("dns.md", DNS, ()),
    ],
)
def test_each_statement_has_its_tests(name, shown, said_of_itself):
    unshown, found = [], set()
    for statement in statements(name):
        beginnings = [key for key in (*shown, *said_of_itself) if statement.startswith(key)]
        found.update(beginnings)
        if len(beginnings) != 1:
            unshown.append((statement[:60], beginnings))
    assert unshown == []
    assert set(shown) - found == set(), "said no more"


NAMED = sorted({test for shown in (DIFFERENCES, DNS) for tests in shown.values() for test in tests})


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_is_there(named):
    file, _, name = named.partition("::")
    text = (TESTS / file).read_text(encoding="utf-8")
    assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE)
