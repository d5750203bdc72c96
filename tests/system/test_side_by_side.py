"""The same questions to the original and to us, where the machine has it: no reply differs unexplained.

Debian has no package of the original, so its absence is no failure, also in CI.
"""

import pytest

from tests.contract.side_by_side import compare, has_directives, summed_up
from tests.contract.side_by_side_cases import CASES
from tests.contract.side_by_side_reasons import explanation
from tests.helpers.original import find_original

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def original() -> str:
    program = find_original()
    if program is None:
        pytest.skip("the original, node-cache, is not on PATH nor in NODECACHE_ORIGINAL")
    return program


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_difference_is_explained(original, case):
    if not has_directives(original, case):
        pytest.skip("node-cache is compiled without this directive; CoreDNS has it")
    unexplained = [each for each in compare(case, original) if not explanation(each)]
    assert summed_up(unexplained) == []
