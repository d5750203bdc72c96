"""Says at the end of a run, loudly, what was not tested for want of a tool."""

import os

import pytest
from hypothesis import settings

from nodecache.process.build import code_form
from tests.needs import MISSING

settings.register_profile("ours", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("ours")


def pytest_sessionstart() -> None:
    """`make test-compiled` must not test the sources by mistake, nor `make test-interpreted` a wheel."""
    wanted = "compiled" if os.environ.get("NODECACHE_TEST_COMPILED") else "interpreted"
    if code_form() != wanted:
        raise pytest.UsageError(f"the code on the path is {code_form()}, not {wanted}")


def pytest_report_header() -> str:
    return f"nodecache: {code_form()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not MISSING:
        return
    count = sum(len(tests) for tests in MISSING.values())
    terminalreporter.section(f"{count} NOT TESTED, FOR WANT OF TOOLS", red=True, bold=True)
    terminalreporter.write_line(f"apt-get install {' '.join(sorted(MISSING))}")
    for package, tests in sorted(MISSING.items()):
        for test in sorted(tests):
            terminalreporter.write_line(f"  {package}: {test.removesuffix(' (call)')}")
