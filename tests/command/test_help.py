import os
import subprocess
import sys

import pytest

from nodecache.command import completion
from nodecache.command import help as help_command
from nodecache.command.commands import COMMANDS
from nodecache.config.flags import flag_names
from tests.needs import need


def test_help_names_every_command(capsys):
    assert help_command.main([]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"help"}))
def test_every_command_tells_how_it_is_used(name, capsys):
    assert help_command.main([name]) == 0
    out, err = capsys.readouterr()
    assert (out + err).startswith(f"Usage of nodecache {name}")


@pytest.mark.parametrize("name", ["check", "doctor"])
def test_the_agents_flags_follow_without_a_second_usage(name, capsys):
    assert help_command.main([name]) == 0
    text = capsys.readouterr()
    assert (text.out + text.err).count("Usage of") == 1
    assert "  -localip addresses\n" in text.out + text.err


def test_a_command_is_what_the_kernel_takes_first_in_an_agents_container():
    shown = "from nodecache.command.main import main; main(['help']); print(open('/proc/self/oom_score_adj').read())"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "1000"


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_of_help_is_the_help(word, capsys):
    assert help_command.main([word]) == 0
    assert "doctor" in capsys.readouterr().out


def test_a_command_that_there_is_not(capsys):
    assert help_command.main(["dance"]) == 2
    assert "'dance'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["nodecache", "do"], ["doctor"]),
        (["nodecache", "-locali"], ["-localip"]),
        (["nodecache", "completion", ""], ["bash", "zsh"]),
        (["nodecache", "top", "--s"], ["--seconds"]),
        (["nodecache", "doctor", "--"], ["--json"]),
        (["nodecache", "check", "-localip", "-con"], ["-conf", "-control"]),
    ],
)
def test_bash_completes_commands_and_flags(typed, offered, capsys):
    bash = need("bash", package="bash")
    assert completion.main(["bash"]) == 0
    script = capsys.readouterr().out
    words = " ".join(f"'{word}'" for word in typed)
    asked = f"{script}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _nodecache; echo ${{COMPREPLY[@]}}"
    told = subprocess.run([bash, "-c", asked], capture_output=True, text=True, check=True).stdout
    assert told.split() == offered


def test_completion_knows_every_flag(capsys):
    completion.main(["zsh"])
    text = capsys.readouterr().out
    assert text.startswith("autoload")
    assert all(f"-{name}" in text for name in flag_names())


def test_another_shell_is_a_usage_error(capsys):
    assert completion.main(["fish"]) == 2
    assert "bash" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["help"], ["completion", "bash"], ["check", "Corefile"], ["-plugins"], ["-version"]],
)
def test_what_is_printed_to_nobody_is_no_fault_of_the_program(arguments, tmp_path):
    """`nodecache check Corefile | head -1`: as other programs end then, by SIGPIPE."""
    (tmp_path / "Corefile").write_text(". {\n whoami\n}\n")
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "nodecache", *arguments]
    ended = subprocess.run(
        command, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    assert (ended.returncode, ended.stderr) == (141, b"")
