"""The original, node-cache (or CoreDNS itself), where the machine has it; Debian has no package."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import dns.exception
import dns.message
import dns.query

from tests.patience import PATIENCE_SECONDS

from .agent import HOST, free_port

_ELF = b"\x7fELF"


def find_original() -> str | None:
    """The program: NODECACHE_ORIGINAL, else node-cache or coredns on PATH; ours has that name too."""
    for program in (os.environ.get("NODECACHE_ORIGINAL"), "node-cache", "coredns"):
        path = program and shutil.which(program)
        if path and Path(path).read_bytes()[:4] == _ELF:
            return path
    return None


class Original:
    """The original, serving `corefile` between `with` and its end; `{port}` as in `Agent`."""

    def __init__(self, program: str, folder: Path, corefile: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._program = program
        self._base = folder / "Corefile.base"
        self._base.write_text(corefile.replace("{port}", str(self.port)))

    def __enter__(self) -> Self:
        with (self._folder / "original.log").open("wb") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, self.log
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)

    @property
    def log(self) -> str:
        return (self._folder / "original.log").read_text()

    def _command(self) -> list[str]:
        if not Path(self._program).name.startswith("node-cache"):
            return [self._program, "-conf", str(self._base), "-dns.port", str(self.port)]
        return [
            self._program,
            "-localip", HOST,
            "-dns.port", str(self.port),
            "-basecorefile", str(self._base),
            "-conf", str(self._folder / "Corefile"),
            "-setupinterface=false",
            "-setupiptables=false",
            "-metrics-listen-address", f"{HOST}:{free_port()}",
        ]  # fmt: skip

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log
        probe = dns.message.make_query("probe.invalid.", "TYPE65281")
        try:
            dns.query.udp(probe, HOST, port=self.port, timeout=0.2)
        except (OSError, dns.exception.DNSException):
            time.sleep(0.05)
            return False
        return True
