"""Programs that look names up, each with another resolver: those that this machine can build or run."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.build import SOURCES, CannotBuild

CLIENTS = Path(__file__).with_name("clients")


@dataclass(frozen=True, slots=True)
class Client:
    """A resolver, and how it is asked for names: these arguments, and the names behind them."""

    name: str
    argv: tuple[str, ...]


def find_clients(folder: Path) -> Iterator[Client]:
    """Every client that can be had here."""
    folder.mkdir(exist_ok=True)
    for name, compiler in (("glibc", "gcc"), ("musl", "musl-gcc")):
        if shutil.which(compiler):
            program = str(folder / f"lookup-{name}")
            _build([compiler, "-O2", "-o", program, str(SOURCES / "lookup.c")])
            yield Client(name, (program,))
    if go := shutil.which("go"):
        program = str(folder / "lookup-go")
        _build([go, "build", "-o", program, str(CLIENTS / "lookup.go")], GOFLAGS="-mod=mod")
        yield Client("Go", (program,))
    if node := shutil.which("node"):
        yield Client("Node", (node, str(CLIENTS / "lookup.js")))
    if java := shutil.which("java"):
        yield Client("Java", (java, str(CLIENTS / "Lookup.java")))


def _build(argv: list[str], **environment: str) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        raise CannotBuild(done.stderr)
