"""Scenarios as text: unbound's step words, one line a step, messages as dig writes them.

    ; what the scenario shows, in prose
    forward: . 10.96.0.10 10.96.0.11 { policy sequential }      the upstream side alone
    server: cluster.local:53 { cache 30                         or a whole server block
                               forward . 10.96.0.10 }
    SCENARIO_BEGIN what it shows, as a title
    STEP 1 QUERY            name. IN A [tcp] [as=LABEL] [deadline=SECONDS]
    STEP 2 CHECK_OUT_QUERY  UDP|TCP|TLS ADDRESS name. IN A [as=LABEL]
    STEP 3 REPLY            [of=LABEL] RCODE [flags=TC …] [record [| record …]]
    STEP 4 CHECK_ANSWER     [of=LABEL] RCODE [ttl=N] [ede=N] [question=NAME] [record [| record …]]
    STEP 5 TIME_PASSES      12
    …
    SCENARIO_END

The steps are in `engine`. A semicolon starts a comment, except inside quotes.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    line: int
    number: str
    verb: str
    words: tuple[str, ...]
    options: dict[str, str]


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    prose: str
    kind: str
    """`forward` or `server`."""
    config: str
    steps: tuple[Step, ...]


def names() -> list[str]:
    """Every scenario there is."""
    return sorted(path.stem for path in FOLDER.glob("*.rpl"))


def load(name: str) -> Scenario:
    return read((FOLDER / f"{name}.rpl").read_text(), name)


_HEAD = re.compile(
    r"\A((?:;[^\n]*\n|\s*\n)*)(forward|server):(.*?)^SCENARIO_BEGIN", re.DOTALL | re.MULTILINE
)


def read(text: str, name: str) -> Scenario:
    head = _HEAD.match(text)
    assert head, f"{name}: wants comments, `forward:` or `server:`, then SCENARIO_BEGIN"
    prose, kind, config = head.groups()
    title, _, body = text[head.end() :].partition("\n")
    first_line = text[: head.end()].count("\n") + 2
    steps = []
    for number, line in enumerate(body.splitlines(), first_line):
        words = _words(line)
        if not words:
            continue
        if words[0] == "SCENARIO_END":
            break
        assert words[0] == "STEP", f"{name}:{number}: a step starts with STEP, not {words[0]!r}"
        steps.append(_step(number, words[1:]))
    else:
        raise AssertionError(f"{name}: SCENARIO_END is missing")
    prose = "\n".join(line.lstrip("; ") for line in prose.splitlines())
    return Scenario(name, title.strip(), prose.strip(), kind, config.strip(), tuple(steps))


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="")
    lexer.whitespace_split = True
    lexer.commenters = ";"
    return list(lexer)


def _step(line: int, words: list[str]) -> Step:
    number, verb, *rest = words
    options = dict(word.split("=", 1) for word in rest if re.match(r"[a-z_]+=", word))
    plain = tuple(word for word in rest if not re.match(r"[a-z_]+=", word))
    return Step(line, number, verb, plain, options)
