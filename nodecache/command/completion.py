"""`nodecache completion`: scripts with which a shell completes commands and flags."""

import sys
from collections.abc import Sequence

from nodecache.config.flags import flag_names

from .commands import COMMANDS

_USAGE = """Usage of nodecache completion:
Prints a script with which a shell completes commands and flags.

  bash: source <(nodecache completion bash)
  zsh:  source <(nodecache completion zsh)
"""

_BASH = """\
_nodecache() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "{flags}" -- "$word"))
    elif [[ $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
    elif [[ ${{COMP_WORDS[1]}} == completion ]]; then
        COMPREPLY=($(compgen -W "bash zsh" -- "$word"))
    elif [[ ${{COMP_WORDS[1]}} == help ]]; then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -F _nodecache nodecache node-cache
"""


def main(argv: Sequence[str]) -> int:
    """Print the script for the shell that is named; 2 for any other."""
    words = {
        "flags": " ".join(f"-{name}" for name in flag_names()),
        "commands": " ".join(sorted(COMMANDS)),
    }
    script = _BASH.format(**words)
    if list(argv) == ["bash"]:
        print(script, end="")  # noqa: T201
    elif list(argv) == ["zsh"]:
        print(f"autoload -Uz bashcompinit && bashcompinit\n{script}", end="")  # noqa: T201
    else:
        is_asked = list(argv) in (["-h"], ["-help"], ["--help"])
        print(_USAGE, end="", file=sys.stdout if is_asked else sys.stderr)
        return 0 if is_asked else 2
    return 0
