"""`nodecache completion`: scripts with which a shell completes commands and flags."""

import sys
from collections.abc import Sequence

from nodecache.config.flags import flag_names

from .commands import COMMANDS
from .explain.main import parser as explain_parser
from .options import HELP_FLAGS
from .top.main import parser as top_parser

_USAGE = """Usage of nodecache completion:
Prints a script with which a shell completes commands and flags.

  bash: source <(nodecache completion bash)
  zsh:  source <(nodecache completion zsh)
"""

_BASH = """\
_nodecache() {{
    local word=${{COMP_WORDS[COMP_CWORD]}}
    if [[ $word == -* ]]; then
        case ${{COMP_WORDS[1]}} in
            check) COMPREPLY=($(compgen -W "{check}" -- "$word")) ;;
            doctor) COMPREPLY=($(compgen -W "{doctor}" -- "$word")) ;;
            explain) COMPREPLY=($(compgen -W "{explain}" -- "$word")) ;;
            top) COMPREPLY=($(compgen -W "{top}" -- "$word")) ;;
            *) COMPREPLY=($(compgen -W "{flags}" -- "$word")) ;;
        esac
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
_ZSH = """\
autoload -Uz compinit bashcompinit
(( $+functions[compdef] )) || compinit
bashcompinit
"""


def main(argv: Sequence[str]) -> int:
    """Print the script for the shell that is named; 2 for any other."""
    flags = [f"-{name}" for name in flag_names()]
    words = {
        "commands": sorted(COMMANDS),
        "flags": flags,
        "check": ["--diff", *flags],
        "doctor": ["--json", *flags],
        "explain": explain_parser().options,
        "top": top_parser().options,
    }
    script = _BASH.format(**{name: " ".join(each) for name, each in words.items()})
    if list(argv) == ["bash"]:
        print(script, end="")
    elif list(argv) == ["zsh"]:
        print(_ZSH + script, end="")
    else:
        is_asked = len(argv) == 1 and argv[0] in HELP_FLAGS
        print(_USAGE, end="", file=sys.stdout if is_asked else sys.stderr)
        return 0 if is_asked else 2
    return 0
