from pathlib import Path

import pytest

from tests.contract.side_by_side_reasons import REASONS, Difference, explanation

DOCUMENT = Path(__file__).parents[2] / "docs" / "differences.md"


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_in_the_document(reason):
    assert reason in DOCUMENT.read_text()


def test_what_no_reason_fits_is_not_explained():
    assert (
        explanation(Difference("cache", "a. IN A, UDP, first", "rcode", "NOERROR", "NXDOMAIN"))
        == ""
    )
