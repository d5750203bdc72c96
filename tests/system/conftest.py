"""What several files of system tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.image import built_image
from tests.system.backends import cluster
from tests.system.netns import World


@pytest.fixture(scope="session")
def image() -> Iterator[Path]:
    """The file system of the image."""
    with built_image() as root:
        yield root


@pytest.fixture(scope="session", autouse=True)
def xtables_lock(tmp_path_factory) -> Path:
    """The lock of iptables-legacy for all that this run starts.

    A run beside it has its own: one of the tests holds it for seconds.
    """
    lock = tmp_path_factory.mktemp("lock") / "xtables.lock"
    os.environ["XTABLES_LOCKFILE"] = str(lock)
    return lock


@pytest.fixture
def world() -> Iterator[World]:
    """A node, a pod and a kube-dns, each in a network namespace of its own."""
    world = World()
    yield world
    world.remove()


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """A node, and two kube-dns pods behind a Service address."""
    with cluster(tmp_path_factory.mktemp("pods")) as found:
        yield found
