"""The layers, held by walking every import: ARCHITECTURE.md has the table and the reasons."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "nodecache"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# What of ours each room may use, from the ground up.
MAY_IMPORT = {
    "wire": set(),
    "host": set(),
    "process": set(),
    "corefile": set(),
    "web": set(),
    "cache": {"wire"},
    "forward": {"wire"},
    "server": {"wire", "cache", "forward", "corefile"},
    "metrics": {"forward", "server", "process"},
    "config": {"corefile", "process", "server"},
    "keeper": {"config", "host", "process"},
    "worker": {
        "wire", "cache", "forward", "corefile", "server", "config", "host", "process", "web",
        "metrics",
    },
    "command": {"config", "corefile", "host", "keeper", "process", "worker"},
    "demo": {"command", "wire"},
    "__init__": set(),
    "__main__": {"command"},
}  # fmt: skip

IO = {
    "asyncio", "dns", "logging", "prometheus_client", "select", "socket", "ssl", "subprocess",
    "threading", "time", "uvloop",
}  # fmt: skip
ACTS = {"asyncio", "select", "socket", "subprocess", "threading", "uvloop"}
NOT_TO_BE_TOUCHED = {
    "wire": IO | {"os"},
    "cache": IO | {"os"},
    "host": {"asyncio", "dns", "prometheus_client", "threading", "uvloop"},
    "process": {"asyncio", "dns", "prometheus_client", "subprocess", "threading", "uvloop"},
    "corefile": ACTS | {"logging", "time"},
    "metrics": ACTS | {"dns"},
    "forward": ACTS | {"dns", "prometheus_client", "time"},
    "server": {"prometheus_client", "select", "subprocess", "threading", "uvloop"},
    "config": {"asyncio", "dns", "prometheus_client", "socket", "threading", "uvloop"},
    "keeper": {"asyncio", "dns", "prometheus_client", "subprocess", "threading", "uvloop"},
    "worker": {"dns", "subprocess"},
    "command": {"dns", "subprocess", "threading", "uvloop"},
    "forward/transport/pending": IO,  # its random ids come from the system
    "forward/policy": IO | {"os"},
}
# The one place that knows sockets, for all of `forward`.
MAY_TOUCH = {"forward/transport/network": {"asyncio", "socket", "time"}}
# dnspython takes 110 µs to read a query: only where a Corefile's own records are written,
# and where people are shown a reply.
MAY_USE_DNSPYTHON = {
    "command/explain/reply_text", "corefile/mnemonics", "demo", "server/record_text",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One module of ours."""

    path: Path

    @property
    def name(self) -> str:
        """`wire/names`, `keeper`."""
        return self.path.relative_to(ROOT / PACKAGE).with_suffix("").as_posix()

    @property
    def layer(self) -> str:
        """The package it is of, or itself."""
        return self.name.split("/")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text())

    @cached_property
    def imports(self) -> set[str]:
        """Every module it names, wherever in the file, and every name taken from one."""
        return set(self._walk_imports())

    def _walk_imports(self) -> Iterator[str]:
        package = self.path.relative_to(ROOT).parent.parts
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package[: len(package) - node.level + 1] if node.level else ()
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)

    @property
    def layers(self) -> set[str]:
        """The other layers of ours that it uses."""
        parts = [name.split(".") for name in self.imports]
        names = {part[1] for part in parts if part[0] == PACKAGE and len(part) > 1}
        return {name for name in names - {self.layer} if is_ours(name)}

    @property
    def others(self) -> set[str]:
        """The top names of what is not ours."""
        return {name.split(".")[0] for name in self.imports} - {PACKAGE}


def is_ours(name: str) -> bool:
    return (ROOT / PACKAGE / name).is_dir() or (ROOT / PACKAGE / f"{name}.py").is_file()


SOURCES = [Source(path) for path in sorted((ROOT / PACKAGE).rglob("*.py"))]
Breaches = dict[str, object]


def test_there_are_sources_of_every_layer():
    assert MAY_IMPORT.keys() == {source.layer for source in SOURCES}


def test_a_layer_uses_only_what_lies_below_it():
    breaches: Breaches = {}
    for source in SOURCES:
        if above := source.layers - MAY_IMPORT[source.layer]:
            breaches[source.name] = above
    assert breaches == {}


def test_modules_of_a_layer_do_not_import_each_other_in_a_circle_not_even_for_types():
    modules = {f"{PACKAGE}.{source.name.replace('/', '.')}": source for source in SOURCES}
    left = {
        name: {other for other in source.imports if other in modules and other != name}
        for name, source in modules.items()
        if not name.endswith("__init__")
    }
    # Take away whatever imports nothing that is left: a circle is what cannot be taken away.
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


def test_a_layer_touches_nothing_that_is_not_for_it():
    breaches: Breaches = {}
    for source in SOURCES:
        banned = NOT_TO_BE_TOUCHED.get(source.layer, set()) | NOT_TO_BE_TOUCHED.get(
            source.name, set()
        )
        if touched := source.others & banned - MAY_TOUCH.get(source.name, set()):
            if touched == {"dns"} and {source.layer, source.name} & MAY_USE_DNSPYTHON:
                continue
            breaches[source.name] = touched
    assert breaches == {}


def test_what_a_module_may_touch_is_something_that_it_does():
    by_name = {source.name: source for source in SOURCES}
    assert {
        name: by_name[name].others & touched for name, touched in MAY_TOUCH.items()
    } == MAY_TOUCH


def test_the_table_of_architecture_md_is_this_one():
    """Its rows: the room, what of ours it may import, what else it may not."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## What may import what")[2]
    rows = re.findall(r"^\| `(\w+)/` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    rooms = {name: ours for name, ours in MAY_IMPORT.items() if "__" not in name}
    assert {room: words_of(ours) for room, ours, _ in rows} == rooms
    assert {room: words_of(banned) for room, _, banned in rows} == {
        room: NOT_TO_BE_TOUCHED.get(room, set()) for room in rooms
    }


def words_of(cell: str) -> set[str]:
    """The names in a cell; what is in parentheses is why."""
    words = {word.strip() for word in re.sub(r"\(.*?\)", "", cell).split(",")} - {"nothing"}
    if "I/O" in words:
        words = words - {"I/O"} | IO
    if "what acts" in words:
        words = words - {"what acts"} | ACTS
    return words


def test_dnspython_stays_off_the_path_of_a_query():
    users = {source for source in SOURCES if "dns" in source.others}
    allowed = {source for source in users if {source.layer, source.name} & MAY_USE_DNSPYTHON}
    assert {source.name for source in users - allowed} == set()


def test_the_server_takes_types_from_the_corefile_and_no_code():
    taken = {
        name
        for source in SOURCES
        if source.layer == "server"
        for name in source.imports
        if name.startswith("nodecache.corefile.")
    }
    assert taken
    assert {name for name in taken if is_code(name)} == set()


def is_code(name: str) -> bool:
    """Whether something taken from a package is a function; a module it was taken from is not."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return inspect.isroutine(getattr(importlib.import_module(module), attribute))
    return False


def test_code_is_told_from_types_and_from_the_modules_they_are_in():
    assert is_code("nodecache.corefile.parse")
    assert is_code("nodecache.corefile.values.go_duration")
    assert not is_code("nodecache.corefile.values")
    assert not is_code("nodecache.corefile.rewriting.NameRule")
    assert not is_code("nodecache.corefile.rewriting.Match")


def test_a_file_holds_one_thing():
    lines = {source.name: len(source.path.read_text().splitlines()) for source in SOURCES}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_a_function_can_be_seen_at_once():
    breaches: Breaches = {}
    for source in SOURCES:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    breaches[f"{source.name}: {node.name}"] = lines
    assert breaches == {}


def test_what_is_public_says_what_it_does():
    unsaid = [
        f"{source.name}: {node.name}"
        for source in SOURCES
        for node in public_definitions(source.tree)
        if not ast.get_docstring(node)
    ]
    assert unsaid == []


def public_definitions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Functions, classes, and the methods of those; what has an underscore is nobody else's."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def test_every_package_says_its_law():
    packages = [
        source for source in SOURCES if source.name.count("/") and source.path.stem == "__init__"
    ]
    unsaid = [source.name for source in packages if not ast.get_docstring(source.tree)]
    assert unsaid == []


@dataclass(frozen=True)
class Planted(Source):
    """A module as if it read otherwise."""

    text: str = ""

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


def test_the_walk_finds_planted_imports():
    text = "import socket.x\nfrom ..cache import Entry\nfrom .names import x\ndef f():\n    import time\n"
    planted = Planted(ROOT / PACKAGE / "wire" / "names.py", text)
    assert planted.layers == {"cache"}
    assert {"socket", "time"} <= planted.others
    text = "from nodecache import keeper\nfrom nodecache.server.zone import Zone"
    assert Planted(planted.path, text).layers == {"keeper", "server"}
