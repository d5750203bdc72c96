"""docs/corefile.md is what operators go by: its examples are read, and nothing is missing in it."""

import re
from pathlib import Path

import pytest

from nodecache.corefile.directives import (
    DIRECTIVES,
    answering,
    caching,
    forwarding,
    listening,
    observing,
    own,
    rewriting,
)
from nodecache.corefile.options import CHAIN
from tests.helpers.corefiles import corefile

TEXT = (Path(__file__).parents[2] / "docs" / "corefile.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0]: part.partition("\n")[2]
    for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)
}
EXAMPLES = [
    pytest.param(example, id=f"{title}-{number}")
    for title, body in SECTIONS.items()
    for number, example in enumerate(
        re.findall(r"^```corefile\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
    )
]
TABLES = {
    "bind": listening._BIND,
    "cache": caching._CACHE,
    "dns64": answering._DNS64,
    "dnstap": observing._DNSTAP,
    "errors": observing._ERRORS,
    "forward": forwarding._FORWARD,
    "health": observing._HEALTH,
    "hosts": answering._HOSTS,
    "loadbalance": answering._LOADBALANCE | answering._WEIGHTED,
    "log": observing._LOG,
    "nodecache": own._OWN,
    "pprof": observing._PPROF,
    "prometheus": observing._PROMETHEUS,
    "ready": observing._READY,
    "rewrite": rewriting._KINDS,
    "template": answering._TEMPLATE,
    "timeouts": listening._TIMEOUTS,
    "trace": observing._TRACE,
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_sound_corefile(text):
    assert corefile(text).warnings == ()


@pytest.mark.parametrize("name", sorted({*DIRECTIVES, "import"}))
def test_a_directive_has_a_section_with_its_syntax_and_there_is_an_example_of_it(name):
    assert re.search(rf"^    {name}\b", SECTIONS[name], re.MULTILINE)
    examples = [example.values[0] for example in EXAMPLES]
    assert any(re.search(rf"^ *{name}\b", example, re.MULTILINE) for example in examples)
    assert f"[{name}](#{name})" in TEXT or name == "import"


@pytest.mark.parametrize(
    ("directive", "option"),
    [(directive, option) for directive, table in TABLES.items() for option in table],
)
def test_an_option_is_in_the_section_of_its_directive(directive, option):
    assert re.search(rf"`?{option}\b", SECTIONS[directive])


def test_the_order_of_directives_is_the_chain_s():
    named = re.findall(r"`([a-z0-9]+)`", SECTIONS["The order of directives"].split("\n\n")[1])
    assert tuple(named) == CHAIN[1:]
