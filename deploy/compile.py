"""How a wheel is made: mypyc compiles the modules that every query goes through.

pyproject.toml names them (`[tool.nodecache] compiled`), and names this as setuptools' build_ext.
Where there is no C compiler the wheel has the same modules as Python, and says so in one line.
An editable install is never compiled: what one edits is what runs.
"""

import os
import sys
import tempfile
import tomllib
from pathlib import Path
from sysconfig import get_paths

from setuptools import Extension
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parents[1]
# `make check` has checked the types; here none but our own may be to be had.
MYPY_FLAGS = ["--config-file=", "--ignore-missing-imports"]
# For each `if` of the one C file, of 60 MB, gcc reads on from some earlier line: most of its time.
NO_INDENTATION_CHECK = "-Wno-misleading-indentation"


def compiled_modules() -> list[str]:
    """The files to compile, relative to the project's root; packages' faces stay Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    files: set[Path] = set()
    for pattern in project["tool"]["nodecache"]["compiled"]:
        found = set(ROOT.glob(pattern))
        if not found:
            raise ValueError(f"pyproject.toml: tool.nodecache.compiled: no file is {pattern!r}")
        files |= found
    return sorted(str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py")


class CompileModules(build_ext):
    """setuptools' build_ext, with mypyc's C code in the place of the stand-in in pyproject.toml."""

    def run(self) -> None:
        """Make the C code, and compile it."""
        if self.editable_mode or not _has_compiler():
            return
        self.distribution.ext_modules = _extensions()
        self.initialize_options()  # anew, for these
        self.finalize_options()
        super().run()

    def get_source_files(self) -> list[str]:
        """What a source distribution needs beyond the package: this file, which makes the C code."""
        return [str(Path(__file__).relative_to(ROOT))]


def _extensions() -> list[Extension]:
    from mypyc.build import mypycify  # noqa: PLC0415 - it is slow to import

    extensions = mypycify(
        [*MYPY_FLAGS, *compiled_modules()],
        opt_level=os.environ.get("MYPYC_OPT_LEVEL", "3"),
        debug_level="0",
        group_name="nodecache",
        target_dir="build",
    )
    for extension in extensions:
        extension.extra_compile_args.append(NO_INDENTATION_CHECK)
    return extensions


def _has_compiler() -> bool:
    """Whether a C file that includes Python.h can be compiled here."""
    from setuptools._distutils.ccompiler import CompileError, new_compiler  # noqa: PLC0415
    from setuptools._distutils.sysconfig import customize_compiler  # noqa: PLC0415

    compiler = new_compiler()
    customize_compiler(compiler)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\n", encoding="utf-8")
        try:
            compiler.compile([str(source)], folder, include_dirs=[get_paths()["include"]])
        except CompileError as error:
            print(f"nodecache: not compiled, for want of a C compiler: {error}", file=sys.stderr)
            return False
    return True
