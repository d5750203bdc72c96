import pytest

from nodecache.command.top.main import main


@pytest.mark.parametrize("seconds", ["nan", "inf", "-100", "1e300", "0.09", "61", "soon"])
def test_a_time_between_samples_that_no_agent_takes_is_a_mistake_of_usage(capsys, seconds):
    assert main(["--once", "--control", "/nowhere", f"--seconds={seconds}"]) == 2
    assert "argument --seconds" in capsys.readouterr().err


def test_without_an_agent_one_line_says_so(capsys):
    assert main(["--once", "--control", "/nowhere", "--seconds=60"]) == 1
    assert capsys.readouterr().err.startswith("nodecache top: /nowhere: No such file")
