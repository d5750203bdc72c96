"""Says at the end of a run, loudly, what was not tested for want of a tool."""

import pytest
from hypothesis import settings

from tests.needs import MISSING

settings.register_profile("ours", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("ours")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not MISSING:
        return
    count = sum(len(tests) for tests in MISSING.values())
    terminalreporter.section(f"{count} NOT TESTED, FOR WANT OF TOOLS", red=True, bold=True)
    terminalreporter.write_line(f"apt-get install {' '.join(sorted(MISSING))}")
    for package, tests in sorted(MISSING.items()):
        for test in sorted(tests):
            terminalreporter.write_line(f"  {package}: {test.removesuffix(' (call)')}")
