"""pyproject.toml asks for what the tests import: no package is there by chance."""

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OURS = {"bench", "deploy", "nodecache", "tests"}


def imported(folder: str) -> Iterator[str]:
    """The packages that the files of a folder import."""
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def installed_for(lines: Iterable[str]) -> set[str]:
    """The distributions that these requirements bring, and those that they ask for in turn."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        is_wanted = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if is_wanted and name not in found:
            found.add(name)
            waiting += map(Requirement, metadata.requires(name) or ())
    return found


def test_whatever_the_tests_import_is_asked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = installed_for(project["project"]["dependencies"] + project["dependency-groups"]["dev"])
    modules = {*imported("tests"), *imported("deploy")} - set(sys.stdlib_module_names) - OURS
    by_module = metadata.packages_distributions()
    missing = {
        module
        for module in modules
        if not asked & {canonicalize_name(name) for name in by_module.get(module, [])}
    }
    assert missing == set()
