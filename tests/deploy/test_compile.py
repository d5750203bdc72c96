"""What a wheel is made of."""

import importlib.util
from pathlib import Path

from setuptools import Distribution

from tests.deploy.manifests import DEPLOY, ROOT

spec = importlib.util.spec_from_file_location("compile", DEPLOY / "compile.py")
compile_ = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compile_)


def test_a_wheel_can_be_made_of_a_source_distribution():
    """pyproject.toml has setuptools load the file, so it must be in there."""
    assert compile_.CompileModules(Distribution()).get_source_files() == ["deploy/compile.py"]


def test_the_list_names_files_that_are_there_and_the_rooms_of_every_query():
    modules = compile_.compiled_modules()
    assert all((ROOT / module).is_file() for module in modules)
    rooms = {Path(module).parts[1] for module in modules}
    assert rooms == {"wire", "cache", "forward", "server"}
    assert "nodecache/server/zone.py" in modules
    assert not any(module.endswith("__init__.py") for module in modules)
