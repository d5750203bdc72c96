"""The operator's guide says which test shows what happens when something dies: there is such a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def test_each_row_of_what_dies_names_tests_that_are_there():
    guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = guide.partition("| what dies |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) > 10
    for row in table:
        named = _NAMED.findall(row)
        assert named, row
        for file, test in named:
            source = (ROOT / "tests/system" / file).read_text(encoding="utf-8")
            assert f"def {test}(" in source, test
