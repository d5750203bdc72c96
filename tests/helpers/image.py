"""The image, built from its Dockerfile by buildah on a Debian made here; no registry is asked.

The base image is what mmdebstrap makes of Debian's packages, and steps run in a chroot. That takes
a minute or two and the network, so one build is for the whole run.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.needs import need, need_root

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/debian:13.1-slim"
RELEASE = "trixie"

# Where the machine has a certificate authority of its own, pip in the build needs it too.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Builder:
    """buildah with a storage of its own."""

    program: str
    folder: Path

    def __call__(self, *arguments: str) -> str:
        run = subprocess.run(
            [
                self.program,
                *("--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run"),
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"[-5000:]
        return run.stdout.strip()


@contextmanager
def built_image(folder: Path) -> Iterator[Path]:
    """The image's file system, a folder."""
    need_root()
    build = Builder(need("buildah", package="buildah"), folder)
    try:
        base = build("from", "--pull-never", "scratch")
        build("add", base, str(_make_base(folder)), "/")
        build("commit", "--quiet", "--rm", base, BASE)
        mounts = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.exists() else []
        build(
            "bud", "--pull-never", "--isolation", "chroot", *mounts, "--tag", "nodecache", str(ROOT)
        )
        container = build("from", "--pull-never", "localhost/nodecache")
        yield Path(build("mount", container))
        build("rm", "--all")
    finally:
        _unmount_all_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _unmount_all_below(folder: Path) -> None:
    """Unmount what a build left, broken off or not: what is mounted cannot be removed."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed(mounted):
        if Path(path).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", path], check=False)


def _make_base(folder: Path) -> Path:
    """A minimal Debian as a tar."""
    mmdebstrap = need("mmdebstrap", package="mmdebstrap")
    tar = folder / "base.tar"
    subprocess.run(
        [mmdebstrap, "--quiet", "--variant=minbase", "--include=ca-certificates", RELEASE, tar],
        check=True,
        capture_output=True,
    )
    return tar
