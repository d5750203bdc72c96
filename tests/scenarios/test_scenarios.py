"""Every scenario of this folder."""

import pytest

from tests.scenarios.engine import Play
from tests.scenarios.notation import load, names


@pytest.mark.parametrize("name", names())
def test_scenario_goes_as_written(name):
    Play(load(name)).run()
