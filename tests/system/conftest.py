"""What several files of system tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.image import built_image


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Iterator[Path]:
    """The file system of the image."""
    with built_image(tmp_path_factory.mktemp("image")) as root:
        yield root
