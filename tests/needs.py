"""Tools that tests want and a machine may lack. A lack is told loudly, and in CI it is a failure."""

import os
import shutil

import pytest

MISSING: dict[str, set[str]] = {}
"""Debian package → the tests that it kept from running."""


def need(tool: str, *, package: str) -> str:
    """The path of `tool`; without it the test is skipped, or fails where NODECACHE_CI is 1."""
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
    if path is not None:
        return path
    MISSING.setdefault(package, set()).add(os.environ.get("PYTEST_CURRENT_TEST", "a whole file"))
    reason = f"needs {tool}: apt-get install {package}"
    if os.environ.get("NODECACHE_CI") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def need_root() -> None:
    """Skip the test unless it may make network namespaces and bind low ports."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run the tests with sudo", allow_module_level=True)


_PACKAGES = {
    "conntrack": "conntrack",
    "curl": "curl",
    "dnsperf": "dnsperf",
    "ip": "iproute2",
    "iptables-legacy": "iptables",
    "nft": "nftables",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def need_node(*tools: str) -> None:
    """Skip a file unless it may make a node of network namespaces and look at its packet rules.

    `tools` are those that it wants besides ip, nft and iptables.
    """
    need_root()
    for tool in ("ip", "nft", "iptables-legacy", *tools):
        need(tool, package=_PACKAGES[tool])
