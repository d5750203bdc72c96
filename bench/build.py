"""Compiles the C floor and the C upstream; where `make compiled` has put the compiled agent."""

import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).with_name("c")
COMPILED = Path(sys.executable).parents[1] / "compiled"


class CannotBuild(Exception):
    """No C compiler, or it refused our source."""


def compile_program(name: str, folder: Path) -> Path:
    """Compile `c/NAME.c` into `folder`, unless it was; CannotBuild says why it could not."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    if program.exists():
        return program
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotBuild("no C compiler: install Debian's gcc and libc6-dev")
    argv = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(SOURCES / f"{name}.c")]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CannotBuild(result.stderr)
    return program
